//! Tiny models lie on disk exactly as the published ones do, and hold the same noise in each layout.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use model::Mixer;
use model::tiny::{self, Float, Form, Layout, Spec, TinyError, affine, fp8};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

/// Dtype, shape and bytes of one tensor.
type Entry = (Dtype, Vec<usize>, Vec<u8>);

const F32: Layout = Layout::HfStacked { dtype: Float::F32 };
const MLX4: Layout = Layout::Mlx { bits: 4, group: 64, router_bits: Some(8), dtype: Float::Bf16 };

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Every tensor of the `model*.safetensors` files of a directory.
fn tensors(dir: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if !name.starts_with("model") || !name.ends_with(".safetensors") {
            continue;
        }
        let bytes = fs::read(&path).expect("a readable file");
        let file = SafeTensors::deserialize(&bytes).expect("a valid file");
        for (name, view) in file.tensors() {
            let entry = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            assert!(found.insert(name.clone(), entry).is_none(), "{name} is there twice");
        }
    }
    found
}

fn written(spec: &Spec, form: impl Into<Form>) -> (tempfile::TempDir, BTreeMap<String, Entry>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tiny::write(dir.path(), spec, form).expect("a model can be written");
    let found = tensors(dir.path());
    (dir, found)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).expect("a readable file")).expect("JSON")
}

/// The values of a float tensor.
fn values((dtype, _, bytes): &Entry) -> Vec<f32> {
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    match dtype {
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        other => panic!("{other:?} holds no floats"),
    }
}

fn words((_, _, bytes): &Entry) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Each fixture, made by other tools, with the spec and form that describe it.
fn fixture_twins() -> Vec<(&'static str, Spec, Layout)> {
    let mlx =
        Spec { heads: 8, moe_intermediate_size: 64, mtp: false, vision: false, ..Spec::wide() };
    let fp8 = Spec {
        linear_key_dim: 32,
        linear_value_dim: 32,
        linear_value_heads: 4,
        shared_intermediate_size: 64,
        ..Spec::partial_blocks()
    };
    let next = Spec {
        layers: 4,
        linear_value_heads: 4,
        experts: 16,
        experts_per_token: 4,
        vision: false,
        ..Spec::default()
    };
    let uniform = Layout::Mlx { bits: 4, group: 64, router_bits: None, dtype: Float::Bf16 };
    vec![
        ("tiny-qwen35moe-hf", Spec::default(), Layout::HfStacked { dtype: Float::Bf16 }),
        ("tiny-qwen35moe-mlx4", Spec { layers: 8, ..mlx.clone() }, MLX4),
        ("tiny-qwen35moe-mlx4-uniform", mlx, uniform),
        ("tiny-qwen35moe-fp8", fp8, Layout::Fp8),
        ("tiny-qwen3next-hf", next, Layout::Qwen3Next { dtype: Float::Bf16 }),
    ]
}

#[test]
fn names_dtypes_and_shapes_are_those_of_the_fixtures() {
    for (fixture, spec, layout) in fixture_twins() {
        let (_dir, ours) = written(&spec, layout);
        let theirs = tensors(&fixtures().join(fixture));
        for (name, (dtype, shape, _)) in &theirs {
            let Some(found) = ours.get(name) else { panic!("{fixture}: {name} is missing") };
            assert_eq!((&found.0, &found.1), (dtype, shape), "{fixture}: {name}");
        }
        for name in ours.keys() {
            assert!(theirs.contains_key(name), "{fixture}: {name} is too many");
        }
    }
}

/// A fixture's config value, where ours must say the same. Ids belong to its tokenizer, the rest
/// describes a vision tower or is not written by all tools.
fn compare(fixture: &str, key: &str, ours: &serde_json::Value, theirs: &serde_json::Value) {
    const OTHERWISE: [&str; 6] =
        ["bos_token_id", "eos_token_id", "vision_config", "transformers_version", "weight_map", ""];
    if let (Some(ours), Some(theirs)) = (ours.as_object(), theirs.as_object()) {
        for (key, value) in theirs {
            let ids = key.ends_with("_token_id") || OTHERWISE.contains(&key.as_str());
            // Not read by anybody: dense layers, which there are none of.
            if !ids && key != "intermediate_size" {
                let found = ours.get(key).unwrap_or(&serde_json::Value::Null);
                compare(fixture, key, found, value);
            }
        }
    } else if ours.is_number() && theirs.is_number() {
        assert_eq!(ours.as_f64(), theirs.as_f64(), "{fixture}: {key}");
    } else {
        assert_eq!(ours, theirs, "{fixture}: {key}");
    }
}

