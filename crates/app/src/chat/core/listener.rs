//! Hears a turn as it is generated: tells its pieces, keeps them, and finds the calls in it.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::mpsc::Sender;

use engine::{CallEvent, CallReader, Event, Heard, StopReason};

use crate::chat::gauge::Gauge;
use crate::chat::keep::Keep;
use crate::chat::wire::Told;
use crate::saved::Piece;

/// What one round of the model said.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Calls, good, bad and cut off.
    pub(super) calls: Vec<CallEvent>,
}

/// Who hears it.
pub(super) struct Listener<'l> {
    /// Where there are tools: it reads ids, not texts.
    reader: Option<CallReader<'l>>,
    keep: &'l RefCell<Keep>,
    told: &'l Sender<Told>,
    gauge: &'l Gauge,
    prompt_tokens: usize,
    words: Words,
    /// Ids that are not on the disk yet.
    ids: Vec<u32>,
    listened_to: bool,
}

impl<'l> Listener<'l> {
    pub(super) fn new(
        reader: Option<CallReader<'l>>,
        keep: &'l RefCell<Keep>,
        told: &'l Sender<Told>,
        gauge: &'l Gauge,
        prompt_tokens: usize,
    ) -> Self {
        let (words, ids, listened_to) = (Words::default(), Vec::new(), true);
        Self { reader, keep, told, gauge, prompt_tokens, words, ids, listened_to }
    }

    /// An answer that goes on: what it said before is known.
    pub(super) fn remember(&mut self, reasoning: &str, text: &str, ids: &[u32]) {
        if let Some(reader) = &mut self.reader {
            let heard = ids.iter().flat_map(|id| reader.push(*id));
            let calls = heard.filter_map(|heard| match heard {
                Heard::Answer(event @ (CallEvent::Call(_) | CallEvent::Malformed(_))) => {
                    Some(event)
                }
                _ => None,
            });
            self.words.calls.extend(calls);
        }
        self.ids.extend(ids);
        if !reasoning.is_empty() {
            self.piece(reasoning.to_owned(), true);
        }
        if !text.is_empty() {
            self.piece(text.to_owned(), false);
        }
    }

    pub(super) fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Prompt(_) => {
                let used = self.prompt_tokens;
                self.gauge.set(|dial| {
                    (dial.used, dial.decode, dial.reading) = (used, Default::default(), None);
                });
            }
            Event::Id { id, .. } => {
                // The one before made no text of its own.
                self.flush(String::new(), false);
                self.ids.push(id);
                if let Some(reader) = &mut self.reader {
                    let heard = reader.push(id);
                    self.heard(heard);
                }
            }
            Event::Text { text, reasoning } if self.reader.is_none() => self.piece(text, reasoning),
            Event::Text { .. } => {}
        }
        if self.listened_to { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// All that was said, once the turn is over.
    pub(super) fn finish(mut self, stop: &StopReason) -> Words {
        if let Some(reader) = self.reader.take() {
            let heard = reader.finish(stop);
            self.heard(heard);
        }
        self.words
    }

    fn heard(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Reasoning(text) => self.piece(text, true),
                Heard::Answer(CallEvent::Text(text)) => self.piece(text, false),
                Heard::Answer(CallEvent::Began) => self.tell(Told::Calling),
                Heard::Answer(event) => self.words.calls.push(event),
            }
        }
    }

    fn piece(&mut self, text: String, reasoning: bool) {
        let words = &mut self.words;
        let into = if reasoning { &mut words.reasoning } else { &mut words.text };
        into.push_str(&text);
        self.flush(text.clone(), reasoning);
        self.tell(Told::Piece { text, reasoning });
    }

    /// Keeps a text and the ids behind it.
    fn flush(&mut self, text: String, reasoning: bool) {
        if !text.is_empty() || !self.ids.is_empty() {
            let ids = std::mem::take(&mut self.ids);
            self.keep.borrow_mut().grow(&Piece { text, reasoning, ids });
        }
    }

    fn tell(&mut self, told: Told) {
        self.listened_to = self.told.send(told).is_ok();
    }
}
