//! The numbers of an inspection, by hand and against the catalog.

use model::tiny::{Layout, Spec};
use model::{Class, Inspection};
use serde_json::{Value, json};

use crate::checkpoint::{EACH, HF, Headers, MLX, NEXT, tiny};

#[test]
fn every_tensor_and_every_byte_is_counted_once() {
    for (name, spec) in Spec::presets() {
        for layout in [HF, EACH, NEXT, MLX, Layout::Fp8] {
            let (_dir, bound) = tiny(&spec, layout);
            let seen = Inspection::new(&bound.config, &bound.catalog, &bound.weights);
            let tensors: usize = seen.classes.iter().map(|class| class.tensors).sum();
            assert_eq!(tensors, bound.catalog.len(), "{name}, {layout:?}: tensors");
            let bytes: u64 = seen.classes.iter().map(|class| class.bytes).sum();
            assert_eq!(bytes, bound.catalog.total_bytes(), "{name}, {layout:?}: bytes");
            let ignored: u64 = seen.ignored.iter().map(|tensor| tensor.bytes).sum();
            let read = seen.trunk_bytes + seen.expert_bytes;
            assert_eq!(read + ignored, bytes, "{name}, {layout:?}: trunk, experts, ignored");
            let records = (spec.layers * spec.experts) as u64;
            assert_eq!(seen.record_bytes * records, seen.expert_bytes, "{name}, {layout:?}");
        }
    }
}

#[test]
fn sizes_by_hand() {
    let (_dir, bound) = tiny(&Spec { layers: 4, ..Spec::default() }, HF);
    let seen = Inspection::new(&bound.config, &bound.catalog, &bound.weights);
    let of = |class: Class| -> Vec<(&str, usize, u64, f64)> {
        let classes = seen.classes.iter().filter(|size| size.class == class);
        classes.map(|s| (s.dtype.as_str(), s.tensors, s.bytes, s.bits_per_weight())).collect()
    };
    assert_eq!(of(Class::Embed), [("bf16", 1, 512 * 64 * 2, 16.0)], "embedding");
    assert_eq!(of(Class::Head), [("bf16", 1, 512 * 64 * 2, 16.0)], "head");
    assert_eq!(of(Class::Router), [("bf16", 4, 4 * 8 * 64 * 2, 16.0)], "routers");
    // Two a layer and the last of 64, q and k of 32 in one layer; the gated norms of 16 are F32.
    let norms = [("bf16", 11, (9 * 64 + 2 * 32) * 2, 16.0), ("f32", 3, 3 * 16 * 4, 32.0)];
    assert_eq!(of(Class::Norms), norms, "norms");
    // Queries and gates 2 * 4 * 32, keys and values 2 * 32 each, output 64 x 128.
    let full = 64 * (256 + 64 + 64) + 64 * 128;
    assert_eq!(of(Class::FullAttention), [("bf16", 4, full * 2, 16.0)], "full attention");
    // 64 + 128 channels, 128 gates, 8 betas, 8 decays, out; 4 taps a channel, dt_bias. A_log is F32.
    let linear = 64 * (192 + 128 + 8 + 8) + 64 * 128 + 192 * 4 + 8;
    let linear = [("bf16", 21, 3 * linear * 2, 16.0), ("f32", 3, 3 * 8 * 4, 32.0)];
    assert_eq!(of(Class::LinearAttention), linear, "linear attention");
    let shared = 3 * 48 * 64 + 64;
    assert_eq!(of(Class::SharedExpert), [("bf16", 16, 4 * shared * 2, 16.0)], "shared expert");
    let record: u64 = 3 * 32 * 64 * 2;
    assert_eq!(of(Class::Experts), [("bf16", 8, 32 * record, 16.0)], "experts");
    assert_eq!(of(Class::Vision), [("bf16", 1, 512, 16.0)], "vision");
    assert_eq!((seen.record_bytes, seen.record_extents), (record, 2), "a record");
    assert_eq!(seen.expert_bytes, 32 * record, "experts");
    // One row of the embedding instead of 512, and 3 experts in each of 4 layers.
    let touched = seen.trunk_bytes - 511 * 64 * 2 + 12 * record;
    assert_eq!(seen.touched_bytes_per_token, touched, "an id meets");
    let (_dir, tied) = tiny(&Spec { tie_word_embeddings: true, ..Spec::default() }, HF);
    let seen = Inspection::new(&tied.config, &tied.catalog, &tied.weights);
    let touched = seen.trunk_bytes + 24 * record;
    assert_eq!(seen.touched_bytes_per_token, touched, "a tied embedding is read whole");
}

#[test]
fn mlx_shares_count_in_the_bits() {
    let (_dir, bound) = tiny(&Spec::wide(), MLX);
    let seen = Inspection::new(&bound.config, &bound.catalog, &bound.weights);
    let experts: Vec<_> = seen.classes.iter().filter(|s| s.class == Class::Experts).collect();
    assert_eq!(experts.len(), 1, "all alike");
    assert_eq!(experts[0].dtype, "4-bit g64 bf16", "storage");
    assert_eq!(experts[0].bits_per_weight(), 4.5, "4 bits and 32 bits for each 64");
    assert_eq!((experts[0].tensors, seen.record_extents), (4 * 9, 9), "tensors, extents");
}

#[test]
fn json_has_the_names_that_commands_share() {
    let mut headers = Headers::tiny(&Spec { layers: 4, ..Spec::default() }, MLX);
    headers.tensors.insert("stray".to_owned(), (format::DType::I64, vec![3]));
    let bound = headers.bind().expect("it binds");
    let seen = Inspection::new(&bound.config, &bound.catalog, &bound.weights).to_json();
    for key in
        ["trunk_bytes", "expert_bytes", "record_bytes", "record_extents", "touched_bytes_per_token"]
    {
        assert!(seen[key].as_u64().is_some_and(|number| number > 0), "{key}: {}", seen[key]);
    }
    // Whatever is a dimension in the file is the same number here.
    let text = headers.text().clone();
    for (field, value) in text.into_iter().filter(|(field, _)| field != "model_type") {
        if let Some(found) = seen["config"].get(&field) {
            let same = *found == value || found.as_f64().is_some_and(|x| near(x, &value));
            assert!(same, "{field}: {found}, in the file {value}");
        }
    }
    assert_eq!(seen["config"]["num_experts"], 8, "a number of the config");
    assert_eq!(seen["config"]["quantization"]["bits"], 4, "of the quantisation");
    let stray =
        json!({"name": "stray", "class": "other", "dtype": "I64", "shape": [3], "bytes": 24});
    let ignored = seen["ignored"].as_array().expect("a list");
    assert!(ignored.contains(&stray), "an unknown tensor is told of");
    let class = &seen["classes"][0];
    assert_eq!(class["class"], "embed", "the first class");
    for key in ["dtype", "bits", "count", "bytes"] {
        assert!(!class[key].is_null(), "{key} of a class");
    }
}

/// An f32 in the config is shown with the digits that it has.
fn near(x: f64, value: &Value) -> bool {
    value.as_f64().is_some_and(|y| (x - y).abs() <= 1e-6 * y.abs())
}
