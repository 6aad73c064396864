//! The command `eval kl`: two configurations of one model read the same text, side by side, and what they expect is compared.

mod report;
mod score;
mod tally;

use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use engine::{Control, Forward, Step, Turn, Want};

use self::report::{Report, Side};
use self::score::Score;
use self::tally::Tally;
use crate::cli::{KlArgs, KvType, MachineArgs, ModelArgs, Precision};
use crate::fault::Fault;
use crate::open::{self, Checkpoint, Company, Model, Planned, Texts};
use crate::progress::{Progress, Unit};
use crate::{interrupt, language, place, prompt, say};

/// Tokens of a window where `--ctx` says nothing: as many as evaluations of long texts take.
const WINDOW: usize = 2048;
/// Logits of one model that exist at a time, where `--chunk` says nothing.
const LOGITS_BYTES: usize = 32 << 20;
/// Tokens at a time where so many rows of logits are small.
const CHUNK_MAX: usize = 64;

/// Runs the command.
pub(crate) fn kl(args: &KlArgs) -> Result<(), Fault> {
    let cancel = interrupt::watch()?;
    // Said once, whichever it is: the built-in model makes itself known.
    let model = Some(place::directory(args.model.model.as_deref())?);
    let [reference, candidate] = sides(args, &model);
    let reference = reference.open()?;
    let candidate = candidate.open()?;
    let text = Text::read(args, &reference.checkpoint)?;
    let chunk = args.chunk.unwrap_or_else(|| chunk(reference.checkpoint.vocabulary()));
    let window = WINDOW.min(text.ids.len() - 1).min(reference.checkpoint.context_max());
    let window = args.machine.ctx.unwrap_or(window);
    let beside = Beside { chunk, window, tokens: text.ids.len() };
    // One tokenizer was read, whatever the number of models.
    let mut reference = reference.plan(Texts::Needed, &beside)?;
    let mut candidate = candidate.plan(Texts::None, &beside)?;
    warn(&reference.planned, &candidate.planned);
    let mut models = [reference.load(cancel)?, candidate.load(cancel)?];
    let plan_bytes = [&reference, &candidate].map(|side| side.planned.plan.plan_bytes);
    let budget_bytes = [&reference, &candidate].map(|side| side.planned.plan.budget_bytes);

    let mut tally = Tally::with_room(text.ids.len() - 1);
    let took = evaluate(&mut models, &text, &beside, &mut tally, cancel)?;
    let report = Report {
        sides: [reference.told(took[0]), candidate.told(took[1])],
        figures: tally.figures(),
        ctx: window,
        chunk,
        vocabulary: text.vocabulary,
        padding_ids: text.padding_ids,
        threads: reference.planned.threads(),
        isa: reference.planned.isa(),
        plan_bytes: plan_bytes.iter().sum(),
        budget_bytes: budget_bytes.iter().sum(),
        peak_rss_bytes: open::peak_rss_bytes(),
    };
    let text = if args.json { format!("{}\n", report.json()) } else { report.table() };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}

/// The two configurations as flags: what nobody said of the reference is exact, what nobody said of
/// the candidate is as on the command line.
fn sides(args: &KlArgs, model: &Option<PathBuf>) -> [Configured; 2] {
    let (against, with) = (&args.against, &args.with);
    let model = |experts_per_token| ModelArgs { model: model.clone(), experts_per_token };
    let reference = Configured {
        model: model(against.experts_per_token),
        machine: MachineArgs {
            precision: Some(against.precision.unwrap_or(Precision::Exact)),
            kv: Some(against.kv.unwrap_or(KvType::F32)),
            ..args.machine.clone()
        },
    };
    let candidate = Configured {
        model: model(with.experts_per_token.or(args.model.experts_per_token)),
        machine: MachineArgs {
            precision: with.precision.or(args.machine.precision),
            kv: with.kv.or(args.machine.kv),
            ..args.machine.clone()
        },
    };
    [reference, candidate]
}

/// Rows of logits that take [`LOGITS_BYTES`], at least one.
fn chunk(vocabulary: usize) -> usize {
    (LOGITS_BYTES / (4 * vocabulary.max(1))).clamp(1, CHUNK_MAX)
}

/// One configuration.
struct Configured {
    model: ModelArgs,
    machine: MachineArgs,
}

/// With the checkpoint that it names.
struct Opened {
    machine: MachineArgs,
    checkpoint: Checkpoint,
}

/// With a part of the memory.
struct Ready {
    machine: MachineArgs,
    experts_per_token: usize,
    planned: Planned,
    /// Until it is loaded.
    checkpoint: Option<Checkpoint>,
}

/// What the evaluation needs beside the models.
struct Beside {
    /// Tokens that go through both models at a time.
    chunk: usize,
    /// Tokens of a window.
    window: usize,
    /// Tokens of the text.
    tokens: usize,
}

impl Configured {
    fn open(self) -> Result<Opened, Fault> {
        let checkpoint = Checkpoint::open(&self.model)?;
        Ok(Opened { machine: self.machine, checkpoint })
    }
}

