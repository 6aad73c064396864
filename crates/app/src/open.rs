//! The door to the model: the only file that knows which one runs and from where. Behind it the app sees the engine's socket and plain numbers.

mod dump;
mod process;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub(crate) use dump::Dump;
use engine::{CHECKPOINTS_DEFAULT, Control};
use kernels::{Kernels, KvType, Precision};
pub(crate) use model::Routing;
pub(crate) use model::{ClassSize, Config, CpuModel as Model, Inspection, Mixer, UnusedKind};
use model::{CpuModel, LookAhead, ModelError, Opened, Settings, TraceError};
pub(crate) use model::{repack, synth};
pub(crate) use reading::Reading;
pub(crate) use store::Plan;
use store::{
    Bank, Counters, Files, IoMode, Locking, Needs, PolicyKind, Refusal, Warning, Wish, memory,
};

use crate::cli::{self, MachineArgs, ModelArgs};
use crate::fault::Fault;
use crate::progress::{Progress, Unit};
use crate::size::{self, PERCENT, Size};
use crate::{interrupt, language, place};

/// Reads that are under way at the same time: a few more than cores, since readers mostly wait.
pub(crate) const READERS: usize = 8;
/// The share of what is there that is used when nobody says otherwise.
const MEMORY_DEFAULT: Size = Size::Share(70 * PERCENT);

/// A checkpoint whose headers were read.
pub(crate) struct Checkpoint {
    pub(crate) directory: PathBuf,
    opened: Opened,
}

/// A plan, and the settings that it was made for.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    settings: Settings,
    /// How experts are read, and why so.
    pub(crate) reading: Reading,
    /// What is there, where the budget is more than that, and what sets that limit.
    beyond: Option<memory::Available>,
    /// A budget that would hold one cycle, where this one does not.
    cycle_budget_bytes: Option<u64>,
    company: Company,
}

/// What shares the memory of the process with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Company {
    /// Models that divide `--memory`, this one among them.
    pub(crate) models: u64,
    /// What is kept beside this one.
    pub(crate) bytes: u64,
}

impl Company {
    pub(crate) const NONE: Self = Self { models: 1, bytes: 0 };
}

/// What texts need beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// A tokenizer, and answers that are sampled.
    Needed,
    /// The same, points to which a conversation goes back, and what shows it.
    Conversation,
    /// And what holds calls of tools to their declarations.
    Tools,
    /// Ids come from a file.
    None,
}

impl Checkpoint {
    /// Finds and reads the checkpoint that the command line names.
    pub(crate) fn open(args: &ModelArgs) -> Result<Self, Fault> {
        let directory = place::directory(args.model.as_deref())?;
        let opened =
            Opened::open(&directory, args.experts_per_token).map_err(|error| match error {
                ModelError::ExpertsPerToken { .. } => {
                    Fault::command_line(format!("--experts-per-token: {error}"))
                }
                error => Fault::failed(error),
            })?;
        Ok(Self { directory, opened })
    }

    pub(crate) fn inspection(&self) -> Inspection {
        self.opened.inspection()
    }

    pub(crate) fn experts_per_token(&self) -> usize {
        self.opened.config().experts_per_token
    }

    pub(crate) fn published_experts_per_token(&self) -> usize {
        self.opened.published_experts_per_token()
    }

    /// How many experts there are in all layers.
    pub(crate) fn records(&self) -> usize {
        self.opened.config().layers() * self.opened.config().experts
    }

    pub(crate) fn layers(&self) -> usize {
        self.opened.config().layers()
    }

    /// Layers whose tensors lie in the files: fewer than all where layers share them.
    pub(crate) fn distinct_layers(&self) -> usize {
        self.opened.distinct_layers()
    }

    /// Bytes of state that one id moves at this position.
    pub(crate) fn state_bytes_per_token(&self, planned: &Planned, position: usize) -> u64 {
        self.opened.state_bytes_per_token(planned.settings.kv, position)
    }

    /// The experts as the store sees them.
    pub(crate) fn banks(&self) -> Result<Vec<Bank>, Fault> {
        self.opened.banks().map_err(Fault::failed)
    }

    /// The files that they lie in, as they are read when the model runs.
    pub(crate) fn disk(&self, planned: &Planned) -> Result<Files, Fault> {
        self.opened.files(planned.settings.io).map_err(Fault::failed)
    }

    /// The same files by every way to read them, or why one cannot be gone.
    pub(crate) fn disks(&self) -> Vec<(&'static str, Result<Files, Fault>)> {
        let modes = [IoMode::Uring, IoMode::Direct, IoMode::Buffered, IoMode::Mmap];
        let open = |io: IoMode| (io.name(), self.opened.files(io).map_err(Fault::failed));
        modes.into_iter().map(open).collect()
    }

    /// The most positions that the model knows.
    pub(crate) fn context_max(&self) -> usize {
        self.opened.config().max_positions
    }

    /// Ids that a row of logits has, padding among them.
    pub(crate) fn vocabulary(&self) -> usize {
        self.opened.config().vocab_size
    }

