//! Repacked checkpoints compute the bits of what they were made from, and damage never becomes an answer.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use engine::{Forward, Want};
use model::Opened;
use model::repack::{Verified, repack, verify};
use model::tiny::{self, Float, Form, Layout, Spec};

use crate::setup::{Arrangement, Budget, FIXTURES, bits, fixture, load, step};
use crate::synthetic::{order, written};

fn floor() -> Arrangement {
    Arrangement { budget: Budget::Floor, threads: 2, ..Arrangement::default() }
}

/// All logits of some ids, at the floor: records come and go.
fn logits(dir: &Path) -> Vec<u32> {
    let ids: Vec<u32> = (0..20).map(|n| (n * 97 + 13) % 250).collect();
    let mut model = load(dir, &floor());
    let mut sequence = model.sequence(ids.len()).expect("there is room");
    let mut found = step(&mut model, &mut sequence, &ids[..16], Want::All).expect("it runs").logits;
    for id in &ids[16..] {
        found.extend(step(&mut model, &mut sequence, &[*id], Want::All).expect("it runs").logits);
    }
    bits(&found)
}

fn check(name: &str, dir: &Path) {
    let out = tempfile::tempdir().expect("a temporary directory");
    let done = repack(dir, out.path(), &|_, _| (), &AtomicBool::new(false));
    let done = done.unwrap_or_else(|error| panic!("{name}: {error}"));
    let [published, repacked] = [dir, out.path()].map(|dir| Opened::open(dir, None).expect(name));
    assert_eq!(done.layers, published.config().layers(), "{name}: a file a layer");
    let (was, is) = (published.inspection(), repacked.inspection());
    assert_eq!(is.record_extents, 1, "{name}: in one piece");
    assert_eq!(is.expert_bytes, was.expert_bytes, "{name}: the same experts");
    assert_eq!(is.trunk_bytes, was.trunk_bytes, "{name}: the same trunk");
    assert_eq!(is.ignored, was.ignored, "{name}: nothing is lost");
    let padding = is.record_bytes - was.record_bytes;
    assert!(padding < 64 * 9, "{name}: {padding} bytes of padding");
    assert!(logits(dir) == logits(out.path()), "{name}: the same bits");
}

#[test]
fn every_width_and_group_of_mlx_computes_the_same_bits() {
    for bits in tiny::affine::BITS {
        for group in tiny::affine::GROUPS {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let layout = Layout::Mlx { bits, group, router_bits: Some(8), dtype: Float::Bf16 };
            let spec = Spec { experts: 8, layers: 4, ..Spec::wide() };
            tiny::write(dir.path(), &spec, layout).expect("it is written");
            check(&format!("{bits} bits in {group}"), dir.path());
        }
    }
}

#[test]
fn every_layout_and_shape_computes_the_same_bits() {
    for (name, spec) in Spec::presets() {
        for form in [
            Form::from(Layout::HfStacked { dtype: Float::Bf16 }),
            Form::from(Layout::HfPerExpert { dtype: Float::F16 }),
            Form::from(Layout::Fp8),
            Form::from(Layout::Qwen3Next { dtype: Float::F32 }),
            Form {
                layout: Layout::Mlx { bits: 4, group: 32, router_bits: None, dtype: Float::F16 },
                multimodal: false,
                shards: 3,
            },
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            tiny::write(dir.path(), &spec, form).expect("it is written");
            check(&format!("{name} {:?}", form.layout), dir.path());
        }
    }
    for name in FIXTURES {
        check(name, &fixture(name));
    }
}

/// Layers that share tensors go on sharing them: one record file for all of them.
#[test]
fn shared_layers_stay_shared_and_compute_the_same_bits() {
    let spec = Spec { layers: 9, ..Spec::wide() };
    for (distinct, wanted) in [
        (2, vec!["experts-00000.records", "experts-00003.records"]),
        (3, vec!["experts-00000.records", "experts-00001.records", "experts-00003.records"]),
    ] {
        let shared = written(&order(spec.clone(), 4, Some(distinct)));
        let out = tempfile::tempdir().expect("a temporary directory");
        let quiet = AtomicBool::new(false);
        let done = repack(shared.path(), out.path(), &|_, _| (), &quiet).expect("it is repacked");
        assert_eq!(done.layers, distinct, "a file for each that has tensors of its own");
        let entries = fs::read_dir(out.path()).expect("the directory is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.ends_with(".records"));
        names.sort();
        assert_eq!(names, wanted, "{distinct} distinct");
        let [was, is] = [shared.path(), out.path()].map(|dir| {
            let opened = Opened::open(dir, None).expect("a good checkpoint");
            (opened.config().layer_alias.clone(), opened.inspection().trunk_bytes)
        });
        assert_eq!(was, is, "{distinct} distinct: who shares with whom, and the trunk");
        assert!(logits(shared.path()) == logits(out.path()), "{distinct}: the same bits");
        let checked = verify(out.path(), Some(shared.path()), &|_, _| (), &quiet).expect("good");
        let Verified::Whole { records, compared: true, .. } = checked else {
            panic!("{checked:?}")
        };
        assert_eq!(records, distinct * spec.experts, "{distinct}: every record once");
    }
}

/// Records lie in one piece, so that every bit of them is under the checksum: weights too, which no
/// look at scales finds.
#[test]
fn a_single_flipped_bit_is_found_when_the_record_is_read() {
    let out = tempfile::tempdir().expect("a temporary directory");
    let done = repack(&fixture(FIXTURES[1]), out.path(), &|_, _| (), &AtomicBool::new(false));
    done.expect("it is repacked");
    let catalog = format::Catalog::open(out.path()).expect("a good checkpoint");
    let record = &catalog.repacked.as_ref().expect("repacked").records[1];
    let (path, header) = (&catalog.files[record.file].path, &record.header);
    let whole = fs::read(path).expect("the file is there");
    for byte in [0, header.record_bytes / 2, header.record_bytes - 1] {
        let mut damaged = whole.clone();
        for n in 0..header.records {
            damaged[(header.data_offset + n as u64 * header.stride_bytes) as usize + byte] ^= 4;
        }
        fs::write(path, damaged).expect("it can be written");
        let mut model = load(out.path(), &floor());
        let mut sequence = model.sequence(8).expect("there is room");
        let error = step(&mut model, &mut sequence, &[1, 2, 3], Want::Last).expect_err("damaged");
        let text = error.to_string();
        for part in ["experts-00001.records", "bank 1, record ", "checksum", "header says"] {
            assert!(text.contains(part), "byte {byte}: {part:?} in {text:?}");
        }
    }
}
