//! The engine's socket on the CPU: steps become passes, and what a pass leaves behind becomes answers.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use engine::{Checkpoint, Control, Facts, Forward, ForwardError, Output, Spent, Step, StepOutput};
use store::Counters;

use crate::batch::{Part, passes};
use crate::config::Config;
use crate::forward_cpu::{Pass, norm_rows, walk};
use crate::governor::LookAhead;
use crate::hooks::{Clock, Hooks};
use crate::loaded::CpuModel;
use crate::look_ahead::ROWS_AHEAD;
use crate::scratch::Scratch;
use crate::snapshot::{self, Origin};
use crate::state::{Mark, Sequence};
use crate::tap::Tap;

impl Forward for CpuModel {
    type Sequence = Sequence;

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn sequence(&self, capacity: usize) -> Result<Sequence, ForwardError> {
        if capacity > self.facts.context {
            let capacity_max = self.facts.context;
            return Err(ForwardError::Context { wanted: capacity, capacity: capacity_max });
        }
        Ok(Sequence::new(&self.config, self.kv, capacity))
    }

    fn position(&self, sequence: &Sequence) -> usize {
        sequence.position
    }

    fn forward(
        &mut self,
        batch: &mut [Step<'_, Sequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError> {
        self.check(batch)?;
        let mut scratch = self.scratch.take().ok_or(ForwardError::Poisoned)?;
        let idle = Hooks::new(LookAhead::Off);
        let mut hooks = std::mem::replace(&mut self.hooks, idle);
        let run = Run { model: self, control };
        let output = run.passes(batch, &mut scratch, &mut hooks);
        self.scratch = Some(scratch);
        self.hooks = hooks;
        if output.is_err() {
            batch.iter_mut().for_each(|step| step.sequence.poisoned = true);
        }
        output
    }

    fn keep(&self, sequence: &mut Sequence, ids: usize) -> Result<(), ForwardError> {
        if sequence.poisoned {
            return Err(ForwardError::Poisoned);
        }
        let wanted = sequence.last_step.saturating_sub(ids);
        if wanted > sequence.pending {
            return Err(ForwardError::Cut { wanted, limit: sequence.pending });
        }
        sequence.cut(wanted);
        Ok(())
    }

    fn checkpoint(&self, sequence: &Sequence) -> Result<Checkpoint, ForwardError> {
        if sequence.poisoned {
            return Err(ForwardError::Poisoned);
        }
        Ok(Checkpoint { position: sequence.position, state: Box::new(sequence.mark()) })
    }

    fn rewind(&self, sequence: &mut Sequence, to: &Checkpoint) -> Result<(), ForwardError> {
        let mark = to.state.downcast_ref::<Mark>().filter(|mark| sequence.knows(mark));
        let mark = mark.ok_or(ForwardError::Foreign { position: to.position })?;
        sequence.rewind(mark);
        Ok(())
    }

    fn snapshot(&self, sequence: &Sequence, out: &mut dyn Write) -> io::Result<()> {
        snapshot::write(&self.origin(), sequence, out)
    }

    fn restore(&self, from: &mut dyn Read, capacity: usize) -> Result<Sequence, ForwardError> {
        let sequence = self.sequence(capacity)?;
        snapshot::read(&self.origin(), sequence, from)
    }
}

impl CpuModel {
    fn origin(&self) -> Origin<'_> {
        let Config { head_dim, .. } = self.config;
        Origin {
            fingerprint: &self.facts.fingerprint,
            precision: self.cpu.precision(),
            kv: self.kv,
            head_dim,
        }
    }

    /// Everything that can be said before anything is changed.
    fn check(&self, batch: &[Step<'_, Sequence>]) -> Result<(), ForwardError> {
        if batch.is_empty() || batch.iter().any(|step| step.tokens.is_empty()) {
            return Err(ForwardError::Empty);
        }
        let vocabulary = self.facts.vocabulary;
        for step in batch {
            if step.sequence.poisoned {
                return Err(ForwardError::Poisoned);
            }
            let (wanted, capacity) =
                (step.sequence.position + step.tokens.len(), step.sequence.capacity);
            if wanted > capacity {
                return Err(ForwardError::Context { wanted, capacity });
            }
            if let Some(&id) = step.tokens.iter().find(|id| **id as usize >= vocabulary) {
                return Err(ForwardError::UnknownId { id, vocabulary });
            }
        }
        Ok(())
    }
}

/// One call.
struct Run<'a> {
    model: &'a CpuModel,
    control: &'a Control<'a>,
}