impl Opened {
    fn plan(self, texts: Texts, beside: &Beside) -> Result<Ready, Fault> {
        let Self { machine, checkpoint } = self;
        // Rows of logits, and this model's half of what is kept of each token: an id, a divergence.
        let rows_bytes = 4 * beside.chunk * checkpoint.vocabulary();
        let bytes = (rows_bytes + 4 * beside.tokens) as u64;
        let company = Company { models: 2, bytes };
        let planned = checkpoint.plan_among(&machine, texts, Some(beside.window), company)?;
        let experts_per_token = checkpoint.experts_per_token();
        Ok(Ready { machine, experts_per_token, planned, checkpoint: Some(checkpoint) })
    }
}

impl Ready {
    fn load(&mut self, cancel: &AtomicBool) -> Result<Model, Fault> {
        let checkpoint = self.checkpoint.take().expect("each side is loaded once");
        checkpoint.load(&self.planned, cancel)
    }

    fn told(&self, took: Duration) -> Side {
        Side {
            precision: self.machine.precision(),
            kv: self.machine.kv(),
            experts_per_token: self.experts_per_token,
            seconds: took.as_secs_f64(),
        }
    }
}

/// What both models would say twice is said once.
fn warn(reference: &Planned, candidate: &Planned) {
    let said = reference.warnings();
    said.iter().for_each(say::warning);
    candidate.warnings().iter().filter(|line| !said.contains(line)).for_each(say::warning);
}

/// What is to be predicted.
struct Text {
    ids: Vec<u32>,
    /// Ids that the tokenizer has.
    vocabulary: usize,
    /// Ids of a row of logits that it does not have.
    padding_ids: usize,
}

impl Text {
    /// Reads what the command line names. The tokenizer is gone before the models come.
    fn read(args: &KlArgs, checkpoint: &Checkpoint) -> Result<Self, Fault> {
        let tokenizer = language::tokenizer(&checkpoint.directory)?;
        let vocabulary = tokenizer.size().min(checkpoint.vocabulary());
        let (mut ids, name) = match (&args.ids, &args.file) {
            (Some(path), _) => (super::ids(path)?, path.display().to_string()),
            (None, Some(path)) => {
                let turn = Turn::raw(&tokenizer, &prompt::named(path)?).map_err(Fault::failed)?;
                (turn.prompt, path.display().to_string())
            }
            (None, None) => {
                return Err(Fault::command_line("no text; accepted: -f FILE or --ids FILE"));
            }
        };
        if let Some(tokens) = args.tokens {
            ids.truncate(tokens);
        }
        if ids.len() < 2 {
            let why = "a single token; accepted: at least two, since each is predicted from those \
                       before it";
            return Err(Fault::failed(format!("{name}: {why}")));
        }
        if let Some((at, id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= vocabulary) {
            let why = format!("element {at} is {id}; accepted: ids below {vocabulary}");
            return Err(Fault::failed(format!("{name}: {why}")));
        }
        Ok(Self { ids, vocabulary, padding_ids: checkpoint.vocabulary() - vocabulary })
    }
}

/// Runs all windows through both models; how long each of them took.
fn evaluate(
    models: &mut [Model; 2],
    text: &Text,
    beside: &Beside,
    tally: &mut Tally,
    cancel: &AtomicBool,
) -> Result<[Duration; 2], Fault> {
    let progress = Progress::new("evaluating", Unit::Tokens);
    let control = Control { cancel, progress: None };
    let failed = |error: engine::ForwardError| match interrupt::check(cancel) {
        Err(interrupted) => interrupted,
        Ok(()) => Fault::failed(error),
    };
    let mut took = [Duration::ZERO; 2];
    let (inputs, width) = (&text.ids[..text.ids.len() - 1], models[0].facts().vocabulary);
    let mut done = 0;
    for window in inputs.chunks(beside.window) {
        let [first, second] = &*models;
        let room = |model: &Model| model.sequence(window.len()).map_err(failed);
        let mut sequences = [room(first)?, room(second)?];
        for ids in window.chunks(beside.chunk) {
            let mut logits = [Vec::new(), Vec::new()];
            for (side, model) in models.iter_mut().enumerate() {
                let start = Instant::now();
                let sequence = &mut sequences[side];
                let step = Step { sequence, tokens: ids, logits: Want::All, hidden: false };
                let mut output = model.forward(&mut [step], &control).map_err(failed)?;
                logits[side] = output.steps.swap_remove(0).logits;
                took[side] += start.elapsed();
            }
            let [reference, candidate] = &logits;
            let rows = reference.chunks_exact(width).zip(candidate.chunks_exact(width));
            for (reference, candidate) in rows {
                done += 1;
                let real = [reference, candidate].map(|row| &row[..text.vocabulary]);
                let score = Score::of(real, text.ids[done] as usize);
                let score = score.ok_or_else(|| {
                    Fault::failed(format!("token {done}: its logits are not finite numbers"))
                })?;
                tally.add(&score);
            }
            progress.tell(done as u64, inputs.len() as u64, done as f64 / inputs.len() as f64);
        }
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_logits_has_its_bytes_or_is_one_row() {
        assert_eq!(chunk(8192), 64, "a small vocabulary");
        assert_eq!(chunk(248_320), 33, "a large one");
        assert_eq!(chunk(1 << 30), 1, "never none");
    }
}
