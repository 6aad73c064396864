//! Unpacking, with small files: once, whole, again after damage, by many at the same time.

use std::cell::RefCell;
use std::fs;

use super::*;

const FILES: [(&str, &[u8]); 2] = [("a.txt", b"first file"), ("b.bin", b"second file, longer")];

fn manifest() -> String {
    let files: Vec<serde_json::Value> = FILES
        .iter()
        .map(|(name, bytes)| {
            let sha256 = checked::hex(&Sha256::digest(bytes));
            serde_json::json!({"name": name, "bytes": bytes.len(), "sha256": sha256})
        })
        .collect();
    serde_json::json!({"folder": "somewhere", "files": files}).to_string()
}

/// Unpacks, and returns the folder with the lines that were said.
fn unpack(cache: &Path) -> (PathBuf, Vec<String>) {
    let lines = RefCell::new(Vec::new());
    let folder = unpacked(cache, &manifest(), &FILES, &|line| lines.borrow_mut().push(line));
    (folder.expect("the cache can be written"), lines.into_inner())
}

fn assert_whole(folder: &Path) {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["a.txt", "b.bin"], "these files and no other");
    for (name, bytes) in FILES {
        assert_eq!(fs::read(folder.join(name)).expect("file"), bytes, "{name}");
    }
}

#[test]
fn the_first_use_unpacks_and_the_second_finds_it() {
    let cache = tempfile::tempdir().expect("temporary directory");
    let (folder, said) = unpack(&cache.path().join("not/there/yet"));
    assert_eq!(said.len(), 1, "one line: {said:?}");
    assert!(said[0].contains(&folder.display().to_string()), "{said:?} names the folder");
    assert_whole(&folder);
    let (again, said) = unpack(&cache.path().join("not/there/yet"));
    assert_eq!((again, said), (folder, vec![]), "the second use says nothing");
}

#[test]
fn a_damaged_a_cut_and_a_missing_file_are_unpacked_anew() {
    for damage in ["flip", "cut", "grow", "remove"] {
        let cache = tempfile::tempdir().expect("temporary directory");
        let (folder, _) = unpack(cache.path());
        let path = folder.join("b.bin");
        match damage {
            "flip" => fs::write(&path, b"second file, langer").expect("write"),
            "cut" => fs::write(&path, b"second").expect("write"),
            "grow" => fs::write(&path, b"second file, longer still").expect("write"),
            _ => fs::remove_file(&path).expect("remove"),
        }
        fs::write(folder.join(".unpacking-left"), b"half").expect("write");
        let (folder, said) = unpack(cache.path());
        assert_whole(&folder);
        assert_eq!(said.len(), 1, "{damage}: {said:?}");
        assert!(said[0].contains("b.bin") && said[0].contains("anew"), "{damage}: {said:?}");
    }
}

#[test]
fn many_at_the_same_time_are_no_danger() {
    let cache = tempfile::tempdir().expect("temporary directory");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let folder = unpacked(cache.path(), &manifest(), &FILES, &|_| {});
                assert_whole(&folder.expect("the cache can be written"));
            });
        }
    });
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let cache = tempfile::tempdir().expect("temporary directory");
    let file = cache.path().join("file");
    fs::write(&file, b"in the way").expect("write");
    let fault = unpacked(&file, &manifest(), &FILES, &|_| {}).expect_err("a file is no directory");
    let line = fault.line().expect("it says why");
    assert_eq!(fault.code(), 1, "{line}");
    assert!(line.contains(&file.display().to_string()) && line.contains("-m"), "{line}");
}

#[test]
fn the_binary_holds_what_its_manifest_lists() {
    let entries = checked::entries(files::MANIFEST).expect("the manifest can be read");
    let listed: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let held: Vec<&str> = files::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, held, "names");
}
