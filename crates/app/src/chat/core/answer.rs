//! One answer: the model generates, calls are run and answered, until it has nothing more to call.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use engine::{
    CallEvent, CallReader, Control, Forward, GenerateError, Generated, Mask, Settings, StopReason,
    Turn, assistant_message, generate_watched,
};

use super::listener::{Listener, Words};
use super::{Core, Done, line};
use crate::chat::keep::{Keep, TOKENS_PER_STATE};
use crate::chat::wire::Told;
use crate::report;
use crate::run::{fits, settings};
use crate::saved::{Message, Role};

/// What an answer said before it was cut off, where it goes on.
#[derive(Default)]
struct Before {
    reasoning: String,
    text: String,
    ids: Vec<u32>,
}

impl<F: Forward> Core<F> {
    /// Answers the last message. A message that could not be answered at all is taken back.
    pub(super) fn answer(&mut self) -> Done {
        let messages = self.talk.messages.len();
        let done = self.rounds(Before::default());
        if self.talk.messages.len() == messages {
            let typed = self.typed.take();
            let at = self.talk.last_question().unwrap_or(0);
            let text = typed.or_else(|| self.talk.messages.get(at).map(|m| m.content.clone()));
            self.truncate(at);
            self.tell(Told::Back { question_stays: false, text });
        }
        done
    }

    /// Goes on with the last answer, exactly where it was cut off.
    pub(super) fn go_on(&mut self) -> Done {
        let ids = self.cut.take().ok_or("no answer was cut off")?;
        let Some(last) = self.talk.messages.last().cloned() else { return Ok(()) };
        self.truncate(self.talk.messages.len() - 1);
        self.tell(Told::Back { question_stays: true, text: None });
        let reasoning = last.reasoning.clone().unwrap_or_default();
        let before = Before { reasoning, text: last.content.clone(), ids: ids.clone() };
        let messages = self.talk.messages.len();
        let done = self.rounds(before);
        if self.talk.messages.len() == messages {
            self.push(last);
            self.cut = Some(ids);
        }
        done
    }

    /// Rounds of the model, as long as each ends in calls.
    fn rounds(&mut self, before: Before) -> Done {
        let rounds_max = self.kit.as_ref().map_or(0, |kit| kit.rounds_max);
        let mut before = Some(before);
        for round in 0.. {
            let calls = self.round(before.take().unwrap_or_default())?;
            if calls.is_empty() || !self.answered(calls, round < rounds_max) {
                break;
            }
        }
        self.keep_state();
        Ok(())
    }

    /// One round of the model. Returns what it called.
    fn round(&mut self, before: Before) -> Result<Vec<CallEvent>, String> {
        let (mut turn, settings) = self.begin()?;
        let Some(stage) = &mut self.stage else { return Ok(Vec::new()) };
        let (model, tokenizer) = (&mut stage.model, &stage.language.tokenizer);
        let Some(session) = &mut stage.session else { return Err("there is no session".into()) };
        let reader = self.calls.as_ref().zip(self.kit.as_ref()).map(|(calls, kit)| {
            let (stop, tools) = (&settings.stop, kit.tools.clone());
            CallReader::new(tokenizer, &turn.prompt, stop, tools, calls.form)
        });
        let constraint = self.calls.as_ref().and_then(|calls| calls.constraint.as_ref());
        let mut mask = constraint.map(|constraint| constraint.mask(&turn.prompt));
        if let Some(mask) = &mut mask {
            before.ids.iter().for_each(|id| mask.accept(*id));
        }
        turn.prompt.extend(&before.ids);
        let used = turn.prompt.len();
        self.gauge.set(|dial| {
            (dial.used, dial.decode, dial.reading) = (used, Default::default(), None);
        });
        let keep = RefCell::new(std::mem::replace(&mut self.keep, Keep::new(None)));
        let mut listener = Listener::new(reader, &keep, &self.told, &self.gauge, used);
        listener.remember(&before.reasoning, &before.text, &before.ids);
        let gauge = self.gauge.clone();
        let tell = |progress| gauge.progress(progress);
        let control = Control { cancel: self.cancel, progress: Some(&tell) };
        let mut passes = 0;
        let done = generate_watched(
            model,
            session,
            tokenizer,
            &turn,
            &settings,
            &control,
            mask.as_mut().map(|mask| mask as &mut dyn Mask),
            &mut |event| listener.event(event),
            &mut |model, session| {
                passes += 1;
                if passes % TOKENS_PER_STATE == 0 {
                    keep.borrow_mut().state(session, model);
                }
            },
        );
        let (generated, told) = match done {
            Ok(generated) => (Some(generated), Ok(())),
            Err(error) => {
                let why = mask.as_ref().and_then(|mask| mask.error());
                let why = why.map_or_else(|| error.to_string(), str::to_owned);
                let so_far = match error {
                    GenerateError::Forward { so_far, .. }
                    | GenerateError::Sample { so_far, .. } => Some(*so_far),
                    _ => None,
                };
                (so_far, Err(why))
            }
        };
        let failed = StopReason::Failed;
        let stop = generated.as_ref().map_or(&failed, |generated| &generated.stop);
        let words = listener.finish(stop);
        self.keep = keep.into_inner();
        let calls = generated.map_or_else(Vec::new, |all| self.take_in(all, words, before.ids));
        told.map(|()| calls)
    }

