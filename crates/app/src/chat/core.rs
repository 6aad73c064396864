//! The conversation on its own thread: it takes orders one at a time, and tells whoever shows it what happens.

mod answer;
mod settings;
#[cfg(test)]
mod tests;
mod written;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use engine::{Forward, Generated};

use super::gauge::Gauge;
use super::stage::{Load, Stage};
use super::talk::Talk;
use super::wire::{Command, Order, Told};
use super::{command, mention};
use crate::cli::GenerationArgs;
use crate::fault::Fault;

/// A message of more bytes than this for each id of the context cannot fit, and is refused before a
/// tokenizer spends memory on it.
const BYTES_PER_ID: usize = 32;

/// Everything a conversation needs, on one thread.
pub(crate) struct Core<F: Forward> {
    /// `None` only when a model was given up and neither the next nor the last could be loaded.
    pub(crate) stage: Option<Stage<F>>,
    pub(crate) load: Load<F>,
    pub(crate) talk: Talk,
    pub(crate) generation: GenerationArgs,
    /// Where mentioned files are looked for.
    pub(crate) directory: PathBuf,
    pub(crate) gauge: Gauge,
    pub(crate) cancel: &'static AtomicBool,
    pub(crate) orders: Receiver<Order>,
    pub(crate) told: Sender<Told>,
    /// The last message as it was typed, before files were put into it.
    pub(crate) typed: Option<String>,
    pub(crate) last: Option<Generated>,
    pub(crate) spent: Spending,
}

/// What all turns of this session took together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spending {
    pub(crate) turns: usize,
    pub(crate) prompt_tokens: usize,
    pub(crate) reused_tokens: usize,
    pub(crate) made_tokens: usize,
    pub(crate) seconds: f64,
    pub(crate) read_bytes: u64,
}

/// What was not done, said as it is shown.
type Done = Result<(), String>;

impl<F: Forward> Core<F> {
    /// Takes orders until somebody wants to leave or nobody listens any more.
    ///
    /// # Errors
    /// A model that was lost and cannot be loaded again.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let gauge = self.gauge.clone();
        if let Some(stage) = &mut self.stage {
            stage.show_on(&gauge);
        }
        self.tell(Told::Ready);
        while let Ok(order) = self.orders.recv() {
            self.cancel.store(false, Ordering::Relaxed);
            let done = match order {
                Order::Say(text) => self.say(&text),
                Order::Command(Command::Quit) => break,
                Order::Command(command) => self.command(command),
                // A question that was answered twice.
                Order::Decide(_) => Ok(()),
            };
            self.gauge.set(|dial| dial.reading = None);
            if let Err(why) = done {
                self.tell(Told::Wrong(why));
            }
            if self.stage.is_none() {
                return Err(Fault::failed("there is no model any more"));
            }
            if !self.tell(Told::Ready) {
                break;
            }
        }
        Ok(())
    }

    /// Whether somebody still listens.
    fn tell(&self, told: Told) -> bool {
        self.told.send(told).is_ok()
    }

    fn note(&self, text: impl Into<String>) -> Done {
        self.tell(Told::Note(text.into()));
        Ok(())
    }

    fn say(&mut self, typed: &str) -> Done {
        let bytes_max = self.stage.as_ref().map_or(0, |stage| stage.ctx * BYTES_PER_ID);
        let fits = |bytes: usize| {
            let found = bytes > bytes_max;
            let why = || {
                format!(
                    "the message has {bytes} bytes, a context of this size holds less than {bytes_max}"
                )
            };
            if found { Err(why()) } else { Ok(()) }
        };
        let text = command::message(typed);
        fits(text.len())?;
        let expanded = mention::expand(text, &self.directory)?;
        fits(expanded.len())?;
        self.tell(Told::User(text.to_owned()));
        self.talk.say(&expanded);
        self.typed = Some(text.to_owned());
        self.answer()
    }

    fn command(&mut self, command: Command) -> Done {
        match command {
            Command::Help => self.note(command::help()),
            Command::New => {
                self.talk.messages.clear();
                self.typed = None;
                self.tell(Told::Talk(Vec::new()));
                self.note("a new conversation")
            }
            Command::System(text) => self.system(text),
            Command::Set(name, value) => self.set(name, value.as_deref()),
            Command::Model(directory) => self.another_model(directory.as_deref()),
            Command::Retry => self.retry(),
            Command::Undo => {
                let text = self.talk.undo();
                self.went_back(text.is_some(), false, None)
            }
            Command::Edit(Some(text)) => {
                let found = self.talk.undo().is_some();
                self.went_back(found, false, None)?;
                self.say(&text)
            }
            Command::Edit(None) => {
                let text = self.talk.undo();
                let (found, text) = (text.is_some(), self.typed.take().or(text));
                self.went_back(found, false, text)
            }
            Command::Tokens => self.tokens(),
            Command::Stats => self.stats(),
            Command::Export(form, file) => self.export(form, file),
            Command::Tools | Command::Save(_) | Command::Load(_) | Command::Sessions => {
                Err("not merged".to_owned())
            }
            // The loop ends before this.
            Command::Quit => Ok(()),
        }
    }

    fn system(&mut self, text: Option<String>) -> Done {
        let Some(text) = text else {
            let told = self.talk.system.as_deref().unwrap_or("no system message");
            return self.note(told);
        };
        let text = match text.strip_prefix('@') {
            Some(file) => {
                let file = crate::cli::Text::File(self.directory.join(file));
                let read = crate::prompt::given(&file);
                read.map_err(|fault| fault.line().unwrap_or_default().to_owned())?
            }
            None => text,
        };
        self.talk.system = Some(text).filter(|text| !text.is_empty());
        self.note(match &self.talk.system {
            Some(_) => "the system message is another one; everything is read again",
            None => "no system message",
        })
    }

    fn retry(&mut self) -> Done {
        let found = self.talk.retry();
        self.went_back(found, true, None)?;
        self.answer()
    }

    fn went_back(&mut self, found: bool, question_stays: bool, text: Option<String>) -> Done {
        if !found {
            return Err("there is no message yet".to_owned());
        }
        if !question_stays {
            self.typed = None;
        }
        self.tell(Told::Back { question_stays, text });
        Ok(())
    }

    fn another_model(&mut self, directory: Option<&Path>) -> Done {
        let Some(stage) = &self.stage else { return Ok(()) };
        let Some(directory) = directory else {
            let told = format!("{}, a context of {} tokens", stage.name, stage.ctx);
            return self.note(told);
        };
        let source = stage.source.clone();
        // Two at once would be more memory than was planned.
        self.stage = None;
        self.note(format!("loading {}", directory.display()))?;
        let (loaded, told) = match (self.load)(Some(directory)) {
            Ok(stage) => (Ok(stage), Ok(())),
            Err(fault) => {
                let why = fault.line().unwrap_or("interrupted").to_owned();
                ((self.load)(source.as_deref()), Err(format!("{why}; the last model stays")))
            }
        };
        let mut stage = match loaded {
            Ok(stage) => stage,
            Err(fault) => return Err(fault.line().unwrap_or("interrupted").to_owned()),
        };
        stage.show_on(&self.gauge);
        stage.warnings.iter().for_each(|line| drop(self.note(format!("warning: {line}"))));
        if told.is_ok() {
            self.tell(Told::Model(stage.name.clone()));
        }
        self.stage = Some(stage);
        told
    }
}
