//! The numbers of `config.json`, each checked against bounds that keep every later product countable.

mod alias;
mod fields;
mod quantization;

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

pub use quantization::{AffineConfig, AffineWidth, Quantization};

use crate::error::ModelError;
use fields::{Fields, describe};

/// The published configs have some 20 KB; those that list a rule for each module have more.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Bounds of a single number, and of what heads make together. With them no product of a shape,
/// a state or a cache of the whole model passes 2^62.
const HIDDEN: RangeInclusive<usize> = 1..=65536;
const LAYERS: RangeInclusive<usize> = 1..=1024;
const HEADS: RangeInclusive<usize> = 1..=1024;
const HEAD_DIM: RangeInclusive<usize> = 1..=4096;
const HEADS_FLOATS: usize = 1 << 20;
const CONV_KERNEL: RangeInclusive<usize> = 1..=64;
const EXPERTS: RangeInclusive<usize> = 1..=65536;
const VOCAB: RangeInclusive<usize> = 1..=1 << 22;
const POSITIONS: RangeInclusive<usize> = 1..=1 << 28;
const MTP_LAYERS: RangeInclusive<usize> = 0..=64;

/// Which kind of model this is; both compute alike, some fields and tensors are named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `qwen3_5_moe` and its text part `qwen3_5_moe_text`.
    Qwen35Moe,
    /// `qwen3_next`.
    Qwen3Next,
}

impl Family {
    const NAMES: [(&str, Family); 3] = [
        ("qwen3_5_moe", Family::Qwen35Moe),
        ("qwen3_5_moe_text", Family::Qwen35Moe),
        ("qwen3_next", Family::Qwen3Next),
    ];

    fn parse(name: &str) -> Option<Family> {
        Family::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, family)| family)
    }
}

/// What mixes the positions in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mixer {
    /// Gated DeltaNet.
    Linear,
    /// Gated attention.
    Full,
}

impl Mixer {
    /// As `layer_types` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Mixer::Linear => "linear_attention",
            Mixer::Full => "full_attention",
        }
    }
}

/// Which key head a value head of linear attention belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyHeadRule {
    /// Value heads side by side share one: `value_head / (value_heads / key_heads)`.
    Grouped,
    /// They take turns: `value_head % key_heads`.
    Tiled,
}

/// Every number of a model that its arithmetic needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub family: Family,
    /// Floats of one hidden state.
    pub hidden_size: usize,
    /// One a layer, first layer first.
    pub mixers: Vec<Mixer>,
    /// For each layer, the one whose tensors it uses: itself, save in a synthetic checkpoint.
    pub layer_alias: Vec<usize>,
    /// Query heads of full attention, a multiple of `kv_heads`.
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Dimensions of a head that RoPE turns: even, at most `head_dim`.
    pub rotary_dim: usize,
    pub rope_theta: f64,
    pub rms_norm_eps: f32,
    pub linear_key_heads: usize,
    /// A multiple of `linear_key_heads`.
    pub linear_value_heads: usize,
    pub linear_key_dim: usize,
    pub linear_value_dim: usize,
    pub key_head_rule: KeyHeadRule,
    /// Taps of the causal convolution, the current position among them.
    pub conv_kernel: usize,
    pub experts: usize,
    /// At most `experts`.
    pub experts_per_token: usize,
    /// Whether the weights of the chosen experts are divided by their sum.
    pub renormalize: bool,
    /// Rows of an expert's gate and up matrices.
    pub moe_intermediate_size: usize,
    /// Rows of the shared expert's gate and up matrices.
    pub shared_intermediate_size: usize,
    /// Rows of the embedding; a tokenizer names at most as many.
    pub vocab_size: usize,
    pub max_positions: usize,
    /// The embedding is the output matrix too.
    pub tie_word_embeddings: bool,
    /// Blocks that draft further ids; they are not run yet.
    pub mtp_layers: usize,
    pub quantization: Quantization,
}

impl Config {
    /// Reads `config.json` in the directory `dir`.
    ///
    /// # Errors
    /// When the file cannot be read or is no JSON, and those of [`Config::read`].
    pub fn open(dir: &Path) -> Result<Config, ModelError> {
        let path = dir.join("config.json");
        Config::read(&format::json::read_json(&path, MAX_CONFIG_BYTES)?, &path)
    }

