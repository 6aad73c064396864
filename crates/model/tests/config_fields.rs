//! Every field of a config, broken in every way: the error names the field, or there is a reason to accept.

use std::path::Path;

use model::tiny::{self, Float, Form, Layout, Spec};
use model::{AffineWidth, Config, Family, KeyHeadRule, ModelError, Quantization};
use serde_json::{Value, json};

const HF: Layout = Layout::HfStacked { dtype: Float::Bf16 };
const NEXT: Layout = Layout::Qwen3Next { dtype: Float::Bf16 };
const MLX: Layout = Layout::Mlx { bits: 4, group: 64, router_bits: Some(8), dtype: Float::Bf16 };

fn written(spec: &Spec, form: impl Into<Form>) -> Value {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tiny::write(dir.path(), spec, form).expect("a model can be written");
    let text = std::fs::read(dir.path().join("config.json")).expect("a config");
    serde_json::from_slice(&text).expect("JSON")
}

fn read(value: &Value) -> Result<Config, ModelError> {
    Config::read(value, Path::new("dir/config.json"))
}

/// The error as a line, checked for what every error says.
fn line(result: Result<Config, ModelError>, field: &str) -> String {
    let Err(error) = result else { panic!("{field}: accepted") };
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control), "one line: {line:?}");
    assert!(line.starts_with("dir/config.json: "), "says where: {line}");
    assert!(line.contains("found ") && line.contains("accepted: "), "found, accepted: {line}");
    let ModelError::Config { field: named, .. } = error else { panic!("of the config: {line}") };
    assert!(named.contains(field), "{field} is named: {line}");
    line
}

/// The object that `place` names by its keys.
fn object<'a>(config: &'a mut Value, place: &[&str]) -> &'a mut serde_json::Map<String, Value> {
    let mut at = config;
    for key in place {
        at = &mut at[*key];
    }
    at.as_object_mut().expect("an object")
}

/// The seven ways to break a field; `None` leaves it out.
fn breakages() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("missing", None),
        ("null", Some(Value::Null)),
        ("string", Some(json!("12"))),
        ("zero", Some(json!(0))),
        ("negative", Some(json!(-1))),
        ("fraction", Some(json!(1.5))),
        ("huge", Some(json!(1e30))),
    ]
}

/// Why some breakages are accepted.
const NEVER: &[&str] = &[];
/// The published class has a default for it, and null says as much as nothing.
const DEFAULT: &[&str] = &["missing", "null"];
/// As before, and none at all is a number of blocks.
const DEFAULT_AND_ZERO: &[&str] = &["missing", "null", "zero"];
/// It is a real number with bounds far above.
const REAL: &[&str] = &["fraction"];
/// The layers are listed, so that nothing reads it.
const UNREAD: &[&str] = &["missing", "null", "string", "zero", "negative", "fraction", "huge"];

fn break_all(base: &Value, place: &[&str], fields: &[(&str, &[&str])]) {
    for (field, accepted) in fields {
        for (how, value) in breakages() {
            let mut config = base.clone();
            let fields = object(&mut config, place);
            match value {
                None => fields.remove(*field),
                Some(value) => fields.insert((*field).to_owned(), value),
            };
            let result = read(&config);
            if accepted.contains(&how) {
                assert!(result.is_ok(), "{field} {how}: {result:?}");
            } else {
                line(result, field);
            }
        }
    }
}

const NUMBERS: [(&str, &[&str]); 22] = [
    ("hidden_size", NEVER),
    ("num_hidden_layers", NEVER),
    ("num_attention_heads", NEVER),
    ("num_key_value_heads", NEVER),
    ("head_dim", NEVER),
    ("linear_num_key_heads", NEVER),
    ("linear_num_value_heads", NEVER),
    ("linear_key_head_dim", NEVER),
    ("linear_value_head_dim", NEVER),
    ("linear_conv_kernel_dim", NEVER),
    ("num_experts", NEVER),
    ("num_experts_per_tok", NEVER),
    ("moe_intermediate_size", NEVER),
    ("shared_expert_intermediate_size", NEVER),
    ("vocab_size", NEVER),
    ("max_position_embeddings", NEVER),
    ("rms_norm_eps", NEVER),
    ("hidden_act", NEVER),
    ("attention_bias", DEFAULT),
    ("mlp_only_layers", DEFAULT),
    ("norm_topk_prob", DEFAULT),
    ("tie_word_embeddings", DEFAULT),
];

