//! One turn from its prompt to its end: sync, then choose, show and append one id after another.

mod run;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use run::Run;

use crate::forward::{Control, Forward, ForwardError, Spent};
use crate::sample::{LogProbs, Mask, SampleError, Sampling};
use crate::session::{Session, Synced};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::turn::Turn;

/// How a turn is generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Ids at most, reasoning and forced ones included; `None` is what the context leaves.
    pub max_tokens: Option<usize>,
    /// How ids are chosen.
    pub sampling: Sampling,
    /// Texts that end the turn when they come up in the answer; in reasoning they are text.
    pub stop: Vec<String>,
    /// Ids that end the turn.
    pub stop_ids: Vec<u32>,
    /// Goes on past `stop_ids`.
    pub ignore_eos: bool,
    /// Log-probabilities with every id: of itself and of so many of the highest.
    pub logprobs: Option<usize>,
    /// Ids of reasoning after which the block is closed by force; `None` lets it be.
    pub think_budget: Option<usize>,
}

/// What happens in a turn, as it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt is read.
    Prompt(Synced),
    /// An id became part of the output; the text that it makes whole follows.
    Id {
        /// The id.
        id: u32,
        /// What the model thought of it, if that was asked for.
        logprobs: Option<LogProbs>,
        /// Whether it was not chosen but put there to close the think block.
        forced: bool,
    },
    /// Whole characters that are certain to stand.
    Text {
        /// At least one character.
        text: String,
        /// Whether they are reasoning, not answer.
        reasoning: bool,
    },
}

/// Why a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// By this id, which is the last of the ids and no text.
    Eos(u32),
    /// By this stop string, which is not shown.
    StopString(String),
    /// By `max_tokens` or the end of the context.
    Length,
    /// By [`Control::cancel`].
    Cancelled,
    /// The sink wanted no more.
    Closed,
    /// By an error: only inside one.
    Failed,
}

impl StopReason {
    /// One word for machines: `eos`, `stop`, `length`, `cancelled`, `closed` or `error`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eos(_) => "eos",
            Self::StopString(_) => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
            Self::Failed => "error",
        }
    }
}

/// One of the two phases of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phase {
    /// Ids that went through the model.
    pub tokens: usize,
    /// What they cost.
    pub spent: Spent,
    /// Wall time of passes and choices; what the sink took is not in it.
    pub elapsed: Duration,
}

impl Phase {
    /// Ids in a second; `None` where nothing was measured.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (self.tokens > 0 && seconds > 0.0).then(|| self.tokens as f64 / seconds)
    }
}

/// What a turn gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// All ids of the output: the one that ended it and forced ones included.
    pub ids: Vec<u32>,
    /// The answer, as it was shown.
    pub text: String,
    /// The reasoning, as it was shown.
    pub reasoning: String,
    /// How it ended.
    pub stop: StopReason,
    /// Ids of the prompt that the session held already.
    pub reused: usize,
    /// Reading the rest of the prompt.
    pub prompt: Phase,
    /// Decoding: one step for every id but the last, which no pass was needed for.
    pub decode: Phase,
    /// From the call to the first id.
    pub first_id: Option<Duration>,
    /// [`crate::logits_hash`] of the last position that was computed, mostly the one from which the
    /// last id was chosen; `None` if the prompt was not read.
    pub logits_hash: Option<String>,
}

/// Why a turn could not be generated to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The prompt does not fit. Nothing was done.
    #[error("the prompt has {prompt} tokens, the context holds {capacity}")]
    Context {
        /// Ids of the prompt.
        prompt: usize,
        /// Ids that the session can hold.
        capacity: usize,
    },
    /// There is nothing to begin with. Nothing was done.
    #[error("the prompt is empty: at least one token is needed")]
    Empty,
    /// The ids that close a think block cannot be made. Nothing was done.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A pass failed.
    #[error("{source}")]
    Forward {
        /// Why.
        source: ForwardError,
        /// What there was until then; all of it was shown.
        so_far: Box<Generated>,
    },
    /// No id can be chosen.
    #[error("{source}")]
    Sample {
        /// Why.
        source: SampleError,
        /// What there was until then; all of it was shown.
        so_far: Box<Generated>,
    },
}

