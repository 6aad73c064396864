//! Sessions: how the conversation comes from the disk and how its state gets there.

use engine::{CHECKPOINTS_DEFAULT, Forward, Session, Turn};

use super::{Core, Done, line, settings};
use crate::chat::keep;
use crate::chat::wire::Told;
use crate::saved::{Message, Role, Settings};

const NOT_KEPT: &str = "nothing is kept here (--no-save)";

impl<F: Forward> Core<F> {
    /// Says to the disk how the conversation is set.
    pub(super) fn say_settings(&mut self) {
        let Some(stage) = &self.stage else { return };
        let model = keep::mark(&stage.model, &stage.name);
        let (think, sampling) = settings::told(&self.generation);
        let tools = self.kit.as_ref().map(super::Kit::names).unwrap_or_default();
        let system = self.talk.system.clone();
        self.keep.set(model, Settings { system, think, sampling, tools });
    }

    /// Takes up a saved conversation: its text, its settings where no flag says otherwise, its state
    /// where it fits.
    pub(super) fn resume(&mut self, name: &str) -> Done {
        let given = self.talk.system.clone().filter(|_| self.talk.messages.is_empty());
        let (mut talk, note) = self.keep.resume(name)?;
        talk.system = given.or(talk.system);
        let Some(saved) = &self.keep.saved else { return Ok(()) };
        let (name, settings) = (saved.name().to_owned(), saved.head().settings.clone());
        let partial = saved.partial().cloned();
        settings::take_up(&mut self.generation, &settings);
        (self.talk, self.typed, self.cut) = (talk, None, None);
        if let Some(kit) = &mut self.kit {
            // What was allowed was allowed in another session.
            kit.policy.forget();
        }
        self.say_settings();
        let Some(stage) = &mut self.stage else { return Ok(()) };
        // Two at once would be more memory than was planned.
        stage.session = None;
        let state = match self.keep.restored(&stage.model, stage.ctx, CHECKPOINTS_DEFAULT) {
            Ok(session) => {
                let told = format!("{} tokens need not be read again", session.position());
                stage.session = Some(session);
                told
            }
            Err(why) => format!("everything is read again ({why})"),
        };
        if stage.session.is_none() {
            let made = Session::new(&stage.model, stage.ctx);
            stage.session = Some(made.map_err(|error| error.to_string())?);
        }
        if let Some(partial) = partial {
            let mut message = Message::new(Role::Assistant, partial.content);
            message.reasoning = Some(partial.reasoning).filter(|text| !text.is_empty());
            message.stopped = Some("cut off".to_owned());
            message.tokens = partial.ids.len() as u64;
            self.push(message);
            self.cut = Some(partial.ids);
        }
        let messages = self.talk.messages.iter().map(Message::for_template);
        self.tell(Told::Talk(messages.collect()));
        self.note(format!("session {name}: {state}"))?;
        if self.cut.is_some() {
            self.note("the last answer was cut off; /continue goes on with it")?;
        }
        note.map_or(Ok(()), |note| self.note(note))
    }

    pub(super) fn save(&mut self, name: Option<&str>) -> Done {
        if let Some(name) = name {
            self.keep.rename(name)?;
        }
        match &self.keep.saved {
            Some(saved) => self.note(format!("kept as {}, after every token", saved.name())),
            None => Err(keep::NOTHING.to_owned()),
        }
    }

    pub(super) fn sessions(&self) -> Done {
        let shelf = self.keep.shelf.as_ref().ok_or(NOT_KEPT)?;
        self.note(keep::listed(shelf).map_err(|fault| line(&fault))?)
    }

    pub(super) fn delete(&self, name: &str) -> Done {
        let shelf = self.keep.shelf.as_ref().ok_or(NOT_KEPT)?;
        let deleted = shelf.delete(name).map_err(|fault| line(&fault))?;
        self.note(format!("{deleted} is deleted"))
    }

    /// Keeps the state of the model where the next message will depart from it. Templates drop the
    /// reasoning of earlier turns, so that is mostly where the last answer began.
    pub(super) fn keep_state(&mut self) {
        if self.keep.saved.is_none() {
            return;
        }
        let mut next = self.talk.clone();
        next.messages.push(Message::new(Role::User, "…"));
        let conversation = next.conversation(self.generation.think, self.declared());
        let Some(stage) = &mut self.stage else { return };
        let (Some(template), Some(session)) = (&stage.language.template, &mut stage.session) else {
            return;
        };
        // A template that does not take that has a next turn of its own.
        let Ok(turn) = Turn::from_chat(template, &stage.language.tokenizer, &conversation) else {
            return;
        };
        let shared = turn.prompt.iter().zip(session.ids()).take_while(|(a, b)| a == b).count();
        if session.back_to(&stage.model, shared).is_ok() && session.position() > 0 {
            self.keep.state(session, &stage.model);
        }
    }
}
