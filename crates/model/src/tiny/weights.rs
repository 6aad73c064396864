//! The noise itself: every tensor of a model, its size and spread, and its values in f32 before any layout touches them.

use super::noise::Noise;
use super::spec::Spec;
use crate::config::Mixer;

/// Which prefix a tensor's name gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Trunk,
    Head,
    Mtp,
    Vision,
}

/// What a tensor is, as far as a layout treats it in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedding,
    Head,
    /// Multiplies as `1 + w`.
    Norm,
    /// Multiplies as it stands (`linear_attn.norm`).
    GatedNorm,
    Matrix,
    /// The router, or the gate of the shared expert.
    Gate,
    /// `in_proj_qkv`.
    Qkv,
    /// `in_proj_z`.
    OutputGate,
    /// `in_proj_b`.
    Beta,
    /// `in_proj_a`.
    Decay,
    Conv,
    DecayLog,
    TimeBias,
    /// Stacked `[experts, 2 * intermediate, hidden]`: gate rows, then up rows.
    GateUp,
    /// Stacked `[experts, hidden, intermediate]`.
    Down,
    /// `mtp.fc`.
    Join,
    Vision,
}

/// How the values of a tensor are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fill {
    Gaussian {
        mean: f64,
        spread: f64,
    },
    /// `dt_bias` and `A_log`. With these two, what a step forgets lies between a thousandth and
    /// nine tenths.
    TimeBias,
    DecayLog,
}

impl Fill {
    fn value(self, noise: &mut Noise) -> f64 {
        match self {
            Fill::Gaussian { mean, spread } => mean + spread * noise.gaussian(),
            Fill::TimeBias => {
                let step = libm::exp(noise.uniform(libm::log(0.003), libm::log(0.3)));
                // The inverse of softplus.
                step + libm::log(-libm::expm1(-step))
            }
            Fill::DecayLog => libm::log(noise.uniform(0.3, 8.0)),
        }
    }
}

/// A tensor that was not drawn yet.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub(crate) part: Part,
    pub(crate) kind: Kind,
    /// Without the prefix of its part.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) fill: Fill,
}

impl Outline {
    /// The tensor with the values that `seed` gives it.
    pub(crate) fn draw(self, seed: u64) -> Tensor {
        let Outline { part, kind, name, shape, fill } = self;
        let mut noise = Noise::named(seed, &format!("{part:?}/{name}"));
        let count = shape.iter().product();
        let values = (0..count).map(|_| fill.value(&mut noise) as f32).collect();
        Tensor { part, kind, name, shape, values }
    }
}

/// One tensor, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(super) part: Part,
    pub(super) kind: Kind,
    /// Without the prefix of its part.
    pub(crate) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// All tensors of `spec`, experts stacked, in the order of the layers.
pub(super) fn draw(spec: &Spec) -> Vec<Tensor> {
    let all: Vec<usize> = (0..spec.layers).collect();
    outline(spec, &all).into_iter().map(|outline| outline.draw(spec.seed)).collect()
}

/// The tensors of `spec`, of its layers only those in `layers`.
pub(crate) fn outline(spec: &Spec, layers: &[usize]) -> Vec<Outline> {
    let mut draw = Draw { spec, part: Part::Trunk, tensors: Vec::new() };
    let (hidden, vocab) = (spec.hidden_size, spec.vocab_size);
    // A tied embedding is the output matrix too: it is scaled so that logits spread alike.
    let spread = if spec.tie_word_embeddings { HEAD_GAIN / root(hidden) } else { 1.0 };
    let rows = vec![vocab, hidden];
    draw.gaussian(Kind::Embedding, "embed_tokens.weight".to_owned(), rows, 0.0, spread);
    let mixers = spec.mixers();
    for &i in layers {
        draw.layer(i, mixers[i]);
    }
    draw.norm("norm.weight".to_owned(), hidden, 0.0);
    if !spec.tie_word_embeddings {
        draw.part = Part::Head;
        draw.matrix(Kind::Head, "lm_head.weight".to_owned(), [vocab, hidden], HEAD_GAIN);
    }
    if spec.mtp {
        draw.part = Part::Mtp;
        draw.matrix(Kind::Join, "fc.weight".to_owned(), [hidden, 2 * hidden], 1.0);
        for name in ["pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"] {
            draw.norm(format!("{name}.weight"), hidden, 0.0);
        }
        draw.layer(0, Mixer::Full);
    }
    if spec.vision {
        draw.part = Part::Vision;
        let shape = vec![16, 16];
        draw.gaussian(Kind::Vision, "pos_embed.weight".to_owned(), shape, 0.0, 0.02);
    }
    draw.tensors
}

/// Logits of a normed state then spread by about 3, as those of a trained model do.
const HEAD_GAIN: f64 = 3.0;

fn root(n: usize) -> f64 {
    libm::sqrt(n as f64)
}

struct Draw<'a> {
    spec: &'a Spec,
    part: Part,
    tensors: Vec<Outline>,
}

