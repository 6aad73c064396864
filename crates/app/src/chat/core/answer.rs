//! One answer: the model generates, and whoever shows it hears every piece at once.

use std::ops::ControlFlow;

use engine::{
    Control, Event, Forward, GenerateError, Generated, Settings, StopReason, Turn, generate,
};

use super::{Core, Done};
use crate::chat::wire::Told;
use crate::report;
use crate::run::{fits, settings};

impl<F: Forward> Core<F> {
    /// Answers the last message. A message that could not be answered at all is taken back.
    pub(super) fn answer(&mut self) -> Done {
        let messages = self.talk.messages.len();
        let done = self.round();
        let nothing_came = self.talk.messages.len() == messages;
        if nothing_came {
            let text = self.talk.undo();
            let text = self.typed.take().or(text);
            self.tell(Told::Back { question_stays: false, text });
        }
        done
    }

    /// One round of the model.
    fn round(&mut self) -> Done {
        let (turn, settings) = self.begin()?;
        let Some(stage) = &mut self.stage else { return Ok(()) };
        self.gauge.set(|dial| {
            (dial.used, dial.decode, dial.reading) = (turn.prompt.len(), Default::default(), None);
        });
        let (gauge, told) = (self.gauge.clone(), self.told.clone());
        let tell = |progress| gauge.progress(progress);
        let control = Control { cancel: self.cancel, progress: Some(&tell) };
        let mut sink = |event| {
            let heard = match event {
                Event::Prompt(_) => {
                    gauge.set(|dial| {
                        (dial.used, dial.decode) = (turn.prompt.len(), Default::default());
                        dial.reading = None;
                    });
                    true
                }
                Event::Id { .. } => true,
                Event::Text { text, reasoning } => {
                    told.send(Told::Piece { text, reasoning }).is_ok()
                }
            };
            if heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let (model, session) = (&mut stage.model, &mut stage.session);
        let tokenizer = &stage.language.tokenizer;
        let done = generate(model, session, tokenizer, &turn, &settings, &control, None, &mut sink);
        match done {
            Ok(generated) => {
                self.keep(generated);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                if let GenerateError::Forward { so_far, .. }
                | GenerateError::Sample { so_far, .. } = error
                {
                    self.keep(*so_far);
                }
                Err(why)
            }
        }
    }

    /// The turn that answers, and how it is generated.
    fn begin(&self) -> Result<(Turn, Settings), String> {
        let Some(stage) = &self.stage else { return Err("there is no model".to_owned()) };
        let Some(template) = &stage.language.template else {
            return Err("this checkpoint has no chat template; accepted: one that has".to_owned());
        };
        let told = |fault: crate::fault::Fault| fault.line().unwrap_or_default().to_owned();
        let conversation = self.talk.conversation(self.generation.think, None);
        let turn = Turn::from_chat(template, &stage.language.tokenizer, &conversation);
        let turn = turn.map_err(|error| error.to_string())?;
        fits(&turn, stage.ctx).map_err(told)?;
        let settings = settings(&self.generation, &stage.language).map_err(told)?;
        Ok((turn, settings))
    }

    /// What was generated becomes part of the conversation.
    fn keep(&mut self, generated: Generated) {
        let Some(stage) = &mut self.stage else { return };
        self.spent.add(&generated);
        let note = match &generated.stop {
            StopReason::Cancelled => Some("stopped".to_owned()),
            StopReason::Length if self.generation.max_tokens == Some(generated.ids.len()) => {
                Some(format!("cut off: {} tokens are the most (/max-tokens)", generated.ids.len()))
            }
            StopReason::Length => Some(format!("cut off: the context of {} is full", stage.ctx)),
            _ => None,
        };
        stage.conditions.peak_rss_bytes = crate::open::peak_rss_bytes();
        let cost = report::last_line(&generated, &stage.conditions);
        if !generated.text.is_empty() || !generated.reasoning.is_empty() {
            self.talk.answered(&generated);
        }
        self.tell(Told::Answered { note, cost });
        self.last = Some(generated);
    }
}
