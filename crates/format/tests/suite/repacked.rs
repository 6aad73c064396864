//! Directories of repacked checkpoints: the manifest says what belongs to them, and has to be right.

use std::fs;
use std::path::Path;

use format::{Catalog, JOURNAL, MANIFEST, Manifest, RecordHeader, SourceLayout, WrittenFile};

use crate::directory::{names, write};
use crate::manifest_lies::written;
use crate::raw::check_message;
use crate::record_lies::header;

/// The header for another layer.
fn of_layer(layer: usize) -> RecordHeader {
    let mut header = header();
    let module = header.module.replace("layers.3", &format!("layers.{layer}"));
    for plane in header.matrices.iter_mut().flat_map(|matrix| &mut matrix.planes) {
        plane.name = plane.name.replace(&header.module, &module);
    }
    RecordHeader { layer, module, ..header }
}

/// A trunk of two tensors and the record files of these layers.
fn checkpoint(dir: &Path, layers: &[usize]) -> Manifest {
    write(dir, "trunk.safetensors", &[("one", 5), ("two", 7)]);
    let bytes = fs::metadata(dir.join("trunk.safetensors")).unwrap().len();
    let record = |(n, layer): (usize, &usize)| {
        let header = of_layer(*layer);
        let mut file = header.to_bytes();
        file.resize(header.file_bytes() as usize, 0);
        let name = format!("{n}.records");
        fs::write(dir.join(&name), &file).unwrap();
        let sha256 = sha256(&file[..header.data_offset as usize]);
        WrittenFile { name, bytes: file.len() as u64, sha256 }
    };
    let manifest = Manifest {
        tool: "a test".to_owned(),
        layout: SourceLayout::Hf,
        source: Vec::new(),
        trunk: written("trunk.safetensors", bytes, 0),
        records: layers.iter().enumerate().map(record).collect(),
        copies: Vec::new(),
    };
    fs::write(dir.join(MANIFEST), manifest.to_bytes()).unwrap();
    manifest
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn trunk_and_record_files_are_one_catalog() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), &[3, 11]);
    // Other files mean nothing where a manifest is.
    write(dir.path(), "model.safetensors", &[("other", 1)]);
    let catalog = Catalog::open(dir.path()).unwrap();
    assert_eq!(names(&catalog), ["one", "two"], "the tensors of the trunk");
    let repacked = catalog.repacked.as_ref().expect("record files");
    assert_eq!(repacked.layout, SourceLayout::Hf, "as the manifest says");
    let layers: Vec<usize> = repacked.records.iter().map(|record| record.header.layer).collect();
    assert_eq!(layers, [3, 11], "in their order");
    for record in &repacked.records {
        let path = &catalog.files[record.file].path;
        assert!(path.to_string_lossy().ends_with(".records"), "{}", path.display());
        assert!(record.header.planes().all(|plane| plane.file == record.file), "planes say where");
        assert_eq!(catalog.files[record.file].bytes, record.header.file_bytes(), "its length");
    }
    let one = catalog.require("one").unwrap();
    assert!(catalog.path_of(one).ends_with("trunk.safetensors"), "tensors say where");
}

#[test]
fn files_that_are_not_those_of_the_manifest_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |parts: &[&str]| {
        let error = Catalog::open(dir.path()).expect_err("accepted");
        check_message(&parts.concat(), &error, parts);
    };
    let records = dir.path().join("0.records");
    checkpoint(dir.path(), &[3]);
    let whole = fs::read(&records).unwrap();
    fs::write(&records, [&whole[..], &[0; 4096]].concat()).unwrap();
    refused(&["0.records", "length of the file"]);
    fs::write(&records, &whole[..whole.len() - 1]).unwrap();
    refused(&["0.records", "length of the file"]);
    for at in [30, whole.len().min(4090)] {
        let mut lie = whole.clone();
        // A name that is still one, or a space that still is white: only the hash finds them.
        lie[at] = if lie[at] == b' ' { b'\n' } else { lie[at] ^ 1 };
        fs::write(&records, lie).unwrap();
        let error = Catalog::open(dir.path()).expect_err("accepted");
        check_message(&at.to_string(), &error, &["0.records"]);
    }
    fs::remove_file(&records).unwrap();
    refused(&["0.records", "cannot open"]);

    let mut manifest = checkpoint(dir.path(), &[3]);
    manifest.trunk.bytes += 1;
    fs::write(dir.path().join(MANIFEST), manifest.to_bytes()).unwrap();
    refused(&["trunk.safetensors", "length"]);
    let mut manifest = checkpoint(dir.path(), &[3]);
    manifest.records[0].bytes -= 1;
    fs::write(dir.path().join(MANIFEST), manifest.to_bytes()).unwrap();
    refused(&["0.records", "length"]);
    let mut manifest = checkpoint(dir.path(), &[3]);
    manifest.records[0].sha256[0] ^= 1;
    fs::write(dir.path().join(MANIFEST), manifest.to_bytes()).unwrap();
    refused(&["0.records", "SHA-256 of the header"]);
    fs::remove_file(dir.path().join("trunk.safetensors")).unwrap();
    refused(&["trunk.safetensors", "cannot open"]);
    fs::write(dir.path().join(MANIFEST), "{").unwrap();
    refused(&[MANIFEST, "line 1"]);
}

#[test]
fn layers_come_once_and_in_their_order() {
    for layers in [[3, 3], [4, 3]] {
        let dir = tempfile::tempdir().unwrap();
        checkpoint(dir.path(), &layers);
        let error = Catalog::open(dir.path()).expect_err("accepted");
        check_message("order", &error, &["1.records", "layer 3", "ascending"]);
    }
}

#[test]
fn what_is_not_finished_is_no_model() {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(dir.path(), &[3]);
    fs::rename(dir.path().join(MANIFEST), dir.path().join(JOURNAL)).unwrap();
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("unfinished", &error, &["not finished", "repeat the repack"]);
}
