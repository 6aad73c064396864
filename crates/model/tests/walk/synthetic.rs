//! Synthetic checkpoints run: finite, near the naive twin, and a shared layer is what a copy of it would be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use engine::{Forward, Want};
use model::synth::{self, Order};
use model::tiny::Spec;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::setup::{Arrangement, Budget, bits, load, step};
use crate::tiny_layouts::check_written;

pub(crate) fn order(spec: Spec, bits: u32, distinct_layers: Option<usize>) -> Order {
    let spec = Spec { mtp: false, vision: false, ..spec };
    Order { name: "small".to_owned(), spec, bits, distinct_layers, shard_bytes: u64::MAX }
}

pub(crate) fn written(order: &Order) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    synth::write(dir.path(), order, &|_, _| (), &AtomicBool::new(false)).expect("it is written");
    dir
}

#[test]
fn every_width_is_near_the_naive_twin() {
    for bits in [2, 4, 8] {
        let dir = written(&order(Spec::wide(), bits, None));
        check_written(&format!("synthetic, {bits} bits"), dir.path());
    }
}

#[test]
fn sixty_layers_stay_finite_and_spread_as_a_trained_model() {
    let spec = Spec { layers: 60, ..Spec::wide() };
    let dir = written(&order(spec, 4, Some(4)));
    let mut model = load(dir.path(), &Arrangement::default());
    let ids: Vec<u32> = (0..24).map(|n| n * 19 % 500).collect();
    let mut sequence = model.sequence(ids.len()).expect("there is room");
    let logits = step(&mut model, &mut sequence, &ids, Want::All).expect("it runs").logits;
    assert!(logits.iter().all(|logit| logit.is_finite()), "all finite");
    let mean_square = logits.iter().map(|x| f64::from(x * x)).sum::<f64>() / logits.len() as f64;
    let spread = mean_square.sqrt();
    assert!((1.5..6.0).contains(&spread), "logits spread by {spread}, by about 3 is meant");
}

/// The same checkpoint with a copy of its tensors for every layer.
fn copied_out(shared: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = std::fs::read(shared.join("config.json")).expect("a config");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    let alias: Vec<u64> = serde_json::from_value(config["flash_moe"]["layer_alias"].take())
        .expect("a list of layers");
    for field in ["quantization", "quantization_config"] {
        let modules = config[field].as_object_mut().expect("an object");
        for (layer, stored) in alias.iter().enumerate() {
            for gate in ["mlp.gate", "mlp.shared_expert_gate"] {
                let named =
                    |n: &dyn std::fmt::Display| format!("language_model.model.layers.{n}.{gate}");
                let width = modules[&named(stored)].clone();
                modules.insert(named(&layer), width);
            }
        }
    }
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("a file");
    let bytes = std::fs::read(shared.join("model-00001-of-00001.safetensors")).expect("tensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut copies: BTreeMap<String, TensorView<'_>> = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let Some((layer, rest)) = name
            .strip_prefix("language_model.model.layers.")
            .and_then(|below| below.split_once('.'))
        else {
            copies.insert(name.to_owned(), tensor);
            continue;
        };
        for (n, _) in alias.iter().enumerate().filter(|(_, stored)| stored.to_string() == layer) {
            copies.insert(format!("language_model.model.layers.{n}.{rest}"), tensor.clone());
        }
    }
    let bytes = safetensors::serialize(copies, None).expect("it can be written");
    std::fs::write(dir.path().join("model.safetensors"), bytes).expect("a file");
    dir
}

#[test]
fn a_shared_layer_is_what_a_copy_of_it_is() {
    let spec = Spec { layers: 9, ..Spec::wide() };
    for distinct in [2, 3, 5] {
        let shared = written(&order(spec.clone(), 4, Some(distinct)));
        let copied = copied_out(shared.path());
        let ids: Vec<u32> = (0..20).map(|n| n * 31 % 500).collect();
        for budget in [Budget::Floor, Budget::Plenty] {
            let arrangement = Arrangement { budget, ..Arrangement::default() };
            let run = |dir: &Path| {
                let mut model = load(dir, &arrangement);
                let mut sequence = model.sequence(ids.len()).expect("there is room");
                let told = step(&mut model, &mut sequence, &ids, Want::All).expect("it runs");
                (bits(&told.logits), model.counters().read_bytes)
            };
            let (shared, copied) = (run(shared.path()), run(copied.path()));
            assert!(shared.0 == copied.0, "{distinct} distinct, {budget:?}: logits");
            assert_eq!(shared.1, copied.1, "{distinct} distinct, {budget:?}: every layer reads");
        }
    }
}

#[test]
fn who_shares_with_whom_is_part_of_the_fingerprint() {
    let dir = written(&order(Spec { layers: 9, ..Spec::wide() }, 4, Some(3)));
    let fingerprint = || load(dir.path(), &Arrangement::default()).facts().fingerprint;
    let before = fingerprint();
    assert_eq!(fingerprint(), before, "the same files, the same model");
    let path = dir.path().join("config.json");
    let text = std::fs::read(&path).expect("a config");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    let alias = &mut config["flash_moe"]["layer_alias"];
    assert_eq!(*alias, serde_json::json!([0, 1, 0, 3, 1, 0, 1, 3, 0]), "who shares with whom");
    alias[8] = 1.into();
    std::fs::write(&path, config.to_string()).expect("a file");
    assert_ne!(fingerprint(), before, "another model from the same tensors");
}