#[test]
fn configs_say_what_those_of_the_fixtures_say() {
    for (fixture, spec, layout) in fixture_twins() {
        // Without a draft block our config says 0; mlx-lm drops the block and keeps the 1.
        let spec = if layout == Layout::Fp8 { spec } else { Spec { mtp: true, ..spec } };
        let (dir, _) = written(&spec, layout);
        let (ours, theirs) = (
            json(&dir.path().join("config.json")),
            json(&fixtures().join(fixture).join("config.json")),
        );
        compare(fixture, "config.json", &ours, &theirs);
    }
}

fn layouts() -> [Layout; 5] {
    [
        Layout::HfStacked { dtype: Float::Bf16 },
        Layout::HfPerExpert { dtype: Float::F16 },
        Layout::Mlx { bits: 4, group: 32, router_bits: Some(8), dtype: Float::F16 },
        Layout::Fp8,
        Layout::Qwen3Next { dtype: Float::F32 },
    ]
}

#[test]
fn every_preset_is_written_in_every_layout() {
    for (name, spec) in Spec::presets() {
        for layout in layouts() {
            let published = Form::from(layout);
            let (dir, found) = written(&spec, published);
            for (tensor, entry) in &found {
                if matches!(entry.0, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
                    let finite = values(entry).iter().all(|value| value.is_finite());
                    assert!(finite, "{name}, {layout:?}: {tensor}");
                }
            }
            let tied = !found.keys().any(|tensor| tensor.contains("lm_head"));
            assert_eq!(tied, spec.tie_word_embeddings, "{name}, {layout:?}: head");
            let config = json(&dir.path().join("config.json"));
            let text = config.get("text_config").unwrap_or(&config);
            let layers = text.get("layer_types").map(|types| types.as_array().expect("a list"));
            let full = |i: usize| match layers {
                Some(types) => types[i] == "full_attention",
                None => (i as u64 + 1)
                    .is_multiple_of(text["full_attention_interval"].as_u64().expect("a number")),
            };
            for (i, mixer) in spec.mixers().into_iter().enumerate() {
                let attends = found.keys().any(|key| {
                    !key.starts_with("mtp.") && key.contains(&format!("layers.{i}.self_attn."))
                });
                assert_eq!(attends, mixer == Mixer::Full, "{name}, {layout:?}: layer {i}");
                assert_eq!(full(i), attends, "{name}, {layout:?}: config of layer {i}");
            }
        }
    }
}

fn all_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a readable file"))
        })
        .collect()
}