impl Draw<'_> {
    fn filled(&mut self, kind: Kind, name: String, shape: Vec<usize>, fill: Fill) {
        self.tensors.push(Outline { part: self.part, kind, name, shape, fill });
    }

    fn gaussian(&mut self, kind: Kind, name: String, shape: Vec<usize>, mean: f64, spread: f64) {
        self.filled(kind, name, shape, Fill::Gaussian { mean, spread });
    }

    /// A matrix whose output has `gain` times the size of its input.
    fn matrix(&mut self, kind: Kind, name: String, [out, into]: [usize; 2], gain: f64) {
        self.gaussian(kind, name, vec![out, into], 0.0, gain / root(into));
    }

    fn norm(&mut self, name: String, length: usize, mean: f64) {
        self.gaussian(Kind::Norm, name, vec![length], mean, 0.2);
    }

    /// Gains such that each block adds about as much as it is given: the residual stream grows
    /// from 1 to about 4 in eight layers, and no block drowns.
    fn layer(&mut self, i: usize, mixer: Mixer) {
        let hidden = self.spec.hidden_size;
        let named = |name: &str| format!("layers.{i}.{name}");
        self.norm(named("input_layernorm.weight"), hidden, 0.0);
        self.norm(named("post_attention_layernorm.weight"), hidden, 0.0);
        match mixer {
            Mixer::Full => self.full_attention(&format!("layers.{i}.self_attn")),
            Mixer::Linear => self.linear_attention(&format!("layers.{i}.linear_attn")),
        }
        self.experts(&format!("layers.{i}.mlp"));
    }

    fn full_attention(&mut self, at: &str) {
        let (hidden, head) = (self.spec.hidden_size, self.spec.head_dim);
        let (queries, keys) = (self.spec.heads * head, self.spec.kv_heads * head);
        let named = |name: &str| format!("{at}.{name}.weight");
        self.matrix(Kind::Matrix, named("q_proj"), [2 * queries, hidden], 1.0);
        self.matrix(Kind::Matrix, named("k_proj"), [keys, hidden], 1.0);
        self.matrix(Kind::Matrix, named("v_proj"), [keys, hidden], 1.0);
        self.matrix(Kind::Matrix, named("o_proj"), [hidden, queries], 1.5);
        // Above 1 + 0: attention that picks out positions instead of averaging them.
        self.norm(named("q_norm"), head, 0.5);
        self.norm(named("k_norm"), head, 0.5);
    }

    fn linear_attention(&mut self, at: &str) {
        let spec = self.spec;
        let (hidden, heads) = (spec.hidden_size, spec.linear_value_heads);
        let (channels, values) = (2 * spec.key_rows() + spec.value_rows(), spec.value_rows());
        let named = |name: &str| format!("{at}.{name}");
        self.matrix(Kind::Qkv, named("in_proj_qkv.weight"), [channels, hidden], 1.0);
        self.matrix(Kind::OutputGate, named("in_proj_z.weight"), [values, hidden], 1.0);
        self.matrix(Kind::Beta, named("in_proj_b.weight"), [heads, hidden], 1.0);
        self.matrix(Kind::Decay, named("in_proj_a.weight"), [heads, hidden], 1.0);
        let shape = vec![channels, 1, spec.conv_kernel];
        self.gaussian(Kind::Conv, named("conv1d.weight"), shape, 0.0, 0.5);
        self.filled(Kind::TimeBias, named("dt_bias"), vec![heads], Fill::TimeBias);
        self.filled(Kind::DecayLog, named("A_log"), vec![heads], Fill::DecayLog);
        let length = vec![spec.linear_value_dim];
        self.gaussian(Kind::GatedNorm, named("norm.weight"), length, 1.0, 0.2);
        self.matrix(Kind::Matrix, named("out_proj.weight"), [hidden, values], 1.5);
    }

    fn experts(&mut self, at: &str) {
        let spec = self.spec;
        let (hidden, experts) = (spec.hidden_size, spec.experts);
        let (inner, shared) = (spec.moe_intermediate_size, spec.shared_intermediate_size);
        let named = |name: &str| format!("{at}.{name}");
        // Above 1, so that the chosen are seldom nearly tied with the next.
        self.matrix(Kind::Gate, named("gate.weight"), [experts, hidden], 1.5);
        let (shape, spread) = (vec![experts, 2 * inner, hidden], 1.4 / root(hidden));
        self.gaussian(Kind::GateUp, named("experts.gate_up_proj"), shape, 0.0, spread);
        let (shape, spread) = (vec![experts, hidden, inner], 1.2 / root(inner));
        self.gaussian(Kind::Down, named("experts.down_proj"), shape, 0.0, spread);
        for name in ["shared_expert.gate_proj.weight", "shared_expert.up_proj.weight"] {
            self.matrix(Kind::Matrix, named(name), [shared, hidden], 1.4);
        }
        let down = named("shared_expert.down_proj.weight");
        self.matrix(Kind::Matrix, down, [hidden, shared], 1.0);
        self.matrix(Kind::Gate, named("shared_expert_gate.weight"), [1, hidden], 1.0);
    }
}
