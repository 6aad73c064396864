//! `bench decode` and `bench prefill`: ceilings, the model, the repeats, and the ceilings again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use engine::Phase;
use store::Counters;

use super::bound::{Bounds, Speeds, Work};
use super::feed::{self, Repeat};
use super::routing::{Played, Routes};
use super::{ceilings, charts, json, records, report};
use crate::cli::{MachineArgs, ModelArgs, Prompts, SpeedArgs};
use crate::fault::Fault;
use crate::open::{self, Checkpoint, Dump, Model, Plan, Planned, Texts};
use crate::report::Conditions;
use crate::speed::{self, Asked, Prediction};
use crate::{interrupt, say};

/// How long the disk is measured, before and after.
const DISK_TIME: Duration = Duration::from_millis(400);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Test {
    pub(crate) prompt_tokens: usize,
    /// 0 where reading the prompt is what is measured.
    pub(crate) decode_tokens: usize,
    pub(crate) repeat: usize,
    pub(crate) warmup: usize,
    pub(crate) prompts: Prompts,
    pub(crate) router: &'static str,
    seed: u64,
}

impl Test {
    pub(crate) fn new(prompt_tokens: usize, decode_tokens: usize, args: &SpeedArgs) -> Self {
        let warmup = if args.prompts == Prompts::Cold { 0 } else { 1 };
        Self {
            prompt_tokens,
            decode_tokens,
            repeat: args.repeat,
            warmup: args.warmup.unwrap_or(warmup),
            prompts: args.prompts,
            router: args.router.name(),
            seed: args.seed,
        }
    }

    /// As `llama-bench` calls it.
    pub(crate) fn name(&self) -> String {
        match self.decode_tokens {
            0 => format!("pp{}", self.prompt_tokens),
            tokens => format!("tg{tokens}"),
        }
    }

    /// The phase that is measured.
    pub(crate) fn phase<'r>(&self, repeat: &'r Repeat) -> &'r Phase {
        if self.decode_tokens == 0 { &repeat.prompt } else { &repeat.decode }
    }

    /// The prompt of repeat `n`, warm-ups counted.
    fn prompt(&self, n: usize, vocabulary: usize) -> Vec<u32> {
        let seed = self.seed.wrapping_add(self.turn(n) as u64);
        feed::prompt(seed, self.prompt_tokens, vocabulary)
    }

    /// Which prompt repeat `n` has.
    fn turn(&self, n: usize) -> usize {
        if self.prompts == Prompts::Warm { 0 } else { n }
    }

    fn tokens(&self) -> usize {
        self.prompt_tokens + self.decode_tokens
    }

    fn repeats(&self) -> usize {
        self.warmup + self.repeat
    }
}

/// Ceilings of the machine, measured before and after the model ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ceilings {
    pub(crate) ram_gb_per_s: Vec<f64>,
    pub(crate) ram_buffer_bytes: u64,
    /// At this model's record pattern.
    pub(crate) disk_gb_per_s: Vec<f64>,
}

impl Ceilings {
    fn measure(
        &mut self,
        checkpoint: &Checkpoint,
        planned: &Planned,
        seed: u64,
    ) -> Result<(), Fault> {
        let ram = ceilings::ram(planned.threads(), planned.plan.budget_bytes)?;
        self.ram_gb_per_s.push(ram.gb_per_s);
        self.ram_buffer_bytes = ram.buffer_bytes;
        let (banks, files) = (checkpoint.banks()?, checkpoint.disk(planned)?);
        let rate = records::measure(&files, &banks, open::READERS, DISK_TIME, seed)?;
        self.disk_gb_per_s.push(rate.gb_per_s());
        Ok(())
    }

    pub(crate) fn ram(&self) -> f64 {
        self.ram_gb_per_s.iter().copied().fold(0.0, f64::max)
    }

    pub(crate) fn disk(&self) -> f64 {
        self.disk_gb_per_s.iter().copied().fold(0.0, f64::max)
    }

    fn speeds(&self) -> Speeds {
        Speeds { ram: 1e9 * self.ram(), disk: Some(1e9 * self.disk()) }
    }
}

