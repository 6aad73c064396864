#!/usr/bin/env python3
"""Readable, dependency-light (numpy only + a 40-line safetensors reader) implementation of Qwen3.5-MoE / Qwen3-Next text
inference, straight from the checkpoint files: HF BF16, block-FP8, MLX affine-quantised and Qwen3-Next layouts.
`python ref_numpy.py DIR...` checks it against each DIR/reference.safetensors.
One token at a time, sequential recurrence: the shape a port would have.  dtype=float64 gives the "true" answer."""
import json, sys, os
import numpy as np

# ---------------------------------------------------------------- safetensors
def st_load(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little"); h = json.loads(f.read(n)); buf = f.read()
    out = {}
    for k, v in h.items():
        if k == "__metadata__": continue
        a, b = v["data_offsets"]; raw = buf[a:b]
        if v["dtype"] == "BF16":
            x = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif v["dtype"] == "F8_E4M3":                 # 1-4-3, bias 7, no inf, 0x7f/0xff = nan
            b = np.frombuffer(raw, np.uint8).astype(np.int32); e, m = (b >> 3) & 15, b & 7
            x = np.where(e == 0, m / 512.0, (1 + m / 8.0) * 2.0 ** (e - 7)) * np.where(b > 127, -1, 1); x = np.where((b & 127) == 127, np.nan, x).astype(np.float32)
        else:
            x = np.frombuffer(raw, dict(F32=np.float32, F64=np.float64, U32=np.uint32, I32=np.int32, I64=np.int64, F16=np.float16)[v["dtype"]])
        out[k] = x.reshape(v["shape"])
    return out

def st_dir(d):
    W = {}
    for fn in sorted(set(json.load(open(f"{d}/model.safetensors.index.json"))["weight_map"].values())): W.update(st_load(f"{d}/{fn}"))
    return W

# ---------------------------------------------------------------- layout normalisation
class Weights:
    """Gives canonical names ('layers.3.self_attn.q_proj') whatever the layout; norms come out as the final multiplier."""
    def __init__(s, d, dt):
        s.raw, s.dt = st_dir(d), dt
        s.cfg = json.load(open(f"{d}/config.json")); s.t = s.cfg.get("text_config", s.cfg); s.q = s.cfg.get("quantization")
        s.mlx, s.nxt = s.q is not None, s.t["model_type"] == "qwen3_next"
        s.base = "language_model.model." if s.mlx else ("model." if s.nxt else "model.language_model.")
        s.head = "language_model.lm_head" if s.mlx else "lm_head"
        s.memo = {}
    def path(s, n):
        if n.startswith("mtp."): return n
        return s.head if n == "lm_head" else s.base + n
    def mat(s, n):                                   # 2-D/3-D weight, dequantised
        if n in s.memo: return s.memo[n]
        p = s.path(n); w = s.raw[p + ".weight"]
        if p + ".scales" in s.raw:
            sc, bi = s.raw[p + ".scales"].astype(s.dt), s.raw[p + ".biases"].astype(s.dt)
            gs = s.q.get(p, s.q)["group_size"]
            bits = w.shape[-1] * 32 // (sc.shape[-1] * gs)              # derive the width from the shapes
            assert bits == s.q.get(p, s.q)["bits"]
            sh = np.arange(32 // bits, dtype=np.uint32) * np.uint32(bits)
            qv = ((w[..., None] >> sh) & np.uint32((1 << bits) - 1)).reshape(*w.shape[:-1], -1, gs)
            w = (qv.astype(s.dt) * sc[..., None] + bi[..., None]).reshape(*w.shape[:-1], -1)
        elif p + ".weight_scale_inv" in s.raw:                          # block FP8: w * scale_inv[i/128, j/128]
            sc = s.raw[p + ".weight_scale_inv"]; B = s.cfg["quantization_config"]["weight_block_size"]
            w = w.astype(s.dt) * np.repeat(np.repeat(sc, B[0], 0)[:w.shape[0]], B[1], 1)[:, :w.shape[1]].astype(s.dt)
        s.memo[n] = w = w.astype(s.dt)
        return w
    def vec(s, n): return s.raw[s.path(n)].astype(s.dt)
    def norm(s, n):                                  # zero-centred RMSNorm weight -> multiplier
        w = s.raw[s.path(n) + ".weight"].astype(s.dt)
        return w if s.mlx else 1 + w                 # MLX files already hold 1 + w
    def conv(s, n):                                  # -> [C, K]
        w = s.raw[s.path(n) + ".weight"].astype(s.dt)
        return w.reshape(w.shape[0], -1)             # HF [C,1,K] and MLX [C,K,1] flatten to the same thing
    def experts(s, p):                               # -> gate [E,I,H], up [E,I,H], down [E,H,I]
        if p in s.memo: return s.memo[p]
        b = s.path(p)
        if b + "switch_mlp.gate_proj.weight" in s.raw: r = tuple(s.mat(p + f"switch_mlp.{x}_proj") for x in ("gate", "up", "down"))
        elif b + "experts.gate_up_proj" in s.raw:
            gu = s.vec(p + "experts.gate_up_proj"); I = gu.shape[1] // 2
            r = gu[:, :I], gu[:, I:], s.vec(p + "experts.down_proj")
        else: r = tuple(np.stack([s.mat(p + f"experts.{e}.{x}_proj") for e in range(s.t["num_experts"])]) for x in ("gate", "up", "down"))
        s.memo[p] = r
        return r

# ---------------------------------------------------------------- arithmetic
sigmoid = lambda x: 1 / (1 + np.exp(-x))
silu = lambda x: x * sigmoid(x)
softplus = lambda x: np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))
def rms(x, w, eps): return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w
def softmax(x): e = np.exp(x - x.max(-1, keepdims=True)); return e / e.sum(-1, keepdims=True)