#[test]
fn a_seed_gives_the_same_bytes_on_every_machine() {
    let spec = Spec { layers: 4, ..Spec::default() };
    let hash = |spec: &Spec, layout| {
        let mut sha = Sha256::new();
        for (name, bytes) in all_files(written(spec, layout).0.path()) {
            sha.update(name);
            sha.update(bytes);
        }
        sha.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let pinned = [
        (Layout::HfStacked { dtype: Float::Bf16 }, "1d2ec098bc305d03"),
        (MLX4, "5053943a6f84e33c"),
        (Layout::Fp8, "41c6e425d4848e02"),
        (Layout::Qwen3Next { dtype: Float::F16 }, "96ebb2a53e0254a0"),
    ];
    for (layout, expected) in pinned {
        assert_eq!(hash(&spec, layout), expected, "{layout:?}");
        let other = Spec { seed: 2, ..spec.clone() };
        assert_ne!(hash(&other, layout), expected, "{layout:?} with another seed");
    }
}

#[test]
fn one_file_or_several_hold_the_same_tensors() {
    let spec = Spec { layers: 4, ..Spec::default() };
    for layout in [F32, MLX4] {
        let (single, whole) = written(&spec, Form { shards: 1, ..layout.into() });
        assert!(single.path().join("model.safetensors").is_file(), "the single file");
        let index = "model.safetensors.index.json";
        assert!(!single.path().join(index).exists(), "a single file needs no index");
        let (dir, parts) = written(&spec, Form { shards: 3, ..layout.into() });
        assert_eq!(whole, parts, "{layout:?}");
        let map = json(&dir.path().join(index))["weight_map"].take();
        let map = map.as_object().expect("a map");
        assert_eq!(map.len(), parts.len(), "{layout:?}: names in the index");
        for (name, file) in map {
            let file = file.as_str().expect("a name");
            let bytes = fs::read(dir.path().join(file)).expect("a shard");
            let shard = SafeTensors::deserialize(&bytes).expect("a valid file");
            assert!(shard.tensor(name).is_ok(), "{name} is not in {file}");
        }
    }
}

#[test]
fn a_flat_config_has_the_short_names() {
    let spec = Spec { layers: 4, ..Spec::default() };
    for (layout, long) in [(F32, "model.language_model."), (MLX4, "language_model.model.")] {
        let (dir, flat) = written(&spec, Form { multimodal: false, ..layout.into() });
        let (_, around) = written(&spec, layout);
        let shortened: BTreeMap<String, Entry> = around
            .into_iter()
            .map(|(name, entry)| {
                let short = name.replace(long, "model.").replace("language_model.lm", "lm");
                (short, entry)
            })
            .collect();
        assert_eq!(flat, shortened, "{layout:?}");
        let config = json(&dir.path().join("config.json"));
        assert_eq!(config["hidden_size"], 64, "{layout:?}");
        assert_eq!(config["model_type"], "qwen3_5_moe_text", "{layout:?}");
    }
}

/// The HF tensors of a spec with uneven shapes, and the same spec.
fn reference() -> (Spec, BTreeMap<String, Entry>) {
    let spec = Spec { linear_key_heads: 2, linear_value_heads: 6, ..Spec::uneven_value_dim() };
    let (_, found) = written(&spec, F32);
    (spec, found)
}

/// A reference tensor by the name that another layout has for it, an expert's matrix by index.
fn canonical(hf: &BTreeMap<String, Entry>, name: &str, inner: usize) -> Option<Vec<f32>> {
    if let Some(entry) = hf.get(name) {
        return Some(values(entry));
    }
    let (at, rest) = name.split_once("experts.")?;
    let (expert, rest) = rest.split_once('.')?;
    let expert: usize = expert.parse().ok()?;
    let down = rest == "down_proj.weight";
    let stacked =
        hf.get(&format!("{at}experts.{}", if down { "down_proj" } else { "gate_up_proj" }));
    let (_, shape, _) = stacked?;
    let all = values(stacked?);
    let size = shape[1] * shape[2];
    let own = &all[expert * size..(expert + 1) * size];
    let half = inner * shape[2];
    Some(match rest {
        "gate_proj.weight" => own[..half].to_vec(),
        "up_proj.weight" => own[half..].to_vec(),
        _ => own.to_vec(),
    })
}

#[test]
fn per_expert_and_next_layouts_hold_the_stacked_model() {
    let (spec, hf) = reference();
    let inner = spec.moe_intermediate_size;
    let (_, split) = written(&spec, Layout::HfPerExpert { dtype: Float::F32 });
    assert_eq!(split.len(), hf.len() + 4 * (3 * spec.experts - 2), "tensors");
    for (name, entry) in &split {
        let expected = canonical(&hf, name, inner);
        assert_eq!(Some(values(entry)), expected, "{name}");
    }
    let (_, next) = written(&spec, Layout::Qwen3Next { dtype: Float::F32 });
    for (name, entry) in &next {
        let long = match name.strip_prefix("model.") {
            Some(rest) if !rest.starts_with("visual") => format!("model.language_model.{rest}"),
            _ => name.clone(),
        };
        if name.ends_with("in_proj_qkvz.weight") {
            let at = long.trim_end_matches("qkvz.weight");
            let (qkv, z) =
                (values(&hf[&format!("{at}qkv.weight")]), values(&hf[&format!("{at}z.weight")]));
            check_qkvz(&values(entry), &qkv, &z, &spec);
        } else if name.ends_with("in_proj_ba.weight") {
            let at = long.trim_end_matches("ba.weight");
            let (b, a) =
                (values(&hf[&format!("{at}b.weight")]), values(&hf[&format!("{at}a.weight")]));
            // Two key heads, three value heads each: b0 b1 b2 a0 a1 a2 b3 b4 b5 a3 a4 a5.
            let expected: Vec<f32> = [&b[..192], &a[..192], &b[192..], &a[192..]].concat();
            assert_eq!(values(entry), expected, "{name}");
        } else {
            assert_eq!(Some(values(entry)), canonical(&hf, &long, inner), "{name}");
        }
    }
}

/// Row by row: what a reader that views the fused rows as [key heads, q | k | v | z] finds.
fn check_qkvz(fused: &[f32], qkv: &[f32], z: &[f32], spec: &Spec) {
    let (hidden, nk, dk) = (spec.hidden_size, spec.linear_key_heads, spec.linear_key_dim);
    let rdv = spec.linear_value_heads / nk * spec.linear_value_dim;
    let row = |m: &[f32], n: usize| m[n * hidden..(n + 1) * hidden].to_vec();
    let a_head = 2 * dk + 2 * rdv;
    for n in 0..nk * a_head {
        let (head, at) = (n / a_head, n % a_head);
        let expected = if at < dk {
            row(qkv, head * dk + at)
        } else if at < 2 * dk {
            row(qkv, nk * dk + head * dk + at - dk)
        } else if at < 2 * dk + rdv {
            row(qkv, 2 * nk * dk + head * rdv + at - 2 * dk)
        } else {
            row(z, head * rdv + at - 2 * dk - rdv)
        };
        assert_eq!(row(fused, n), expected, "row {n}");
    }
}

#[test]
fn mlx_holds_the_stacked_model_within_a_step() {
    let spec = Spec { mtp: false, ..Spec::wide() };
    let (_, hf) = written(&spec, F32);
    for (bits, group) in [(2, 128), (3, 64), (4, 32), (5, 128), (6, 32), (8, 64)] {
        let layout = Layout::Mlx { bits, group, router_bits: None, dtype: Float::F32 };
        let (_, mlx) = written(&spec, layout);
        for (name, entry) in mlx.iter().filter(|(name, _)| !name.ends_with("ses")) {
            let Some(module) = name.strip_suffix(".weight").filter(|_| entry.0 == Dtype::U32)
            else {
                continue;
            };
            let scales = values(&mlx[&format!("{module}.scales")]);
            let biases = values(&mlx[&format!("{module}.biases")]);
            let quantized = affine::Affine { words: words(entry), scales, biases };
            let got = affine::dequantize(&quantized, bits, group);
            let hf_name = module
                .replace("language_model.model.", "model.language_model.")
                .replace("language_model.lm_head", "lm_head");
            let want = match hf_name.split_once("switch_mlp.") {
                Some((at, matrix)) => (0..spec.experts)
                    .flat_map(|e| {
                        let name = format!("{at}experts.{e}.{matrix}.weight");
                        canonical(&hf, &name, spec.moe_intermediate_size).expect("an expert")
                    })
                    .collect(),
                None => values(&hf[&format!("{hf_name}.weight")]),
            };
            assert_eq!(got.len(), want.len(), "{name}");
            for (n, (got, want)) in got.iter().zip(&want).enumerate() {
                // The far end may lie a whole step away where zero is met.
                let step = quantized.scales[n / group].abs() * 1.01;
                assert!((got - want).abs() <= step, "{name} {n} at {bits} bits: {got}, {want}");
            }
        }
        let norm = "layers.0.input_layernorm.weight";
        let shifted = values(&mlx[&format!("language_model.model.{norm}")]);
        let plain = values(&hf[&format!("model.language_model.{norm}")]);
        assert!(shifted.iter().zip(&plain).all(|(a, b)| *a == 1.0 + b), "norms are 1 + w");
    }
}

#[test]
fn fp8_holds_the_stacked_model_within_its_fraction() {
    let spec = Spec::partial_blocks();
    let (_, hf) = written(&spec, F32);
    let (_, eight) = written(&spec, Layout::Fp8);
    let mut seen = 0;
    for (name, (dtype, shape, codes)) in &eight {
        if *dtype != Dtype::F8_E4M3 {
            continue;
        }
        let scales = values(&eight[&format!("{name}_scale_inv")]);
        let scales = scales.into_iter().map(bf16::from_f32).collect();
        let blocks = fp8::Blocks { codes: codes.clone(), scales };
        let want = canonical(&hf, name, spec.moe_intermediate_size).expect("a twin");
        let largest = want.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        for (got, want) in fp8::dequantize(&blocks, shape[1]).iter().zip(&want) {
            // Half of the last of three bits, and half of the smallest step of a block.
            let bound = want.abs() / 15.0 + largest / 448.0 / 1024.0;
            assert!((got - want).abs() <= bound, "{name}: {got} for {want}");
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen} matrices");
}

#[test]
fn affine_rule_and_packing_are_those_of_mlx() {
    let path = fixtures().join("mlx_quant_vectors.safetensors");
    let bytes = fs::read(&path).expect("the vectors are in the tree");
    let file = SafeTensors::deserialize(&bytes).expect("a valid file");
    let entry = |name: &str| {
        let view = file.tensor(name).expect("a vector");
        (view.dtype(), view.shape().to_vec(), view.data().to_vec())
    };
    let source = values(&entry("w_bf16"));
    for bits in affine::BITS {
        for group in affine::GROUPS {
            let named = |part: &str| entry(&format!("b{bits}_g{group}.{part}"));
            let got = affine::quantize(&source, bits, group);
            let at = format!("{bits} bits, group {group}");
            assert_eq!(got.words, words(&named("weight")), "words, {at}");
            let rounded = |all: &[f32]| -> Vec<u16> {
                all.iter().map(|&x| bf16::from_f32(x).to_bits()).collect()
            };
            let stored = |entry: &Entry| rounded(&values(entry));
            assert_eq!(rounded(&got.scales), stored(&named("scales")), "scales, {at}");
            assert_eq!(rounded(&got.biases), stored(&named("biases")), "biases, {at}");
            let read = affine::Affine {
                words: got.words,
                scales: values(&named("scales")),
                biases: values(&named("biases")),
            };
            let expected = values(&named("dequant_f32"));
            assert_eq!(affine::dequantize(&read, bits, group), expected, "values, {at}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_by_field() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = Spec::default;
    let mlx = |bits, group| Layout::Mlx { bits, group, router_bits: None, dtype: Float::F32 };
    let next = Layout::Qwen3Next { dtype: Float::F32 };
    let cases: Vec<(&str, Spec, Form)> = vec![
        ("hidden_size", Spec { hidden_size: 0, ..spec() }, F32.into()),
        ("interval", Spec { interval: 0, ..spec() }, F32.into()),
        ("kv_heads", Spec { kv_heads: 0, ..spec() }, F32.into()),
        ("heads", Spec { kv_heads: 3, ..spec() }, F32.into()),
        ("linear_value_heads", Spec { linear_key_heads: 3, ..spec() }, F32.into()),
        ("experts_per_token", Spec { experts_per_token: 9, ..spec() }, F32.into()),
        ("layer_types", Spec { layer_types: Some(vec![Mixer::Full]), ..spec() }, F32.into()),
        ("rotary_factor", Spec { rotary_factor: 0.3, ..spec() }, F32.into()),
        ("rotary_factor", Spec { rotary_factor: f64::NAN, ..spec() }, F32.into()),
        ("rope_theta", Spec { rope_theta: -1.0, ..spec() }, F32.into()),
        ("vocab_size", Spec { vocab_size: 200, ..spec() }, F32.into()),
        ("shards", spec(), Form { shards: 0, ..F32.into() }),
        ("shards", spec(), Form { shards: 100_000, ..F32.into() }),
        ("multimodal", spec(), Form { multimodal: true, ..next.into() }),
        ("bits", spec(), mlx(7, 64).into()),
        ("group", spec(), mlx(4, 48).into()),
    ];
    for (expected, spec, form) in cases {
        let refusal = tiny::write(dir.path(), &spec, form).expect_err(expected);
        let line = refusal.to_string();
        assert!(!line.contains('\n'), "one line: {line}");
        match refusal {
            TinyError::Spec { field, .. } => assert_eq!(field, expected, "{line}"),
            other => panic!("{expected}: {other}"),
        }
    }
    let file = dir.path().join("a file");
    fs::write(&file, "").expect("a file");
    let refusal = tiny::write(&file.join("below"), &Spec::default(), F32);
    assert!(matches!(refusal, Err(TinyError::Write { .. })), "{refusal:?}");
}
