//! The socket between turns and arithmetic: whoever can extend sequences of ids by one pass implements [`Forward`].

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Something that runs a language model: state belongs to a sequence, weights to the implementor,
/// so that many sequences share one pass.
pub trait Forward: Send {
    /// Everything one sequence owns: its cache, its recurrent state, its position.
    type Sequence: Send;

    /// What does not change while the model is loaded.
    fn facts(&self) -> &Facts;

    /// A new empty sequence that can hold `capacity` ids.
    ///
    /// # Errors
    /// [`ForwardError::Context`] when `capacity` is more than the plan gave.
    fn sequence(&self, capacity: usize) -> Result<Self::Sequence, ForwardError>;

    /// How many ids the sequence holds.
    fn position(&self, sequence: &Self::Sequence) -> usize;

    /// One pass: every step's ids are appended to its sequence. `control` is looked at between
    /// stages of the pass: it can cancel, and it hears of progress. After an error or a cancel every
    /// sequence of the batch is poisoned until it is rewound to a checkpoint.
    ///
    /// # Errors
    /// Nothing is changed by [`ForwardError::Context`], [`ForwardError::UnknownId`],
    /// [`ForwardError::Empty`] and [`ForwardError::Poisoned`]; all others poison.
    fn forward(
        &mut self,
        batch: &mut [Step<'_, Self::Sequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError>;

    /// Says how many ids of the last step stand; the rest is as if never seen. Without a call all of
    /// them stand. Only the last [`Facts::cut_max`] ids of a step can be cut.
    ///
    /// # Errors
    /// [`ForwardError::Cut`] when the cut reaches further back than that.
    fn keep(&self, sequence: &mut Self::Sequence, ids: usize) -> Result<(), ForwardError>;

    /// A copy, in memory, of what cannot be cut back by length alone.
    ///
    /// # Errors
    /// [`ForwardError::Poisoned`].
    fn checkpoint(&self, sequence: &Self::Sequence) -> Result<Checkpoint, ForwardError>;

    /// Puts a sequence (poisoned or not) back to a checkpoint that was taken from it.
    ///
    /// # Errors
    /// [`ForwardError::Foreign`] when the checkpoint is of another model or lies ahead of the sequence.
    fn rewind(&self, sequence: &mut Self::Sequence, to: &Checkpoint) -> Result<(), ForwardError>;

    /// Writes the sequence so that [`Forward::restore`] brings it back bit for bit.
    ///
    /// # Errors
    /// Those of `out`; a poisoned sequence is an [`std::io::Error`] too.
    fn snapshot(&self, sequence: &Self::Sequence, out: &mut dyn Write) -> std::io::Result<()>;

    /// Reads a snapshot into a new sequence with room for `capacity` ids.
    ///
    /// # Errors
    /// [`ForwardError::Snapshot`] when it is damaged, of another model, or made with other settings.
    fn restore(&self, from: &mut dyn Read, capacity: usize)
    -> Result<Self::Sequence, ForwardError>;
}

/// What a model says of itself once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Width of one row of logits.
    pub vocabulary: usize,
    /// Ids a sequence may hold at most.
    pub context: usize,
    /// Width of one hidden state.
    pub hidden: usize,
    /// How many trailing ids of a step [`Forward::keep`] can take back.
    pub cut_max: usize,
    /// Same weights and same arithmetic give the same fingerprint.
    pub fingerprint: [u8; 32],
}

/// What one sequence contributes to a pass.
#[derive(Debug)]
pub struct Step<'a, S> {
    /// The sequence that grows.
    pub sequence: &'a mut S,
    /// The ids to append; at least one.
    pub tokens: &'a [u32],
    /// Rows of logits wanted back.
    pub logits: Want,
    /// Whether the final hidden states (after the last norm) of the same positions are wanted.
    pub hidden: bool,
}

/// Which positions of a step are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// No row: the step only fills the state.
    None,
    /// The last position.
    Last,
    /// Every position.
    All,
    /// Positions from this index of the step on.
    From(usize),
}

impl Want {
    /// The first wanted index of a step of `len` ids; `len` when none is wanted.
    #[must_use]
    pub fn start(self, len: usize) -> usize {
        match self {
            Self::None => len,
            Self::Last => len.saturating_sub(1),
            Self::All => 0,
            Self::From(i) => i.min(len),
        }
    }
}

/// The answers of a pass, one for each step, in the order of the batch.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// One answer a step.
    pub steps: Vec<StepOutput>,
}