/// Everything that one budget gave.
pub(crate) struct Outcome {
    pub(crate) test: Test,
    pub(crate) model: String,
    /// Trunk and experts.
    pub(crate) model_bytes: u64,
    pub(crate) layers: usize,
    pub(crate) distinct_layers: usize,
    /// Experts in all layers.
    pub(crate) records: usize,
    pub(crate) plan: Plan,
    pub(crate) conditions: Conditions,
    pub(crate) ceilings: Ceilings,
    pub(crate) repeats: Vec<Repeat>,
    /// Of all repeats together.
    pub(crate) work: Work,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) predicted: Option<Prediction>,
    /// What was done to the routes to make them fit.
    pub(crate) mapped: Option<String>,
    /// Records that were read on a guess, and those of them that were needed.
    pub(crate) guessed: u64,
    pub(crate) adopted: u64,
}

/// Measures with every budget that is asked for. What goes to stdout comes back.
pub(crate) fn all(test: &Test, args: &SpeedArgs) -> Result<String, Fault> {
    let cancel = interrupt::watch()?;
    args.plot.as_deref().map_or(Ok(()), charts::check)?;
    let directory = Checkpoint::open(&args.model)?.directory;
    // Named from now on, so that the built-in model is announced once.
    let model = ModelArgs { model: Some(directory), ..args.model.clone() };
    let budgets = match &*args.sweep {
        [] => vec![args.machine.memory],
        sizes => sizes.iter().copied().map(Some).collect(),
    };
    let mut outcomes = Vec::new();
    for memory in budgets {
        let machine = MachineArgs { memory, ..args.machine.clone() };
        outcomes.push(one(test, args, &model, &machine, cancel)?);
    }
    if let Some(path) = &args.plot {
        charts::draw(path, &outcomes)?;
    }
    Ok(match (args.json, &*args.sweep) {
        (true, []) => format!("{}\n", json::speed(&outcomes[0])),
        (true, _) => format!("{}\n", json::sweep(&outcomes)),
        (false, _) => report::speed(&outcomes),
    })
}

fn one(
    test: &Test,
    args: &SpeedArgs,
    model: &ModelArgs,
    machine: &MachineArgs,
    cancel: &AtomicBool,
) -> Result<Outcome, Fault> {
    let start = Instant::now();
    let checkpoint = Checkpoint::open(model)?;
    let wanted = test.prompt_tokens + test.decode_tokens;
    if let Some(ctx) = machine.ctx.filter(|ctx| *ctx < wanted) {
        return Err(Fault::refused(format!(
            "--ctx: {} tokens of prompt and {} to decode, the context holds {ctx}; accepted: \
             --ctx {wanted} or more",
            test.prompt_tokens, test.decode_tokens
        )));
    }
    let planned = checkpoint.plan(machine, Texts::None, Some(wanted))?;
    planned.warnings().iter().for_each(say::warning);
    let mut ceilings = Ceilings::default();
    ceilings.measure(&checkpoint, &planned, test.seed)?;
    interrupt::check(cancel)?;
    // What was borrowed for that, a share of the budget, is given back.
    open::forget_peak();
    let mut conditions = conditions(machine, &checkpoint, &planned);
    let tokens = test.tokens() * test.repeats();
    let routes = Routes::of(&args.router, &checkpoint, tokens, test.seed)?;
    let mut loading = Loading { model, planned: &planned, conditions: &mut conditions, start };
    let dump = args.dump_routing.as_deref();
    let (repeats, counted) = repeats(test, routes.as_ref(), dump, &mut loading, cancel)?;
    conditions.peak_rss_bytes = open::peak_rss_bytes();
    // The model is gone: its memory is free for the second look at the machine.
    ceilings.measure(&checkpoint, &planned, test.seed.wrapping_add(1))?;

    let inspection = checkpoint.inspection();
    let work = work(test, &checkpoint, &planned, &repeats);
    Ok(Outcome {
        test: *test,
        model: checkpoint.directory.display().to_string(),
        model_bytes: inspection.trunk_bytes + inspection.expert_bytes,
        layers: checkpoint.layers(),
        distinct_layers: checkpoint.distinct_layers(),
        records: checkpoint.records(),
        bounds: work.bounds(&ceilings.speeds()),
        predicted: match test.decode_tokens {
            0 => None,
            _ => {
                let asked = Asked::of(&checkpoint, &planned);
                speed::predict(&asked, &ceilings.speeds())
            }
        },
        plan: planned.plan,
        conditions,
        ceilings,
        repeats,
        work,
        mapped: routes.and_then(|routes| routes.departure),
        guessed: counted.guessed,
        adopted: counted.adopted,
    })
}

