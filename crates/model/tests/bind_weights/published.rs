//! The shapes of the published models, 35B to 397B, in each layout that they are published in.

use std::collections::BTreeMap;
use std::fs;

use format::DType;
use kernels::{Float, Quant};
use model::{Inspection, UnusedKind};
use serde_json::{Map, Value, json};

use crate::checkpoint::{Headers, open, repository};

/// A published model: its table of shapes, and the numbers that its card gives.
struct Published {
    name: &'static str,
    layers: usize,
    heads: usize,
    value_heads: usize,
    experts: usize,
    chosen: usize,
    inner: usize,
    hidden: usize,
    /// Bytes of an expert in MLX's 4 bits.
    mlx_record: u64,
}

const MODELS: [Published; 3] = [
    Published {
        name: "35B-A3B",
        layers: 40,
        heads: 16,
        value_heads: 32,
        experts: 256,
        chosen: 8,
        inner: 512,
        hidden: 2048,
        mlx_record: 1_769_472,
    },
    Published {
        name: "122B-A10B",
        layers: 48,
        heads: 32,
        value_heads: 64,
        experts: 256,
        chosen: 8,
        inner: 1024,
        hidden: 3072,
        mlx_record: 5_308_416,
    },
    Published {
        name: "397B-A17B",
        layers: 60,
        heads: 32,
        value_heads: 64,
        experts: 512,
        chosen: 10,
        inner: 1024,
        hidden: 4096,
        mlx_record: 7_077_888,
    },
];

impl Published {
    fn config(&self) -> Value {
        json!({
            "model_type": "qwen3_5_moe",
            "tie_word_embeddings": false,
            "text_config": {
                "model_type": "qwen3_5_moe_text",
                "hidden_size": self.hidden,
                "num_hidden_layers": self.layers,
                "full_attention_interval": 4,
                "num_attention_heads": self.heads,
                "num_key_value_heads": 2,
                "head_dim": 256,
                "linear_num_key_heads": 16,
                "linear_num_value_heads": self.value_heads,
                "linear_key_head_dim": 128,
                "linear_value_head_dim": 128,
                "linear_conv_kernel_dim": 4,
                "num_experts": self.experts,
                "num_experts_per_tok": self.chosen,
                "moe_intermediate_size": self.inner,
                "shared_expert_intermediate_size": self.inner,
                "vocab_size": 248_320,
                "rms_norm_eps": 1e-6,
                "max_position_embeddings": 262_144,
                "hidden_act": "silu",
                "mtp_num_hidden_layers": 1,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 10_000_000,
                    "partial_rotary_factor": 0.25,
                },
            },
        })
    }

    /// BF16 as published; the table has one layer of each kind.
    fn headers(&self) -> Headers {
        let path = repository(&format!("tests/fixtures/shapes/shapes-{}.json", self.name));
        let table: Value = serde_json::from_slice(&fs::read(path).expect("a table")).expect("JSON");
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &Value| {
            let f32 = name.ends_with("A_log") || name.ends_with("linear_attn.norm.weight");
            let dtype = if f32 { DType::F32 } else { DType::BF16 };
            let dims = shape.as_array().expect("a shape").iter();
            let shape = dims.map(|dim| dim.as_u64().expect("a number") as usize).collect();
            tensors.insert(name, (dtype, shape));
        };
        let part = |name: &str| -> Map<String, Value> {
            table[name].as_object().expect("a part of the table").clone()
        };
        for (name, shape) in part("globals") {
            add(name, &shape);
        }
        for layer in 0..self.layers {
            let full = (layer + 1) % 4 == 0;
            let (kind, own) = if full { ("full_layer(3)", 3) } else { ("linear_layer(0)", 0) };
            for (name, shape) in part(kind) {
                let at = format!("layers.{own}.");
                add(name.replace(&at, &format!("layers.{layer}.")), &shape);
            }
        }
        for (name, shape) in part("mtp") {
            let experts = if name.contains(".experts.0.") { self.experts } else { 1 };
            for e in 0..experts {
                add(name.replace(".experts.0.", &format!(".experts.{e}.")), &shape);
            }
        }
        for (name, shape) in part("visual(block 0 and non-block)") {
            let blocks = if name.contains("blocks.0.") { 27 } else { 1 };
            for n in 0..blocks {
                add(name.replace("blocks.0.", &format!("blocks.{n}.")), &shape);
            }
        }
        Headers { config: self.config(), tensors }
    }

    /// The official block-FP8: experts one by one, most matrices with scales.
    fn fp8(&self) -> Headers {
        let mut headers = self.headers();
        headers.config["quantization_config"] =
            json!({"quant_method": "fp8", "weight_block_size": [128, 128]});
        let (inner, hidden) = (self.inner, self.hidden);
        let mut tensors = BTreeMap::new();
        for (name, (dtype, shape)) in headers.tensors {
            let mut parts = vec![(name.clone(), dtype, shape.clone())];
            if let Some(at) = name.strip_suffix("gate_up_proj") {
                parts = (0..self.experts)
                    .flat_map(|e| ["gate", "up"].map(|m| format!("{at}{e}.{m}_proj.weight")))
                    .map(|name| (name, dtype, vec![inner, hidden]))
                    .collect();
            } else if let Some(at) = name.strip_suffix("experts.down_proj") {
                let down = |e| format!("{at}experts.{e}.down_proj.weight");
                parts = (0..self.experts).map(|e| (down(e), dtype, vec![hidden, inner])).collect();
            }
            for (name, dtype, shape) in parts {
                let kept = ["in_proj_a.weight", "in_proj_b.weight", "conv1d.weight", "norm.weight"];
                let fp8 = name.ends_with("_proj.weight")
                    || name.ends_with("in_proj_qkv.weight")
                    || name.ends_with("in_proj_z.weight");
                if fp8 && !name.contains("visual") && !kept.iter().any(|k| name.ends_with(k)) {
                    let blocks = shape.iter().map(|dim| dim.div_ceil(128)).collect();
                    tensors.insert(format!("{name}_scale_inv"), (DType::BF16, blocks));
                    tensors.insert(name, (DType::F8E4M3, shape));
                } else {
                    tensors.insert(name, (dtype, shape));
                }
            }
        }
        headers.tensors = tensors;
        headers
    }

    /// MLX in 4 bits throughout, as the first conversions were.
    fn mlx(&self) -> Headers {
        let mut headers = self.headers();
        headers.config["quantization"] = json!({"group_size": 64, "bits": 4, "mode": "affine"});
        let mut tensors = BTreeMap::new();
        for (name, (dtype, mut shape)) in headers.tensors {
            if name.starts_with("mtp.") || name.starts_with("model.visual.") {
                continue;
            }
            let name = name.replace("model.language_model.", "language_model.model.");
            let name = name.replace("lm_head", "language_model.lm_head");
            if name.ends_with("conv1d.weight") {
                shape.swap(1, 2);
            }
            let stacked: Vec<(String, Vec<usize>)> = match name.split_once("experts.") {
                Some((at, "gate_up_proj")) => ["gate_proj", "up_proj"]
                    .map(|m| {
                        (format!("{at}switch_mlp.{m}"), vec![shape[0], shape[1] / 2, shape[2]])
                    })
                    .to_vec(),
                Some((at, down)) => vec![(format!("{at}switch_mlp.{down}"), shape.clone())],
                None => vec![(name.trim_end_matches(".weight").to_owned(), shape.clone())],
            };
            for (module, mut shape) in stacked {
                if shape.len() == 1 || module.ends_with("conv1d") {
                    tensors.insert(name.clone(), (dtype, shape));
                    continue;
                }
                let last = shape.len() - 1;
                let cols = shape[last];
                shape[last] = cols / 8;
                tensors.insert(format!("{module}.weight"), (DType::U32, shape.clone()));
                shape[last] = cols / 64;
                tensors.insert(format!("{module}.scales"), (DType::BF16, shape.clone()));
                tensors.insert(format!("{module}.biases"), (DType::BF16, shape));
            }
        }
        headers.tensors = tensors;
        headers
    }
}

