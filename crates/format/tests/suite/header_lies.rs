//! One field of a header is wrong at a time: each is refused, by name, with what was found.

use crate::raw::{NAME, check_message, file, parse};

const DATA: usize = 24;

/// Two good tensors of 16 and 8 bytes, into which each case puts one lie.
const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"alpha":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"beta":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}"#;

#[test]
fn the_good_header_is_good() {
    let tensors = parse(&file(GOOD, DATA)).unwrap();
    let begin = 8 + GOOD.len() as u64;
    let found: Vec<_> = tensors
        .iter()
        .map(|t| (t.name.as_str(), t.dtype.name(), t.shape.as_slice(), t.offset, t.bytes))
        .collect();
    assert_eq!(
        found,
        [("alpha", "F32", &[2, 2][..], begin, 16), ("beta", "BF16", &[4][..], begin + 16, 8)]
    );
}

/// What is replaced in `GOOD`, by what, and what the message says.
type Lie = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const LIES: &[Lie] = &[
    // dtype
    (r#""F32""#, r#""F33""#, &["alpha", "F33", "accepted are", "BF16"]),
    (r#""F32""#, r#""f32""#, &["alpha", "f32"]),
    (r#""F32""#, r#""""#, &["alpha", "dtype"]),
    (r#""F32""#, r#""BF16""#, &["alpha", "16 bytes", "BF16", "needs 8"]),
    (r#""F32""#, r#""F64""#, &["alpha", "16 bytes", "F64", "needs 32"]),
    (r#""F32""#, "7", &["alpha", "dtype", "integer `7`", "line 1, column"]),
    (r#""F32""#, "null", &["alpha", "dtype", "null"]),
    (r#""F32""#, r#"{"F32":{}}"#, &["alpha", "dtype", "map"]),
    (r#""dtype":"F32","#, "", &["alpha", "dtype", "missing"]),
    (r#""dtype":"F32","#, r#""dtype":"F32","dtype":"F32","#, &["alpha", "dtype", "twice"]),
    // shape
    ("[2,2]", "[2,3]", &["alpha", "16 bytes", "[2, 3]", "needs 24"]),
    ("[2,2]", "[]", &["alpha", "needs 4"]),
    ("[2,2]", "[2,0]", &["alpha", "needs 0"]),
    ("[2,2]", "[-2,-2]", &["alpha", "shape", "`-2`", "u64"]),
    ("[2,2]", "[2.0,2]", &["alpha", "shape", "`2.0`", "u64"]),
    ("[2,2]", "[2e0,2]", &["alpha", "shape", "floating point"]),
    ("[2,2]", r#"["2",2]"#, &["alpha", "shape", "string"]),
    ("[2,2]", "[[2,2]]", &["alpha", "shape", "sequence"]),
    ("[2,2]", "[null]", &["alpha", "shape", "null"]),
    ("[2,2]", "4", &["alpha", "shape", "list of whole numbers"]),
    ("[2,2]", r#"{"0":2}"#, &["alpha", "shape", "map"]),
    ("[2,2]", "[18446744073709551615,2]", &["alpha", "18446744073709551615", "too large"]),
    ("[2,2]", "[4611686018427387904]", &["alpha", "too large"]),
    ("[2,2]", "[4294967296,4294967296]", &["alpha", "too large"]),
    ("[2,2]", "[0,4294967296,4294967296]", &["alpha", "too large"]),
    ("[2,2]", "[18446744073709551616]", &["alpha", "shape"]),
    ("[2,2]", "[1,1,1,1,1,1,1,2,2]", &["alpha", "9 dimensions", "at most 8"]),
    (r#""shape":[2,2],"#, "", &["alpha", "shape", "missing"]),
    (r#""shape":[2,2],"#, r#""shape":[2,2],"shape":[2,2],"#, &["alpha", "shape", "twice"]),
    // data_offsets
    ("[0,16]", "[16,0]", &["alpha", "[16, 0]", "before the begin"]),
    ("[0,16]", "[0,15]", &["alpha", "give 15 bytes", "needs 16"]),
    ("[0,16]", "[0,17]", &["alpha", "give 17 bytes", "needs 16"]),
    ("[0,16]", "[1,17]", &["alpha", "bytes 0 to 1", "no tensor"]),
    ("[0,16]", "[4,20]", &["alpha", "bytes 0 to 4", "no tensor"]),
    ("[16,24]", "[12,20]", &["beta", "byte 12", "alpha", "ends at 16"]),
    ("[16,24]", "[0,8]", &["alpha", "byte 0", "beta", "ends at 8"]),
    ("[16,24]", "[18,26]", &["beta", "bytes 16 to 18", "no tensor"]),
    ("[16,24]", "[18446744073709551607,18446744073709551615]", &["beta", "no tensor"]),
    (r#"[4],"data_offsets":[16,24]"#, r#"[5],"data_offsets":[16,26]"#, &["beta", "file ends at byte", "up to byte"]),
    (r#"[4],"data_offsets":[16,24]"#, r#"[3],"data_offsets":[16,22]"#, &["longer than its header says"]),
    (r#"[4],"data_offsets":[16,24]"#, r#"[9223372036854775799],"data_offsets":[16,18446744073709551614]"#, &["beta", "file ends", "up to byte 18446744073709551"]),
    ("[0,16]", "[0,-16]", &["alpha", "data_offsets", "`-16`"]),
    ("[0,16]", "[0,16.0]", &["alpha", "data_offsets", "`16.0`"]),
    ("[0,16]", "[0]", &["alpha", "data_offsets", "a list of 1, expected 2"]),
    ("[0,16]", "[]", &["alpha", "data_offsets", "a list of 0, expected 2"]),
    ("[0,16]", "[0,16,16]", &["alpha", "data_offsets", "a list of 3, expected 2"]),
    ("[0,16]", r#""0,16""#, &["alpha", "data_offsets", "string"]),
    ("[0,16]", "null", &["alpha", "data_offsets", "null"]),
    (r#","data_offsets":[0,16]"#, "", &["alpha", "data_offsets", "missing"]),
    // names and entries
    (r#""beta""#, r#""alpha""#, &["alpha", "declared twice"]),
    (r#""beta""#, r#""\u0061lpha""#, &["alpha", "declared twice"]),
    (r#""beta""#, r#""__metadata__""#, &["__metadata__"]),
    (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#, "null", &["alpha", "object with dtype"]),
    (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#, r#"["F32",[2,2],[0,16]]"#, &["alpha", "sequence"]),
    (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#, "{}", &["alpha", "missing"]),
    (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#, r#"{"inner":{"dtype":"F32"}}"#, &["alpha", "missing"]),
    // metadata
    (r#"{"format":"pt"}"#, "7", &["__metadata__", "object of strings"]),
    (r#"{"format":"pt"}"#, r#"{"format":7}"#, &["__metadata__", "format", "`7`"]),
    (r#"{"format":"pt"}"#, r#"{"format":{"a":"b"}}"#, &["__metadata__", "format", "map"]),
    (r#"{"format":"pt"}"#, r#"{"format":"pt","format":"np"}"#, &["__metadata__", "format", "twice"]),
    // JSON itself
    (r#""beta":"#, r#""beta""#, &["header", "column"]),
    ("}}", "}", &["header", "EOF"]),
    ("}}", "}}}", &["header", "trailing"]),
    (r#"{"__metadata__""#, r#"["__metadata__""#, &["header", "expected"]),
];

#[test]
fn every_lie_is_refused_by_name() {
    for (from, to, parts) in LIES {
        assert!(GOOD.contains(from), "{from} is not in the good header");
        let lie = GOOD.replacen(from, to, 1);
        let case = format!("{from} -> {to}");
        match parse(&file(&lie, DATA)) {
            Ok(_) => panic!("{case}: accepted"),
            Err(error) => {
                check_message(&case, &error, parts);
                check_message(&case, &error, &[NAME]);
            }
        }
    }
}

#[test]
fn headers_that_are_no_object_are_refused() {
    for json in ["", " ", "null", "7", "\"x\"", "[]", "{", "}", "{}{}", "{\"a\"}", "\u{feff}{}"] {
        let error = parse(&file(json, 0)).expect_err("accepted");
        check_message(json, &error, &[NAME]);
    }
    let deep = "{\"a\":".to_owned() + &"[".repeat(1_000_000);
    check_message("deep", &parse(&file(&deep, 0)).expect_err("accepted"), &[NAME, "\"a\""]);
    let skipped = r#"{"a":{"more":"#.to_owned() + &"[".repeat(1_000_000);
    check_message("skipped", &parse(&file(&skipped, 0)).expect_err("accepted"), &[NAME]);
}

#[test]
fn lengths_that_lie_are_refused() {
    let good = file(GOOD, DATA);
    let n = GOOD.len() as u64;
    let room = (good.len() - 8) as u64;
    #[rustfmt::skip]
    let cases: &[(u64, &[&str])] = &[
        (0, &["claims 0 bytes", "1 to 100000000"]),
        (1, &["header line 1"]),
        (n - 1, &["header line 1"]),
        // The data begins with the letter Z.
        (n + 1, &["trailing"]),
        (room, &["header line 1"]),
        (room + 1, &["claims", "left for it"]),
        (100_000_000, &["claims 100000000 bytes", "left for it"]),
        (100_000_001, &["claims 100000001 bytes", "1 to 100000000"]),
        (u64::MAX - 8, &["1 to 100000000"]),
        (u64::MAX, &["claims 18446744073709551615 bytes"]),
    ];
    for (length, parts) in cases {
        let mut lie = good.clone();
        lie[..8].copy_from_slice(&length.to_le_bytes());
        let error = parse(&lie).expect_err("accepted");
        check_message(&length.to_string(), &error, parts);
        check_message(&length.to_string(), &error, &[NAME]);
    }
}

#[test]
fn a_name_that_is_not_utf8_is_refused_with_its_place() {
    let mut lie = file(GOOD, DATA);
    let at = 8 + GOOD.find("beta").unwrap();
    lie[at] = 0xff;
    let error = parse(&lie).expect_err("accepted");
    check_message("0xff", &error, &[NAME, "UTF-8", &format!("byte {at}")]);
}

#[test]
fn names_from_strangers_stay_on_one_line() {
    let long = "x".repeat(1_000_000);
    for name in ["a\\nb", "a\\u0000b", "\\u001b[31m at line 9 column 9", &long] {
        let json = GOOD.replacen("alpha", name, 1);
        for (from, to) in [("F32", "F99"), ("[2,2]", "[true]"), ("[0,16]", "[0,15]")] {
            let error = parse(&file(&json.replacen(from, to, 1), DATA)).expect_err("accepted");
            check_message(name.get(..9).unwrap_or(name), &error, &[NAME]);
        }
    }
    let json = GOOD.replacen("F32", &long, 1);
    let error = parse(&file(&json, DATA)).expect_err("accepted");
    check_message("long dtype", &error, &[NAME, "alpha"]);
}

#[test]
fn what_the_format_allows_is_accepted() {
    #[rustfmt::skip]
    let good: &[(&str, &str)] = &[
        ("", ""),
        (r#""alpha""#, r#" "alpha" "#),
        (r#""dtype":"F32""#, r#""later":{"x":[1]},"dtype":"F32""#),
        ("[2,2]", "[1,1,1,1,1,1,2,2]"),
        ("}}", "}}   \n"),
        (r#"{"format":"pt"}"#, "{}"),
        ("}}", r#"},"empty":{"dtype":"I64","shape":[3,0],"data_offsets":[16,16]}}"#),
        ("}}", r#"},"empty":{"dtype":"U8","shape":[0],"data_offsets":[24,24]}}"#),
    ];
    for (from, to) in good {
        let json = GOOD.replacen(from, to, 1);
        let tensors = parse(&file(&json, DATA)).unwrap_or_else(|e| panic!("{from} -> {to}: {e}"));
        assert!(tensors.iter().any(|t| t.name == "alpha"), "{from} -> {to}: alpha is lost");
        assert!(tensors.is_sorted_by_key(|t| t.offset), "{from} -> {to}: not in order");
    }
    let scalar = r#"{"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}"#;
    assert!(parse(&file(scalar, 8)).unwrap()[0].shape.is_empty(), "a scalar has no dimensions");
    assert_eq!(parse(&file("{}", 0)).unwrap(), [], "a file may hold nothing");
}