#[test]
fn each_field_broken_is_named() {
    let wrapped = written(&Spec::default(), HF);
    let text = &["text_config"];
    break_all(&wrapped, text, &NUMBERS);
    let more = [
        ("attn_output_gate", DEFAULT),
        ("mtp_num_hidden_layers", DEFAULT_AND_ZERO),
        ("full_attention_interval", UNREAD),
        // With nothing listed, the layers follow from the interval.
        ("layer_types", DEFAULT),
        // The whole file names the family too.
        ("model_type", DEFAULT),
    ];
    break_all(&wrapped, text, &more);
    let rope = [("rope_theta", REAL), ("partial_rotary_factor", NEVER), ("rope_type", DEFAULT)];
    break_all(&wrapped, &["text_config", "rope_parameters"], &rope);
    break_all(&wrapped, &[], &[("tie_word_embeddings", DEFAULT), ("model_type", DEFAULT)]);

    let flat = written(&Spec::default(), NEXT);
    break_all(&flat, &[], &NUMBERS);
    let more = [
        ("model_type", NEVER),
        ("rope_theta", REAL),
        ("partial_rotary_factor", NEVER),
        ("decoder_sparse_step", DEFAULT),
        ("use_sliding_window", DEFAULT),
        ("full_attention_interval", DEFAULT),
    ];
    break_all(&flat, &[], &more);
}

#[test]
fn each_quantisation_field_broken_is_named() {
    let mlx = written(&Spec::wide(), MLX);
    let fields = [("bits", NEVER), ("group_size", NEVER), ("mode", DEFAULT)];
    break_all(&mlx, &["quantization"], &fields);
    let module = "language_model.model.layers.0.mlp.gate";
    let own = [("bits", NEVER), ("group_size", NEVER)];
    break_all(&mlx, &["quantization", module], &own);
    // MLX's older spelling, alone.
    let mut older = mlx.clone();
    object(&mut older, &[]).remove("quantization");
    break_all(&older, &["quantization_config"], &[("group_size", NEVER), ("mode", DEFAULT)]);
    let fp8 = written(&Spec::default(), Layout::Fp8);
    let fields = [
        ("quant_method", NEVER),
        ("weight_block_size", NEVER),
        ("activation_scheme", DEFAULT),
        ("fmt", DEFAULT),
    ];
    break_all(&fp8, &["quantization_config"], &fields);
    for side in [json!(0), json!(-1), json!("128"), json!(1.5), json!(1e30), json!(null), json!(24)]
    {
        let mut config = fp8.clone();
        config["quantization_config"]["weight_block_size"] = json!([128, side]);
        line(read(&config), "quantization_config.weight_block_size");
    }
}

