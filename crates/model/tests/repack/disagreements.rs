//! Record files that are good by themselves and do not fit the config or the trunk.

use std::fs;
use std::path::Path;

use format::{MANIFEST, Manifest, RecordHeader};
use model::Opened;
use sha2::{Digest, Sha256};

use crate::setup::{checkpoint, folder, whole};

/// Gives a record file another header, with its hash in the manifest.
fn rewrite(dir: &Path, name: &str, change: impl FnOnce(&mut RecordHeader)) {
    let path = dir.join(name);
    let (mut header, _) = RecordHeader::read(&path).expect("a good one");
    change(&mut header);
    let mut bytes = header.to_bytes();
    let sha256 = Sha256::digest(&bytes).into();
    bytes.resize(header.file_bytes() as usize, 0);
    fs::write(&path, &bytes).expect("it can be written");
    let mut manifest = Manifest::read(dir).expect("good").expect("it is there");
    let file = manifest.records.iter_mut().find(|file| file.name == name).expect("it is named");
    (file.bytes, file.sha256) = (bytes.len() as u64, sha256);
    fs::write(dir.join(MANIFEST), manifest.to_bytes()).expect("it can be written");
}

fn config(dir: &Path, from: &str, to: &str) {
    let path = dir.join("config.json");
    let text = fs::read_to_string(&path).expect("it can be read");
    assert!(text.contains(from), "{from} is in {text}");
    fs::write(&path, text.replace(from, to)).expect("it can be written");
}

fn refused(dir: &Path, parts: &[&str]) {
    let error = Opened::open(dir, None).expect_err("it does not fit").to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    assert!(!error.contains('\n'), "one line: {error:?}");
}

#[test]
fn every_disagreement_is_named() {
    let source = checkpoint(1);
    let fresh = || {
        let out = folder();
        whole(source.path(), out.path()).expect("it is repacked");
        out
    };
    let first = "experts-00000.records";
    let out = fresh();
    config(out.path(), "\"num_experts\": 16", "\"num_experts\": 15");
    refused(out.path(), &["trunk.safetensors", "mlp.gate", "15"]);
    // There the router tells; with one that fits it is the record file.
    let out = fresh();
    rewrite(out.path(), first, |header| {
        header.records = 15;
        header.checksums.truncate(15);
    });
    refused(out.path(), &[first, "records", "found 15", "num_experts 16"]);
    let out = fresh();
    rewrite(out.path(), first, |header| header.matrices[1].storage = "4-bit g32 bf16".to_owned());
    refused(out.path(), &[first, "up_proj.weight", "g32", "g64"]);
    let out = fresh();
    rewrite(out.path(), first, |header| {
        let shape = &mut header.matrices[0].planes[0].shape;
        *shape = vec![shape[0] / 2, shape[1] * 2];
    });
    refused(out.path(), &[first, "gate_proj.weight"]);
    let out = fresh();
    rewrite(out.path(), first, |header| {
        let mut planes = header.matrices.clone();
        planes[2].planes.pop();
        *header = RecordHeader::new(header.layer, header.module.clone(), header.records, planes);
    });
    refused(out.path(), &[first, "down_proj.biases", "found none"]);
    let out = fresh();
    let mut manifest = Manifest::read(out.path()).expect("good").expect("it is there");
    manifest.records.remove(2);
    fs::write(out.path().join(MANIFEST), manifest.to_bytes()).expect("it can be written");
    refused(out.path(), &["layers.2.mlp.switch_mlp", "none", "one for each layer"]);
}

#[test]
fn a_record_file_of_a_layer_that_is_not_there_is_named() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let last = out.path().join("experts-00003.records");
    let more = out.path().join("experts-00004.records");
    fs::copy(&last, &more).expect("it can be copied");
    let mut manifest = Manifest::read(out.path()).expect("good").expect("it is there");
    let mut file = manifest.records[3].clone();
    file.name = "experts-00004.records".to_owned();
    manifest.records.push(file);
    fs::write(out.path().join(MANIFEST), manifest.to_bytes()).expect("it can be written");
    rewrite(out.path(), "experts-00004.records", |header| {
        header.layer = 4;
        header.module = header.module.replace("layers.3", "layers.4");
    });
    refused(out.path(), &["experts-00004.records", "layers.4", "4 layers"]);
}
