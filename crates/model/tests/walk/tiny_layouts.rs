//! Models of other shapes in every layout: near the naive twin, and what must be one model gives one answer.

use std::path::Path;

use engine::{Forward, Want};
use kernels::tolerances;
use model::tiny::{self, Float, Form, Layout, Spec};

use crate::naive::Naive;
use crate::setup::{Arrangement, Budget, bits, load, step};

fn ids(count: usize) -> Vec<u32> {
    (0..count as u32).map(|n| (n * 97 + 13) % 450).collect()
}

/// Logits of a prompt in one pass, and the same ids one by one at the floor.
fn check(name: &str, spec: &Spec, form: impl Into<Form>) -> Vec<f32> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tiny::write(dir.path(), spec, form).unwrap_or_else(|error| panic!("{name}: {error}"));
    check_written(name, dir.path())
}

/// As [`check`], for a checkpoint that was written.
pub(crate) fn check_written(name: &str, dir: &Path) -> Vec<f32> {
    let ids = ids(30);
    let mut model = load(dir, &Arrangement::default());
    let mut sequence = model.sequence(ids.len()).expect("there is room");
    let wanted = step(&mut model, &mut sequence, &ids, Want::All).expect("it runs").logits;
    let spread = wanted.iter().fold(0.0_f32, |worst, logit| worst.max(logit.abs()));
    assert!(spread > 0.5 && spread < 100.0, "{name}: logits that say something: {spread}");
    let mut naive = Naive::open(dir);
    for (n, (id, found)) in ids.iter().zip(wanted.chunks(model.facts().vocabulary)).enumerate() {
        for (row, (found, wanted)) in found.iter().zip(naive.step(*id)).enumerate() {
            let near = tolerances::LOGITS.accepts(*found, wanted as f32);
            assert!(
                near,
                "{name}: position {n}, logit {row}: {found}, the naive twin has {wanted}"
            );
        }
    }
    let arrangement = Arrangement { budget: Budget::Floor, threads: 2, ..Arrangement::default() };
    let mut model = load(dir, &arrangement);
    let mut sequence = model.sequence(ids.len()).expect("there is room");
    let mut found = Vec::new();
    for id in &ids {
        found.extend(step(&mut model, &mut sequence, &[*id], Want::All).expect("it runs").logits);
    }
    assert!(bits(&found) == bits(&wanted), "{name}: id by id and all at once");
    wanted
}

#[test]
fn every_shape_in_every_layout_runs() {
    for (name, spec) in Spec::presets() {
        let f32s = [
            Layout::HfStacked { dtype: Float::F32 },
            Layout::HfPerExpert { dtype: Float::F32 },
            Layout::Qwen3Next { dtype: Float::F32 },
        ];
        let told = f32s.map(|layout| check(&format!("{name} {layout:?}"), &spec, layout));
        assert!(bits(&told[0]) == bits(&told[1]), "{name}: stacked and per expert are one model");
        assert!(bits(&told[0]) == bits(&told[2]), "{name}: and so is Qwen3-Next's layout");
        for dtype in [Float::Bf16, Float::F16] {
            check(&format!("{name} {dtype:?}"), &spec, Layout::HfStacked { dtype });
        }
        check(&format!("{name} fp8"), &spec, Layout::Fp8);
        let flat =
            Form { layout: Layout::HfStacked { dtype: Float::Bf16 }, multimodal: false, shards: 1 };
        check(&format!("{name} flat"), &spec, flat);
    }
}

#[test]
fn every_width_and_group_of_mlx_runs() {
    let spec = Spec::wide();
    for bits in tiny::affine::BITS {
        for group in tiny::affine::GROUPS {
            for router_bits in [None, Some(8)] {
                let layout = Layout::Mlx { bits, group, router_bits, dtype: Float::Bf16 };
                check(&format!("{bits} bits in {group}, router {router_bits:?}"), &spec, layout);
            }
        }
    }
}

#[test]
fn mlx_of_every_shape_runs() {
    for (name, spec) in Spec::presets() {
        for dtype in [Float::Bf16, Float::F16, Float::F32] {
            let layout = Layout::Mlx { bits: 4, group: 32, router_bits: Some(8), dtype };
            check(&format!("{name} mlx {dtype:?}"), &spec, layout);
        }
    }
}
