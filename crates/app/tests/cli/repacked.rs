//! `repack` and `verify` as scripts meet them: the same answers afterwards, damage named, cut off and gone on.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Done, cache, command, copy_of, fixture, flash_moe, read_json};

const MODEL: &str = "tiny-qwen35moe-mlx4-uniform";

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Repacks a checkpoint into a new directory.
fn repacked(source: &str) -> TempDir {
    let out = folder();
    flash_moe(&["repack", "-m", source, "--out", &text(out.path())]).succeeded();
    out
}

fn raw(model: &str) -> Done {
    flash_moe(&["run", "-m", model, "--raw", "--temp", "0", "-n", "16", "--ignore-eos", "the sea"])
}

#[test]
fn everything_works_as_with_the_source() {
    let source = fixture(MODEL);
    let out = repacked(&source);
    let dir = text(out.path());
    let (wanted, found) = (raw(&source).succeeded(), raw(&dir).succeeded());
    assert_eq!(wanted.stdout, found.stdout, "the same answer");
    let hash = |done: &Done| done.last_line().rsplit('#').next().map(str::to_owned);
    assert_eq!(hash(&wanted), hash(&found), "the same logits");

    let logits = |model: &str| {
        let files = folder();
        let [ids, out] = ["ids.json", "out.safetensors"].map(|name| files.path().join(name));
        let reference = read_json(&format!("tests/fixtures/{MODEL}/reference.json"));
        fs::write(&ids, reference["input_ids"].to_string()).expect("write");
        let flags = ["eval", "logits", "-m", model, "--ids", &text(&ids), "--out", &text(&out)];
        flash_moe(&flags).succeeded();
        fs::read(out).expect("the file is there")
    };
    assert!(logits(&source) == logits(&dir), "the same file of logits");

    let inspect = |model: &str| flash_moe(&["inspect", "-m", model, "--json"]).succeeded().json();
    let (mut was, mut is) = (inspect(&source), inspect(&dir));
    assert_eq!((&was["record_extents"], &is["record_extents"]), (&9.into(), &1.into()), "reads");
    for value in [&mut was, &mut is] {
        value["record_extents"] = Value::Null;
    }
    assert_eq!(was, is, "all else is as it was");
    flash_moe(&["plan", "-m", &dir]).succeeded();

    let whole = flash_moe(&["verify", "-m", &dir, "--source", &source]).succeeded();
    assert!(whole.stdout.contains("same bytes as the source"), "{whole:?}");
    let again = flash_moe(&["repack", "-m", &source, "--out", &dir]).succeeded();
    assert!(again.stderr.contains("already done") && again.stdout.is_empty(), "{again:?}");
}

