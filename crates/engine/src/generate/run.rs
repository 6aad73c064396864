//! The state of one turn while it is generated.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Event, GenerateError, Generated, Phase, Settings, StopReason};
use crate::forward::{Control, ForwardError, Spent};
use crate::sample::{History, Mask, SampleError, Sampler, log_probabilities, logits_hash};
use crate::session::Synced;
use crate::stop::StopStrings;
use crate::think::{Said, ThinkSplit};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::turn::Turn;

/// One turn: what was chosen, what was shown, what comes by force, and whether it is over.
pub(super) struct Run<'a> {
    turn: &'a Turn,
    settings: &'a Settings,
    vocabulary_size: usize,
    /// Ids at most.
    limit: usize,
    sampler: Sampler,
    split: ThinkSplit<'a>,
    stops: StopStrings,
    /// The ids that close a think block; empty without a budget.
    closing: Vec<u32>,
    /// Those of them that are still to come.
    forced: VecDeque<u32>,
    /// Ids that were chosen inside the block.
    reasoning_ids: usize,
    sink: &'a mut dyn FnMut(Event) -> ControlFlow<()>,
    out: Generated,
    /// Why the turn is over, once it is.
    pub(super) stop: Option<StopReason>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        turn: &'a Turn,
        settings: &'a Settings,
        limit: usize,
        sink: &'a mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Self, TokenizerError> {
        let closing = match settings.think_budget {
            Some(_) => ThinkSplit::closing(tokenizer)?,
            None => Vec::new(),
        };
        let out = Generated {
            ids: Vec::new(),
            text: String::new(),
            reasoning: String::new(),
            stop: StopReason::Failed,
            reused: 0,
            prompt: Phase::default(),
            decode: Phase::default(),
            first_id: None,
            logits_hash: None,
        };
        let mut run = Self {
            turn,
            settings,
            vocabulary_size: tokenizer.size(),
            limit,
            sampler: Sampler::new(&settings.sampling, tokenizer.size()),
            split: ThinkSplit::new(tokenizer, &turn.prompt),
            stops: StopStrings::new(&settings.stop),
            closing,
            forced: VecDeque::new(),
            reasoning_ids: 0,
            sink,
            out,
            stop: None,
        };
        run.watch_budget();
        Ok(run)
    }

    pub(super) fn prompt_is_read(&mut self, synced: Synced, elapsed: Duration) {
        self.out.reused = synced.reused;
        self.out.prompt = Phase { tokens: synced.read, spent: synced.spent, elapsed };
        self.tell(Event::Prompt(synced));
    }

    /// Whether another id is wanted; notes the reason if not.
    pub(super) fn goes_on(&mut self, control: &Control<'_>) -> bool {
        if self.stop.is_none() {
            if self.out.ids.len() >= self.limit {
                self.stop = Some(StopReason::Length);
            } else if control.cancel.load(Ordering::Relaxed) {
                self.stop = Some(StopReason::Cancelled);
            }
        }
        self.stop.is_none()
    }

    /// The next id, and whether it comes by force.
    pub(super) fn choose(
        &mut self,
        row: &[f32],
        mask: Option<&mut (dyn Mask + '_)>,
    ) -> Result<(u32, bool), SampleError> {
        if let Some(id) = self.forced.pop_front() {
            return Ok((id, true));
        }
        let history = History { prompt: &self.turn.prompt, generated: &self.out.ids };
        Ok((self.sampler.sample(row, history, mask)?.id, false))
    }

    /// Notes the time that a choice took, and when the first was made.
    pub(super) fn chosen(&mut self, took: Duration, since_start: Duration) {
        match self.out.first_id {
            None => self.out.first_id = Some(since_start),
            Some(_) => self.out.decode.elapsed += took,
        }
    }

    /// Makes an id part of the output and shows what it says.
    pub(super) fn append(&mut self, id: u32, forced: bool, row: &[f32]) {
        self.out.ids.push(id);
        let logprobs =
            self.settings.logprobs.map(|top| log_probabilities(row, self.vocabulary_size, id, top));
        self.tell(Event::Id { id, logprobs, forced });
        let settings = self.settings;
        if !forced && !settings.ignore_eos && settings.stop_ids.contains(&id) {
            self.stop.get_or_insert(StopReason::Eos(id));
            return;
        }
        if self.split.inside() && !forced {
            self.reasoning_ids += 1;
        }
        for said in self.split.push(id) {
            self.say(said);
        }
        self.watch_budget();
    }

    pub(super) fn stepped(&mut self, spent: &Spent, elapsed: Duration) {
        self.out.decode.tokens += 1;
        self.out.decode.spent.add(spent);
        self.out.decode.elapsed += elapsed;
    }

    /// Ends the turn: shows what was held back, and sums up. `row` is the last one, if the prompt
    /// was read.
    pub(super) fn end(mut self, stop: StopReason, row: Option<&[f32]>) -> Generated {
        for said in self.split.finish() {
            self.say(said);
        }
        let text = self.stops.finish();
        self.show(text, false);
        self.out.stop = stop;
        self.out.logits_hash = row.map(logits_hash);
        self.out
    }

    pub(super) fn failed(self, source: ForwardError, row: Option<&[f32]>) -> GenerateError {
        let so_far = Box::new(self.end(StopReason::Failed, row));
        GenerateError::Forward { source, so_far }
    }

    /// Closes the block when its budget is spent.
    fn watch_budget(&mut self) {
        let spent = self.settings.think_budget.is_some_and(|budget| self.reasoning_ids >= budget);
        if spent && self.split.inside() && self.forced.is_empty() {
            self.forced.extend(&self.closing);
        }
    }

    fn say(&mut self, said: Said) {
        if said.reasoning {
            return self.show(said.text, true);
        }
        let (text, hit) = self.stops.push(&said.text);
        self.show(text, false);
        if let Some(stop) = hit {
            self.stop.get_or_insert(StopReason::StopString(stop));
        }
    }

    fn show(&mut self, text: String, reasoning: bool) {
        if text.is_empty() {
            return;
        }
        let into = if reasoning { &mut self.out.reasoning } else { &mut self.out.text };
        into.push_str(&text);
        self.tell(Event::Text { text, reasoning });
    }

    fn tell(&mut self, event: Event) {
        if self.stop != Some(StopReason::Closed) && (self.sink)(event).is_break() {
            self.stop = Some(StopReason::Closed);
        }
    }
}