/// How a model comes into memory.
struct Loading<'a> {
    model: &'a ModelArgs,
    planned: &'a Planned,
    conditions: &'a mut Conditions,
    start: Instant,
}

impl Loading<'_> {
    fn load(&mut self, n: usize, cancel: &AtomicBool) -> Result<Model, Fault> {
        let model = Checkpoint::open(self.model)?.load(self.planned, cancel)?;
        if n == 0 {
            open::unlocked(&model, &self.planned.plan).iter().for_each(say::warning);
            self.conditions.start_seconds = self.start.elapsed().as_secs_f64();
        }
        Ok(model)
    }
}

/// All repeats that count, and what the store counted in the last model. With cold prompts each
/// has a model of its own, whose cache is empty.
fn repeats(
    test: &Test,
    routes: Option<&Routes>,
    dump: Option<&Path>,
    loading: &mut Loading<'_>,
    cancel: &AtomicBool,
) -> Result<(Vec<Repeat>, Counters), Fault> {
    let mut loaded: Option<Model> = None;
    let mut repeats = Vec::new();
    let mut dumped = None;
    for n in 0..test.repeats() {
        if test.prompts == Prompts::Cold {
            loaded = None;
        }
        let model = match &mut loaded {
            Some(model) => model,
            empty => empty.insert(loading.load(n, cancel)?),
        };
        if let Some(routes) = routes {
            let first = test.turn(n) * test.tokens();
            let played = Played::new(Arc::clone(&routes.trace), first, test.seed);
            model.route_by(Some(Box::new(played)));
        }
        // Of the last repeat alone: a trace is one text.
        if n + 1 == test.repeats() {
            dumped = dump.map(|path| Dump::begin(model, path)).transpose()?;
        }
        let prompt = test.prompt(n, model.config().vocab_size);
        let repeat = feed::once(model, &prompt, test.decode_tokens, cancel)?;
        if n >= test.warmup {
            repeats.push(repeat);
        }
    }
    dumped.map_or(Ok(()), Dump::end)?;
    Ok((repeats, loaded.as_ref().map(open::counters).unwrap_or_default()))
}

/// The bytes that all repeats together had to move.
fn work(test: &Test, checkpoint: &Checkpoint, planned: &Planned, repeats: &[Repeat]) -> Work {
    let trunk_bytes = checkpoint.inspection().trunk_bytes_per_token as f64;
    let mut work = Work::default();
    for repeat in repeats {
        let phase = test.phase(repeat);
        // A prompt reads the trunk once for each chunk of it.
        let (passes, position) = match test.decode_tokens {
            0 => (phase.tokens.div_ceil(planned.plan.chunk), test.prompt_tokens / 2),
            tokens => (phase.tokens, test.prompt_tokens + tokens / 2),
        };
        let spent = &phase.spent;
        let asked = (spent.hits + spent.misses).max(1) as f64;
        work.tokens += phase.tokens as f64;
        work.trunk_bytes += passes as f64 * trunk_bytes;
        let state_bytes = checkpoint.state_bytes_per_token(planned, position);
        work.state_bytes += passes as f64 * state_bytes as f64;
        work.expert_bytes += spent.touched_bytes as f64;
        work.missed_bytes += spent.touched_bytes as f64 * spent.misses as f64 / asked;
    }
    work
}

fn conditions(machine: &MachineArgs, checkpoint: &Checkpoint, planned: &Planned) -> Conditions {
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