#[test]
fn a_flipped_bit_is_named_and_no_answer_is_given() {
    let out = repacked(&fixture(MODEL));
    let dir = text(out.path());
    flash_moe(&["verify", "-m", &dir]).succeeded();
    let path = out.path().join("experts-00001.records");
    let mut bytes = fs::read(&path).expect("the file is there");
    // Any record may be chosen: all of them are damaged, in their weights.
    let length = bytes[8..16].try_into().map(u64::from_le_bytes).expect("eight bytes");
    let begin = 16 + usize::try_from(length).expect("small");
    for at in (begin + 8..bytes.len()).step_by(4096) {
        bytes[at] ^= 0x10;
    }
    fs::write(&path, bytes).expect("write");
    let checked = flash_moe(&["verify", "-m", &dir]);
    assert_eq!((checked.code, checked.stdout.as_str()), (1, ""), "{checked:?}");
    let line = checked.error();
    for part in
        ["experts-00001.records", "layer 1, record 0", &format!("byte {begin} "), "checksum"]
    {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    let run = raw(&dir);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "no token: {run:?}");
    let line = run.error();
    for part in ["experts-00001.records", "record ", "checksum"] {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

#[test]
fn refusals_have_their_codes() {
    let source = fixture(MODEL);
    let busy = folder();
    fs::write(busy.path().join("notes"), "mine").expect("write");
    for (arguments, code, part) in [
        (vec!["repack", "-m", &source], 2, "--out"),
        (vec!["repack", "-m", &source, "--out", &source], 1, "the checkpoint itself"),
        (vec!["repack", "-m", &source, "--out", &text(busy.path())], 1, "notes"),
        (vec!["repack", "-m", "/no/such/dir", "--out", "/no/such/other"], 1, "/no/such/dir"),
        (vec!["verify", "-m", &source, "--source", &source], 1, "is not repacked"),
        (vec!["verify", "-m", "/no/such/dir"], 1, "/no/such/dir"),
    ] {
        let done = flash_moe(&arguments);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{done:?}");
        assert!(done.error().contains(part), "{part:?}: {done:?}");
    }
    let published = flash_moe(&["verify", "-m", &source]).succeeded();
    assert!(
        published.stdout.contains("has no checksums"),
        "it says what it could not: {published:?}"
    );
    let copy = copy_of(&source);
    let shard = copy.path().join("model.safetensors");
    let bytes = fs::metadata(&shard).expect("shard").len();
    let file = fs::OpenOptions::new().write(true).open(&shard).expect("open");
    file.set_len(bytes - 1).expect("cut");
    let done = flash_moe(&["verify", "-m", &text(copy.path())]);
    assert!(done.code == 1 && done.error().contains("model.safetensors"), "{done:?}");
}

/// Killed after ever longer, so that it dies in many places; whatever was there, it goes on.
#[cfg(unix)]
#[test]
fn killed_at_any_time_it_goes_on_to_the_same_bytes() {
    let source = crate::program::in_tree("demo/demo-4bit");
    let wanted = repacked(&source);
    let mut killed = 0;
    for pause_ms in [0, 5, 10, 20, 40, 60, 80, 100, 120, 150] {
        let out = folder();
        let dir = text(out.path());
        let flags = ["repack", "-m", &source, "--out", &dir];
        let mut child = command(&cache()).args(flags).spawn().expect("the binary runs");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        // SIGKILL: nothing of the program runs any more.
        child.kill().expect("it is ours");
        child.wait().expect("it ended");
        if !out.path().join("flash-moe.json").exists() {
            killed += 1;
            let run = raw(&dir);
            assert!(run.code == 1 && run.stdout.is_empty(), "no model yet: {run:?}");
        }
        flash_moe(&flags).succeeded();
        let names = |dir: &Path| -> Vec<_> {
            let entries = fs::read_dir(dir).expect("directory");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(out.path()), names(wanted.path()), "{pause_ms} ms: the same files");
        for name in names(wanted.path()) {
            let [found, wanted] = [&out, &wanted].map(|dir| fs::read(dir.path().join(&name)));
            let (found, wanted) = (found.expect("there"), wanted.expect("there"));
            assert!(found == wanted, "{pause_ms} ms: {}", name.display());
        }
    }
    if killed == 0 {
        println!("SKIP kill: this machine repacks faster than it is killed");
    }
}

/// On a file system that is too small for it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_refused_before_anything_is_written() {
    let mount = folder();
    let dir = text(mount.path());
    let flags = ["-t", "tmpfs", "-o", "size=64k", "none", &dir];
    let mounted = std::process::Command::new("mount").args(flags).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        println!("SKIP full disk: this user may not mount a small file system");
        return;
    }
    let out = text(&mount.path().join("out"));
    let done = flash_moe(&["repack", "-m", &fixture(MODEL), "--out", &out]);
    let left = fs::read_dir(mount.path()).expect("directory").count();
    let unmounted = std::process::Command::new("umount").arg(&dir).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "unmounted");
    assert_eq!((done.code, left), (3, 0), "{done:?}");
    let line = done.error();
    assert!(line.contains("are needed") && line.contains("KiB are free"), "{line:?}");
}
