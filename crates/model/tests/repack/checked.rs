//! A check finds every flipped bit and names its place; with the source it finds more.

use std::fs;
use std::sync::atomic::AtomicBool;

use format::{Catalog, MANIFEST, Manifest};
use model::repack::{RepackError, Verified, verify};
use model::tiny::{self, Float, Layout};
use sha2::{Digest, Sha256};

use crate::setup::{check, checkpoint, flip, folder, says, spec, whole};

#[test]
fn what_is_good_is_found_good_in_every_layout() {
    for layout in [
        Layout::Mlx { bits: 3, group: 32, router_bits: None, dtype: Float::F16 },
        Layout::HfStacked { dtype: Float::Bf16 },
        Layout::Fp8,
        Layout::Qwen3Next { dtype: Float::F32 },
    ] {
        let (source, out) = (folder(), folder());
        tiny::write(source.path(), &spec(), layout).expect("it is written");
        let done = whole(source.path(), out.path()).expect("it is repacked");
        for compared in [false, true] {
            let verified = check(out.path(), compared.then(|| source.path())).expect("good");
            let Verified::Whole { records, bytes, compared: found, .. } = verified else {
                panic!("{verified:?}")
            };
            assert_eq!((records, bytes, found), (4 * 16, done.bytes, compared), "{layout:?}");
        }
        let verified = check(source.path(), None).expect("good");
        assert!(matches!(verified, Verified::Headers { tensors: 50.., .. }), "{verified:?}");
    }
}

#[test]
fn every_flipped_bit_is_named() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let catalog = Catalog::open(out.path()).expect("good");
    let record = &catalog.repacked.as_ref().expect("repacked").records[2];
    let header = &record.header;
    let (begin, stride) = (header.data_offset as usize, header.stride_bytes as usize);
    let path = out.path().join("experts-00002.records");
    let whole = fs::read(&path).expect("it can be read");
    let last = header.record_bytes - 1;
    for (n, byte) in [(0, 0), (0, last), (7, 1000), (15, last)] {
        flip(&path, begin + n * stride + byte);
        let place = format!("layer 2, record {n}, byte {} of the file", begin + n * stride);
        let error = check(out.path(), None).expect_err("damaged");
        says(&error, &["experts-00002.records", &place, "checksum"]);
        fs::write(&path, &whole).expect("it can be written");
    }
    if header.record_bytes < stride {
        flip(&path, begin + stride - 1);
        says(&check(out.path(), None).expect_err("damaged"), &["record 0", "gap"]);
        fs::write(&path, &whole).expect("it can be written");
    }
    for at in [0, 5, 20, 100, begin - 1] {
        flip(&path, at);
        says(&check(out.path(), None).expect_err("damaged"), &["experts-00002.records"]);
        fs::write(&path, &whole).expect("it can be written");
    }
    for name in ["trunk.safetensors", "config.json", "tokenizer.json", "LICENSE"] {
        let path = out.path().join(name);
        let whole = fs::read(&path).expect("it can be read");
        // The last byte of a JSON file is a line end, which as another control is no JSON.
        flip(&path, whole.len() - 1);
        says(&check(out.path(), None).expect_err("damaged"), &[name]);
        fs::write(&path, &whole[..whole.len() - 1]).expect("it can be written");
        says(&check(out.path(), None).expect_err("shorter"), &[name]);
        fs::write(&path, whole).expect("it can be written");
    }
    check(out.path(), Some(source.path())).expect("good again");
}

#[test]
fn the_source_finds_what_sums_agree_with() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let other = checkpoint(2);
    let error = check(out.path(), Some(other.path())).expect_err("other weights");
    says(&error, &["trunk.safetensors", "tensor ", "byte ", "not what the source has"]);
    // One byte of one expert in the source.
    let catalog = Catalog::open(source.path()).expect("good");
    let name = "language_model.model.layers.1.mlp.switch_mlp.up_proj.weight";
    let tensor = catalog.require(name).expect("it is there");
    let per_record = tensor.bytes as usize / 16;
    let file = source.path().join("model.safetensors");
    flip(&file, tensor.offset as usize + 5 * per_record + 3);
    let error = check(out.path(), Some(source.path())).expect_err("another byte");
    let header =
        &Catalog::open(out.path()).expect("good").repacked.expect("repacked").records[1].header;
    let plane = header.planes().find(|plane| plane.name == name).expect("it is there");
    let at = header.data_offset + 5 * header.stride_bytes + plane.offset + 3;
    let place = format!("layer 1, record 5, byte {at} of the file");
    says(&error, &["experts-00001.records", &place, "source"]);
    flip(&file, tensor.offset as usize + 5 * per_record + 3);
    fs::write(source.path().join("more.txt"), "x").expect("it can be written");
    says(
        &check(out.path(), Some(source.path())).expect_err("one more"),
        &["manifest", "went along"],
    );
}

#[test]
fn a_manifest_that_lies_about_a_file_is_found() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let mut manifest = Manifest::read(out.path()).expect("good").expect("it is there");
    manifest.copies[0].sha256[31] ^= 1;
    fs::write(out.path().join(MANIFEST), manifest.to_bytes()).expect("it can be written");
    let name = manifest.copies[0].name.clone();
    says(&check(out.path(), None).expect_err("a lie"), &[&name, "SHA-256"]);
    // The hashes of the source are those of its files.
    for file in &manifest.source {
        let bytes = fs::read(source.path().join(&file.stamp.name)).expect("it can be read");
        let sum: [u8; 32] = Sha256::digest(&bytes).into();
        assert!(sum == file.sha256 && bytes.len() as u64 == file.stamp.bytes, "{file:?}");
    }
}

#[test]
fn a_published_checkpoint_has_nothing_to_compare() {
    let source = checkpoint(1);
    let error = check(source.path(), Some(source.path())).expect_err("no sums");
    says(&error, &["is not repacked", "repacked checkpoint"]);
    let shard = source.path().join("model.safetensors");
    let bytes = fs::metadata(&shard).expect("it is there").len();
    let file = fs::OpenOptions::new().write(true).open(&shard).expect("it can be opened");
    file.set_len(bytes - 1).expect("it can be cut");
    says(&check(source.path(), None).expect_err("shorter"), &["model.safetensors"]);
}

#[test]
fn a_check_can_be_cut_off() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let error = verify(out.path(), None, &|_, _| (), &AtomicBool::new(true));
    assert!(matches!(error, Err(RepackError::Cancelled)), "{error:?}");
}
