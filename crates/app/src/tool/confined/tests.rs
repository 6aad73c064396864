//! Paths that try to leave, by every way that there is.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A directory with a file, a subdirectory, and links; beside it something that nobody may touch.
fn tree() -> (tempfile::TempDir, Confined) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let inside = folder.path().join("inside");
    fs::create_dir_all(inside.join("sub")).expect("made");
    fs::write(inside.join("a.txt"), "alpha").expect("written");
    fs::write(folder.path().join("secret"), "secret").expect("written");
    symlink("a.txt", inside.join("near")).expect("linked");
    symlink("../../secret", inside.join("sub/far")).expect("linked");
    symlink(folder.path().join("secret"), inside.join("absolute")).expect("linked");
    symlink("..", inside.join("up")).expect("linked");
    let confined = Confined::new(&inside).expect("a directory");
    (folder, confined)
}

fn text(confined: &Confined, path: &str) -> Result<String, String> {
    confined.open(path).map(|file| io::read_to_string(file).expect("text"))
}

#[test]
fn what_lies_inside_is_found_by_every_name() {
    let (folder, confined) = tree();
    let whole = folder.path().canonicalize().expect("there").join("inside/a.txt");
    for path in ["a.txt", "./a.txt", "sub/../a.txt", "near", whole.to_str().expect("text")] {
        assert_eq!(text(&confined, path), Ok("alpha".to_owned()), "{path}");
    }
}

#[test]
fn no_path_leads_out() {
    let (_folder, confined) = tree();
    let ways = ["../secret", "sub/../../secret", "sub/far", "absolute", "up/secret", "/etc/passwd"];
    for path in ways {
        let why = text(&confined, path).expect_err("outside");
        assert!(why.contains("lies outside of"), "{path}: {why}");
        // The plain way, which older kernels take, refuses the same.
        if let Ok(inner) = confined.inner(path) {
            let plain = open_canonical(confined.root(), &inner).err().expect("outside");
            assert_eq!(plain.kind(), io::ErrorKind::CrossesDevices, "{path}: {plain}");
        }
        let why = confined.replace(path, b"x").expect_err("outside");
        assert!(why.contains("lies outside of") || why.contains("is a link"), "{path}: {why}");
    }
    assert!(confined.list("up").is_err_and(|why| why.contains("lies outside")), "a directory");
    let proc = confined.open("/proc/self/environ").expect_err("outside");
    assert!(proc.contains("lies outside of"), "{proc}");
}

#[test]
fn links_are_not_followed_to_write() {
    let (folder, confined) = tree();
    for path in ["near", "sub/far", "absolute"] {
        let why = confined.replace(path, b"x").expect_err("a link");
        assert!(why.contains("is a link"), "{path}: {why}");
    }
    assert_eq!(text(&confined, "a.txt"), Ok("alpha".to_owned()), "untouched");
    let secret = fs::read_to_string(folder.path().join("secret")).expect("text");
    assert_eq!(secret, "secret", "untouched");
    let why = confined.replace("up/x", b"x").expect_err("outside");
    assert!(why.contains("lies outside of"), "{why}");
    assert!(!folder.path().join("x").exists(), "nothing was written there");
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_permissions() {
    let (_folder, confined) = tree();
    let path = confined.root().join("a.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("changed");
    confined.replace("a.txt", b"beta").expect("written");
    assert_eq!(text(&confined, "a.txt"), Ok("beta".to_owned()), "new");
    let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o750, "permissions");
    confined.replace("new/deep/b.txt", b"gamma").expect("written");
    assert_eq!(text(&confined, "new/deep/b.txt"), Ok("gamma".to_owned()), "in new directories");
    let mut left: Vec<String> =
        confined.list("").expect("listed").into_iter().map(|entry| entry.name).collect();
    left.sort();
    assert_eq!(left, ["a.txt", "absolute", "near", "new", "sub", "up"], "nothing is left over");
    for (path, why) in [("sub", "no plain file"), ("a.txt/x", "directory"), ("..", "outside")] {
        let told = confined.replace(path, b"x").expect_err("refused");
        assert!(told.to_lowercase().contains(why), "{path}: {told}");
    }
}

#[test]
fn what_is_no_file_is_named() {
    let (_folder, confined) = tree();
    let kinds = [("sub", "is a directory"), ("none", "No such file"), ("a\0b", "zero byte")];
    for (path, why) in kinds {
        let told = text(&confined, path).expect_err("refused");
        assert!(told.contains(why), "{path:?}: {told}");
    }
    // A pipe that nobody writes to must not hold us.
    let made = std::process::Command::new("mkfifo").arg(confined.root().join("pipe")).status();
    if made.is_ok_and(|made| made.success()) {
        let told = text(&confined, "pipe").expect_err("refused");
        assert!(told.contains("no plain file"), "{told}");
    } else {
        println!("SKIP pipe: there is no mkfifo here");
    }
}
