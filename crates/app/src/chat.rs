//! The command `chat`: a conversation in the terminal, drawn on a whole screen or line by line.

mod command;
mod core;
mod gauge;
mod keep;
mod kit;
mod markdown;
mod mention;
mod plain;
mod rich;
mod stage;
mod talk;
mod wire;

use std::io::{IsTerminal as _, stdin, stdout};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Instant;

use engine::{ChatTemplate, Forward, GenerationDefaults, Tokenizer};

use crate::cli::{ChatArgs, ModelArgs};
use crate::fault::Fault;
use crate::language::Language;
use crate::open::{self, Checkpoint, Texts};
use crate::report::Conditions;
use crate::{interrupt, prompt, run, say};
use core::{Core, Spending};
use gauge::Gauge;
use keep::Keep;
use kit::Kit;
use stage::{Load, Stage};
use talk::Talk;

/// Runs the command; `start` is when the program began.
pub(crate) fn chat(args: &ChatArgs, start: Instant) -> Result<(), Fault> {
    let cancel = interrupt::watch()?;
    // Whoever types a wrong file name hears of it before a model is loaded.
    let system = args.system.as_ref().map(prompt::given).transpose()?;
    let held = !args.tools.list.is_empty() && !args.tools.unconstrained_tools;
    let texts = if held { Texts::Tools } else { Texts::Conversation };
    let (machine, experts) = (args.machine.clone(), args.model.experts_per_token);
    let load = move |source: Option<&Path>, cancel: &AtomicBool, loud: bool| {
        let model = source.map(Path::to_owned);
        let model = ModelArgs { model, experts_per_token: experts };
        let checkpoint = Checkpoint::open(&model)?;
        let planned = checkpoint.plan(&machine, texts, None)?;
        let language = Language::open(&checkpoint.directory)?;
        let warnings = run::warnings(&checkpoint, &planned);
        let conditions = run::conditions(&machine, &checkpoint, &planned);
        let loaded = match loud {
            true => checkpoint.load(&planned, cancel),
            false => checkpoint.load_telling(&planned, cancel, &|_, _| ()),
        }?;
        let unlocked = open::unlocked(&loaded, &planned.plan);
        let warnings = warnings.into_iter().chain(unlocked).collect();
        Stage::new(loaded, language, model.model, planned.plan.ctx, conditions, warnings)
            .map_err(Fault::failed)
    };
    let mut stage = load(args.model.model.as_deref(), cancel, true)?;
    stage.conditions.start_seconds = start.elapsed().as_secs_f64();
    stage.warnings.iter().for_each(say::warning);
    hold(args, system, stage, Box::new(move |source| load(source, cancel, false)), cancel)
}

/// The same with a model that is there already, of which nothing was planned.
pub(crate) fn chat_with<F: Forward>(
    args: &ChatArgs,
    model: F,
    tokenizer: Tokenizer,
    template: ChatTemplate,
) -> Result<(), Fault> {
    let cancel = interrupt::watch()?;
    let system = args.system.as_ref().map(prompt::given).transpose()?;
    let ctx = model.facts().context;
    let stop_ids = engine::stop_ids(None, &serde_json::Value::Null, &tokenizer);
    let defaults = GenerationDefaults::default();
    let language = Language { tokenizer, template: Some(template), defaults, stop_ids };
    let stage = Stage::new(model, language, None, ctx, Conditions::unknown(), Vec::new());
    let load = Box::new(|_: Option<&Path>| Err(Fault::failed("there is one model here")));
    hold(args, system, stage.map_err(Fault::failed)?, load, cancel)
}

/// Holds the conversation on a thread of its own, and shows it on this one.
fn hold<F: Forward>(
    args: &ChatArgs,
    system: Option<String>,
    stage: Stage<F>,
    load: Load<F>,
    cancel: &'static AtomicBool,
) -> Result<(), Fault> {
    let directory = std::env::current_dir().map_err(Fault::failed)?;
    let (give, orders) = channel();
    let (told, hear) = channel();
    let gauge = Gauge::default();
    let kit = Kit::open(&args.tools, directory.clone())?;
    let calls = kit.as_ref().map(|kit| kit.calls(&stage.language)).transpose();
    let calls = calls.map_err(|why| Fault::command_line(format!("--tools: {why}")))?;
    let keep = Keep::new(keep::shelf(args.sessions.as_deref(), !args.no_save)?);
    let place = rich::Place { name: stage.name.clone(), directory: directory.clone() };
    let core = Core {
        stage: Some(stage),
        load,
        talk: Talk { system, ..Talk::default() },
        generation: args.generation.clone(),
        directory,
        keep,
        kit,
        calls,
        gauge: gauge.clone(),
        cancel,
        orders,
        told,
        typed: None,
        cut: None,
        last: None,
        spent: Spending::default(),
    };
    std::thread::scope(|scope| {
        let held = scope.spawn(move || core.run(args.resume.as_deref()));
        let shown = if args.plain || !is_screen() {
            plain::talk(args, &give, &hear, &gauge, cancel)
        } else {
            rich::talk(place, &give, &hear, &gauge, cancel)
        };
        drop((give, hear));
        let held = held.join().unwrap_or_else(|_| Err(Fault::failed("the conversation panicked")));
        held.and(shown)
    })
}

/// Whether there is a whole screen to draw on, and somebody before it.
fn is_screen() -> bool {
    stdin().is_terminal() && stdout().is_terminal() && anstyle_query::term_supports_color()
}
