//! The `config.json` of each layout, with the keys that the real ones have.

use serde_json::{Map, Value, json};

use super::encode::{affine_of, is_fp8, module};
use super::fp8;
use super::layout::{Form, Layout};
use super::spec::Spec;
use super::weights::{Kind, Tensor};

/// The config of `form`; `end_of_text` is the id that the config names as end, and `tensors` are
/// the arranged ones.
pub(crate) fn config(spec: &Spec, form: &Form, end_of_text: usize, tensors: &[Tensor]) -> Value {
    let mut text = dimensions(spec);
    text.insert("eos_token_id".to_owned(), json!(end_of_text));
    let dtype = form.layout.float().name();
    if form.layout.is_next() {
        next_keys(spec, dtype, &mut text);
        return Value::Object(text);
    }
    text_keys(spec, form, dtype, &mut text);
    let mut config = if form.multimodal { around(spec, text) } else { flat(spec, text) };
    match form.layout {
        Layout::Fp8 => {
            config.insert("quantization_config".to_owned(), fp8_config(tensors));
        }
        Layout::Mlx { bits, group, .. } => {
            let quantization = affine_config(form.layout, bits, group, tensors);
            config.insert("quantization".to_owned(), quantization.clone());
            config.insert("quantization_config".to_owned(), quantization);
        }
        _ => {}
    }
    Value::Object(config)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What all configs say in the same words.
fn dimensions(spec: &Spec) -> Map<String, Value> {
    object(json!({
        "attention_bias": false,
        "attention_dropout": 0.0,
        "head_dim": spec.head_dim,
        "hidden_act": "silu",
        "hidden_size": spec.hidden_size,
        "initializer_range": 0.02,
        "linear_conv_kernel_dim": spec.conv_kernel,
        "linear_key_head_dim": spec.linear_key_dim,
        "linear_num_key_heads": spec.linear_key_heads,
        "linear_num_value_heads": spec.linear_value_heads,
        "linear_value_head_dim": spec.linear_value_dim,
        "max_position_embeddings": spec.max_positions,
        "mlp_only_layers": [],
        "moe_intermediate_size": spec.moe_intermediate_size,
        "num_attention_heads": spec.heads,
        "num_experts": spec.experts,
        "num_experts_per_tok": spec.experts_per_token,
        "num_hidden_layers": spec.layers,
        "num_key_value_heads": spec.kv_heads,
        "rms_norm_eps": spec.rms_norm_eps,
        "router_aux_loss_coef": 0.001,
        "shared_expert_intermediate_size": spec.shared_intermediate_size,
        "use_cache": true,
        "vocab_size": spec.vocab_size,
    }))
}

fn layer_types(spec: &Spec) -> Value {
    spec.mixers().iter().map(|mixer| mixer.name()).collect()
}

/// Qwen3.5. Multimodal configs list the layers, as published; a flat one leaves it to the
/// interval where there is one, as the specification of the format allows.
fn text_keys(spec: &Spec, form: &Form, dtype: &str, text: &mut Map<String, Value>) {
    // The rotary pairs dealt out to time, height and width, like 32 pairs as 11, 11, 10.
    let pairs = spec.rotary_dim() / 2;
    let section: Vec<usize> = (0..3).map(|n| (pairs + 2 - n) / 3).collect();
    text.extend(object(json!({
        "attn_output_gate": true,
        "dtype": dtype,
        "mamba_ssm_dtype": "float32",
        "model_type": "qwen3_5_moe_text",
        "mtp_num_hidden_layers": usize::from(spec.mtp),
        "mtp_use_dedicated_embeddings": false,
        "rope_parameters": {
            "mrope_interleaved": true,
            "mrope_section": section,
            "partial_rotary_factor": spec.rotary_factor,
            "rope_theta": spec.rope_theta,
            "rope_type": "default",
        },
    })));
    mixer_keys(spec, form.multimodal, text);
}

fn mixer_keys(spec: &Spec, always_listed: bool, text: &mut Map<String, Value>) {
    if spec.layer_types.is_none() {
        text.insert("full_attention_interval".to_owned(), json!(spec.interval));
    }
    if always_listed || spec.layer_types.is_some() {
        text.insert("layer_types".to_owned(), layer_types(spec));
    }
}

fn around(spec: &Spec, text: Map<String, Value>) -> Map<String, Value> {
    object(json!({
        "architectures": ["Qwen3_5MoeForConditionalGeneration"],
        "model_type": "qwen3_5_moe",
        "text_config": text,
        "tie_word_embeddings": spec.tie_word_embeddings,
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "model_type": "qwen3_5_moe",
            "num_heads": 2,
            "out_hidden_size": spec.hidden_size,
        },
    }))
}

fn flat(spec: &Spec, mut text: Map<String, Value>) -> Map<String, Value> {
    text.insert("architectures".to_owned(), json!(["Qwen3_5MoeForCausalLM"]));
    text.insert("tie_word_embeddings".to_owned(), json!(spec.tie_word_embeddings));
    text
}

fn next_keys(spec: &Spec, dtype: &str, text: &mut Map<String, Value>) {
    text.extend(object(json!({
        "architectures": ["Qwen3NextForCausalLM"],
        "decoder_sparse_step": 1,
        "intermediate_size": 2 * spec.hidden_size,
        "model_type": "qwen3_next",
        "norm_topk_prob": true,
        "output_router_logits": false,
        "partial_rotary_factor": spec.rotary_factor,
        "rope_scaling": null,
        "rope_theta": spec.rope_theta,
        "tie_word_embeddings": spec.tie_word_embeddings,
        "torch_dtype": dtype,
        "use_sliding_window": false,
    })));
    mixer_keys(spec, false, text);
}

fn fp8_config(tensors: &[Tensor]) -> Value {
    let kept = |tensor: &&Tensor| tensor.shape.len() > 1 && !is_fp8(tensor.kind);
    let mut modules: Vec<&str> = tensors.iter().filter(kept).map(|t| module(&t.name)).collect();
    modules.sort_unstable();
    json!({
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_per_tensor": false,
        "act_per_tensor": false,
        "weight_block_size": [fp8::BLOCK, fp8::BLOCK],
        "modules_to_not_convert": modules,
    })
}

fn affine_config(layout: Layout, bits: u32, group: usize, tensors: &[Tensor]) -> Value {
    let mut config = object(json!({ "group_size": group, "bits": bits, "mode": "affine" }));
    let Layout::Mlx { router_bits: Some(_), .. } = layout else { return Value::Object(config) };
    for tensor in tensors.iter().filter(|tensor| tensor.kind == Kind::Gate) {
        if let Some((bits, group)) = affine_of(layout, tensor.kind, &tensor.shape) {
            let own = json!({ "group_size": group, "bits": bits });
            config.insert(module(&tensor.name).to_owned(), own);
        }
    }
    Value::Object(config)
}