impl Run<'_> {
    fn passes(
        &self,
        batch: &mut [Step<'_, Sequence>],
        scratch: &mut Scratch,
        hooks: &mut Hooks,
    ) -> Result<Output, ForwardError> {
        let lengths: Vec<usize> = batch.iter().map(|step| step.tokens.len()).collect();
        let passes = passes(&lengths, self.model.chunk);
        let tokens = lengths.iter().sum();
        let mut output = Output { steps: batch.iter().map(|step| self.room(step)).collect() };
        let mut tokens_done = 0;
        for (done, parts) in passes.iter().enumerate() {
            let (before, start) = (self.model.cache.counters(), Instant::now());
            let clock = hooks.clock;
            let (layers, count) = (self.model.layers.len(), passes.len());
            let pass =
                Pass { control: self.control, done, passes: count, tokens_done, tokens, layers };
            walk(self.model, parts, batch, scratch, &pass, hooks)?;
            self.answer(parts, batch, scratch, &mut output, hooks);
            let rows = parts.last().map_or(0, |part| part.rows.end);
            tokens_done += rows;
            let times = hooks.clock - clock;
            if rows <= ROWS_AHEAD {
                hooks.governor.took(start.elapsed());
            }
            share(&self.spent(&before, times, start.elapsed()), parts, &mut output);
        }
        for step in batch.iter_mut() {
            step.sequence.last_step = step.tokens.len();
        }
        Ok(output)
    }

    /// An answer with room for what is wanted, so that it never moves.
    fn room(&self, step: &Step<'_, Sequence>) -> StepOutput {
        let rows = step.tokens.len() - step.logits.start(step.tokens.len());
        let hidden = if step.hidden { rows * self.model.facts.hidden } else { 0 };
        StepOutput {
            logits: Vec::with_capacity(rows * self.model.facts.vocabulary),
            hidden: Vec::with_capacity(hidden),
            spent: Spent::default(),
        }
    }

    /// The last norm of every row, and the logits of those that are wanted.
    fn answer(
        &self,
        parts: &[Part],
        batch: &[Step<'_, Sequence>],
        scratch: &mut Scratch,
        output: &mut Output,
        hooks: &mut Hooks,
    ) {
        let mut begun = Instant::now();
        let model = self.model;
        let (width, vocabulary) = (model.facts.hidden, model.facts.vocabulary);
        let rows = parts.last().map_or(0, |part| part.rows.end);
        let normed = &mut scratch.normed[..rows * width];
        norm_rows(model, &scratch.hidden[..rows * width], &model.norm, normed);
        hooks.tap(Tap::Normed { values: normed });
        let head = model.weights.matrix(&model.head);
        for part in parts {
            let step = &batch[part.step];
            let wanted = step.logits.start(part.step_ids).clamp(part.first, part.end());
            let begin = part.rows.start + wanted - part.first;
            let normed = &normed[begin * width..part.rows.end * width];
            let answer = &mut output.steps[part.step];
            if step.hidden {
                answer.hidden.extend_from_slice(normed);
            }
            let at = answer.logits.len();
            answer.logits.resize(at + (part.end() - wanted) * vocabulary, 0.0);
            model.cpu.matmul(&head, normed, &mut answer.logits[at..]);
        }
        Clock::lap(&mut hooks.clock.answering, &mut begun);
    }

    /// What the store counted during a pass.
    fn spent(&self, before: &Counters, times: Clock, elapsed: Duration) -> Spent {
        let spent = self.model.cache.counters() - *before;
        Spent {
            tokens: 0,
            read_bytes: spent.read_bytes,
            touched_bytes: (spent.hits + spent.misses) * self.model.record_bytes,
            hits: spent.hits,
            misses: spent.misses,
            wait: spent.wait,
            reading: spent.reading,
            mixing: times.mixing,
            multiplying: times.experts.saturating_sub(spent.wait),
            answering: times.answering,
            elapsed,
        }
    }
}

/// Divides what a pass cost among its steps, by ids; what does not divide goes to the last.
fn share(spent: &Spent, parts: &[Part], output: &mut Output) {
    let rows: u64 = parts.iter().map(|part| part.rows.len() as u64).sum();
    let up_to =
        |count: u64, total: u64| (u128::from(total) * u128::from(count) / u128::from(rows)) as u64;
    let mut before = 0;
    for part in parts {
        let after = before + part.rows.len() as u64;
        let whole = |total: u64| up_to(after, total) - up_to(before, total);
        let time = |total: Duration| {
            Duration::from_nanos(whole(u64::try_from(total.as_nanos()).unwrap_or(u64::MAX)))
        };
        output.steps[part.step].spent.add(&Spent {
            tokens: after - before,
            read_bytes: whole(spent.read_bytes),
            touched_bytes: whole(spent.touched_bytes),
            hits: whole(spent.hits),
            misses: whole(spent.misses),
            wait: time(spent.wait),
            reading: time(spent.reading),
            mixing: time(spent.mixing),
            multiplying: time(spent.multiplying),
            answering: time(spent.answering),
            elapsed: time(spent.elapsed),
        });
        before = after;
    }
}
