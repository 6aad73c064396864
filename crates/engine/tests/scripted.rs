//! The model without weights keeps every promise of the socket.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::testing::{Failure, ScriptedForward, ScriptedSequence};
use engine::{Control, Forward, ForwardError, Progress, Step, StepOutput, Want};

fn step(
    forward: &mut ScriptedForward,
    sequence: &mut ScriptedSequence,
    tokens: &[u32],
    logits: Want,
) -> Result<StepOutput, ForwardError> {
    let cancel = AtomicBool::new(false);
    let mut batch = [Step { sequence, tokens, logits, hidden: true }];
    let mut output = forward.forward(&mut batch, &Control::new(&cancel))?;
    Ok(output.steps.pop().expect("one answer a step"))
}

#[test]
fn logits_depend_on_the_prefix_alone() {
    let mut forward = ScriptedForward::new(40, 64);
    let mut whole = forward.sequence(64).expect("room");
    let all = step(&mut forward, &mut whole, &[3, 1, 4, 1, 5], Want::All).expect("a pass");
    assert_eq!((all.logits.len(), all.hidden.len()), (5 * 40, 5 * 4), "rows");
    assert!(all.logits.iter().all(|l| (-4.0..4.0).contains(l)), "within -4 and 4");
    let mut parts = forward.sequence(64).expect("room");
    let none = step(&mut forward, &mut parts, &[3, 1], Want::None).expect("a pass");
    assert!(none.logits.is_empty() && none.hidden.is_empty(), "nothing was wanted");
    let tail = step(&mut forward, &mut parts, &[4, 1, 5], Want::From(1)).expect("a pass");
    assert_eq!(tail.logits, all.logits[3 * 40..], "the last two, by another way");
    assert_eq!(tail.hidden, all.hidden[3 * 4..], "hidden states too");
    assert_eq!((tail.spent.tokens, tail.spent.read_bytes), (3, 3000), "what it cost");
    let cancel = AtomicBool::new(false);
    let mut other = forward.sequence(64).expect("room");
    let mut batch = [
        Step { sequence: &mut other, tokens: &[9], logits: Want::Last, hidden: false },
        Step { sequence: &mut parts, tokens: &[7, 7], logits: Want::Last, hidden: false },
    ];
    let both = forward.forward(&mut batch, &Control::new(&cancel)).expect("a pass");
    let alone = step(&mut forward, &mut whole, &[7, 7], Want::Last).expect("a pass");
    assert_eq!(both.steps[1].logits, alone.logits, "company does not matter");
    assert_ne!(both.steps[0].logits, alone.logits, "another prefix, another row");
}

#[test]
fn refusals_change_nothing() {
    let mut forward = ScriptedForward::new(40, 4);
    let found = forward.sequence(5);
    assert!(matches!(found, Err(ForwardError::Context { wanted: 5, capacity: 4 })), "{found:?}");
    let mut sequence = forward.sequence(3).expect("room");
    step(&mut forward, &mut sequence, &[1, 2], Want::None).expect("a pass");
    let found = step(&mut forward, &mut sequence, &[3, 4], Want::Last);
    assert!(matches!(found, Err(ForwardError::Context { wanted: 4, capacity: 3 })), "{found:?}");
    let found = step(&mut forward, &mut sequence, &[40], Want::Last);
    assert!(matches!(found, Err(ForwardError::UnknownId { id: 40, vocabulary: 40 })), "{found:?}");
    let found = step(&mut forward, &mut sequence, &[], Want::Last);
    assert!(matches!(found, Err(ForwardError::Empty)), "{found:?}");
    let cancel = AtomicBool::new(false);
    let found = forward.forward(&mut [], &Control::new(&cancel));
    assert!(matches!(found, Err(ForwardError::Empty)), "{found:?}");
    assert_eq!((forward.position(&sequence), forward.passes()), (2, 1), "as before");
    step(&mut forward, &mut sequence, &[3], Want::Last).expect("it can still go on");
}

#[test]
fn a_failed_pass_poisons_until_a_rewind() {
    let mut forward = ScriptedForward::new(40, 64);
    forward.failures = vec![Failure { pass: 1, stages: 2 }];
    let mut sequence = forward.sequence(64).expect("room");
    step(&mut forward, &mut sequence, &[1, 2], Want::None).expect("a pass");
    let point = forward.checkpoint(&sequence).expect("a checkpoint");
    let error = step(&mut forward, &mut sequence, &[3], Want::Last).expect_err("scripted");
    assert_eq!(error.to_string(), "scripted failure in pass 1 after 2 stages", "its own words");
    let poisoned = |found: Result<(), ForwardError>| {
        assert!(matches!(found, Err(ForwardError::Poisoned)), "{found:?}");
    };
    poisoned(step(&mut forward, &mut sequence, &[3], Want::Last).map(drop));
    poisoned(forward.checkpoint(&sequence).map(drop));
    poisoned(forward.keep(&mut sequence, 0));
    assert!(forward.snapshot(&sequence, &mut Vec::new()).is_err(), "no snapshot either");
    forward.rewind(&mut sequence, &point).expect("its own checkpoint");
    let row = step(&mut forward, &mut sequence, &[3], Want::Last).expect("a pass").logits;
    let mut fresh = forward.sequence(64).expect("room");
    let want = step(&mut forward, &mut fresh, &[1, 2, 3], Want::Last).expect("a pass").logits;
    assert_eq!(row, want, "as if nothing had happened");
}