/// What an inspection says; nothing where the file system cannot hold a file of that length.
fn inspect(headers: &Headers, at: &str) -> Option<(Inspection, usize)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Without holes in files there is no room for them.
    let written = if cfg!(windows) {
        Err(std::io::ErrorKind::Unsupported.into())
    } else {
        headers.write(dir.path())
    };
    if let Err(error) = written {
        println!("SKIP {at}: a sparse file of that length cannot be made: {error}");
        return None;
    }
    let bound = open(dir.path()).expect(at);
    let tensors = bound.catalog.len();
    Some((Inspection::new(&bound.config, &bound.catalog, &bound.weights), tensors))
}

#[test]
fn the_published_models_bind() {
    for model in MODELS {
        let (inner, hidden) = (model.inner as u64, model.hidden as u64);
        let weights = 3 * inner * hidden;
        let per_pass = (model.layers * model.experts) as u64;
        let Some((bf16, tensors)) = inspect(&model.headers(), model.name) else { continue };
        assert_eq!((bf16.record_bytes, bf16.record_extents), (2 * weights, 2), "{}", model.name);
        assert_eq!(bf16.expert_bytes, 2 * weights * per_pass, "{}", model.name);
        let count = |kind| bf16.ignored.iter().filter(|t| t.kind == kind).count();
        let kinds = [UnusedKind::Vision, UnusedKind::Mtp, UnusedKind::Other].map(count);
        // As counted in the published files: 333 of the tower, and 3 for each expert in `mtp`.
        assert_eq!(kinds, [333, 3 * model.experts + 17, 0], "{}", model.name);
        assert_eq!(
            tensors - kinds.iter().sum::<usize>(),
            text_tensors(model.layers),
            "{}",
            model.name
        );
        let mlx = model.mlx();
        let at = format!("{} in MLX", model.name);
        let Some((mlx, _)) = inspect(&mlx, &at) else { continue };
        assert_eq!((mlx.record_bytes, mlx.record_extents), (model.mlx_record, 9), "{at}");
    }
}

/// 18 tensors in a linear layer, 15 in a full one, and three around them.
fn text_tensors(layers: usize) -> usize {
    18 * (layers - layers / 4) + 15 * (layers / 4) + 3
}

#[test]
fn the_published_fp8_model_binds() {
    let [_, model, _] = &MODELS;
    let headers = model.fp8();
    // As many as are published beside the vision tower.
    let beside = headers.tensors.keys().filter(|name| !name.starts_with("model.visual."));
    assert_eq!(beside.count(), 76_323, "tensors of the 122B model in FP8");
    let Some((seen, _)) = inspect(&headers, "122B-A10B in FP8") else { return };
    let weights = 3 * model.inner as u64 * model.hidden as u64;
    // Two bytes for each block of 128 x 128.
    assert_eq!(seen.record_bytes, weights + weights / (128 * 128) * 2, "bytes of a record");
    assert_eq!(seen.record_extents, 6, "extents of a record");
    let fp8 = Quant::Fp8Block { block_rows: 128, block_cols: 128, params: Float::Bf16 };
    let experts = seen.classes.iter().find(|size| size.class == model::Class::Experts);
    assert_eq!(experts.map(|size| size.dtype.clone()), Some(fp8.to_string()), "storage");
}
