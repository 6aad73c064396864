//! The command `eval tools`: how often a model's calls are valid, free and constrained.

mod cases;
mod tally;

use std::io::{Write as _, stdout};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::{
    CallConstraint, CallForm, CallReader, CallTokens, Control, Event, Mask, Sampling,
    SamplingOverrides, Session, Settings, StopReason, Tools, Turn, generate,
};

use self::cases::Case;
use self::tally::{Outcome, Tally};
use crate::cli::EvalToolsArgs;
use crate::fault::Fault;
use crate::language::Language;
use crate::open::{self, Checkpoint, Company, Model, Texts};
use crate::progress::{Progress, Unit};
use crate::{interrupt, say};

/// What every case needs.
struct Setting<'a> {
    language: &'a Language,
    form: CallForm,
    settings: Settings,
    force: bool,
    cancel: &'a AtomicBool,
}

/// Runs the command.
pub(crate) fn tools(args: &EvalToolsArgs) -> Result<(), Fault> {
    let cancel = interrupt::watch()?;
    let cases = cases::read(&args.cases, args.every)?;
    let checkpoint = Checkpoint::open(&args.model)?;
    // The tokenizer says how much memory a constraint takes, so it comes before the plan.
    let language = Language::open(&checkpoint.directory)?;
    let company = Company { models: 1, bytes: CallTokens::plan_bytes(&language.tokenizer) };
    let planned = checkpoint.plan_among(&args.machine, Texts::Needed, None, company)?;
    let form = language.template.as_ref().and_then(engine::ChatTemplate::call_form);
    let Some(form) = form else {
        return Err(Fault::failed(format!(
            "{}: the chat template knows no tools; accepted: a checkpoint whose template does",
            checkpoint.directory.display()
        )));
    };
    let tokens = CallTokens::new(&language.tokenizer).map_err(Fault::failed)?;
    planned.warnings().iter().for_each(say::warning);
    let mut model = checkpoint.load(&planned, cancel)?;
    let wished = SamplingOverrides {
        temperature: Some(args.temp),
        seed: Some(args.seed),
        ..SamplingOverrides::default()
    };
    let sampling = Sampling::new(&language.defaults, &wished).map_err(Fault::command_line)?;
    let stop_ids = language.stop_ids.clone();
    let max_tokens = Some(args.max_tokens);
    let settings = Settings { max_tokens, sampling, stop_ids, ..Settings::default() };
    let setting = Setting { language: &language, form, settings, force: args.force, cancel };

    let mut session =
        Session::with_checkpoints(&model, planned.plan.ctx, 1).map_err(Fault::failed)?;
    let mut tallies = [Tally::default(), Tally::default()];
    let progress = Progress::new("asking", Unit::Cases);
    for (n, case) in cases.iter().enumerate() {
        progress.tell(n as u64, cases.len() as u64, n as f64 / cases.len() as f64);
        let constraint = CallConstraint::new(&tokens, &case.tools, form).map_err(Fault::failed)?;
        for (constrained, tally) in [false, true].into_iter().zip(&mut tallies) {
            let constraint = constrained.then_some(&constraint);
            tally.add(&setting.ask(&mut model, &mut session, case, constraint)?);
        }
    }
    progress.clear();
    let text = if args.json {
        format!("{}\n", tally::json(&tallies, args.force, open::peak_rss_bytes()))
    } else {
        tally::table(&tallies)
    };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}

impl Setting<'_> {
    /// Asks one case, and says what came of it.
    fn ask(
        &self,
        model: &mut Model,
        session: &mut Session<Model>,
        case: &Case,
        constraint: Option<&CallConstraint>,
    ) -> Result<Outcome, Fault> {
        let tokenizer = &self.language.tokenizer;
        let turn = self.turn(case)?;
        let mut mask = constraint.map(|constraint| constraint.mask(&turn.prompt));
        let tools: Arc<Tools> = Arc::clone(&case.tools);
        let mut reader = CallReader::new(tokenizer, &turn.prompt, &[], tools, self.form);
        let mut heard = Vec::new();
        let mut sink = |event| {
            if let Event::Id { id, .. } = event {
                heard.extend(reader.push(id));
            }
            ControlFlow::Continue(())
        };
        let control = Control::new(self.cancel);
        let listening = mask.as_mut().map(|mask| mask as &mut dyn Mask);
        let generated = generate(
            model,
            session,
            tokenizer,
            &turn,
            &self.settings,
            &control,
            listening,
            &mut sink,
        );
        let generated = generated.map_err(|error| {
            let why = mask.as_ref().and_then(|mask| mask.error());
            Fault::failed(why.map_or_else(|| error.to_string(), |why| format!("{error}: {why}")))
        })?;
        if generated.stop == StopReason::Cancelled {
            return Err(Fault::Interrupted);
        }
        heard.extend(reader.finish(&generated.stop));
        Ok(Outcome::of(&heard, &case.expected, generated.ids.len()))
    }

    fn turn(&self, case: &Case) -> Result<Turn, Fault> {
        let mut conversation = case.conversation.clone();
        if self.force {
            conversation.kwargs.insert("enable_thinking".to_owned(), false.into());
        }
        let Some(template) = &self.language.template else {
            return Err(Fault::failed("this checkpoint has no chat template"));
        };
        let tokenizer = &self.language.tokenizer;
        let turn = Turn::from_chat(template, tokenizer, &conversation);
        let mut turn = turn.map_err(|error| Fault::failed(format!("{}: {error}", case.name)))?;
        if self.force {
            turn.prompt.extend(tokenizer.id_of("<tool_call>"));
        }
        Ok(turn)
    }
}
