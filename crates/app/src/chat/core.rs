//! The conversation on its own thread: it takes orders one at a time, and tells whoever shows it what happens.

mod answer;
mod calls;
mod kept;
mod listener;
mod settings;
#[cfg(test)]
mod tests;
mod written;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use engine::{Forward, Generated};

use super::gauge::Gauge;
use super::keep::Keep;
use super::kit::{Calls, Kit};
use super::stage::{Load, Stage};
use super::talk::Talk;
use super::wire::{Command, Order, Told};
use super::{command, mention};
use crate::cli::GenerationArgs;
use crate::fault::Fault;
use crate::saved::{Message, Role};

/// A message of more bytes than this for each id of the context cannot fit, and is refused before a
/// tokenizer spends memory on it.
const BYTES_PER_ID: usize = 32;

/// Everything a conversation needs, on one thread.
pub(crate) struct Core<F: Forward> {
    /// `None` only when a model was given up and neither the next nor the last could be loaded.
    pub(crate) stage: Option<Stage<F>>,
    pub(crate) load: Load<F>,
    pub(crate) talk: Talk,
    pub(crate) keep: Keep,
    pub(crate) generation: GenerationArgs,
    pub(crate) kit: Option<Kit>,
    /// `None` without tools, or where the model cannot call.
    pub(crate) calls: Option<Calls>,
    /// Where mentioned files are looked for.
    pub(crate) directory: PathBuf,
    pub(crate) gauge: Gauge,
    pub(crate) cancel: &'static AtomicBool,
    pub(crate) orders: Receiver<Order>,
    pub(crate) told: Sender<Told>,
    /// The last message as it was typed, before files were put into it.
    pub(crate) typed: Option<String>,
    /// The ids of the last answer, if it was cut off.
    pub(crate) cut: Option<Vec<u32>>,
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

/// What a fault says.
fn line(fault: &Fault) -> String {
    fault.line().unwrap_or("interrupted").to_owned()
}

impl<F: Forward> Core<F> {
    /// Takes orders until somebody wants to leave or nobody listens any more; takes up a saved
    /// session first, if one is named.
    ///
    /// # Errors
    /// A session that cannot be taken up; a model that was lost and cannot be loaded again.
    pub(crate) fn run(mut self, resume: Option<&str>) -> Result<(), Fault> {
        let gauge = self.gauge.clone();
        if let Some(stage) = &mut self.stage {
            stage.show_on(&gauge);
        }
        if let Some(name) = resume {
            self.resume(name).map_err(Fault::failed)?;
        }
        self.say_settings();
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
            let saved_bytes = self.keep.bytes_written();
            self.gauge.set(|dial| (dial.reading, dial.saved_bytes) = (None, saved_bytes));
            for why in done.err().into_iter().chain(self.keep.wrong.take()) {
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
        let ctx = self.stage.as_ref().map_or(0, |stage| stage.ctx);
        let fits = |bytes: usize| {
            if bytes <= ctx * BYTES_PER_ID {
                return Ok(());
            }
            let bytes = crate::size::shown(bytes as u64);
            Err(format!("the message has {bytes}, which no context of {ctx} tokens holds"))
        };
        let text = command::message(typed);
        fits(text.len())?;
        let expanded = mention::expand(text, &self.directory)?;
        fits(expanded.len())?;
        self.tell(Told::User(text.to_owned()));
        self.push(Message::new(Role::User, expanded));
        self.typed = Some(text.to_owned());
        self.answer()
    }

    /// Adds a message, on the disk too.
    fn push(&mut self, message: Message) {
        self.keep.push(&message);
        self.talk.messages.push(message);
        self.cut = None;
    }

    /// Goes back to the first `count` messages.
    fn truncate(&mut self, count: usize) {
        self.talk.messages.truncate(count);
        self.keep.truncate(count);
        self.cut = None;
    }

    fn command(&mut self, command: Command) -> Done {
        match command {
            Command::Help => self.note(command::help()),
            Command::New => self.begin_anew(),
            Command::System(text) => self.system(text),
            Command::Set(name, value) => self.set(name, value.as_deref()),
            Command::Model(directory) => self.another_model(directory.as_deref()),
            Command::Tools => self.note(match &self.kit {
                Some(kit) => kit.told(),
                None => "no tools; accepted: --tools bash,read_file,… when chat begins".to_owned(),
            }),
            Command::Save(name) => self.save(name.as_deref()),
            Command::Load(name) => self.resume(&name),
            Command::Sessions => self.sessions(),
            Command::Title(title) => self.keep.entitle(&title),
            Command::Delete(name) => self.delete(&name),
            Command::Retry => {
                self.back(true, false)?;
                self.answer()
            }
            Command::Continue => self.go_on(),
            Command::Undo => self.back(false, false),
            Command::Edit(Some(text)) => {
                self.back(false, false)?;
                self.say(&text)
            }
            Command::Edit(None) => self.back(false, true),
            Command::Tokens => self.tokens(),
            Command::Stats => self.stats(),
            Command::Export(form, file) => self.export(form, file),
            // The loop ends before this.
            Command::Quit => Ok(()),
        }
    }

    fn begin_anew(&mut self) -> Done {
        self.talk.messages.clear();
        (self.typed, self.cut, self.keep.saved) = (None, None, None);
        if let Some(kit) = &mut self.kit {
            kit.policy.forget();
        }
        self.tell(Told::Talk(Vec::new()));
        self.note("a new conversation")
    }

    fn system(&mut self, text: Option<String>) -> Done {
        let Some(text) = text else {
            let told = self.talk.system.as_deref().unwrap_or("no system message");
            return self.note(told);
        };
        let text = match text.strip_prefix('@') {
            Some(file) => {
                let file = crate::cli::Text::File(self.directory.join(file));
                crate::prompt::given(&file).map_err(|fault| line(&fault))?
            }
            None => text,
        };
        self.talk.system = Some(text).filter(|text| !text.is_empty());
        self.say_settings();
        self.note(match &self.talk.system {
            Some(_) => "the system message is another one; everything is read again",
            None => "no system message",
        })
    }

    /// Goes back to the last message of the user, or before it, and tells its text if that is wanted.
    fn back(&mut self, question_stays: bool, text_is_wanted: bool) -> Done {
        let at = self.talk.last_question().ok_or("there is no message yet")?;
        let text = self.talk.messages[at].content.clone();
        self.truncate(at + usize::from(question_stays));
        // The last one may be there as it was typed, without the files that were put into it.
        let typed = if question_stays { None } else { self.typed.take() };
        let text = text_is_wanted.then(|| typed.unwrap_or(text));
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
        (self.stage, self.calls, self.cut) = (None, None, None);
        self.note(format!("loading {}", directory.display()))?;
        let (loaded, told) = match (self.load)(Some(directory)) {
            Ok(stage) => (Ok(stage), Ok(())),
            Err(fault) => {
                let why = format!("{}; the last model stays", line(&fault));
                ((self.load)(source.as_deref()), Err(why))
            }
        };
        let mut stage = loaded.map_err(|fault| line(&fault))?;
        stage.show_on(&self.gauge);
        for warning in &stage.warnings {
            self.note(format!("warning: {warning}"))?;
        }
        if told.is_ok() {
            self.tell(Told::Model(stage.name.clone()));
        }
        let calls = self.kit.as_ref().map(|kit| kit.calls(&stage.language)).transpose();
        self.stage = Some(stage);
        self.say_settings();
        self.calls = calls.map_err(|why| format!("no tools: {why}"))?;
        told
    }
}
