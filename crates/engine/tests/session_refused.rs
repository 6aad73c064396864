//! A model that refuses to rewind or to take checkpoints: the session says so once and goes on.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::testing::{Failure, ScriptedForward, ScriptedSequence};
use engine::{Checkpoint, Control, Facts, Forward, ForwardError, Output, Session, Step};

/// A scripted model with switches.
struct Stubborn {
    inner: ScriptedForward,
    no_rewind: AtomicBool,
    no_checkpoint: AtomicBool,
}

fn refuse(switch: &AtomicBool) -> Result<(), ForwardError> {
    let refused = || ForwardError::Failed("it will not".into());
    if switch.load(Ordering::Relaxed) { Err(refused()) } else { Ok(()) }
}

impl Forward for Stubborn {
    type Sequence = ScriptedSequence;

    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn sequence(&self, capacity: usize) -> Result<ScriptedSequence, ForwardError> {
        self.inner.sequence(capacity)
    }

    fn position(&self, sequence: &ScriptedSequence) -> usize {
        self.inner.position(sequence)
    }

    fn forward(
        &mut self,
        batch: &mut [Step<'_, ScriptedSequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError> {
        self.inner.forward(batch, control)
    }

    fn keep(&self, sequence: &mut ScriptedSequence, ids: usize) -> Result<(), ForwardError> {
        self.inner.keep(sequence, ids)
    }

    fn checkpoint(&self, sequence: &ScriptedSequence) -> Result<Checkpoint, ForwardError> {
        refuse(&self.no_checkpoint)?;
        self.inner.checkpoint(sequence)
    }

    fn rewind(&self, sequence: &mut ScriptedSequence, to: &Checkpoint) -> Result<(), ForwardError> {
        refuse(&self.no_rewind)?;
        self.inner.rewind(sequence, to)
    }

    fn snapshot(&self, sequence: &ScriptedSequence, out: &mut dyn Write) -> io::Result<()> {
        self.inner.snapshot(sequence, out)
    }

    fn restore(
        &self,
        from: &mut dyn Read,
        capacity: usize,
    ) -> Result<ScriptedSequence, ForwardError> {
        self.inner.restore(from, capacity)
    }
}

fn synced() -> (Stubborn, Session<Stubborn>) {
    let (no_rewind, no_checkpoint) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut model = Stubborn { inner: ScriptedForward::new(30, 40), no_rewind, no_checkpoint };
    let mut session = Session::new(&model, 40).expect("room");
    sync(&mut session, &mut model, &[1, 2, 3, 4], &[2]).expect("a pass");
    (model, session)
}

fn sync(
    session: &mut Session<Stubborn>,
    model: &mut Stubborn,
    prefix: &[u32],
    at: &[usize],
) -> Result<usize, ForwardError> {
    let cancel = AtomicBool::new(false);
    session.sync(model, prefix, at, &Control::new(&cancel)).map(|synced| synced.reused)
}

fn stands(session: &Session<Stubborn>, prefix: &[u32]) {
    let (mut model, mut fresh) = synced();
    sync(&mut fresh, &mut model, prefix, &[]).expect("a pass");
    assert_eq!(session.ids(), prefix, "ids");
    assert!(session.logits().is_some(), "logits are there");
    assert_eq!(session.logits(), fresh.logits(), "as a fresh session has them");
}

#[test]
fn a_rewind_that_fails_is_said_and_then_all_is_built_anew() {
    let (mut model, mut session) = synced();
    model.no_rewind.store(true, Ordering::Relaxed);
    let error = sync(&mut session, &mut model, &[1, 2, 9], &[]).expect_err("no rewind");
    assert_eq!(error.to_string(), "it will not", "its own words");
    assert_eq!((session.position(), session.logits()), (0, None), "nothing is held");
    assert_eq!(session.checkpoints().count(), 0, "nor can it go back");
    assert!(session.snapshot(&model, &mut Vec::new()).is_err(), "nothing to be saved");
    let reused = sync(&mut session, &mut model, &[1, 2, 9], &[2]).expect("a new sequence");
    assert_eq!(reused, 0, "from the beginning");
    stands(&session, &[1, 2, 9]);
    model.no_rewind.store(false, Ordering::Relaxed);
    assert_eq!(sync(&mut session, &mut model, &[1, 2, 8], &[]).expect("a pass"), 2, "as ever");
    stands(&session, &[1, 2, 8]);
}

#[test]
fn a_failed_pass_and_a_failed_rewind_together() {
    let (mut model, mut session) = synced();
    model.no_rewind.store(true, Ordering::Relaxed);
    model.inner.failures = vec![Failure { pass: model.inner.passes(), stages: 0 }];
    let error = sync(&mut session, &mut model, &[1, 2, 3, 4, 5], &[]).expect_err("scripted");
    assert!(error.to_string().starts_with("scripted failure"), "the first of both: {error}");
    assert_eq!(session.position(), 0, "nothing is held");
    sync(&mut session, &mut model, &[1, 2, 3, 4, 5], &[]).expect("a new sequence");
    stands(&session, &[1, 2, 3, 4, 5]);
}

#[test]
fn a_checkpoint_that_fails_is_an_error_of_the_sync() {
    let (mut model, mut session) = synced();
    model.no_checkpoint.store(true, Ordering::Relaxed);
    let error = sync(&mut session, &mut model, &[1, 2, 3, 4, 5, 6], &[5]).expect_err("none");
    assert_eq!(error.to_string(), "it will not", "its own words");
    assert_eq!(session.ids(), [1, 2], "the last checkpoint");
    model.no_checkpoint.store(false, Ordering::Relaxed);
    sync(&mut session, &mut model, &[1, 2, 3, 4, 5, 6], &[5]).expect("a pass");
    stands(&session, &[1, 2, 3, 4, 5, 6]);
}