/// A config that asks for something else, what is changed, and what the line has to say.
fn refusals() -> Vec<(Layout, &'static [&'static str], &'static str, Value, &'static str)> {
    let text: &[&str] = &["text_config"];
    let rope: &[&str] = &["text_config", "rope_parameters"];
    let root: &[&str] = &[];
    let mlx: &[&str] = &["quantization"];
    let fp8: &[&str] = &["quantization_config"];
    let (full, linear) = ("full_attention", "linear_attention");
    vec![
        (HF, root, "model_type", json!("llama"), "\"llama\""),
        (HF, text, "model_type", json!("qwen3_5_text"), "\"qwen3_5_moe\""),
        (HF, text, "model_type", json!("qwen3_next"), "the family"),
        (HF, root, "text_config", json!([1]), "a list of 1"),
        (HF, text, "hidden_act", json!("gelu\nnew"), "\"gelu\\nnew\""),
        (HF, text, "hidden_act", json!("x".repeat(9000)), "xxx…\""),
        (HF, text, "attention_bias", json!(true), "found true"),
        (HF, text, "attn_output_gate", json!(false), "found false"),
        (HF, text, "mlp_only_layers", json!([0]), "a list of 1"),
        (HF, text, "decoder_sparse_step", json!(2), "found 2"),
        (HF, text, "norm_topk_prob", json!(false), "Qwen3.5"),
        (HF, text, "tie_word_embeddings", json!(true), "found true, accepted: false"),
        (HF, rope, "rope_type", json!("yarn"), "\"yarn\""),
        (HF, rope, "type", json!("linear"), "\"linear\""),
        (HF, text, "rope_scaling", json!({"rope_type": "yarn"}), "\"yarn\""),
        (HF, text, "rope_theta", json!(1e6), "what rope_parameters say"),
        (HF, rope, "partial_rotary_factor", json!(0.1), "turns 3 of 32"),
        (HF, rope, "rope_theta", json!(0.5), "from 1.0"),
        (HF, text, "layer_types", json!(vec![full; 7]), "a list of 8 names"),
        (
            HF,
            text,
            "layer_types",
            json!([full, "sliding_attention", linear, full, full, full, full, full]),
            "\"sliding_attention\"",
        ),
        (HF, text, "num_attention_heads", json!(5), "a multiple of num_key_value_heads"),
        (HF, text, "linear_num_value_heads", json!(7), "a multiple of linear_num_key_heads"),
        (HF, text, "num_experts_per_tok", json!(9), "from 1 to 8"),
        (HF, text, "rms_norm_eps", json!(1.5), "from 1e-30"),
        (HF, text, "hidden_size", json!(65537), "from 1 to 65536"),
        (NEXT, root, "rope_scaling", json!({"type": "yarn", "factor": 4.0}), "\"yarn\""),
        (NEXT, root, "norm_topk_prob", json!("yes"), "true, false"),
        (MLX, mlx, "mode", json!("mxfp4"), "\"mxfp4\""),
        (MLX, mlx, "bits", json!(7), "one of [2, 3, 4, 5, 6, 8]"),
        (MLX, mlx, "group_size", json!(16), "one of [32, 64, 128]"),
        (MLX, mlx, "a.b", json!({"bits": 4, "group_size": 64, "mode": "nvfp4"}), "\"a.b\".mode"),
        (MLX, mlx, "a\nb", json!({"bits": 4}), "\"a\\nb\".group_size"),
        (Layout::Fp8, fp8, "quant_method", json!("gptq"), "\"gptq\""),
        (Layout::Fp8, fp8, "quant_method", json!("compressed-tensors"), "\"fp8\""),
        (Layout::Fp8, fp8, "activation_scheme", json!("static"), "\"static\""),
        (Layout::Fp8, fp8, "fmt", json!("e5m2"), "\"e5m2\""),
        (Layout::Fp8, fp8, "weight_block_size", json!([128]), "a list of 1"),
    ]
}

#[test]
fn what_is_not_run_is_refused_by_name() {
    let small = Spec { layers: 8, hidden_size: 64, mtp: false, ..Spec::default() };
    let whole = [HF, NEXT, MLX, Layout::Fp8].map(|layout| (layout, written(&small, layout)));
    for (layout, place, field, value, says) in refusals() {
        let written = whole.iter().find(|(of, _)| *of == layout).expect("it is one of them");
        let mut config = written.1.clone();
        object(&mut config, place).insert(field.to_owned(), value);
        // The name in the error is escaped, and of a module its field is what is wrong.
        let named = if place == ["quantization"] && field.len() == 3 { "\"." } else { field };
        let line = line(read(&config), named);
        assert!(line.contains(says), "{says}: {line}");
        assert!(line.len() < 400, "short: {line}");
    }
    for whole in [json!([]), json!(null), json!("config")] {
        line(read(&whole), "the whole file");
    }
}

