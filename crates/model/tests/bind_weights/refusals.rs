//! Checkpoints that do not fit their config, or are stored in a way that is not run: refused by name.

use format::DType::{self, BF16, F8E4M3, F8E5M2, F8E8M0, F16, F32, F64, I8, I32, U8, U32};
use model::ModelError;
use model::tiny::{Layout, Spec};
use serde_json::json;

use crate::checkpoint::{EACH, HF, Headers, MLX, NEXT};

/// Both kinds of layers, small.
fn spec() -> Spec {
    Spec { layers: 2, interval: 2, ..Spec::default() }
}

/// The error as a line, which names the tensor.
fn refused(headers: &Headers, tensor: &str) -> (ModelError, String) {
    let Err(error) = headers.bind() else { panic!("{tensor}: it binds") };
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control), "one line: {line:?}");
    assert!(line.contains(tensor), "{tensor} is named: {line}");
    (error, line)
}

#[test]
fn every_missing_tensor_is_named() {
    for layout in [HF, EACH, NEXT, MLX, Layout::Fp8] {
        let whole = Headers::tiny(&spec(), layout);
        let read = |name: &&String| {
            !["mtp.", "model.visual.", "vision_tower."].iter().any(|other| name.starts_with(other))
        };
        let names: Vec<&String> = whole.tensors.keys().filter(read).collect();
        assert!(names.len() > 30, "{layout:?}: {} tensors", names.len());
        for name in names {
            let mut headers = whole.clone();
            headers.tensors.remove(name);
            // Without the tensor that shows the form, the names of all forms are given; without
            // the fused projections, the split ones are looked for.
            let said = name.replace("in_proj_qkvz", "in_proj_qkv");
            refused(&headers, &said);
        }
    }
}

#[test]
fn every_wrong_shape_is_named() {
    for layout in [HF, EACH, NEXT, MLX, Layout::Fp8] {
        let whole = Headers::tiny(&spec(), layout);
        for (name, (_, shape)) in &whole.tensors {
            if ["mtp.", "model.visual.", "vision_tower."].iter().any(|p| name.starts_with(p)) {
                continue;
            }
            let (last, before) = shape.split_last().expect("a dimension");
            let mut others = vec![
                [before, &[last + 1]].concat(),
                [before, &[0]].concat(),
                [shape.as_slice(), &[1]].concat(),
                before.to_vec(),
            ];
            if *last == 1 {
                others.remove(3);
            }
            if let [first, rest @ ..] = shape.as_slice() {
                others.push([&[first + 1], rest].concat());
            }
            for other in others {
                let mut headers = whole.clone();
                headers.tensors.get_mut(name).expect("it is there").1 = other.clone();
                // Scales beside weights of another width make the weights what is wrong.
                let module = name.trim_end_matches("scales").trim_end_matches("biases");
                let (error, line) = refused(&headers, module);
                let fits = matches!(
                    error,
                    ModelError::WrongShape { .. } | ModelError::WrongQuantization { .. }
                );
                assert!(fits, "{name} as {other:?}: {line}");
            }
        }
    }
}

#[test]
fn every_wrong_dtype_is_named() {
    // What one kind of tensor may be, another may not.
    let cases: [(Layout, &str, &[DType]); 8] = [
        (HF, "q_proj.weight", &[F64, F8E5M2, I8, I32, U8, U32, F8E4M3]),
        (HF, "gate_up_proj", &[F64, F8E4M3, F8E5M2, I32, U8, U32]),
        (EACH, "experts.7.down_proj.weight", &[F64, F16, F32, U32, I8]),
        (HF, "A_log", &[I32, F8E4M3, U32, U8]),
        (HF, "language_model.norm.weight", &[U8, I8, F8E8M0]),
        (MLX, "q_proj.weight", &[I32, U8, F32, BF16]),
        (MLX, "q_proj.scales", &[U8, F8E4M3, U32, F16]),
        (Layout::Fp8, "q_proj.weight_scale_inv", &[U8, F8E8M0, F64]),
    ];
    for (layout, ending, dtypes) in cases {
        let whole = Headers::tiny(&spec(), layout);
        let name = whole.named(ending);
        for &dtype in dtypes {
            let mut headers = whole.clone();
            headers.tensors.get_mut(&name).expect("it is there").0 = dtype;
            let module = name.trim_end_matches(".weight").trim_end_matches(".scales");
            let (_, line) = refused(&headers, module);
            // Words without scales: the scales are what is missing.
            let packed = dtype == U32 && line.contains("scales");
            let (name, short) = (dtype.name(), dtype.name().to_lowercase());
            let found = line.contains(name) || line.contains(&format!("found {short}"));
            assert!(packed || found && line.contains("accepted: "), "{dtype}: {line}");
        }
    }
    // Every float that a norm can be read from.
    for dtype in [F64, F32, F16, BF16] {
        let mut headers = Headers::tiny(&spec(), HF);
        let name = headers.named("q_norm.weight");
        headers.tensors.get_mut(&name).expect("it is there").0 = dtype;
        headers.bind().expect("a float");
    }
}