#[test]
fn progress_is_told_and_cancels() {
    let mut forward = ScriptedForward::new(40, 64);
    let mut sequence = forward.sequence(64).expect("room");
    let cancel = AtomicBool::new(false);
    let told = Mutex::new(Vec::new());
    let progress = |at: Progress| {
        let mut told = told.lock().expect("no panic");
        told.push((at.stages_done, at.stages, at.tokens_done, at.tokens));
        cancel.store(told.len() == 6, Ordering::Relaxed);
    };
    let control = Control { cancel: &cancel, progress: Some(&progress) };
    for round in 0..2 {
        let mut batch =
            [Step { sequence: &mut sequence, tokens: &[1, 2], logits: Want::Last, hidden: false }];
        let found = forward.forward(&mut batch, &control);
        let cancelled = matches!(found, Err(ForwardError::Cancelled));
        assert_eq!(cancelled, round == 1, "{found:?}");
    }
    let told = told.into_inner().expect("no panic");
    let pass = [(0, 3, 0, 2), (1, 3, 0, 2), (2, 3, 0, 2), (3, 3, 2, 2)];
    assert_eq!(told, [&pass[..], &pass[..2]].concat(), "one whole pass, then two stages");
}

#[test]
fn cuts_and_checkpoints() {
    let mut forward = ScriptedForward::new(40, 64);
    let mut sequence = forward.sequence(64).expect("room");
    step(&mut forward, &mut sequence, &[1; 20], Want::None).expect("a pass");
    let found = forward.keep(&mut sequence, 11);
    assert!(matches!(found, Err(ForwardError::Cut { wanted: 9, limit: 8 })), "{found:?}");
    forward.keep(&mut sequence, 12).expect("8 can be cut");
    assert_eq!(forward.position(&sequence), 12, "12 stand");
    forward.keep(&mut sequence, 0).expect("nothing is pending any more");
    assert_eq!(forward.position(&sequence), 12, "settled");
    let point = forward.checkpoint(&sequence).expect("a checkpoint");
    let mut other = forward.sequence(64).expect("room");
    step(&mut forward, &mut other, &[1; 20], Want::None).expect("a pass");
    let foreign = |found: Result<(), ForwardError>| {
        assert!(matches!(found, Err(ForwardError::Foreign { position: 12 })), "{found:?}");
    };
    foreign(forward.rewind(&mut other, &point));
    let mut twin = forward.clone();
    twin.facts.fingerprint = [1; 32];
    foreign(twin.rewind(&mut sequence, &point));
    let early = forward.sequence(64).expect("room");
    let empty = forward.checkpoint(&early).expect("a checkpoint");
    let found = forward.rewind(&mut sequence, &empty);
    assert!(matches!(found, Err(ForwardError::Foreign { position: 0 })), "{found:?}");
}

#[test]
fn snapshots_come_back_and_lies_do_not() {
    let mut forward = ScriptedForward::new(40, 64);
    let mut sequence = forward.sequence(64).expect("room");
    step(&mut forward, &mut sequence, &[1, 2, 3], Want::None).expect("a pass");
    let mut bytes = Vec::new();
    forward.snapshot(&sequence, &mut bytes).expect("memory takes it");
    let mut back = forward.restore(&mut bytes.as_slice(), 10).expect("it is whole");
    let row = step(&mut forward, &mut back, &[4], Want::Last).expect("a pass").logits;
    let want = step(&mut forward, &mut sequence, &[4], Want::Last).expect("a pass").logits;
    assert_eq!(row, want, "bit for bit");
    for len in 0..bytes.len() {
        assert!(forward.restore(&mut &bytes[..len], 10).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert!(forward.restore(&mut bytes.as_slice(), 10).is_err(), "a lie at {at}");
    }
    assert!(forward.restore(&mut bytes.as_slice(), 2).is_err(), "no room");
}

#[test]
fn scripts_are_followed_from_where_they_apply() {
    let mut forward = ScriptedForward::new(40, 64)
        .answering(vec![1, 2], vec![5, 6, 5, 7])
        .answering(vec![3], vec![8]);
    let best = |row: &[f32]| (0..40).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    for (prefix, want) in [
        (&[9, 1, 2][..], 5),
        (&[9, 1, 2, 5], 6),
        (&[1, 2, 5, 6, 5], 7),
        (&[1, 2, 5, 6, 5, 3], 8),
        (&[3], 8),
    ] {
        let mut sequence = forward.sequence(64).expect("room");
        let row = step(&mut forward, &mut sequence, prefix, Want::Last).expect("a pass").logits;
        assert_eq!(best(&row), Some(want), "after {prefix:?}");
    }
    let mut sequence = forward.sequence(64).expect("room");
    let row = step(&mut forward, &mut sequence, &[2, 5], Want::Last).expect("a pass").logits;
    assert!(row.iter().all(|logit| *logit < 4.0), "no script applies");
}