    /// Gives out the memory. `ctx` is the context where the command line has none.
    pub(crate) fn plan(
        &self,
        args: &MachineArgs,
        texts: Texts,
        ctx: Option<usize>,
    ) -> Result<Planned, Fault> {
        self.plan_among(args, texts, ctx, Company::NONE)
    }

    /// As [`Checkpoint::plan`], with an equal part of the memory for each of several models.
    pub(crate) fn plan_among(
        &self,
        args: &MachineArgs,
        texts: Texts,
        ctx: Option<usize>,
        company: Company,
    ) -> Result<Planned, Fault> {
        let whole_bytes = budget_bytes(args.memory)?;
        let budget_bytes = whole_bytes / company.models;
        let tokenizer_file_bytes = match texts {
            Texts::Needed | Texts::Conversation | Texts::Tools => {
                language::tokenizer_file_bytes(&self.directory)
            }
            Texts::None => 0,
        };
        let (turns, screen_bytes) = match texts {
            Texts::Conversation => (CHECKPOINTS_DEFAULT, process::SCREEN_BYTES),
            Texts::Tools => {
                let calls = process::calls(self.opened.config().vocab_size as u64);
                (CHECKPOINTS_DEFAULT, process::SCREEN_BYTES + calls)
            }
            Texts::Needed | Texts::None => (0, 0),
        };
        let reading = reading::choose(&self.opened, args.io, READERS)?;
        let threads = threads(args.threads);
        let trunk_bytes = self.opened.inspection().trunk_bytes;
        let vocabulary = self.opened.config().vocab_size as u64;
        let settings = Settings {
            threads,
            kv: kv(args.kv()),
            kernels: Kernels::best(),
            precision: precision(args.precision()),
            process_bytes: company.bytes
                + screen_bytes
                + process::bytes(tokenizer_file_bytes, vocabulary, threads as u64, trunk_bytes),
            sequences: 1,
            // The beginning, to which a session goes back after an error, and those of turns.
            checkpoints: 1 + turns,
            readers: READERS,
            look_ahead: look_ahead(args.look_ahead),
            policy: policy(args.policy),
            io: reading.mode,
        };
        let needs = self.opened.needs(&settings).map_err(Fault::failed)?;
        let wish = Wish { budget_bytes, ctx: args.ctx.or(ctx), chunk: None };
        let plan = Plan::make(&needs, &wish).map_err(|refusal| refused(&refusal, company))?;
        let cycle_budget_bytes = plan.below_cycle().then(|| cycle_budget_bytes(&needs, &plan));
        let beyond = memory::available().filter(|there| there.bytes < whole_bytes);
        Ok(Planned { plan, settings, beyond, reading, cycle_budget_bytes, company })
    }

    /// Loads what every token needs, with progress on the screen.
    pub(crate) fn load(self, planned: &Planned, cancel: &AtomicBool) -> Result<CpuModel, Fault> {
        let progress = Progress::new("loading", Unit::Bytes);
        self.load_telling(planned, cancel, &|done: u64, total: u64| {
            progress.tell(done, total, done as f64 / total.max(1) as f64);
        })
    }

    /// The same, and whoever listens hears of bytes done and of all bytes.
    pub(crate) fn load_telling(
        self,
        planned: &Planned,
        cancel: &AtomicBool,
        tell: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<CpuModel, Fault> {
        let loaded = self.opened.load(&planned.plan, &planned.settings, tell, cancel);
        interrupt::check(cancel)?;
        loaded.map_err(Fault::failed)
    }
}

impl Planned {
    pub(crate) fn threads(&self) -> usize {
        self.settings.threads
    }

    /// How keys and values are kept.
    pub(crate) fn kv(&self) -> &'static str {
        self.settings.kv.name()
    }

    /// How experts are read.
    pub(crate) fn io_mode(&self) -> &'static str {
        self.settings.io.name()
    }

    /// How weights are multiplied.
    pub(crate) fn precision(&self) -> &'static str {
        self.settings.precision.name()
    }

    /// Whether all of it is float32.
    pub(crate) fn is_exact(&self) -> bool {
        self.settings.precision == Precision::Exact
    }

    /// The instructions that multiply.
    pub(crate) fn isa(&self) -> String {
        self.settings.kernels.isa().to_string()
    }

    /// What the plan could not give, a line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let plan = &self.plan;
        let line = |warning: &Warning| match *warning {
            Warning::BelowCycle { needed_bytes } => format!(
                "the {} slots hold less than the {} that one whole token reads, so hardly any \
                 expert is found in memory; --memory {} would hold them",
                plan.slot_count,
                size::shown(plan.cycle_bytes),
                size::advised(
                    self.company.models * self.cycle_budget_bytes.unwrap_or(needed_bytes)
                ),
            ),
            Warning::ContextReduced { usual, given } => {
                format!("the memory gives a context of {given} tokens, {usual} are usual")
            }
            ref other @ Warning::ChunkReduced { .. } => other.to_string(),
        };
        let beyond = self.beyond.iter().map(|there| {
            format!(
                "{} are more than the {} that are there ({})",
                size::shown(self.company.models * plan.budget_bytes),
                size::shown(there.bytes),
                there.source
            )
        });
        beyond.chain(plan.warnings.iter().map(line)).collect()
    }
}

