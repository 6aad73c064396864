//! Whoever stops listening, and whoever presses Ctrl-C: the program ends cleanly and says what it did.

use std::io::Read as _;
use std::process::{Child, Stdio};

use crate::program::{cache, command, copy_of, flash_moe, in_tree};

/// A generation that goes on for thousands of tokens, after its first bytes were read.
fn begun(more: &[&str]) -> Child {
    let flags = ["run", "--raw", "--temp", "0", "--ignore-eos", "--ctx", "4096", "The sea"];
    let mut child = command(&cache())
        .args(flags)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = [0; 1];
    let stdout = child.stdout.as_mut().expect("piped");
    stdout.read_exact(&mut first).expect("text streams while it is made");
    child
}

fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("the binary ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let mut child = begun(&[]);
    drop(child.stdout.take());
    let (code, stderr) = end(child);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_its_last_line() {
    let child = begun(&[]);
    interrupt(&child);
    let (code, stderr) = end(child);
    assert_eq!(code, Some(130), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.contains(" tok · ") && last.contains(" · #"), "{stderr}");
}

/// Where a file in use cannot be cut the disk has to fail in other ways.
#[cfg(unix)]
#[test]
fn a_disk_that_fails_in_the_middle_is_named_before_the_last_line() {
    let model = copy_of(&in_tree("demo/demo-4bit"));
    let directory = model.path().display().to_string();
    let plan = ["plan", "-m", &directory, "--memory", "1GiB", "--ctx", "4096", "--json"];
    let floor = flash_moe(&plan).succeeded().json()["floor_bytes"].to_string();
    let child = begun(&["-m", &directory, "--memory", &floor]);
    let shard = model.path().join("model.safetensors");
    let file = std::fs::OpenOptions::new().write(true).open(&shard).expect("open");
    file.set_len(1 << 20).expect("cut");
    let (code, stderr) = end(child);
    assert_eq!(code, Some(1), "{stderr}");
    let mut lines = stderr.lines().rev();
    let (last, error) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    assert!(last.contains(" tok · ") && last.contains(" · #"), "{stderr}");
    assert!(error.starts_with("error: ") && error.contains("model.safetensors"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success(), "the signal was sent");
}
