//! `synth` refuses what it cannot write, before it writes anything.

use std::path::Path;

use crate::program::flash_moe;

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("the directory is there").count()
}

#[test]
fn wrong_command_lines_are_code_2() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let out = dir.path().display().to_string();
    for (arguments, parts) in [
        (&["--like", "35b"][..], &["--out"][..]),
        (&["--out", &out], &["--like"]),
        (&["--like", "1b", "--out", &out], &["--like", "1b", "397b, 122b, 35b"]),
        (&["--like", "35b", "--bits", "3", "--out", &out], &["--bits", "2, 4, 8"]),
        (&["--like", "35b", "--layers", "0", "--out", &out], &["--layers", "from 1"]),
        (&["--like", "35b", "--layers", "1025", "--out", &out], &["1025", "1 to 1024"]),
        (
            &["--like", "35b", "--distinct-layers", "1", "--out", &out],
            &["distinct layers", "found 1", "2 to 40"],
        ),
        (
            &["--like", "122b", "--distinct-layers", "49", "--out", &out],
            &["distinct layers", "found 49", "2 to 48"],
        ),
    ] {
        let done = flash_moe(&[&["synth"], arguments].concat());
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{done:?}");
        for part in parts {
            assert!(done.error().contains(part), "{part:?} in {:?}", done.error());
        }
    }
    assert_eq!(entries(dir.path()), 0, "nothing was written");
}

#[test]
fn a_directory_with_something_else_in_it_is_code_1() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("config.json"), "{}").expect("write");
    let out = dir.path().display().to_string();
    let done = flash_moe(&["synth", "--like", "35b", "--distinct-layers", "2", "--out", &out]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.error().contains("config.json"), "{done:?}");
    assert_eq!(entries(dir.path()), 1, "nothing was written");
}

#[test]
fn a_disk_without_room_is_code_3_with_both_numbers() {
    // Seven terabytes in a file system that lies in memory.
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
        println!("SKIP: no /dev/shm, and of a disk nobody knows how large it is");
        return;
    };
    let out = dir.path().display().to_string();
    let flags = ["synth", "--like", "397b", "--bits", "8", "--layers", "1024", "--out", &out];
    let done = flash_moe(&flags);
    assert_eq!(done.code, 3, "{done:?}");
    let line = done.error();
    for part in [&*out, " TiB are needed, ", " are free", "--distinct-layers"] {
        assert!(line.contains(part), "{part:?} in {line:?}");
    }
    assert_eq!(entries(dir.path()), 0, "nothing was written");
}