    /// Reads the whole of a `config.json`, multimodal or flat; `origin` is where it came from,
    /// for errors.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field that is missing, out of bounds or asks for something
    /// that is not run.
    pub fn read(value: &Value, origin: &Path) -> Result<Config, ModelError> {
        let root = Fields::root(origin, value)?;
        let text = root.object("text_config", "text_config.")?.unwrap_or(root);
        let family = family(&root, &text)?;
        refuse_other_arithmetic(&text)?;
        let head_dim = text.whole("head_dim", HEAD_DIM)?;
        let (rotary_dim, rope_theta) = rope(&text, head_dim)?;
        let (heads, kv_heads) = shared_heads(&text, "num_attention_heads", "num_key_value_heads")?;
        let (linear_value_heads, linear_key_heads) =
            shared_heads(&text, "linear_num_value_heads", "linear_num_key_heads")?;
        let experts = text.whole("num_experts", EXPERTS)?;
        let mixers = mixers(&text)?;
        let config = Config {
            family,
            hidden_size: text.whole("hidden_size", HIDDEN)?,
            layer_alias: alias::read(&root, &mixers, experts)?,
            mixers,
            heads,
            kv_heads,
            head_dim,
            rotary_dim,
            rope_theta,
            // Below the smallest normal f32 it would add nothing.
            rms_norm_eps: text.real("rms_norm_eps", 1e-30..=1.0)? as f32,
            linear_key_heads,
            linear_value_heads,
            linear_key_dim: text.whole("linear_key_head_dim", HEAD_DIM)?,
            linear_value_dim: text.whole("linear_value_head_dim", HEAD_DIM)?,
            key_head_rule: KeyHeadRule::Grouped,
            conv_kernel: text.whole("linear_conv_kernel_dim", CONV_KERNEL)?,
            experts,
            experts_per_token: text.whole("num_experts_per_tok", 1..=experts)?,
            renormalize: renormalize(&text, family)?,
            moe_intermediate_size: text.whole("moe_intermediate_size", HIDDEN)?,
            shared_intermediate_size: text.whole("shared_expert_intermediate_size", HIDDEN)?,
            vocab_size: text.whole("vocab_size", VOCAB)?,
            max_positions: text.whole("max_position_embeddings", POSITIONS)?,
            tie_word_embeddings: tied(&root, &text)?,
            mtp_layers: text.whole_or("mtp_num_hidden_layers", MTP_LAYERS, 0)?,
            quantization: quantization::read(&root, &text)?,
        };
        config.check_products(&text)?;
        Ok(config)
    }

    pub fn layers(&self) -> usize {
        self.mixers.len()
    }

    /// Layers that have tensors of their own.
    pub fn distinct_layers(&self) -> usize {
        self.layer_alias.iter().enumerate().filter(|(layer, alias)| layer == *alias).count()
    }

    /// Layer by layer, whether it has full attention.
    pub fn full_layers(&self) -> Vec<bool> {
        self.mixers.iter().map(|mixer| *mixer == Mixer::Full).collect()
    }

    /// The key head of linear attention that `value_head` belongs to.
    pub fn key_head(&self, value_head: usize) -> usize {
        match self.key_head_rule {
            KeyHeadRule::Grouped => value_head / (self.linear_value_heads / self.linear_key_heads),
            KeyHeadRule::Tiled => value_head % self.linear_key_heads,
        }
    }

    /// Floats of all key heads of linear attention; as many are queries.
    pub fn linear_keys(&self) -> usize {
        self.linear_key_heads * self.linear_key_dim
    }

    /// Floats of all value heads of linear attention.
    pub fn linear_values(&self) -> usize {
        self.linear_value_heads * self.linear_value_dim
    }

    /// Channels of the convolution: queries, keys, values.
    pub fn conv_channels(&self) -> usize {
        2 * self.linear_keys() + self.linear_values()
    }

    fn check_products(&self, text: &Fields<'_>) -> Result<(), ModelError> {
        let together = [
            ("num_attention_heads", self.heads, self.head_dim),
            ("linear_num_key_heads", self.linear_key_heads, self.linear_key_dim),
            ("linear_num_value_heads", self.linear_value_heads, self.linear_value_dim),
        ];
        for (field, heads, dim) in together {
            if heads * dim > HEADS_FLOATS {
                let found = format!("{heads} heads of {dim}");
                let accepted = format!("at most {HEADS_FLOATS} floats in all heads together");
                return Err(text.refuse_found(field, found, accepted));
            }
        }
        Ok(())
    }
}

/// The model types of the file and of its text part, both known and of one family.
fn family(root: &Fields<'_>, text: &Fields<'_>) -> Result<Family, ModelError> {
    let accepted = || Family::NAMES.map(|(name, _)| format!("{name:?}")).join(", ");
    let mut family = None;
    for fields in [root, text] {
        let Some(name) = fields.get("model_type") else { continue };
        let known = name.as_str().and_then(Family::parse);
        let known = known.ok_or_else(|| fields.refuse("model_type", accepted()))?;
        if family.is_some_and(|other| other != known) {
            return Err(fields.refuse("model_type", "the family that the whole file names"));
        }
        family = Some(known);
    }
    family.ok_or_else(|| text.refuse("model_type", accepted()))
}

