//! Manifests and journals that are cut or that lie in one field: each is refused by name.

use std::path::Path;

use format::{
    FormatError, Journal, Manifest, SourceFile, SourceLayout, Stamp, WrittenFile, parse_journal,
    parse_manifest,
};

use crate::raw::check_message;

const NAME: &str = "dir/flash-moe.json";

fn stamp(name: &str) -> Stamp {
    Stamp { name: name.to_owned(), bytes: 77, modified: "12.000000034".to_owned() }
}

pub(crate) fn written(name: &str, bytes: u64, sum: u8) -> WrittenFile {
    WrittenFile { name: name.to_owned(), bytes, sha256: [sum; 32] }
}

fn manifest() -> Manifest {
    Manifest {
        tool: "some tool".to_owned(),
        layout: SourceLayout::Mlx,
        source: vec![SourceFile { stamp: stamp("model.safetensors"), sha256: [0x5a; 32] }],
        trunk: written("trunk.safetensors", 11, 0xa1),
        records: vec![written("experts-00000.records", 12, 0xa2), written("b.records", 13, 0xa3)],
        copies: vec![written("config.json", 14, 0xa4)],
    }
}

fn parse(text: &str) -> Result<Manifest, FormatError> {
    parse_manifest(Path::new(NAME), text.as_bytes())
}

fn text() -> String {
    String::from_utf8(manifest().to_bytes()).unwrap()
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    assert_eq!(parse(&text()).unwrap(), manifest(), "mlx");
    let hf = Manifest { layout: SourceLayout::Hf, ..manifest() };
    let bytes = hf.to_bytes();
    assert_eq!(parse_manifest(Path::new(NAME), &bytes).unwrap(), hf, "hf");
}

#[test]
fn a_manifest_cut_anywhere_is_refused() {
    let text = text();
    // The last two bytes are the closing brace and a line end.
    for length in 0..text.len() - 1 {
        let error = parse(&text[..length]).expect_err("accepted");
        check_message(&length.to_string(), &error, &[NAME]);
    }
}

#[rustfmt::skip]
const LIES: &[(&str, &str, &[&str])] = &[
    ("flash-moe repacked checkpoint", "something else", &["format", "something else"]),
    (r#""version": 1"#, r#""version": 2"#, &["version", "found 2", "accepted: 1"]),
    (r#""version": 1"#, r#""version": 2, "future": true"#, &["version", "found 2"]),
    (r#""version": 1"#, r#""version": "1""#, &["line"]),
    (r#""version": 1,"#, "", &["version", "missing"]),
    (r#""tool": "some tool","#, "", &["tool", "missing"]),
    (r#""layout": "mlx""#, r#""layout": "gguf""#, &["layout", "gguf", "mlx"]),
    (r#""trunk": {"#, r#""trunk": {"x": 1,"#, &["unknown field"]),
    (r#""trunk": {"#, r#""trunk": {"so\nsors": 1,"#, &["unknown field", "so\\nsors"]),
    ("model.safetensors", "../model.safetensors", &["name", "plain name"]),
    ("trunk.safetensors", "/etc/passwd", &["name", "plain name"]),
    ("trunk.safetensors", "..", &["name", "plain name"]),
    ("trunk.safetensors", "", &["name", "plain name"]),
    ("trunk.safetensors", "a\\\\b", &["name", "plain name"]),
    ("trunk.safetensors", "a\\nb", &["name", "plain name"]),
    ("trunk.safetensors", "config.json", &["name", "every file once"]),
    ("b.records", "experts-00000.records", &["name", "every file once"]),
    ("b.records", "flash-moe.json", &["name", "not the manifest"]),
    ("12.000000034", "", &["model.safetensors", "modified"]),
    (r#""bytes": 11"#, r#""bytes": -11"#, &["`-11`"]),
    (r#""bytes": 11"#, r#""bytes": 1.5"#, &["1.5"]),
    (r#""sha256": "5a"#, r#""sha256": "5A"#, &["model.safetensors", "sha256", "64 hexadecimal"]),
    (r#""sha256": "a1"#, r#""sha256": ""#, &["trunk.safetensors", "sha256", "64 hexadecimal"]),
    (r#""header_sha256": "a2"#, r#""header_sha256": "a2a2"#, &["header_sha256", "64 hexadecimal"]),
    (r#""sha256": "a4"#, r#""sha256": "zz"#, &["config.json", "sha256"]),
];

#[test]
fn every_lie_is_refused_by_name() {
    let good = text();
    for (from, to, parts) in LIES {
        assert!(good.contains(from), "{from} is not in {good}");
        let case = format!("{from} -> {to}");
        let error = parse(&good.replacen(from, to, 1)).err();
        let error = error.unwrap_or_else(|| panic!("{case}: accepted"));
        check_message(&case, &error, parts);
        check_message(&case, &error, &[NAME]);
    }
}

#[test]
fn a_manifest_names_some_files_and_not_too_many() {
    let none = Manifest { records: Vec::new(), ..manifest() };
    let error = parse_manifest(Path::new(NAME), &none.to_bytes()).expect_err("accepted");
    check_message("none", &error, &["records", "none"]);
    let many = (0..4097).map(|n| written(&format!("{n}.records"), 1, 0)).collect();
    let many = Manifest { records: many, ..manifest() };
    let error = parse_manifest(Path::new(NAME), &many.to_bytes()).expect_err("accepted");
    check_message("many", &error, &["records", "4097", "at most 4096"]);
    let long = Manifest { tool: "x".repeat(257), ..manifest() };
    let error = parse_manifest(Path::new(NAME), &long.to_bytes()).expect_err("accepted");
    check_message("long", &error, &["tool", "257"]);
}

#[test]
fn a_journal_is_read_as_it_was_written_and_lies_are_refused() {
    let path = Path::new("dir/flash-moe.unfinished.json");
    let known = (stamp("a.safetensors"), Some([7; 32]));
    let journal = Journal { source: vec![known, (stamp("b.safetensors"), None)] };
    let text = String::from_utf8(journal.to_bytes()).unwrap();
    assert_eq!(parse_journal(path, text.as_bytes()).unwrap(), journal, "read back");
    for length in 0..text.len() - 1 {
        assert!(parse_journal(path, &text.as_bytes()[..length]).is_err(), "cut at {length}");
    }
    for (from, to, part) in [
        ("a.safetensors", "../a", "plain name"),
        ("\"07", "\"7", "64 hexadecimal"),
        ("\"source\"", "\"sources\"", "unknown field"),
        ("\"sha256\": null", "\"sha256\": 7", "line"),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        let lie = text.replacen(from, to, 1);
        let error = parse_journal(path, lie.as_bytes()).expect_err("accepted");
        check_message(from, &error, &["flash-moe.unfinished.json", part]);
    }
}
