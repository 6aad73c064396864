//! An index that lies: no way out of the directory, no shard and no tensor that is not there.

use std::fs;
use std::path::Path;

use format::{Catalog, FormatError, parse_index};

use crate::directory::{names, write};
use crate::raw::{Rng, check_message};

const PATH: &str = "dir/model.safetensors.index.json";

fn parse(text: &str) -> Result<format::Index, FormatError> {
    parse_index(Path::new(PATH), text.as_bytes())
}

#[test]
fn a_good_index_is_read() {
    let index = parse(
        r#"{"weight_map":{"b":"model-00002-of-00002.safetensors","a":"m.safetensors"},"metadata":{"x":[{}]}}"#,
    );
    let map = index.unwrap().weight_map;
    let pairs: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("a", "m.safetensors"), ("b", "model-00002-of-00002.safetensors")]);
}

#[test]
fn what_is_no_index_is_refused() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("", &["EOF"]),
        ("[]", &["object with weight_map"]),
        ("null", &["object with weight_map"]),
        ("{}", &["weight_map", "missing"]),
        (r#"{"weight_map":{}}"#, &["weight_map lists no tensor"]),
        (r#"{"weight_map":null}"#, &["weight_map", "object of strings"]),
        (r#"{"weight_map":["a"]}"#, &["weight_map", "object of strings"]),
        (r#"{"weight_map":{"a":1}}"#, &["weight_map", "\"a\"", "integer `1`"]),
        (r#"{"weight_map":{"a":{"b":"c"}}}"#, &["weight_map", "\"a\"", "map"]),
        ("{\n\"weight_map\":\n{\"a\":tru}}", &["line 3, column", "\"a\""]),
        (r#"{"weight_map":{"a":"x","a":"x"}}"#, &["weight_map", "\"a\" is given twice"]),
        (r#"{"weight_map":{"a":"x"},"weight_map":{"a":"x"}}"#, &["weight_map is given twice"]),
        (r#"{"weight_map":{"a":"x"}"#, &["EOF"]),
        (r#"{"weight_map":{"a":"x"}}}"#, &["trailing"]),
    ];
    for (text, parts) in cases {
        let error = parse(text).expect_err(text);
        check_message(text, &error, parts);
        check_message(text, &error, &[PATH]);
    }
    let error = parse_index(Path::new(PATH), b"{\"weight_map\":{\"\xff\":\"x\"}}");
    check_message("0xff", &error.expect_err("accepted"), &[PATH, "byte 16 is not UTF-8"]);
}

#[test]
fn shards_are_plain_names() {
    #[rustfmt::skip]
    let names = [
        "", ".", "..", "/etc/passwd", "../a.safetensors", "sub/a.safetensors", "a/", "a/../b",
        r"..\\a.safetensors", r"C:\\a.safetensors", "C:a.safetensors", "a.safetensors:stream",
        r"a\u0000.safetensors", r"a\nb.safetensors", r"\u002e\u002e",
    ];
    for name in names {
        let text = format!(r#"{{"weight_map":{{"good":"a.safetensors","lie":"{name}"}}}}"#);
        let error = parse(&text).expect_err(name);
        assert!(matches!(error, FormatError::ShardName { .. }), "{name}: {error}");
        check_message(name, &error, &[PATH, "\"lie\"", "plain name"]);
    }
    for name in ["a.safetensors", "..a", "a..b.safetensors", "é 1.safetensors"] {
        let text = format!(r#"{{"weight_map":{{"good":"{name}"}}}}"#);
        assert_eq!(parse(&text).unwrap().weight_map["good"], name);
    }
}

#[test]
fn an_index_cut_anywhere_or_mutated_is_no_panic() {
    let text =
        r#"{"metadata":{"total_size":12},"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}"#;
    for length in 0..text.len() {
        check_message("cut", &parse(&text[..length]).expect_err("accepted"), &[PATH]);
    }
    let mut rng = Rng(3);
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] = rng.next() as u8;
        }
        if let Err(error) = parse_index(Path::new(PATH), &bytes) {
            check_message("mutated", &error, &[PATH]);
            refused += 1;
        }
    }
    assert!(refused > 10_000, "only {refused} of 20000 were refused");
}

/// A model of two shards and an index with these lines.
fn model(weight_map: &[(&str, &str)]) -> (tempfile::TempDir, Result<Catalog, FormatError>) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "one.safetensors", &[("a", 1), ("b", 2), ("both", 3)]);
    write(dir.path(), "two.safetensors", &[("both", 5), ("c", 4)]);
    let map: serde_json::Map<_, _> =
        weight_map.iter().map(|(name, shard)| ((*name).to_owned(), (*shard).into())).collect();
    let index = serde_json::json!({ "weight_map": map }).to_string();
    fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    let catalog = Catalog::open(dir.path());
    (dir, catalog)
}

const ONE: &str = "one.safetensors";
const TWO: &str = "two.safetensors";

#[test]
fn the_index_decides_between_two_shards() {
    for (owner, bytes, file) in [(ONE, 3, 0), (TWO, 5, 1)] {
        let (_dir, catalog) = model(&[("c", TWO), ("both", owner), ("a", ONE), ("b", ONE)]);
        let catalog = catalog.unwrap();
        assert_eq!(names(&catalog), ["a", "b", "both", "c"]);
        let both = catalog.require("both").unwrap();
        assert_eq!((both.bytes, both.file), (bytes, file));
        let left: Vec<_> = catalog.unlisted.iter().map(|t| (t.name.as_str(), t.file)).collect();
        assert_eq!(left, [("both", 1 - file)]);
    }
}

#[test]
fn what_the_index_does_not_list_is_kept_out_and_told() {
    let (_dir, catalog) = model(&[("both", ONE), ("c", TWO)]);
    let catalog = catalog.unwrap();
    assert_eq!(names(&catalog), ["both", "c"]);
    let left: Vec<_> = catalog.unlisted.iter().map(|t| (t.name.as_str(), t.file)).collect();
    assert_eq!(left, [("a", 0), ("b", 0), ("both", 1)]);
    assert_eq!(catalog.get("a"), None);
    assert_eq!(catalog.total_bytes(), 7);

    let (_dir, catalog) = model(&[("a", ONE), ("c", TWO)]);
    let error = catalog.expect_err("accepted");
    check_message("unlisted twice", &error, &["\"both\"", ONE, TWO]);
}

#[test]
fn shards_and_tensors_that_are_not_there_are_named() {
    let (_dir, catalog) =
        model(&[("a", ONE), ("x", "gone.safetensors"), ("y", "gone.safetensors")]);
    let error = catalog.expect_err("accepted");
    check_message("shard", &error, &["index.json", "\"gone.safetensors\"", "2 tensors"]);

    let (_dir, catalog) = model(&[("a", ONE), ("both", ONE), ("c", ONE)]);
    let error = catalog.expect_err("accepted");
    check_message("wrong shard", &error, &[ONE, "\"c\"", "index.json"]);

    let (_dir, catalog) = model(&[("a", ONE), ("nowhere", TWO), ("both", TWO)]);
    let error = catalog.expect_err("accepted");
    check_message("tensor", &error, &[TWO, "\"nowhere\"", "index.json"]);

    let (_dir, catalog) = model(&[("a", ONE), ("x", "model.safetensors.index.json")]);
    let error = catalog.expect_err("accepted");
    check_message("no shard", &error, &["index.json", "the header claims"]);
}
