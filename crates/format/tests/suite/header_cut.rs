//! A file that stops early, at every length there is, is refused whichever way it is read.

use std::fs::File;
use std::path::Path;

use crate::raw::{NAME, check_message, file, parse};
use format::{Catalog, FormatError, parse_header};

const HEADER: &str = r#"{"first":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},"last":{"dtype":"U8","shape":[5],"data_offsets":[6,11]}}"#;

fn whole() -> Vec<u8> {
    file(HEADER, 11)
}

#[test]
fn every_cut_is_refused_by_the_parser() {
    let whole = whole();
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).expect_err("a cut file was accepted");
        check_message(&length.to_string(), &error, &[NAME]);
        if let Some(data) = length.checked_sub(8 + HEADER.len()) {
            let tensor = if data < 6 { "first" } else { "last" };
            let ends = format!("ends at byte {length},");
            check_message(&length.to_string(), &error, &[tensor, &ends]);
        }
    }
    assert_eq!(parse(&whole).unwrap().len(), 2);
}

#[test]
fn every_cut_is_refused_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let whole = whole();
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(Catalog::open(dir.path()).unwrap().len(), 2);
    for length in (0..whole.len()).rev() {
        File::options().write(true).open(&path).unwrap().set_len(length as u64).unwrap();
        let error = Catalog::open(dir.path()).expect_err("a cut file was accepted");
        check_message(&length.to_string(), &error, &["model.safetensors"]);
    }
}

#[test]
fn bytes_after_the_last_tensor_are_refused() {
    for more in [1, 8, 4096] {
        let mut long = whole();
        long.resize(long.len() + more, 0);
        let error = parse(&long).expect_err("a file with a tail was accepted");
        let sizes = [whole().len().to_string(), long.len().to_string()];
        check_message("tail", &error, &[NAME, "longer than its header", &sizes[0], &sizes[1]]);
    }
}

/// The caller may hand over less than it says the file has, or nonsense: an error, not a panic.
#[test]
fn a_header_that_is_not_all_there_is_refused() {
    let whole = whole();
    let path = Path::new(NAME);
    for length in 0..8 + HEADER.len() {
        for bytes in [whole.len() as u64, 0, 7, 8, 9, u64::MAX] {
            let error = parse_header(path, &whole[..length], bytes).expect_err("accepted");
            check_message(&format!("{length} of {bytes}"), &error, &[NAME]);
        }
    }
    let header = &whole[..8 + HEADER.len()];
    assert_eq!(parse_header(path, header, whole.len() as u64).unwrap().len(), 2);
    let error = parse_header(path, header, u64::MAX).expect_err("accepted");
    assert!(matches!(error, FormatError::TooLong { .. }), "{error}");
}