#[test]
fn a_config_of_another_size_is_refused() {
    let cases: [(&str, i32, &str); 18] = [
        ("hidden_size", 128, "embed_tokens"),
        ("vocab_size", 511, "embed_tokens"),
        ("num_hidden_layers", 1, "layers.1."),
        ("num_hidden_layers", 3, "layers.2."),
        ("num_attention_heads", 8, "q_proj"),
        ("num_key_value_heads", 1, "k_proj"),
        ("head_dim", 64, "q_proj"),
        ("linear_num_key_heads", 1, "in_proj_qkv"),
        ("linear_num_value_heads", 4, "in_proj_qkv"),
        ("linear_key_head_dim", 8, "in_proj_qkv"),
        ("linear_value_head_dim", 8, "in_proj_qkv"),
        ("linear_conv_kernel_dim", 3, "conv1d"),
        ("num_experts", 7, "mlp.gate"),
        ("num_experts", 9, "mlp.gate"),
        ("moe_intermediate_size", 16, "experts."),
        ("shared_expert_intermediate_size", 32, "shared_expert.gate_proj"),
        ("full_attention_interval", 1, "layers.0.self_attn"),
        ("full_attention_interval", 3, "layers.1.linear_attn"),
    ];
    for layout in [HF, EACH, NEXT] {
        let whole = Headers::tiny(&spec(), layout);
        for (field, value, tensor) in cases {
            let mut headers = whole.clone();
            let text = headers.text();
            text.remove("layer_types");
            text.insert("full_attention_interval".to_owned(), json!(2));
            text.insert(field.to_owned(), json!(value));
            refused(&headers, tensor);
        }
        let mut headers = whole.clone();
        headers.text().insert("layer_types".to_owned(), json!(["full_attention"; 2].to_vec()));
        refused(&headers, "layers.0.self_attn.q_proj.weight");
    }
    // A router that fits does not hide that there are more experts, or more layers.
    let mut headers = Headers::tiny(&spec(), EACH);
    headers.text().insert("num_experts".to_owned(), json!(7));
    for layer in 0..2 {
        let router = headers.named(&format!("layers.{layer}.mlp.gate.weight"));
        headers.tensors.get_mut(&router).expect("it is there").1[0] = 7;
    }
    let (_, line) = refused(&headers, "layers.0.mlp.experts.7.");
    assert!(line.contains("num_experts 7"), "{line}");
    let mut headers = Headers::tiny(&spec(), HF);
    headers.text().insert("num_hidden_layers".to_owned(), json!(1));
    headers.text().insert("layer_types".to_owned(), json!(["linear_attention"]));
    let (_, line) = refused(&headers, "layers.1.");
    assert!(line.contains("num_hidden_layers 1"), "{line}");
}

#[test]
fn an_untied_model_needs_its_head() {
    let mut headers = Headers::tiny(&spec(), HF);
    headers.rename("lm_head.weight", None);
    let (_, line) = refused(&headers, "lm_head.weight");
    assert!(line.contains("tie_word_embeddings"), "{line}");
    headers.config["tie_word_embeddings"] = json!(true);
    assert!(headers.bind().expect("tied").weights.head.is_none(), "the embedding");
}

#[test]
fn a_width_that_config_and_shapes_do_not_share_is_refused() {
    let whole = Headers::tiny(&spec(), MLX);
    let gate = "language_model.model.layers.0.mlp.gate";
    let both = |headers: &Headers, tensor: &str, found: &str, accepted: &str| {
        let (error, line) = refused(headers, tensor);
        assert!(matches!(error, ModelError::WrongQuantization { .. }), "{line}");
        assert!(line.contains(&format!("found {found}")), "{found}: {line}");
        assert!(line.contains(&format!("accepted: {accepted}")), "{accepted}: {line}");
    };
    let mut headers = whole.clone();
    headers.config["quantization"]["bits"] = json!(8);
    both(&headers, "embed_tokens.weight", "4 bits in groups of 64", "8 bits in groups of 64");
    let mut headers = whole.clone();
    headers.config["quantization"]["group_size"] = json!(32);
    both(&headers, "embed_tokens.weight", "4 bits in groups of 64", "4 bits in groups of 32");
    let mut headers = whole.clone();
    headers.config["quantization"].as_object_mut().expect("an object").remove(gate);
    both(&headers, gate, "8 bits in groups of 64", "4 bits in groups of 64");
    let mut headers = whole.clone();
    headers.config["quantization"][gate] = json!(false);
    both(&headers, gate, "U32 weights", "floats, as config.json says");
    let mut headers = whole.clone();
    headers.config.as_object_mut().expect("an object").remove("quantization");
    headers.config.as_object_mut().expect("an object").remove("quantization_config");
    both(&headers, "embed_tokens.weight", "U32 weights", "a field \"quantization\"");
    let mut headers = whole.clone();
    headers.config["quantization"]["group_size"] = json!(128);
    both(&headers, "embed_tokens.weight", "U32 weights", "floats, since rows of 64");
    // A stack of experts, and floats where the config has a width.
    let mut headers = whole.clone();
    let down = headers.named("layers.0.mlp.switch_mlp.gate_proj.weight");
    let at = down.trim_end_matches(".weight");
    headers.config["quantization"][at] = json!({"bits": 6, "group_size": 64});
    both(&headers, &down, "4 bits in groups of 64", "6 bits in groups of 64");
    let mut headers = Headers::tiny(&spec(), HF);
    let q = headers.named("q_proj.weight");
    headers.config["quantization"] = json!({"bits": 4, "group_size": 64, q.trim_end_matches(".weight"): {"bits": 4, "group_size": 64}});
    both(&headers, &q, "BF16 weights", "4 bits in groups of 64");
    // FP8 that the config knows nothing of.
    let mut headers = Headers::tiny(&spec(), Layout::Fp8);
    headers.config.as_object_mut().expect("an object").remove("quantization_config");
    both(&headers, ".weight", "F8_E4M3", "a quantization_config");
}

