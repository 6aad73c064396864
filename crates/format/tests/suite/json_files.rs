//! Small JSON files: what is read, and where the error says that the fault is.

use std::fs;

use crate::raw::check_message;
use format::json::{parse_json, read_json};

#[test]
fn a_value_is_read_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let text = r#"{"z": 1, "a": [1.5, "é", null]}"#;
    fs::write(&path, text).unwrap();
    let value = read_json(&path, text.len() as u64).unwrap();
    assert_eq!(value, serde_json::json!({"z": 1, "a": [1.5, "é", null]}));
    let keys: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["z", "a"]);
}

#[test]
fn every_fault_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &["line 1, column 0", "EOF"]),
        (b"{\n  \"a\": trux}", &["line 2, column 11"]),
        (b"{\"a\": 1,}", &["line 1, column 9", "trailing comma"]),
        (b"{} {}", &["line 1, column 4", "trailing"]),
        (b"{\"a\": NaN}", &["line 1, column 7"]),
        (b"{\"a\": \"\xff\"}", &["byte 7 is not UTF-8"]),
        (b"\xff\xfe{\0}\0", &["byte 0 is not UTF-8"]),
    ];
    for (bytes, parts) in cases {
        let case = String::from_utf8_lossy(bytes);
        fs::write(&path, bytes).unwrap();
        for error in [read_json(&path, 1000), parse_json(&path, bytes)] {
            let error = error.expect_err("accepted");
            check_message(&case, &error, parts);
            check_message(&case, &error, &["config.json"]);
        }
    }
    let deep = "[".repeat(100_000);
    let error = parse_json(&path, deep.as_bytes()).expect_err("accepted");
    check_message("deep", &error, &["config.json", "recursion limit"]);
}

#[test]
fn size_is_bounded_and_only_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    fs::write(&path, "[0]").unwrap();
    assert!(read_json(&path, 3).is_ok(), "exactly at the bound");
    let error = read_json(&path, 2).expect_err("accepted");
    check_message("size", &error, &["config.json", "3 bytes", "at most 2"]);
    assert!(read_json(&path, u64::MAX).is_ok(), "no bound");

    let error = read_json(dir.path(), 100).expect_err("accepted");
    check_message("directory", &error, &["it is a directory"]);
    let error = read_json(&dir.path().join("none.json"), 100).expect_err("accepted");
    check_message("missing", &error, &["none.json", "cannot open"]);
}

/// Devices claim to have no bytes and give as many as are asked for.
#[cfg(target_os = "linux")]
#[test]
fn a_device_is_no_file() {
    let error = read_json("/dev/zero".as_ref(), 100).expect_err("accepted");
    check_message("device", &error, &["/dev/zero", "no regular file"]);
}