/// Generates one turn.
///
/// The prompt is synced (with a checkpoint where the turn wishes one), then ids are chosen until
/// one of the [`StopReason`]s. The sink hears everything at once and may end the turn by breaking;
/// it is not called again then. A cancel ends the turn with what there is, it is no error.
///
/// Afterwards the session holds the prompt and all ids but the last, for which no pass was needed.
/// After an error or a cancel in the middle of a pass it holds what its last checkpoint holds. In
/// both cases the next turn may simply be generated: sync sees to the rest.
///
/// The mask sees the logits of every choice, in reasoning too, and hears of every id.
///
/// # Errors
/// See [`GenerateError`].
#[expect(
    clippy::too_many_arguments,
    reason = "who runs, what is said, how, and who listens: a struct around them would only be taken apart again"
)]
pub fn generate<F: Forward>(
    forward: &mut F,
    session: &mut Session<F>,
    tokenizer: &Tokenizer,
    turn: &Turn,
    settings: &Settings,
    control: &Control<'_>,
    mask: Option<&mut (dyn Mask + '_)>,
    sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Generated, GenerateError> {
    let watch = &mut |_: &F, _: &Session<F>| ();
    generate_watched(forward, session, tokenizer, turn, settings, control, mask, sink, watch)
}

/// The same, and somebody looks at the session after every id that went through the model, to keep
/// a snapshot of a long answer for instance.
///
/// # Errors
/// See [`GenerateError`].
#[expect(clippy::too_many_arguments, reason = "those of `generate`, and one who looks on")]
pub fn generate_watched<F: Forward>(
    forward: &mut F,
    session: &mut Session<F>,
    tokenizer: &Tokenizer,
    turn: &Turn,
    settings: &Settings,
    control: &Control<'_>,
    mut mask: Option<&mut (dyn Mask + '_)>,
    sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    watch: &mut dyn FnMut(&F, &Session<F>),
) -> Result<Generated, GenerateError> {
    let (prompt, capacity) = (turn.prompt.len(), session.capacity());
    if prompt == 0 {
        return Err(GenerateError::Empty);
    }
    if prompt > capacity {
        return Err(GenerateError::Context { prompt, capacity });
    }
    let start = Instant::now();
    let limit = settings.max_tokens.unwrap_or(usize::MAX).min(capacity - prompt);
    let mut run = Run::new(tokenizer, turn, settings, limit, sink)?;
    let checkpoint_at = turn.checkpoint_at.as_slice();
    match session.sync(forward, &turn.prompt, checkpoint_at, control) {
        Ok(synced) => run.prompt_is_read(synced, start.elapsed()),
        Err(ForwardError::Cancelled) => return Ok(run.end(StopReason::Cancelled, None)),
        Err(source) => return Err(run.failed(source, None)),
    }
    while run.goes_on(control) {
        let clock = Instant::now();
        let row = session.logits().unwrap_or_default();
        let (id, forced) = match run.choose(row, mask.as_deref_mut()) {
            Ok(chosen) => chosen,
            Err(source) => {
                let so_far = Box::new(run.end(StopReason::Failed, Some(session.newest_row())));
                return Err(GenerateError::Sample { source, so_far });
            }
        };
        run.chosen(clock.elapsed(), start.elapsed());
        if let Some(mask) = mask.as_deref_mut() {
            mask.accept(id);
        }
        run.append(id, forced, row);
        if !run.goes_on(control) {
            break;
        }
        let clock = Instant::now();
        match session.push(forward, id, control) {
            Ok(spent) => {
                run.stepped(&spent, clock.elapsed());
                watch(forward, session);
            }
            Err(ForwardError::Cancelled) => run.stop = Some(StopReason::Cancelled),
            Err(source) => return Err(run.failed(source, Some(session.newest_row()))),
        }
    }
    let stop = run.stop.clone().unwrap_or(StopReason::Length);
    Ok(run.end(stop, Some(session.newest_row())))
}
