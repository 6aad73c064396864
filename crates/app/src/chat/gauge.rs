//! What the model is doing now and what it cost so far, measured around it, for whoever draws a status line.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Spent, Step};

/// A prompt that is being read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) done: usize,
    pub(crate) total: usize,
    /// 0 to 1, in steps finer than ids.
    pub(crate) share: f64,
    pub(crate) since: Instant,
}

impl Reading {
    /// How long the rest will take if it goes on like this; `None` as long as nobody can tell.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        let enough = self.share > 0.005 && passed > 0.3;
        enough.then(|| Duration::from_secs_f64(passed * (1.0 - self.share) / self.share))
    }
}

/// One look at the gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Dial {
    pub(crate) reading: Option<Reading>,
    /// What decoding cost in this turn.
    pub(crate) decode: Spent,
    /// Ids in the context: those of the turn's prompt, and what was decoded since.
    pub(crate) used: usize,
    pub(crate) ctx: usize,
    pub(crate) plan_bytes: u64,
    /// Written for saved sessions and their state.
    pub(crate) saved_bytes: u64,
}

/// The needle: one thread sets it, another reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Mutex<Dial>>);

impl Gauge {
    pub(crate) fn look(&self) -> Dial {
        *self.dial()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Dial)) {
        change(&mut self.dial());
    }

    fn dial(&self) -> MutexGuard<'_, Dial> {
        // Plain numbers: a panic elsewhere leaves none of them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Progress of a pass. A pass of a single id is a step of decoding.
    pub(crate) fn progress(&self, told: Progress) {
        if told.tokens < 2 {
            return;
        }
        let share = told.stages_done as f64 / told.stages.max(1) as f64;
        self.set(|dial| {
            let since = dial.reading.map_or_else(Instant::now, |reading| reading.since);
            let (done, total) = (told.tokens_done, told.tokens);
            dial.reading = Some(Reading { done, total, share, since });
        });
    }

    fn passed(&self, ids: usize, spent: &Spent) {
        self.set(|dial| {
            if ids == 1 {
                dial.reading = None;
                dial.used += 1;
                dial.decode.add(spent);
            }
        });
    }
}

/// A model that says on a gauge what every pass cost.
pub(crate) struct Measured<F> {
    pub(crate) inner: F,
    pub(crate) gauge: Gauge,
}

impl<F: Forward> Forward for Measured<F> {
    type Sequence = F::Sequence;

    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn sequence(&self, capacity: usize) -> Result<F::Sequence, ForwardError> {
        self.inner.sequence(capacity)
    }

    fn position(&self, sequence: &F::Sequence) -> usize {
        self.inner.position(sequence)
    }

    fn forward(
        &mut self,
        batch: &mut [Step<'_, F::Sequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError> {
        let ids: usize = batch.iter().map(|step| step.tokens.len()).sum();
        let start = Instant::now();
        let output = self.inner.forward(batch, control)?;
        let mut spent = Spent::default();
        output.steps.iter().for_each(|step| spent.add(&step.spent));
        spent.elapsed = start.elapsed();
        self.gauge.passed(ids, &spent);
        Ok(output)
    }

    fn keep(&self, sequence: &mut F::Sequence, ids: usize) -> Result<(), ForwardError> {
        self.inner.keep(sequence, ids)
    }

    fn checkpoint(&self, sequence: &F::Sequence) -> Result<Checkpoint, ForwardError> {
        self.inner.checkpoint(sequence)
    }

    fn rewind(&self, sequence: &mut F::Sequence, to: &Checkpoint) -> Result<(), ForwardError> {
        self.inner.rewind(sequence, to)
    }

    fn snapshot(&self, sequence: &F::Sequence, out: &mut dyn Write) -> io::Result<()> {
        self.inner.snapshot(sequence, out)
    }

    fn restore(&self, from: &mut dyn Read, capacity: usize) -> Result<F::Sequence, ForwardError> {
        self.inner.restore(from, capacity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use engine::Session;
    use engine::testing::ScriptedForward;

    use super::*;

    #[test]
    fn passes_are_counted_as_what_they_are() {
        let gauge = Gauge::default();
        let mut model = Measured { inner: ScriptedForward::new(300, 64), gauge: gauge.clone() };
        let mut session = Session::new(&model, 64).expect("a session");
        let cancel = AtomicBool::new(false);
        let tell = |told| gauge.progress(told);
        let control = Control { cancel: &cancel, progress: Some(&tell) };
        session.sync(&mut model, &[1, 2, 3, 4], &[], &control).expect("read");
        let read = gauge.look();
        let reading = read.reading.expect("a prompt was read");
        assert_eq!((reading.done, reading.total), (4, 4), "all of it");
        assert_eq!((read.used, read.decode.tokens), (0, 0), "nothing was decoded");
        session.push(&mut model, 5, &control).expect("one step");
        let read = gauge.look();
        assert_eq!((read.reading, read.used, read.decode.tokens), (None, 1, 1), "one step");
        assert_eq!(read.decode.read_bytes, 1000, "what the script says of it");
    }

    #[test]
    fn the_time_that_is_left_is_told_once_it_can_be() {
        let since = Instant::now();
        let reading = |share| Reading { done: 0, total: 100, share, since };
        let after = since + Duration::from_secs(10);
        assert_eq!(reading(0.25).left(after), Some(Duration::from_secs(30)), "three quarters");
        assert_eq!(reading(0.0).left(after), None, "no share yet");
        assert_eq!(reading(0.25).left(since), None, "no time yet");
    }
}