#[test]
fn no_product_can_overflow() {
    let largest = |field: &'static str, heads: &'static str, dim: &'static str| {
        let mut config = written(&Spec::default(), HF);
        let text = object(&mut config, &["text_config"]);
        for (key, value) in [(heads, 1024), (dim, 4096)] {
            text.insert(key.to_owned(), json!(value));
        }
        let line = line(read(&config), field);
        assert!(line.contains("1024 heads of 4096"), "both numbers: {line}");
    };
    largest("num_attention_heads", "num_attention_heads", "head_dim");
    largest("linear_num_value_heads", "linear_num_value_heads", "linear_value_head_dim");
    let mut config = written(&Spec::default(), HF);
    let text = object(&mut config, &["text_config"]);
    text.insert("linear_num_key_heads".to_owned(), json!(1024));
    text.insert("linear_num_value_heads".to_owned(), json!(1024));
    text.insert("linear_key_head_dim".to_owned(), json!(4096));
    line(read(&config), "linear_num_key_heads");
}

/// What a spec says, in the words of a config.
fn expected(spec: &Spec, family: Family, mtp_layers: usize, quantization: Quantization) -> Config {
    Config {
        family,
        hidden_size: spec.hidden_size,
        mixers: spec.mixers(),
        layer_alias: (0..spec.layers).collect(),
        heads: spec.heads,
        kv_heads: spec.kv_heads,
        head_dim: spec.head_dim,
        rotary_dim: spec.rotary_dim(),
        rope_theta: spec.rope_theta,
        rms_norm_eps: spec.rms_norm_eps as f32,
        linear_key_heads: spec.linear_key_heads,
        linear_value_heads: spec.linear_value_heads,
        linear_key_dim: spec.linear_key_dim,
        linear_value_dim: spec.linear_value_dim,
        key_head_rule: KeyHeadRule::Grouped,
        conv_kernel: spec.conv_kernel,
        experts: spec.experts,
        experts_per_token: spec.experts_per_token,
        renormalize: true,
        moe_intermediate_size: spec.moe_intermediate_size,
        shared_intermediate_size: spec.shared_intermediate_size,
        vocab_size: spec.vocab_size,
        max_positions: spec.max_positions,
        tie_word_embeddings: spec.tie_word_embeddings,
        mtp_layers,
        quantization,
    }
}

#[test]
fn every_number_is_the_one_of_the_file() {
    for (name, spec) in Spec::presets() {
        let flat = |layout| Form { multimodal: false, ..Form::from(layout) };
        let family = Family::Qwen35Moe;
        for form in [HF.into(), flat(HF)] {
            let config = read(&written(&spec, form)).expect("a config");
            assert_eq!(config, expected(&spec, family, 1, Quantization::None), "{name}, {form:?}");
        }
        let config = read(&written(&spec, NEXT)).expect("a config");
        let next = expected(&spec, Family::Qwen3Next, 0, Quantization::None);
        assert_eq!(config, next, "{name}, Qwen3-Next");
        let config = read(&written(&spec, Layout::Fp8)).expect("a config");
        let blocks = Quantization::Fp8 { block_rows: 128, block_cols: 128 };
        assert_eq!(config, expected(&spec, family, 1, blocks), "{name}, FP8");
        let config = read(&written(&spec, MLX)).expect("a config");
        let Quantization::Affine(affine) = &config.quantization else { panic!("{name}: affine") };
        assert_eq!(affine.default, AffineWidth { bits: 4, group: 64 }, "{name}");
        let gates = if spec.hidden_size.is_multiple_of(64) { 2 * (spec.layers + 1) } else { 0 };
        assert_eq!(affine.modules.len(), gates, "{name}: modules of their own width");
        let eight = Some(AffineWidth { bits: 8, group: 64 });
        assert!(affine.modules.values().all(|own| *own == eight), "{name}: eight bits");
    }
}

#[test]
fn a_module_may_be_kept_or_quantised_by_a_truth_value() {
    let mut config = written(&Spec::wide(), MLX);
    let quantization = object(&mut config, &["quantization"]);
    quantization.insert("lm_head".to_owned(), json!(false));
    quantization.insert("embed".to_owned(), json!(true));
    let Quantization::Affine(affine) = read(&config).expect("a config").quantization else {
        panic!("affine");
    };
    assert_eq!(affine.modules["lm_head"], None, "kept as floats");
    assert_eq!(affine.modules["embed"], Some(affine.default), "as all others");
}

