"""Held-out ids as the JSON list that `flash-moe eval kl --ids` reads; needs nothing but Python.

    eval_ids.py demo/eval/val.npz 20000 > ids.json

An equal share of each stream (text, facts, free, skills, tools), from its beginning, one after the other.
"""
import array, json, struct, sys, zipfile


def npy(data):
    """A one-dimensional array of uint16 from a .npy file, version 1 or 2."""
    assert data[:6] == b"\x93NUMPY", "a .npy file"
    size = struct.unpack("<H", data[8:10])[0] + 10 if data[6] == 1 else struct.unpack("<I", data[8:12])[0] + 12
    header = data[:size].decode("latin1")
    assert "'<u2'" in header, header
    ids = array.array("H", data[size:])
    if sys.byteorder == "big":
        ids.byteswap()
    return ids


path, count = sys.argv[1], int(sys.argv[2])
with zipfile.ZipFile(path) as streams:
    names = ["text", "facts", "free", "skills", "tools"]
    share, more = divmod(count, len(names))
    ids = []
    for n, name in enumerate(names):
        stream = npy(streams.read(name + ".npy"))
        wanted = share + (n < more)
        assert len(stream) >= wanted, f"{name}: {len(stream)} ids, {wanted} wanted"
        ids += stream[:wanted]
json.dump(ids, sys.stdout, separators=(",", ":"))
