//! An inspection as JSON: the config under the names of `config.json`, all sizes in bytes.

use serde_json::{Map, Value, json};

use super::{Class, ClassSize, Ignored, Inspection};
use crate::config::{Config, Family, KeyHeadRule, Mixer, Quantization};

pub(super) fn inspection(inspection: &Inspection) -> Value {
    json!({
        "config": config(&inspection.config),
        "distinct_layers": inspection.config.distinct_layers(),
        "classes": inspection.classes.iter().map(class).collect::<Vec<Value>>(),
        "trunk_bytes": inspection.trunk_bytes,
        "expert_bytes": inspection.expert_bytes,
        "record_bytes": inspection.record_bytes,
        "record_extents": inspection.record_extents,
        "touched_bytes_per_token": inspection.touched_bytes_per_token,
        "ignored": inspection.ignored.iter().map(ignored).collect::<Vec<Value>>(),
        "unlisted": inspection.unlisted.iter().map(|tensor| json!({
            "name": tensor.name,
            "dtype": tensor.dtype.name(),
            "shape": tensor.shape,
            "bytes": tensor.bytes,
        })).collect::<Vec<Value>>(),
    })
}

fn class(size: &ClassSize) -> Value {
    json!({
        "class": size.class.name(),
        "dtype": size.dtype,
        "bits": size.bits_per_weight(),
        "count": size.tensors,
        "bytes": size.bytes,
    })
}

fn ignored(tensor: &Ignored) -> Value {
    json!({
        "name": tensor.name,
        "class": Class::from(tensor.kind).name(),
        "dtype": tensor.dtype.name(),
        "shape": tensor.shape,
        "bytes": tensor.bytes,
    })
}

fn config(config: &Config) -> Value {
    let names: Vec<&str> = config.mixers.iter().copied().map(Mixer::name).collect();
    json!({
        "model_type": match config.family {
            Family::Qwen35Moe => "qwen3_5_moe",
            Family::Qwen3Next => "qwen3_next",
        },
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers(),
        "layer_types": names,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "rotary_dim": config.rotary_dim,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_norm_eps,
        "linear_num_key_heads": config.linear_key_heads,
        "linear_num_value_heads": config.linear_value_heads,
        "linear_key_head_dim": config.linear_key_dim,
        "linear_value_head_dim": config.linear_value_dim,
        "linear_conv_kernel_dim": config.conv_kernel,
        "key_head_rule": match config.key_head_rule {
            KeyHeadRule::Grouped => "grouped",
            KeyHeadRule::Tiled => "tiled",
        },
        "num_experts": config.experts,
        "num_experts_per_tok": config.experts_per_token,
        "norm_topk_prob": config.renormalize,
        "moe_intermediate_size": config.moe_intermediate_size,
        "shared_expert_intermediate_size": config.shared_intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": config.tie_word_embeddings,
        "mtp_num_hidden_layers": config.mtp_layers,
        "quantization": quantization(&config.quantization),
    })
}

fn quantization(quantization: &Quantization) -> Value {
    match quantization {
        Quantization::None => Value::Null,
        Quantization::Affine(affine) => {
            let modules: Map<String, Value> = affine
                .modules
                .iter()
                .map(|(module, width)| {
                    let width = width.map(|own| json!({"bits": own.bits, "group_size": own.group}));
                    (module.clone(), width.unwrap_or(Value::Bool(false)))
                })
                .collect();
            json!({
                "mode": "affine",
                "bits": affine.default.bits,
                "group_size": affine.default.group,
                "modules": modules,
            })
        }
        Quantization::Fp8 { block_rows, block_cols } => json!({
            "quant_method": "fp8",
            "weight_block_size": [block_rows, block_cols],
        }),
    }
}