class Model:
    def __init__(s, d, dt=np.float32):
        s.W = W = Weights(d, dt); t = s.t = W.t; s.dt = dt
        s.types = t.get("layer_types") or ["full_attention" if (i + 1) % t.get("full_attention_interval", 4) == 0 else "linear_attention"
                                           for i in range(t["num_hidden_layers"])]
        rp = t.get("rope_parameters") or dict(rope_theta=t["rope_theta"], partial_rotary_factor=t["partial_rotary_factor"])
        s.rd = int(t["head_dim"] * rp["partial_rotary_factor"])
        s.inv = (1.0 / rp["rope_theta"] ** (np.arange(0, s.rd, 2, dtype=np.float32) / np.float32(s.rd))).astype(dt)
        s.eps = t["rms_norm_eps"]
        s.reset()
    def reset(s): s.state = [dict() for _ in s.types]; s.pos = 0; s.mstate = {}; s.trace = {}
    def rope(s, x, pos):                              # x [heads, hd]; rotates the first rd dims, half-split pairing (i, i + rd/2)
        a = (np.float32(pos) * s.inv.astype(np.float32)).astype(s.dt); c, sn = np.cos(a), np.sin(a); h = s.rd // 2
        x1, x2 = x[:, :h], x[:, h:s.rd]
        return np.concatenate([x1 * c - x2 * sn, x2 * c + x1 * sn, x[:, s.rd:]], 1)
    def attn(s, p, x, st, pos):
        t, W = s.t, s.W; hd, nq, nkv = t["head_dim"], t["num_attention_heads"], t["num_key_value_heads"]
        qg = (W.mat(p + "q_proj") @ x).reshape(nq, 2 * hd)           # per head: [query | gate]
        q, gate = qg[:, :hd], qg[:, hd:]
        k = (W.mat(p + "k_proj") @ x).reshape(nkv, hd); v = (W.mat(p + "v_proj") @ x).reshape(nkv, hd)
        q = s.rope(rms(q, W.norm(p + "q_norm"), s.eps), pos); k = s.rope(rms(k, W.norm(p + "k_norm"), s.eps), pos)
        st.setdefault("k", []).append(k); st.setdefault("v", []).append(v)
        K, V = np.stack(st["k"], 1), np.stack(st["v"], 1)             # [nkv, T, hd]
        r = nq // nkv; o = np.empty((nq, hd), s.dt)
        for h in range(nq): o[h] = softmax(K[h // r] @ q[h] * s.dt(hd) ** -0.5) @ V[h // r]
        o = (o * sigmoid(gate)).reshape(-1)
        return W.mat(p + "o_proj") @ o
    def gdn(s, p, x, st):
        t, W = s.t, s.W; nk, nv, dk, dv = (t["linear_num_key_heads"], t["linear_num_value_heads"], t["linear_key_head_dim"], t["linear_value_head_dim"])
        K, r = t["linear_conv_kernel_dim"], nv // nk
        if s.W.nxt:                                                   # fused, grouped by key head: [q dk | k dk | v r*dv | z r*dv], [b r | a r]
            m = (W.mat(p + "in_proj_qkvz") @ x).reshape(nk, -1); ba = (W.mat(p + "in_proj_ba") @ x).reshape(nk, 2 * r)
            qkv = np.concatenate([m[:, :dk].ravel(), m[:, dk:2 * dk].ravel(), m[:, 2 * dk:2 * dk + r * dv].ravel()])
            z, b, a = m[:, 2 * dk + r * dv:].reshape(nv, dv), ba[:, :r].ravel(), ba[:, r:].ravel()
        else:
            qkv = W.mat(p + "in_proj_qkv") @ x; z = (W.mat(p + "in_proj_z") @ x).reshape(nv, dv)
            b, a = W.mat(p + "in_proj_b") @ x, W.mat(p + "in_proj_a") @ x
        win = np.concatenate([st.get("conv", np.zeros((len(qkv), K - 1), s.dt)), qkv[:, None]], 1)   # oldest .. newest
        st["conv"] = win[:, 1:]
        c = silu((win * W.conv(p + "conv1d")).sum(1))
        q, k, v = c[:nk * dk].reshape(nk, dk), c[nk * dk:2 * nk * dk].reshape(nk, dk), c[2 * nk * dk:].reshape(nv, dv)
        l2 = lambda y: y / np.sqrt((y * y).sum(-1, keepdims=True) + s.dt(1e-6))
        q, k = l2(q) * s.dt(dk) ** -0.5, l2(k)
        q, k = np.repeat(q, r, 0), np.repeat(k, r, 0)                 # key head j serves value heads j*r .. j*r+r-1
        beta = sigmoid(b); g = -np.exp(W.vec(p + "A_log")) * softplus(a + W.vec(p + "dt_bias"))
        S = st.get("S", np.zeros((nv, dk, dv), s.dt)) * np.exp(g)[:, None, None]
        u = (v - np.einsum("hkv,hk->hv", S, k)) * beta[:, None]       # delta rule
        S = S + k[:, :, None] * u[:, None, :]; st["S"] = S
        o = np.einsum("hkv,hk->hv", S, q)
        o = rms(o, W.vec(p + "norm.weight"), s.eps) * silu(z)         # plain weight (not 1+w); norm per head, then gate
        return W.mat(p + "out_proj") @ o.ravel()
    def moe(s, p, x, tr=None):
        t, W = s.t, s.W; k = t["num_experts_per_tok"]
        lg = W.mat(p + "gate") @ x; pr = softmax(lg)
        idx = np.argsort(-pr, kind="stable")[:k]; w = pr[idx]
        if t.get("norm_topk_prob", True): w = w / w.sum()             # Qwen3.5: always
        G, U, D = W.experts(p); y = np.zeros_like(x)
        for e, we in zip(idx, w): y = y + (D[e] @ (silu(G[e] @ x) * (U[e] @ x))) * we
        sh = W.mat(p + "shared_expert.down_proj") @ (silu(W.mat(p + "shared_expert.gate_proj") @ x) * (W.mat(p + "shared_expert.up_proj") @ x))
        if tr is not None: tr.append((lg, idx, w))
        return y + sigmoid(W.mat(p + "shared_expert_gate") @ x) * sh
    def block(s, p, kind, h, st, pos, tr=None):
        x = rms(h, s.W.norm(p + "input_layernorm"), s.eps)
        h = h + (s.attn(p + "self_attn.", x, st, pos) if kind == "full_attention" else s.gdn(p + "linear_attn.", x, st))
        return h + s.moe(p + "mlp.", rms(h, s.W.norm(p + "post_attention_layernorm"), s.eps), tr)
    def step(s, tok):
        h = s.W.mat("embed_tokens")[tok]; hs = [h]; rt = []
        for i, ty in enumerate(s.types):
            h = s.block(f"layers.{i}.", ty, h, s.state[i], s.pos, rt); hs.append(h)
        s.pos += 1
        f = rms(h, s.W.norm("norm"), s.eps); hs.append(f)
        return s.W.mat("lm_head") @ f, hs, rt
    def mtp(s, tok, hidden, pos):                     # `hidden` = trunk's FINAL-NORMED hidden of the previous position (or last MTP output)
        W = s.W; x = np.concatenate([rms(W.mat("embed_tokens")[tok], W.norm("mtp.pre_fc_norm_embedding"), s.eps), rms(hidden, W.norm("mtp.pre_fc_norm_hidden"), s.eps)])
        h = s.block("mtp.layers.0.", "full_attention", W.mat("mtp.fc") @ x, s.mstate, pos)
        h = rms(h, W.norm("mtp.norm"), s.eps)
        return W.mat("lm_head") @ h, h

def check(d, dt):
    ref = st_load(f"{d}/reference.safetensors"); m = Model(d, dt); E = {}
    up = lambda n, x, y: E.__setitem__(n, max(E.get(n, 0.0), float(np.abs(np.asarray(x, np.float64) - y).max())))
    ids = ref["input_ids"].tolist(); fin = []
    for i, tk in enumerate(ids):
        lg, hs, rt = m.step(tk); fin.append(hs[-1])
        up("logits", lg, ref["logits"][i])
        for j, h in enumerate(hs):
            n = "hidden.embed" if j == 0 else ("hidden.final_norm" if j == len(hs) - 1 else f"hidden.layer{j-1}"); up("hidden", h, ref[n][i])
        for j, (a, ix, w) in enumerate(rt):
            up("router", a, ref[f"layer{j}.router_logits"][i]); assert ix.tolist() == ref[f"layer{j}.router_index"][i].tolist(); up("weight", w, ref[f"layer{j}.router_weight"][i])
    for i, ty in enumerate(m.types):
        if f"layer{i}.cache.k" in ref: up("cache", np.stack(m.state[i]["k"], 1), ref[f"layer{i}.cache.k"]); up("cache", np.stack(m.state[i]["v"], 1), ref[f"layer{i}.cache.v"])
        if f"layer{i}.cache.conv_state" in ref: up("cache", m.state[i]["conv"], ref[f"layer{i}.cache.conv_state"][:, 1:]); up("cache", m.state[i]["S"], ref[f"layer{i}.cache.recurrent_state"])
    if "mtp.hidden" in ref:
        for i, tk in enumerate(ref["mtp.input_ids"].tolist()):
            lm, hm = m.mtp(tk, fin[i], i + 1); up("mtp", hm, ref["mtp.hidden"][i])
        dr = []
        for j in range(3):
            up("mtp_draft", lm, ref["mtp.draft_logits"][j]); dr.append(int(lm.argmax())); lm, hm = m.mtp(dr[-1], hm, len(ids) + 1 + j)
        assert dr == ref["mtp.draft_ids"].tolist()
    got = []
    for j in range(len(ref["decode.ids"])):
        up("decode", lg, ref["decode.logits"][j]); got.append(int(lg.argmax())); lg, _, _ = m.step(got[-1])
    assert got == ref["decode.ids"].tolist(), "greedy ids differ"
    print(os.path.basename(d), np.dtype(dt).name, "greedy+routing identical; max|d|:", {k: f"{v:.1e}" for k, v in E.items()})

if __name__ == "__main__":
    for d in sys.argv[1:]:
        for dt in (np.float32, np.float64): check(d.rstrip("/"), dt)