    /// The turn that answers, and how it is generated.
    fn begin(&self) -> Result<(Turn, Settings), String> {
        let Some(stage) = &self.stage else { return Err("there is no model".to_owned()) };
        let Some(template) = &stage.language.template else {
            return Err("this checkpoint has no chat template; accepted: one that has".to_owned());
        };
        let conversation = self.talk.conversation(self.generation.think, self.declared());
        let turn = Turn::from_chat(template, &stage.language.tokenizer, &conversation);
        let turn = turn.map_err(|error| error.to_string())?;
        fits(&turn, stage.ctx).map_err(|fault| line(&fault))?;
        let settings = settings(&self.generation, &stage.language).map_err(|fault| line(&fault))?;
        Ok((turn, settings))
    }

    /// Tools as the template is told of them.
    pub(super) fn declared(&self) -> Option<Vec<serde_json::Value>> {
        let kit = self.kit.as_ref().filter(|_| self.calls.is_some())?;
        kit.for_template()
    }

    /// What was generated becomes part of the conversation. Returns what it called.
    fn take_in(&mut self, generated: Generated, words: Words, before: Vec<u32>) -> Vec<CallEvent> {
        let Some(stage) = &mut self.stage else { return Vec::new() };
        self.spent.add(&generated);
        let stopped = match &generated.stop {
            StopReason::Cancelled => Some("stopped".to_owned()),
            StopReason::Length if self.generation.max_tokens == Some(generated.ids.len()) => {
                Some(format!("cut off: {} tokens are the most (/max-tokens)", generated.ids.len()))
            }
            StopReason::Length => {
                Some(format!("cut off: the context of {} tokens is full", stage.ctx))
            }
            StopReason::Failed => Some("cut off by an error".to_owned()),
            _ => None,
        };
        stage.conditions.peak_rss_bytes = crate::open::peak_rss_bytes();
        let cost = report::last_line(&generated, &stage.conditions);
        let mut content = words.text.trim().to_owned();
        let mut calls = Vec::new();
        for event in &words.calls {
            match event {
                CallEvent::Call(call) => calls.push(call.clone()),
                // The model has to see what it wrote to mend it.
                CallEvent::Malformed(bad) => content.push_str(&format!("\n\n{}", bad.raw)),
                _ => {}
            }
        }
        let said = !content.is_empty() || !words.reasoning.is_empty() || !words.calls.is_empty();
        if said {
            let as_template = assistant_message(&content, &words.reasoning, &calls);
            let mut message = Message::new(Role::Assistant, content.trim());
            message.reasoning = Some(words.reasoning).filter(|reasoning| !reasoning.is_empty());
            message.tool_calls = as_template["tool_calls"].as_array().cloned().unwrap_or_default();
            message.tokens = (before.len() + generated.ids.len()) as u64;
            message.stopped.clone_from(&stopped);
            self.push(message);
            let ids = before.into_iter().chain(generated.ids.iter().copied());
            self.cut = stopped.is_some().then(|| ids.collect());
        }
        self.tell(Told::Answered { note: stopped, cost });
        self.last = Some(generated);
        // Whoever stopped an answer does not want its calls to be run.
        if self.cancel.load(Ordering::Relaxed) { Vec::new() } else { words.calls }
    }
}