/// Fields that would change the arithmetic into one that is not run.
fn refuse_other_arithmetic(text: &Fields<'_>) -> Result<(), ModelError> {
    if text.get("hidden_act").and_then(Value::as_str) != Some("silu") {
        return Err(text.refuse("hidden_act", "\"silu\""));
    }
    text.only("attention_bias", false.into())?;
    text.only("attn_output_gate", true.into())?;
    text.only("use_sliding_window", false.into())?;
    text.only("decoder_sparse_step", 1.into())?;
    text.only("mlp_only_layers", Value::Array(Vec::new()))
}

/// Rotary dimensions and theta. They stand in `rope_parameters`, or beside all other fields.
fn rope(text: &Fields<'_>, head_dim: usize) -> Result<(usize, f64), ModelError> {
    let inner = text.object("rope_parameters", "rope_parameters.")?;
    // What older files call it: there it holds a scaling only.
    let scaling = text.object("rope_scaling", "rope_scaling.")?;
    for fields in [inner, scaling].into_iter().flatten() {
        fields.only("rope_type", "default".into())?;
        fields.only("type", "default".into())?;
    }
    let place = |field: &str| -> Result<Fields<'_>, ModelError> {
        let Some(inner) = inner.filter(|inner| inner.get(field).is_some()) else {
            return Ok(*text);
        };
        let same = |outer: &Value| outer.as_f64() == inner.get(field).and_then(Value::as_f64);
        match text.get(field) {
            Some(outer) if !same(outer) => {
                Err(text.refuse(field, "what rope_parameters say, or nothing"))
            }
            _ => Ok(inner),
        }
    };
    let theta = place("rope_theta")?.real("rope_theta", 1.0..=1e12)?;
    let fields = place("partial_rotary_factor")?;
    let factor = fields.real("partial_rotary_factor", 0.0..=1.0)?;
    // Rounded down, as the reference implementation does.
    let rotary_dim = (head_dim as f64 * factor) as usize;
    if rotary_dim < 2 || !rotary_dim.is_multiple_of(2) {
        let found = format!("{factor}, which turns {rotary_dim} of {head_dim} dimensions");
        let accepted = "an even number of dimensions, at least 2";
        return Err(fields.refuse_found("partial_rotary_factor", found, accepted));
    }
    Ok((rotary_dim, theta))
}

/// Two numbers of heads, of which the first is a multiple of the second.
fn shared_heads(text: &Fields<'_>, many: &str, few: &str) -> Result<(usize, usize), ModelError> {
    let (heads, shared) = (text.whole(many, HEADS)?, text.whole(few, HEADS)?);
    if !heads.is_multiple_of(shared) {
        return Err(text.refuse(many, format_args!("a multiple of {few}, which is {shared}")));
    }
    Ok((heads, shared))
}

/// The layers as listed, else by the interval at which full attention comes.
fn mixers(text: &Fields<'_>) -> Result<Vec<Mixer>, ModelError> {
    let layers = text.whole("num_hidden_layers", LAYERS)?;
    let Some(listed) = text.get("layer_types") else {
        // The one default of the published configs: in those that list nothing it may be absent.
        let interval = text.whole_or("full_attention_interval", LAYERS, 4)?;
        let full = |i: usize| (i + 1).is_multiple_of(interval);
        return Ok((0..layers)
            .map(|i| if full(i) { Mixer::Full } else { Mixer::Linear })
            .collect());
    };
    let accepted = || format!("a list of {layers} names, one for each layer");
    let listed = listed.as_array().filter(|listed| listed.len() == layers);
    let listed = listed.ok_or_else(|| text.refuse("layer_types", accepted()))?;
    let mixer = |(i, found): (usize, &Value)| {
        let known = [Mixer::Linear, Mixer::Full].into_iter();
        known.clone().find(|mixer| found.as_str() == Some(mixer.name())).ok_or_else(|| {
            let names: Vec<String> = known.map(|mixer| format!("{:?}", mixer.name())).collect();
            let field = format!("layer_types[{i}]");
            text.refuse_found(&field, describe(Some(found)), names.join(", "))
        })
    };
    listed.iter().enumerate().map(mixer).collect()
}

/// Qwen3.5 always divides by the sum and has no such field; Qwen3-Next says so, and by default.
fn renormalize(text: &Fields<'_>, family: Family) -> Result<bool, ModelError> {
    let renormalize = text.flag("norm_topk_prob")?.unwrap_or(true);
    if family == Family::Qwen35Moe && !renormalize {
        return Err(text.refuse("norm_topk_prob", "true, or nothing, for a Qwen3.5 model"));
    }
    Ok(renormalize)
}

/// The field stands beside `text_config`, inside it, or in both places.
fn tied(root: &Fields<'_>, text: &Fields<'_>) -> Result<bool, ModelError> {
    const FIELD: &str = "tie_word_embeddings";
    match (root.flag(FIELD)?, text.flag(FIELD)?) {
        (Some(outer), Some(inner)) if outer != inner => {
            Err(text.refuse(FIELD, format_args!("{outer}, which stands beside text_config")))
        }
        (outer, inner) => Ok(outer.or(inner).unwrap_or(false)),
    }
}