/// The answer to one step.
#[derive(Clone, Debug, Default)]
pub struct StepOutput {
    /// Wanted rows × vocabulary, row by row.
    pub logits: Vec<f32>,
    /// Wanted rows × hidden, row by row; empty unless asked for.
    pub hidden: Vec<f32>,
    /// What the step cost.
    pub spent: Spent,
}

/// What a step cost. A pass shared by several steps is divided among them by ids.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Ids that went through.
    pub tokens: u64,
    /// Bytes that came from the disk.
    pub read_bytes: u64,
    /// Bytes of streamed weights that were used, from the disk or from memory.
    pub touched_bytes: u64,
    /// Streamed records found in memory.
    pub hits: u64,
    /// Streamed records that had to be read.
    pub misses: u64,
    /// Time in which arithmetic waited for the disk.
    pub wait: Duration,
    /// Time in which at least one read was under way.
    pub reading: Duration,
    /// Time of mixing the positions: attention and its like.
    pub mixing: Duration,
    /// Time of multiplying streamed weights and choosing them, without the waits for them.
    pub multiplying: Duration,
    /// Time of making rows of logits.
    pub answering: Duration,
    /// Wall time; what the parts above leave of it is everything else.
    pub elapsed: Duration,
}

impl Spent {
    /// Adds what another step cost.
    pub fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.read_bytes += other.read_bytes;
        self.touched_bytes += other.touched_bytes;
        self.hits += other.hits;
        self.misses += other.misses;
        self.wait += other.wait;
        self.reading += other.reading;
        self.mixing += other.mixing;
        self.multiplying += other.multiplying;
        self.answering += other.answering;
        self.elapsed += other.elapsed;
    }
}

/// How a pass is watched and stopped from outside.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Set from anywhere: the pass ends at the next stage with [`ForwardError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Called between stages with (stages done, stages in the whole pass).
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
}

impl<'a> Control<'a> {
    /// A control that nobody listens to.
    #[must_use]
    pub fn new(cancel: &'a AtomicBool) -> Self {
        Self { cancel, progress: None }
    }

    /// Reports progress, then says whether to go on.
    ///
    /// # Errors
    /// [`ForwardError::Cancelled`].
    pub fn stage(&self, done: Progress) -> Result<(), ForwardError> {
        if let Some(progress) = self.progress {
            progress(done);
        }
        self.check()
    }

    /// Says whether to go on.
    ///
    /// # Errors
    /// [`ForwardError::Cancelled`].
    pub fn check(&self) -> Result<(), ForwardError> {
        if self.cancel.load(Ordering::Relaxed) { Err(ForwardError::Cancelled) } else { Ok(()) }
    }
}

/// How far a pass has come, in the smallest parts it can be stopped between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Ids whose whole way through the pass is done.
    pub tokens_done: usize,
    /// Ids in the pass.
    pub tokens: usize,
    /// Stages done of the whole pass.
    pub stages_done: usize,
    /// Stages of the whole pass.
    pub stages: usize,
}

/// A point of one sequence to which it can be rewound. What is inside is the model's business.
pub struct Checkpoint {
    /// Ids before the point.
    pub position: usize,
    /// The model's own copy.
    pub state: Box<dyn std::any::Any + Send + Sync>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Why a pass, a cut or a restore did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The control said stop.
    #[error("cancelled")]
    Cancelled,
    /// The sequence would outgrow its room.
    #[error("the context holds {capacity} tokens, {wanted} are wanted")]
    Context {
        /// Ids the sequence would have to hold.
        wanted: usize,
        /// Ids it can hold.
        capacity: usize,
    },
    /// An id that has no row in the model.
    #[error("token id {id} is not below the vocabulary size {vocabulary}")]
    UnknownId {
        /// The id.
        id: u32,
        /// Rows there are.
        vocabulary: usize,
    },
    /// A step without ids, or a batch without steps.
    #[error("a step without tokens")]
    Empty,
    /// The sequence was hit by an earlier error and was not rewound.
    #[error("the sequence was interrupted and has to be rewound first")]
    Poisoned,
    /// A cut further back than the model remembers.
    #[error("{wanted} tokens to be taken back, at most {limit} can")]
    Cut {
        /// Ids to take back.
        wanted: usize,
        /// Ids that can be.
        limit: usize,
    },
    /// A checkpoint that does not belong to this sequence.
    #[error("the checkpoint at {position} does not belong to this sequence")]
    Foreign {
        /// Position of the checkpoint.
        position: usize,
    },
    /// A snapshot that cannot be used, and why.
    #[error("snapshot refused: {0}")]
    Snapshot(String),
    /// The work itself failed (a disk, a damaged file).
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}