/// What the store counted since the model was loaded.
pub(crate) fn counters(model: &CpuModel) -> Counters {
    model.counters()
}

/// Why the trunk may leave memory, if it may.
pub(crate) fn unlocked(model: &CpuModel, plan: &Plan) -> Option<String> {
    let why = match model.locking() {
        Locking::Locked => return None,
        Locking::Refused { limit_bytes: Some(limit), .. } => {
            format!("this user may lock {}", size::shown(*limit))
        }
        Locking::Refused { limit_bytes: None, why } => why.clone(),
        Locking::Unsupported => "this system has no way to".to_owned(),
    };
    let trunk = size::shown(plan.trunk_bytes);
    Some(format!("the trunk ({trunk}) could not be locked in memory: {why}"))
}

/// Forgets the most memory that this process had until now, where the system lets it.
pub(crate) fn forget_peak() {
    memory::forget_peak();
}

/// The most memory that this process had; `None` where the system does not tell.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    memory::peak_rss_bytes()
}

/// Writes what an oracle compares.
pub(crate) fn write_logits(
    model: &mut CpuModel,
    ids: &[u32],
    decode: usize,
    out: &Path,
    control: &Control<'_>,
) -> Result<(), Fault> {
    let written = model::write_logits(model, ids, decode, out, control);
    written.map_err(|error: TraceError| match interrupt::check(control.cancel) {
        Err(interrupted) => interrupted,
        Ok(()) => Fault::failed(error),
    })
}

fn look_ahead(wished: cli::LookAhead) -> LookAhead {
    match wished {
        cli::LookAhead::Auto => LookAhead::Auto,
        cli::LookAhead::On => LookAhead::On,
        cli::LookAhead::Off => LookAhead::Off,
    }
}

fn precision(wished: cli::Precision) -> Precision {
    match wished {
        cli::Precision::Exact => Precision::Exact,
        cli::Precision::Fast => Precision::Fast,
    }
}

fn kv(wished: cli::KvType) -> KvType {
    match wished {
        cli::KvType::F32 => KvType::F32,
        cli::KvType::F16 => KvType::F16,
        cli::KvType::Q8 => KvType::Q8,
    }
}

fn policy(wished: cli::Policy) -> PolicyKind {
    match wished {
        cli::Policy::Lru => PolicyKind::Lru,
        cli::Policy::Clock => PolicyKind::Clock,
        cli::Policy::Lfu => PolicyKind::Lfu,
    }
}

fn threads(wished: Option<u16>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    wished.map_or_else(cores, usize::from)
}

fn budget_bytes(wished: Option<Size>) -> Result<u64, Fault> {
    let there = memory::available().map(|available| available.bytes);
    wished.unwrap_or(MEMORY_DEFAULT).bytes(there).ok_or_else(|| {
        Fault::command_line(
            "this system does not tell how much memory is there; accepted: --memory with a size \
             that is no share, such as 8GiB",
        )
    })
}

/// A budget with which the same context has the slots of one cycle. Of a larger budget larger
/// passes take their share too, so it is the plan that is asked, in steps of some percent.
fn cycle_budget_bytes(needs: &Needs, plan: &Plan) -> u64 {
    let mut budget_bytes = plan.plan_bytes.saturating_add(plan.cycle_bytes);
    loop {
        budget_bytes = budget_bytes.saturating_add(budget_bytes / 32).next_multiple_of(1 << 20);
        let wish = Wish { budget_bytes, ctx: Some(plan.ctx), chunk: None };
        let holds = Plan::make(needs, &wish).is_ok_and(|plan| !plan.below_cycle());
        if holds || budget_bytes > u64::MAX / 2 {
            return budget_bytes;
        }
    }
}

fn refused(refusal: &Refusal, company: Company) -> Fault {
    Fault::refused(match refusal {
        Refusal::Memory { budget_bytes, floor_bytes, parts, ctx } => {
            let parts: Vec<String> = parts
                .iter()
                .map(|(name, bytes)| format!("{name} {}", size::shown(*bytes)))
                .collect();
            let each = match company.models {
                1 => String::new(),
                models => format!(" for each of {models} models"),
            };
            format!(
                "--memory: {}{each} is below the floor of {} for a context of {ctx} ({}); \
                 accepted: --memory {} or more",
                size::shown(*budget_bytes),
                size::shown(*floor_bytes),
                parts.join(" + "),
                size::advised(company.models * floor_bytes),
            )
        }
        Refusal::Context { wished, accepted } => {
            format!("--ctx: a context of {wished} tokens; accepted: 1 to {accepted}")
        }
        other @ Refusal::Chunk => other.to_string(),
    })
}