#[test]
fn value_heads_find_their_key_heads() {
    let spec = Spec { linear_key_heads: 2, linear_value_heads: 6, ..Spec::default() };
    let mut config = read(&written(&spec, HF)).expect("a config");
    let heads = |config: &Config| (0..6).map(|h| config.key_head(h)).collect::<Vec<usize>>();
    assert_eq!(heads(&config), [0, 0, 0, 1, 1, 1], "side by side");
    config.key_head_rule = KeyHeadRule::Tiled;
    assert_eq!(heads(&config), [0, 1, 0, 1, 0, 1], "in turns");
    assert_eq!(config.linear_keys(), 2 * 16, "key floats");
    assert_eq!(config.linear_values(), 6 * 16, "value floats");
    assert_eq!(config.conv_channels(), 2 * 2 * 16 + 6 * 16, "queries, keys, values");
    assert_eq!(config.full_layers(), [false, false, false, true].repeat(2), "every fourth");
    assert_eq!(config.layers(), 8, "layers");
}

#[test]
fn a_sum_that_does_not_divide_is_read() {
    let mut config = written(&Spec::default(), NEXT);
    config["norm_topk_prob"] = json!(false);
    assert!(!read(&config).expect("a config").renormalize, "Qwen3-Next may say so");
}

#[test]
fn a_config_that_cannot_be_read_says_where() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error = Config::open(dir.path()).expect_err("nothing there");
    assert!(error.to_string().contains("config.json"), "{error}");
    std::fs::write(dir.path().join("config.json"), "{\"a\": }").expect("a file");
    let error = Config::open(dir.path()).expect_err("no JSON");
    assert!(error.to_string().contains("config.json: line 1, column 7"), "{error}");
    std::fs::write(dir.path().join("config.json"), b"{\"a\": \"\xff\"}").expect("a file");
    let error = Config::open(dir.path()).expect_err("no UTF-8");
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn a_layer_uses_its_own_tensors_or_those_of_one_of_its_kind() {
    // Layers 3 and 7 are full attention.
    let mut value = written(&Spec::default(), MLX);
    assert_eq!(read(&value).expect("a config").distinct_layers(), 8, "none says otherwise");
    value["flash_moe"] = json!({ "layer_alias": [0, 1, 0, 3, 0, 1, 1, 3], "other": 1 });
    let config = read(&value).expect("a config");
    assert_eq!(config.layer_alias, [0, 1, 0, 3, 0, 1, 1, 3], "as listed");
    assert_eq!(config.distinct_layers(), 3, "0, 1 and 3");
    for (alias, field) in [
        (json!([0, 1, 0, 3, 0, 1, 1]), "layer_alias"),
        (json!([0, 1, 0, 3, 0, 1, 1, 3, 0]), "layer_alias"),
        (json!(0), "layer_alias"),
        (json!({}), "layer_alias"),
        (json!([0, 1, 0, 3, 0, 1, 1, 8]), "layer_alias[7]"),
        (json!([0, 1, 0, 3, 0, 1, -1, 3]), "layer_alias[6]"),
        (json!([0, 1, 0, 3, 0, 1.5, 1, 3]), "layer_alias[5]"),
        (json!([0, 1, 0, 3, 0, null, 1, 3]), "layer_alias[5]"),
        (json!([0, 1, 0, 3, 0, 1, 1, 1u64 << 40]), "layer_alias[7]"),
        // Of the other kind, and one that has no tensors of its own.
        (json!([0, 1, 0, 3, 0, 1, 1, 0]), "layer_alias[7]"),
        (json!([0, 1, 0, 3, 2, 1, 1, 3]), "layer_alias[4]"),
    ] {
        value["flash_moe"] = json!({ "layer_alias": alias });
        line(read(&value), field);
    }
    let mut many = written(&Spec { layers: 32, ..Spec::default() }, MLX);
    many["flash_moe"] = json!({ "layer_alias": (0..32).collect::<Vec<usize>>() });
    many["text_config"]["num_experts"] = json!(32768);
    assert!(read(&many).is_ok(), "as many records as are accepted");
    many["text_config"]["num_experts"] = json!(32769);
    line(read(&many), "layer_alias");
    value["flash_moe"] = json!([1]);
    line(read(&value), "flash_moe");
}
