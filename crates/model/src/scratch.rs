//! The buffers of a pass, made once for the largest chunk so that no pass allocates by its length.

use crate::config::Config;
use crate::sizes::Sizes;

/// Room for `rows` positions at a time.
pub(crate) struct Scratch {
    /// The residual stream: `[rows, hidden]`.
    pub(crate) hidden: Vec<f32>,
    /// After a norm: `[rows, hidden]`.
    pub(crate) normed: Vec<f32>,
    /// What a block adds: `[rows, hidden]`.
    pub(crate) added: Vec<f32>,
    pub(crate) attention: AttentionScratch,
    pub(crate) linear: LinearScratch,
    pub(crate) moe: MoeScratch,
}

/// For a full-attention layer.
pub(crate) struct AttentionScratch {
    /// Each head's queries, then its gates: `[rows, heads, 2 * head_dim]`.
    pub(crate) queries: Vec<f32>,
    /// `[rows, kv_heads, head_dim]`.
    pub(crate) keys: Vec<f32>,
    /// `[rows, kv_heads, head_dim]`.
    pub(crate) values: Vec<f32>,
    /// `[rows, heads, head_dim]`.
    pub(crate) attended: Vec<f32>,
    /// Rotation of each position: `[rows, rotary_dim / 2]`, both.
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

/// For a Gated DeltaNet layer.
pub(crate) struct LinearScratch {
    /// Qwen3-Next's fused projection, before its rows are put in order:
    /// `[rows, channels + value_floats]`, empty for other layouts.
    pub(crate) fused: Vec<f32>,
    /// Before the convolution: `[rows, channels]`.
    pub(crate) columns: Vec<f32>,
    /// After it: queries, keys, values, `[rows, channels]`.
    pub(crate) mixed: Vec<f32>,
    /// The output gate, then the gated output: `[rows, value_floats]`.
    pub(crate) gate: Vec<f32>,
    /// Before the output gate, one head's values of all rows together:
    /// `[value_heads, rows, value_dim]`.
    pub(crate) heads: Vec<f32>,
    /// Normed, in the order of the output: `[rows, value_floats]`.
    pub(crate) normed: Vec<f32>,
    /// How strongly each head writes: `[rows, value_heads]`.
    pub(crate) betas: Vec<f32>,
    /// How much each head keeps: `[rows, value_heads]`.
    pub(crate) decays: Vec<f32>,
    /// A copy of each head's state, for ids that may be taken back.
    pub(crate) state: Vec<f32>,
}

/// For the experts.
pub(crate) struct MoeScratch {
    /// `[rows, experts]`.
    pub(crate) router: Vec<f32>,
    /// `[rows, experts_per_token]`.
    pub(crate) experts: Vec<u32>,
    pub(crate) weights: Vec<f32>,
    /// The rows that chose some experts, those of one after those of another:
    /// `[rows or experts_per_token, hidden]`.
    pub(crate) gathered: Vec<f32>,
    /// `[rows or experts_per_token, intermediate]`, the wider of routed and shared.
    pub(crate) gate: Vec<f32>,
    pub(crate) up: Vec<f32>,
    /// What each chosen expert makes of each row, in the order in which experts arrived:
    /// `[rows * experts_per_token, hidden]`.
    pub(crate) all: Vec<f32>,
    /// Where in `all` each of a row's choices is: `[rows, experts_per_token]`.
    pub(crate) places: Vec<u32>,
    /// The shared expert's part: `[rows, hidden]`.
    pub(crate) shared: Vec<f32>,
    /// Its gate: `[rows, 1]`.
    pub(crate) shared_gate: Vec<f32>,
}

impl Scratch {
    /// `fused`: whether a layer has Qwen3-Next's fused projections.
    pub(crate) fn new(config: &Config, fused: bool, rows: usize) -> Scratch {
        Scratch::with(config, fused, rows, &mut |floats| vec![0.0; floats])
    }

    /// Bytes of what [`Scratch::new`] makes.
    pub(crate) fn bytes(config: &Config, fused: bool, rows: usize) -> u64 {
        let mut floats = 0;
        let scratch = Scratch::with(config, fused, rows, &mut |count| {
            floats += count as u64;
            Vec::new()
        });
        debug_assert!(scratch.hidden.is_empty(), "counting allocates nothing");
        4 * floats
    }

    /// The one list of lengths: `floats` makes a buffer, or only counts it.
    fn with(
        config: &Config,
        fused: bool,
        rows: usize,
        floats: &mut dyn FnMut(usize) -> Vec<f32>,
    ) -> Scratch {
        let sizes = Sizes::of(config);
        let (hidden, heads, head_dim) = (config.hidden_size, config.heads, config.head_dim);
        let (kv, pairs) = (sizes.kv_heads * sizes.head_dim, config.rotary_dim / 2);
        let (channels, values) = (sizes.channels, sizes.value_floats);
        let chosen = config.experts_per_token;
        let inner = config.moe_intermediate_size.max(config.shared_intermediate_size);
        // A single row goes through all its experts together.
        let expert_rows = rows.max(chosen);
        Scratch {
            hidden: floats(rows * hidden),
            normed: floats(rows * hidden),
            added: floats(rows * hidden),
            attention: AttentionScratch {
                queries: floats(rows * 2 * heads * head_dim),
                keys: floats(rows * kv),
                values: floats(rows * kv),
                attended: floats(rows * heads * head_dim),
                cos: floats(rows * pairs),
                sin: floats(rows * pairs),
            },
            linear: LinearScratch {
                fused: floats(if fused { rows * (channels + values) } else { 0 }),
                columns: floats(rows * channels),
                mixed: floats(rows * channels),
                gate: floats(rows * values),
                heads: floats(rows * values),
                normed: floats(rows * values),
                betas: floats(rows * sizes.value_heads),
                decays: floats(rows * sizes.value_heads),
                state: floats(sizes.state_floats),
            },
            moe: MoeScratch {
                router: floats(rows * config.experts),
                experts: floats(rows * chosen).iter().map(|_| 0).collect(),
                weights: floats(rows * chosen),
                gathered: floats(expert_rows * hidden),
                gate: floats(expert_rows * inner),
                up: floats(expert_rows * inner),
                all: floats(rows * chosen * hidden),
                places: floats(rows * chosen).iter().map(|_| 0).collect(),
                shared: floats(rows * hidden),
                shared_gate: floats(rows),
            },
        }
    }
}
