//! Wrong input of every kind: the right exit code, one line that says what and where, nothing on stdout.

use std::path::Path;

use crate::program::{
    Done, cache, command, copy_of, finish, fixture, flash_moe, flash_moe_reading,
};

/// Checks a refusal, and returns its line.
fn refused(done: &Done, code: i32, parts: &[&str]) {
    assert_eq!(done.code, code, "{done:?}");
    assert_eq!(done.stdout, "", "nothing is presented as an answer: {done:?}");
    let line = done.error();
    for part in parts {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert!(!done.stderr.contains("panicked"), "{done:?}");
}

#[test]
fn wrong_command_lines_are_code_2() {
    for (arguments, parts) in [
        (&["run", "--frobnicate", "x"][..], &["--frobnicate"][..]),
        (&["serve"], &["serve"]),
        (&["run", "--memory", "8G", "x"], &["--memory", "8G", "8GiB"]),
        (&["run", "--precision", "f16", "x"], &["--precision", "exact", "fast"]),
        (&["run", "--kv", "q4", "x"], &["--kv", "f32, f16, q8"]),
        (&["run", "--temp", "-1", "x"], &["--temp", "0 to 100"]),
        (&["run", "--experts-per-token", "129", "x"], &["129", "128"]),
        (&["run", "--raw", "--think", "on", "x"], &["--raw", "--think"]),
        (&["run", "-f", "a", "b"], &["-f"]),
        (&["run", ""], &["prompt is empty"]),
        (&["run"], &["prompt is empty"]),
        (&["eval", "logits"], &["--ids", "--out"]),
    ] {
        refused(&flash_moe(arguments), 2, parts);
    }
}

#[test]
fn no_command_is_help_and_code_2_and_help_is_code_0() {
    let none = flash_moe(&[]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("Usage:"), "{none:?}");
    for arguments in [&["--help"][..], &["run", "--help"], &["eval", "logits", "-h"], &["-V"]] {
        let done = flash_moe(arguments).succeeded();
        assert!(done.stdout.contains("flash-moe") && done.stderr.is_empty(), "{done:?}");
    }
}

#[test]
fn files_that_are_missing_or_broken_are_code_1() {
    refused(&flash_moe(&["run", "-m", "/no/such/dir", "x"]), 1, &["/no/such/dir"]);
    let file = fixture("tiny-qwen35moe-hf/config.json");
    refused(&flash_moe(&["inspect", "-m", &file]), 1, &["config.json", "no directory"]);
    let empty = tempfile::tempdir().expect("temporary directory");
    let name = empty.path().display().to_string();
    refused(&flash_moe(&["plan", "-m", &name]), 1, &[&name, "config.json"]);
    refused(&flash_moe(&["run", "-f", "/no/such/prompt"]), 1, &["/no/such/prompt"]);
    refused(&flash_moe(&["run", "--system", "@/no/rules", "x"]), 1, &["/no/rules"]);
    refused(&flash_moe_reading(b"ab\xff", &["run"]), 1, &["stdin", "byte 2", "UTF-8"]);
}

#[test]
fn a_truncated_shard_is_named() {
    let folder = copy_of(&fixture("tiny-qwen35moe-mlx4-uniform"));
    let shard = folder.path().join("model.safetensors");
    let whole = std::fs::metadata(&shard).expect("shard").len();
    let name = folder.path().display().to_string();
    for bytes in [0, 7, 100, whole / 2, whole - 1] {
        let file = std::fs::OpenOptions::new().write(true).open(&shard).expect("open");
        file.set_len(bytes).expect("cut");
        let done = flash_moe(&["run", "-m", &name, "--raw", "x"]);
        refused(&done, 1, &["model.safetensors"]);
    }
}

#[test]
fn a_broken_tokenizer_and_config_are_named() {
    for (file, content) in [
        ("tokenizer.json", &b"\xff\xfe{}"[..]),
        ("tokenizer.json", b"{}"),
        ("config.json", b"{"),
        ("config.json", b"{}"),
        ("generation_config.json", b"{\"temperature\": -1}"),
        ("chat_template.jinja", b"{% if %}"),
    ] {
        let folder = copy_of(&fixture("tiny-qwen35moe-mlx4-uniform"));
        std::fs::write(folder.path().join(file), content).expect("write");
        let name = folder.path().display().to_string();
        refused(&flash_moe(&["run", "-m", &name, "x"]), 1, &[file]);
    }
}

#[test]
fn what_does_not_fit_is_code_3() {
    refused(&flash_moe(&["run", "--memory", "10MB", "x"]), 3, &["--memory", "floor"]);
    refused(&flash_moe(&["plan", "--memory", "10MB"]), 3, &["--memory", "floor"]);
    refused(&flash_moe(&["run", "--ctx", "4097", "x"]), 3, &["--ctx", "4097", "4096"]);
    let long = "word ".repeat(200);
    let done = flash_moe(&["run", "--ctx", "64", &long]);
    refused(&done, 3, &["the prompt has ", "the context holds 64"]);
}

#[test]
fn ids_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = |file: &str| folder.path().join(file).display().to_string();
    let (ids, out) = (path("ids.json"), path("out.safetensors"));
    let model = fixture("tiny-qwen35moe-hf");
    let evaluate = || flash_moe(&["eval", "logits", "-m", &model, "--ids", &ids, "--out", &out]);
    refused(&evaluate(), 1, &["ids.json"]);
    for (content, part) in [("[1, ", "ids.json"), ("[]", "empty"), ("[-1]", "-1"), ("{}", "list")] {
        std::fs::write(&ids, content).expect("write");
        refused(&evaluate(), 1, &[part]);
    }
    std::fs::write(&ids, "[1, 4000000]").expect("write");
    refused(&evaluate(), 1, &["4000000"]);
    assert!(!Path::new(&out).exists(), "nothing was written");
    std::fs::write(&ids, "[1, 2, 3]").expect("write");
    let nowhere = path("no/such/out.safetensors");
    let done = flash_moe(&["eval", "logits", "-m", &model, "--ids", &ids, "--out", &nowhere]);
    refused(&done, 1, &["no/such/out.safetensors"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = folder.path().join("file");
    std::fs::write(&file, b"in the way").expect("write");
    let done = finish(command(&file).args(["run", "x"]));
    refused(&done, 1, &[&file.display().to_string()]);
}

#[test]
fn a_fresh_cache_is_filled_once_within_the_plan() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let flags = ["run", "--temp", "0", "-n", "2", "--memory", "96MiB", "--stats", "json", "Hello!"];
    let first = finish(command(folder.path()).args(flags)).succeeded();
    assert!(first.stderr.contains("unpacking the built-in demo model"), "{first:?}");
    let second = finish(command(folder.path()).args(flags)).succeeded();
    assert!(!second.stderr.contains("unpack"), "{second:?}");
    assert_eq!(first.stdout, second.stdout, "the same answer");
    if cfg!(target_os = "linux") {
        let (peak, plan) = (&first.stats()["peak_rss_bytes"], &first.stats()["plan_bytes"]);
        assert!(peak.as_u64() <= plan.as_u64(), "unpacking is no exception: {peak} of {plan}");
    }
    assert_ne!(folder.path(), cache(), "a cache of its own");
}
