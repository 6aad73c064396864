//! The conversation on disk while it is held: text as it grows, the model's state where it is worth its bytes.

use std::path::Path;

use engine::{Forward, Session};

use super::talk::Talk;
use crate::fault::Fault;
use crate::saved::{Head, Message, ModelMark, Piece, Restored, Saved, Settings, Shelf};

/// A long answer leaves a state every so many tokens: each is written whole, and disks wear.
pub(crate) const TOKENS_PER_STATE: usize = 512;

/// Said of a session without messages.
pub(crate) const NOTHING: &str = "there is nothing to be kept yet";

/// Where the conversation is kept. Whatever the disk says, the conversation goes on: the first
/// fault is told, and nothing is kept from then on.
pub(crate) struct Keep {
    /// `None`: nothing is kept.
    pub(crate) shelf: Option<Shelf>,
    pub(crate) saved: Option<Saved>,
    pub(crate) model: ModelMark,
    pub(crate) settings: Settings,
    /// What went wrong and was not told yet.
    pub(crate) wrong: Option<String>,
}

impl Keep {
    pub(crate) fn new(shelf: Option<Shelf>) -> Self {
        let (model, settings) = (ModelMark::default(), Settings::default());
        Self { shelf, saved: None, model, settings, wrong: None }
    }

    /// Adds a message; a session is made for the first.
    pub(crate) fn push(&mut self, message: &Message) {
        if let (None, Some(shelf)) = (&self.saved, &self.shelf) {
            let made = shelf.create(self.model.clone(), self.settings.clone());
            self.saved = self.heard(made);
        }
        self.change(|saved| saved.push(message.clone()));
    }

    pub(crate) fn grow(&mut self, piece: &Piece) {
        self.change(|saved| saved.grow(piece));
    }

    pub(crate) fn truncate(&mut self, count: usize) {
        self.change(|saved| saved.truncate(count));
    }

    /// Says how the conversation is set now.
    pub(crate) fn set(&mut self, model: ModelMark, settings: Settings) {
        (self.model, self.settings) = (model, settings);
        let (model, settings) = (self.model.clone(), self.settings.clone());
        self.change(|saved| saved.set(&model, &settings));
    }

    /// Writes the state as it is.
    pub(crate) fn state<F: Forward>(&mut self, session: &Session<F>, forward: &F) {
        self.change(|saved| saved.keep_state(session, forward).map(|_| ()));
    }

    /// Bytes written for text and states.
    pub(crate) fn bytes_written(&self) -> u64 {
        let (text, state) = self.saved.as_ref().map_or((0, 0), Saved::bytes_written);
        text + state
    }

    /// What the first line of a session's file says.
    pub(crate) fn head(&self) -> Head {
        let made = || Head::new(self.model.clone(), self.settings.clone(), 0);
        self.saved.as_ref().map_or_else(made, |saved| saved.head().clone())
    }

    pub(crate) fn entitle(&mut self, title: &str) -> Result<(), String> {
        let Some(saved) = &mut self.saved else { return Err(NOTHING.to_owned()) };
        saved.entitle(title).map_err(|fault| fault.line().unwrap_or_default().to_owned())
    }

    /// Takes up a saved conversation, and what could not be read of it.
    ///
    /// # Errors
    /// As [`Shelf::resume`]; the one that is open stays so.
    pub(crate) fn resume(&mut self, name: &str) -> Result<(Talk, Option<String>), String> {
        let told = |fault: Fault| fault.line().unwrap_or_default().to_owned();
        let shelf = self.shelf.as_ref().ok_or("nothing is kept here (--no-save)")?;
        let found = shelf.find(name).map_err(told)?;
        if self.saved.as_ref().is_some_and(|saved| saved.name() == found) {
            return Err(format!("{found} is the session that is open"));
        }
        let (saved, note) = shelf.resume(&found).map_err(told)?;
        let system = saved.head().settings.system.clone();
        let talk = Talk { system, messages: saved.messages().to_vec() };
        self.saved = Some(saved);
        Ok((talk, note))
    }

    /// The state of the session that is open, if there is one that fits; why not, in a line.
    pub(crate) fn restored<F: Forward>(
        &mut self,
        forward: &F,
        ctx: usize,
        checkpoints: usize,
    ) -> Result<Session<F>, String> {
        let Some(saved) = &mut self.saved else { return Err("nothing is open".to_owned()) };
        match saved.restore_state(forward, ctx, checkpoints) {
            Restored::Whole(session) => Ok(session),
            Restored::Absent => Err("no state was kept".to_owned()),
            Restored::Unusable(why) => Err(why),
        }
    }

    /// Gives the session that is open a name.
    pub(crate) fn rename(&mut self, name: &str) -> Result<(), String> {
        let (Some(shelf), Some(saved)) = (&self.shelf, &mut self.saved) else {
            return Err(NOTHING.to_owned());
        };
        saved.rename(shelf, name).map_err(|fault| fault.line().unwrap_or_default().to_owned())
    }

    fn change(&mut self, change: impl FnOnce(&mut Saved) -> Result<(), Fault>) {
        if let Some(saved) = &mut self.saved {
            let done = change(saved);
            self.heard(done);
        }
    }

    fn heard<T>(&mut self, done: Result<T, Fault>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(fault) => {
                let why = fault.line().unwrap_or_default();
                self.wrong = Some(format!("{why}; this session is not kept any more"));
                (self.shelf, self.saved) = (None, None);
                None
            }
        }
    }
}

/// Lines of all saved conversations.
pub(crate) fn listed(shelf: &Shelf) -> Result<String, Fault> {
    let entries = shelf.list()?;
    if entries.is_empty() {
        return Ok("no session was kept yet".to_owned());
    }
    let line = |entry: &crate::saved::Entry| {
        let title = entry.title.as_deref().unwrap_or_else(|why| why);
        let size = crate::size::shown(entry.text_bytes + entry.state_bytes);
        format!("{:<20} {:>4} messages {size:>9}  {title}", entry.name, entry.messages)
    };
    Ok(entries.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// What a model is called in a session's file.
pub(crate) fn mark<F: Forward>(forward: &F, name: &str) -> ModelMark {
    let fingerprint = crate::saved::hex(&forward.facts().fingerprint);
    ModelMark { name: name.to_owned(), fingerprint }
}

/// A directory that was named, or the user's own.
pub(crate) fn shelf(named: Option<&Path>, wanted: bool) -> Result<Option<Shelf>, Fault> {
    if wanted { Shelf::open(named).map(Some) } else { Ok(None) }
}