#[test]
fn quantisations_that_are_not_run_are_refused() {
    let foreign = [
        ("qweight", I32),
        ("qzeros", I32),
        ("g_idx", I32),
        ("weight_packed", U8),
        ("weight_scale", F8E4M3),
        ("weight_scale_2", F32),
        ("weight_global_scale", F32),
        ("input_scale", F32),
        ("input_global_scale", F32),
        ("scales", U8),
        ("weight", U8),
        ("absmax", F32),
    ];
    let whole = Headers::tiny(&spec(), HF);
    for (suffix, dtype) in foreign {
        let mut headers = whole.clone();
        // In place of the weights, as these publishers have it.
        let q = headers.rename("q_proj.weight", None);
        let name = q.replace("q_proj.weight", &format!("q_proj.{suffix}"));
        headers.tensors.insert(name.clone(), (dtype, vec![256, 64]));
        let (error, line) = refused(&headers, &name);
        assert!(matches!(error, ModelError::WrongQuantization { .. }), "{line}");
        assert!(line.contains(dtype.name()) && line.contains("MLX affine"), "{line}");
        // A vision tower or the mtp block is not run anyway.
        for at in ["model.visual.blocks.0", "mtp.layers.0.mlp"] {
            let mut headers = whole.clone();
            headers.tensors.insert(format!("{at}.{suffix}"), (dtype, vec![4]));
            headers.bind().expect("not read");
        }
    }
}

#[test]
fn what_would_change_a_result_is_not_passed_over() {
    let cases = [
        (HF, "q_proj.bias", "q_proj.weight", "biases"),
        (HF, "input_layernorm.bias", "input_layernorm.weight", "biases"),
        (HF, "q_proj.scales", "q_proj.weight", "weights alone"),
        (HF, "q_proj.weight_scale_inv", "q_proj.weight", "weights alone"),
    ];
    for (layout, suffix, beside, says) in cases {
        let mut headers = Headers::tiny(&spec(), layout);
        let (_, suffix) = suffix.rsplit_once('.').expect("a suffix");
        let weight = headers.named(beside);
        let name = weight.replace(".weight", &format!(".{suffix}"));
        headers.tensors.insert(name.clone(), (BF16, vec![64]));
        let (_, line) = refused(&headers, &name);
        assert!(line.contains(says), "{says}: {line}");
    }
    // One expert in another storage: records of one bank are alike.
    let mut headers = Headers::tiny(&spec(), EACH);
    let name = headers.named("layers.0.mlp.experts.3.up_proj.weight");
    headers.tensors.get_mut(&name).expect("it is there").0 = F16;
    let (_, line) = refused(&headers, &name);
    assert!(line.contains("found f16") && line.contains("bf16, as the first"), "{line}");
    // Half converted: the names of MLX, the convolution of HF. Nothing says what the norms hold.
    let mut headers = Headers::tiny(&spec(), MLX);
    let conv = headers.named("conv1d.weight");
    headers.tensors.get_mut(&conv).expect("it is there").1.swap(1, 2);
    let (error, line) = refused(&headers, &conv);
    assert!(matches!(error, ModelError::WrongShape { .. }), "{line}");
}

#[test]
fn another_architecture_is_refused_with_the_names_that_are_known() {
    let mut headers = Headers::tiny(&spec(), HF);
    headers.rename("embed_tokens.weight", Some("transformer.wte.weight"));
    let (error, line) = refused(&headers, "model.language_model.embed_tokens.weight");
    assert!(matches!(error, ModelError::UnknownLayout { .. }), "{line}");
    let mut headers = Headers::tiny(&spec(), HF);
    headers.rename("layers.0.mlp.experts.gate_up_proj", None);
    let (_, line) = refused(&headers, "layers.0.mlp.switch_mlp.gate_proj.weight");
    assert!(line.contains("experts.0.gate_proj.weight"), "all forms: {line}");
    // A name of strangers stays one short line.
    let mut headers = Headers::tiny(&spec(), HF);
    let name = format!("a\nb{}.qweight", "x".repeat(5000));
    headers.tensors.insert(name, (I32, vec![1]));
    let (_, line) = refused(&headers, "\"a\\nbxxx");
    assert!(line.len() < 500, "short: {line}");
}
