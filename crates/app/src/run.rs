//! The command `run`: one prompt, one answer, and what it cost.

use std::io::{IsTerminal as _, Stderr, StdoutLock, Write, stderr, stdout};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use engine::{
    Control, Forward, GenerateError, Generated, Phase, Sampling, Session, Settings, StopReason,
    Turn, generate,
};

use crate::cli::{GenerationArgs, MachineArgs, RunArgs, StatsForm};
use crate::fault::Fault;
use crate::language::Language;
use crate::open::{self, Checkpoint, Planned, Texts};
use crate::print::{Printer, Thinking};
use crate::progress::{Progress, Unit};
use crate::prompt::Question;
use crate::report::{self, Conditions};
use crate::{interrupt, say};

/// Runs the command; `start` is when the program began.
pub(crate) fn run(args: &RunArgs, start: Instant) -> Result<(), Fault> {
    let question = Question::read(args)?;
    let cancel = interrupt::watch()?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let planned = checkpoint.plan(&args.machine, Texts::Needed, None)?;
    // Reading a tokenizer takes more memory than having it: it comes before all that is large.
    let language = Language::open(&checkpoint.directory)?;
    let turn = question.turn(&language.tokenizer, language.template.as_ref())?;
    fits(&turn, planned.plan.ctx)?;
    let settings = settings(&args.generation, &language)?;
    warn(&checkpoint, &planned);
    let mut conditions = conditions(&args.machine, &checkpoint, &planned);

    let (generated, told) = match checkpoint.load(&planned, cancel) {
        Ok(mut model) => {
            if let Some(why) = open::unlocked(&model, &planned.plan) {
                say::warning(why);
            }
            conditions.start_seconds = start.elapsed().as_secs_f64();
            let mut printer = printer(args, &language);
            let ctx = planned.plan.ctx;
            let path = args.dump_routing.as_deref();
            let dump = path.map(|path| open::Dump::begin(&mut model, path)).transpose()?;
            let told = answer(&mut model, ctx, &language, &turn, &settings, cancel, &mut printer)?;
            dump.map_or(Ok(()), open::Dump::end)?;
            told
        }
        Err(Fault::Interrupted) => (nothing(), Err(Fault::Interrupted)),
        Err(fault) => return Err(fault),
    };
    conditions.peak_rss_bytes = open::peak_rss_bytes();
    if args.timing {
        say::note(report::timing(&generated.decode));
    }
    say::note(match args.stats {
        Some(StatsForm::Json) => report::json(&generated, &conditions).to_string(),
        None => report::last_line(&generated, &conditions),
    });
    told
}

fn printer<'l>(args: &RunArgs, language: &'l Language) -> Printer<'l, StdoutLock<'static>, Stderr> {
    let thinking = Thinking::choose(args.show_thinking, stderr().is_terminal(), say::is_rich());
    let terminal = stdout().is_terminal();
    Printer::new(stdout().lock(), stderr(), &language.tokenizer, thinking, terminal)
}

/// A turn that was interrupted before it began.
fn nothing() -> Generated {
    Generated {
        ids: Vec::new(),
        text: String::new(),
        reasoning: String::new(),
        stop: StopReason::Cancelled,
        reused: 0,
        prompt: Phase::default(),
        decode: Phase::default(),
        first_id: None,
        logits_hash: None,
    }
}

/// Generates the turn and shows it. What was generated comes back even when an error ended it; the
/// error was said then, so that the last line stays the last.
fn answer<F: Forward, O: Write, E: Write>(
    model: &mut F,
    ctx: usize,
    language: &Language,
    turn: &Turn,
    settings: &Settings,
    cancel: &AtomicBool,
    printer: &mut Printer<'_, O, E>,
) -> Result<(Generated, Result<(), Fault>), Fault> {
    let mut session = Session::with_checkpoints(model, ctx, 0).map_err(Fault::failed)?;
    let progress = Progress::new("reading the prompt", Unit::Tokens);
    let tell = |told: engine::Progress| {
        // A pass of a single id is a step of decoding.
        if told.tokens > 1 {
            let share = told.stages_done as f64 / told.stages.max(1) as f64;
            progress.tell(told.tokens_done as u64, told.tokens as u64, share);
        }
    };
    let control = Control { cancel, progress: Some(&tell) };
    let mut sink = |event| {
        progress.clear();
        printer.event(event)
    };
    let tokenizer = &language.tokenizer;
    let done = generate(model, &mut session, tokenizer, turn, settings, &control, None, &mut sink);
    progress.clear();
    printer.finish();
    let (generated, told) = match done {
        Ok(generated) => {
            let told = match (&generated.stop, &printer.failure) {
                (StopReason::Cancelled, _) => Err(Fault::Interrupted),
                (StopReason::Closed, Some(error)) => Err(Fault::output(error)),
                _ => Ok(()),
            };
            (generated, told)
        }
        Err(error) => {
            let fault = Fault::failed(&error);
            match error {
                GenerateError::Forward { so_far, .. } | GenerateError::Sample { so_far, .. } => {
                    (*so_far, Err(fault))
                }
                _ => return Err(fault),
            }
        }
    };
    let told = told.map_err(|fault| match fault {
        Fault::Failed(line) => {
            printer.error(&line);
            Fault::Told
        }
        other => other,
    });
    Ok((generated, told))
}

/// Whether a turn fits into the context; refused with both numbers.
pub(crate) fn fits(turn: &Turn, ctx: usize) -> Result<(), Fault> {
    let prompt = turn.prompt.len();
    if prompt <= ctx {
        return Ok(());
    }
    Err(Fault::refused(format!(
        "the prompt has {prompt} tokens, the context holds {ctx}; accepted: a shorter prompt, or \
         --ctx and --memory that give more"
    )))
}

/// What flags and the checkpoint say of generation.
pub(crate) fn settings(args: &GenerationArgs, language: &Language) -> Result<Settings, Fault> {
    let sampling = Sampling::new(&language.defaults, &args.sampling());
    Ok(Settings {
        max_tokens: args.max_tokens,
        sampling: sampling.map_err(Fault::command_line)?,
        stop: args.stop.clone(),
        stop_ids: language.stop_ids.clone(),
        ignore_eos: args.ignore_eos,
        logprobs: args.logprobs.map(|top| top as usize),
        think_budget: args.think.and_then(crate::cli::ThinkChoice::budget),
    })
}

fn warn(checkpoint: &Checkpoint, planned: &Planned) {
    warnings(checkpoint, planned).iter().for_each(say::warning);
}

/// What works otherwise than one might hope, a line each.
pub(crate) fn warnings(checkpoint: &Checkpoint, planned: &Planned) -> Vec<String> {
    let mut warnings = planned.warnings();
    let (used, own) = (checkpoint.experts_per_token(), checkpoint.published_experts_per_token());
    if used != own {
        warnings.push(format!("{used} experts per token, the model was made for {own}"));
    }
    warnings
}

/// What is known of a run before it begins.
pub(crate) fn conditions(
    machine: &MachineArgs,
    checkpoint: &Checkpoint,
    planned: &Planned,
) -> Conditions {
    Conditions {
        start_seconds: 0.0,
        peak_rss_bytes: None,
        plan_bytes: planned.plan.plan_bytes,
        budget_bytes: planned.plan.budget_bytes,
        experts_per_token: checkpoint.experts_per_token(),
        published_experts_per_token: checkpoint.published_experts_per_token(),
        precision: planned.precision(),
        threads: planned.threads(),
        device: machine.backend.device(),
        isa: planned.isa(),
        io_mode: planned.io_mode(),
    }
}

#[cfg(test)]
mod tests;
