//! What belongs to one sequence: keys and values, recurrent states, and the few vectors by which a step can be cut back.

use std::sync::atomic::{AtomicU64, Ordering};

use kernels::KvType;

use crate::config::Config;
use crate::lineage::Lineage;
use crate::sizes::Sizes;

/// Ids at the end of a step that can be taken back. They cost vectors, not copies of the state.
pub const CUT_MAX: usize = 8;

/// One sequence. Its position is `base + pending`: the recurrent states stand at `base`, and the
/// last few ids are kept as the vectors that they add, until the next step says that they stand.
#[derive(Debug)]
pub struct Sequence {
    /// No two sequences of a process have the same.
    pub(crate) id: u64,
    /// Ids it has room for.
    pub(crate) capacity: usize,
    /// Ids that went through.
    pub(crate) position: usize,
    /// How many of them, at the end, the recurrent states do not hold yet.
    pub(crate) pending: usize,
    /// Ids of the last step that stand.
    pub(crate) last_step: usize,
    /// A pass was broken off: nothing but the keys below an older checkpoint can be trusted.
    pub(crate) poisoned: bool,
    pub(crate) lineage: Lineage,
    /// One a layer.
    pub(crate) layers: Vec<LayerState>,
}

/// The state of one layer.
#[derive(Debug)]
pub(crate) enum LayerState {
    Full(KeyValues),
    Linear(Recurrent),
}

/// Keys and values of one full-attention layer, both `[kv_heads, capacity]` rows of `head_dim`
/// elements.
#[derive(Debug)]
pub(crate) struct KeyValues {
    pub(crate) kind: KvType,
    pub(crate) keys: Vec<u8>,
    pub(crate) values: Vec<u8>,
}

/// The state of one Gated DeltaNet layer.
#[derive(Clone, Debug)]
pub(crate) struct Recurrent {
    /// `[value_heads, key_dim, value_dim]`, at the sequence's base.
    pub(crate) state: Vec<f32>,
    /// The last `conv_kernel - 1` columns before the convolution, oldest first, at the base:
    /// `[conv_kernel - 1, channels]`.
    pub(crate) columns: Vec<f32>,
    pub(crate) pending: Pending,
}

/// What pending ids add to a state, each array with [`CUT_MAX`] places for them.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Columns before the convolution: `[CUT_MAX, channels]`.
    pub(crate) columns: Vec<f32>,
    /// Normalised keys: `[CUT_MAX, key_heads * key_dim]`.
    pub(crate) keys: Vec<f32>,
    /// Corrected values: `[value_heads, CUT_MAX, value_dim]`.
    pub(crate) updates: Vec<f32>,
    /// `[value_heads, CUT_MAX]`.
    pub(crate) decays: Vec<f32>,
}

/// What a checkpoint of the engine holds: everything that length alone cannot bring back.
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    pub(crate) position: usize,
    pending: usize,
    layers: Vec<Option<Recurrent>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Sequence {
    /// An empty sequence. The keys and values are not touched before they are written, so that
    /// room that is never used costs no memory.
    pub(crate) fn new(config: &Config, kv: KvType, capacity: usize) -> Sequence {
        let sizes = Sizes::of(config);
        let layer = |full: &bool| {
            if *full {
                let bytes = sizes.kv_heads * capacity * kv.row_bytes(sizes.head_dim);
                LayerState::Full(KeyValues {
                    kind: kv,
                    keys: vec![0; bytes],
                    values: vec![0; bytes],
                })
            } else {
                LayerState::Linear(Recurrent::new(&sizes))
            }
        };
        Sequence {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            capacity,
            position: 0,
            pending: 0,
            last_step: 0,
            poisoned: false,
            lineage: Lineage::default(),
            layers: config.full_layers().iter().map(layer).collect(),
        }
    }

    /// Takes back the last `ids` ids, at most as many as are pending.
    pub(crate) fn cut(&mut self, ids: usize) {
        self.pending -= ids;
        self.last_step -= ids;
        self.position -= ids;
        self.lineage.cut(self.position);
    }

    pub(crate) fn mark(&self) -> Mark {
        let copied = |layer: &LayerState| match layer {
            LayerState::Full(_) => None,
            LayerState::Linear(state) => Some(state.clone()),
        };
        Mark {
            sequence: self.id,
            epoch: self.lineage.epoch(),
            position: self.position,
            pending: self.pending,
            layers: self.layers.iter().map(copied).collect(),
        }
    }

    /// Whether `mark` was made by this sequence and lies on the way that it went.
    pub(crate) fn knows(&self, mark: &Mark) -> bool {
        mark.sequence == self.id
            && mark.position <= self.position
            && self.lineage.holds(mark.epoch, mark.position)
    }

    /// Back to a mark that the sequence knows.
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        for (layer, copy) in self.layers.iter_mut().zip(&mark.layers) {
            if let (LayerState::Linear(state), Some(copy)) = (layer, copy) {
                state.clone_from(copy);
            }
        }
        self.position = mark.position;
        self.pending = mark.pending;
        // What was taken back once is not there to be taken back again.
        self.last_step = 0;
        self.poisoned = false;
        self.lineage.cut(mark.position);
    }
}

/// Zeros that were written. Of memory that is read before it is written, the system first shows a
/// page of zeros that all have, and replaces it later, which stops every thread for a moment.
fn written(floats: usize) -> Vec<f32> {
    let mut zeros = Vec::new();
    zeros.reserve_exact(floats);
    zeros.extend(std::iter::repeat_n(std::hint::black_box(0.0), floats));
    zeros
}

impl Recurrent {
    fn new(sizes: &Sizes) -> Recurrent {
        Recurrent {
            state: written(sizes.state_floats),
            columns: vec![0.0; sizes.columns_floats],
            pending: Pending {
                columns: vec![0.0; CUT_MAX * sizes.channels],
                keys: vec![0.0; CUT_MAX * sizes.key_floats],
                updates: vec![0.0; CUT_MAX * sizes.value_floats],
                decays: vec![0.0; CUT_MAX * sizes.value_heads],
            },
        }
    }

    /// Every array, in the order of a snapshot.
    pub(crate) fn arrays(&self) -> [&Vec<f32>; 6] {
        let Pending { columns, keys, updates, decays } = &self.pending;
        [&self.state, &self.columns, columns, keys, updates, decays]
    }

    /// Every array, in the order of a snapshot.
    pub(crate) fn arrays_mut(&mut self) -> [&mut Vec<f32>; 6] {
        let Pending { columns, keys, updates, decays } = &mut self.pending;
        [&mut self.state, &mut self.columns, columns, keys, updates, decays]
    }
}
