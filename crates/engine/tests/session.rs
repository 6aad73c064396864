//! A session on its timeline: whatever was done before, it stands where a fresh one would stand.

mod numbers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::testing::{Failure, ScriptedForward};
use engine::{Control, ForwardError, Progress, Session, Spent, Synced};
use numbers::Numbers;

const VOCABULARY: usize = 30;
const CAPACITY: usize = 40;

fn model() -> ScriptedForward {
    ScriptedForward::new(VOCABULARY, CAPACITY)
}

fn session(forward: &ScriptedForward) -> Session<ScriptedForward> {
    Session::new(forward, CAPACITY).expect("room")
}

fn sync(
    session: &mut Session<ScriptedForward>,
    forward: &mut ScriptedForward,
    prefix: &[u32],
    checkpoint_at: &[usize],
) -> Result<Synced, ForwardError> {
    let cancel = AtomicBool::new(false);
    session.sync(forward, prefix, checkpoint_at, &Control::new(&cancel))
}

fn push(
    session: &mut Session<ScriptedForward>,
    forward: &mut ScriptedForward,
    id: u32,
) -> Result<Spent, ForwardError> {
    let cancel = AtomicBool::new(false);
    session.push(forward, id, &Control::new(&cancel))
}

/// What a session that has done nothing else would say.
fn fresh_row(prefix: &[u32]) -> Vec<f32> {
    let mut forward = model();
    let mut session = session(&forward);
    sync(&mut session, &mut forward, prefix, &[]).expect("a pass");
    session.logits().expect("just synced").to_vec()
}

fn stands(session: &Session<ScriptedForward>, ids: &[u32], what: &str) {
    assert_eq!(session.ids(), ids, "{what}: ids");
    assert_eq!(session.position(), ids.len(), "{what}: position");
    assert_eq!(session.logits(), Some(fresh_row(ids).as_slice()), "{what}: logits");
}

fn checkpoints(session: &Session<ScriptedForward>) -> Vec<usize> {
    session.checkpoints().collect()
}

/// How many ids a sync should find, said from outside.
fn reusable(session: &Session<ScriptedForward>, prefix: &[u32]) -> usize {
    let shared = prefix.iter().zip(session.ids()).take_while(|(a, b)| a == b).count();
    let held = shared == session.position();
    if held && (shared < prefix.len() || session.logits().is_some()) {
        return shared;
    }
    let limit = shared.min(prefix.len() - 1);
    session.checkpoints().filter(|at| *at <= limit).max().unwrap_or(0)
}

#[test]
fn it_extends_rewinds_and_rebuilds() {
    let (mut f, mut s) = (model(), session(&model()));
    assert_eq!((s.logits(), s.position(), s.capacity()), (None, 0, CAPACITY), "empty");
    let synced = sync(&mut s, &mut f, &[1, 2, 3, 4, 5], &[3]).expect("a pass");
    assert_eq!((synced.reused, synced.read, synced.spent.tokens), (0, 5, 5), "all is new");
    assert_eq!((checkpoints(&s), f.passes()), (vec![3], 2), "the prompt was cut at the wish");
    stands(&s, &[1, 2, 3, 4, 5], "new");
    let synced = sync(&mut s, &mut f, &[1, 2, 3, 4, 5], &[]).expect("nothing to do");
    assert_eq!((synced, f.passes()), (Synced { reused: 5, ..Synced::default() }, 2), "the same");
    push(&mut s, &mut f, 6).expect("a pass");
    stands(&s, &[1, 2, 3, 4, 5, 6], "pushed");
    let synced = sync(&mut s, &mut f, &[1, 2, 3, 4, 5, 6, 7], &[]).expect("a pass");
    assert_eq!((synced.reused, synced.read), (6, 1), "extended");
    let synced = sync(&mut s, &mut f, &[1, 2, 3, 9], &[]).expect("a pass");
    assert_eq!((synced.reused, synced.read), (3, 1), "rewound to the checkpoint");
    stands(&s, &[1, 2, 3, 9], "rewound");
    let synced = sync(&mut s, &mut f, &[1, 2, 3], &[]).expect("a pass");
    assert_eq!((synced.reused, synced.read), (0, 3), "its logits come only by reading");
    stands(&s, &[1, 2, 3], "rebuilt");
    assert_eq!(checkpoints(&s), [0; 0], "the one at 3 was ahead");
    let synced = sync(&mut s, &mut f, &[8], &[1]).expect("a pass");
    assert_eq!((synced.reused, synced.read, checkpoints(&s)), (0, 1, vec![1]), "rebuilt");
    stands(&s, &[8], "rebuilt");
}

#[test]
fn it_goes_back_to_a_checkpoint_without_reading() {
    let (mut f, mut s) = (model(), session(&model()));
    sync(&mut s, &mut f, &[1, 2, 3, 4, 5], &[2, 4]).expect("passes");
    let passes = f.passes();
    assert_eq!(s.back_to(&f, 9).expect("stays"), 5, "ahead of it");
    assert_eq!(s.back_to(&f, 5).expect("stays"), 5, "where it stands");
    stands(&s, &[1, 2, 3, 4, 5], "untouched");
    assert_eq!(s.back_to(&f, 4).expect("goes back"), 4, "a checkpoint");
    assert_eq!((s.ids(), s.logits(), checkpoints(&s)), (&[1, 2, 3, 4][..], None, vec![2, 4]), "4");
    assert_eq!(s.back_to(&f, 3).expect("goes back"), 2, "the one before");
    assert_eq!(s.back_to(&f, 1).expect("goes back"), 0, "the beginning");
    assert_eq!(f.passes(), passes, "nothing was read");
    sync(&mut s, &mut f, &[1, 2], &[]).expect("a pass");
    stands(&s, &[1, 2], "goes on");
}

#[test]
fn checkpoints_are_few_and_the_newest() {
    let (mut f, mut s) = (model(), session(&model()));
    let prefix: Vec<u32> = (1..=12).collect();
    sync(&mut s, &mut f, &prefix[..10], &[9, 2, 5, 5, 0, 11, 99]).expect("passes");
    assert_eq!((checkpoints(&s), f.passes()), (vec![5, 9], 3), "no pass for one that cannot stay");
    sync(&mut s, &mut f, &prefix[..10], &[10]).expect("nothing to read");
    assert_eq!((checkpoints(&s), f.passes()), (vec![9, 10], 3), "taken where it stands");
    sync(&mut s, &mut f, &prefix, &[9, 10, 12]).expect("a pass");
    assert_eq!((checkpoints(&s), f.passes()), (vec![10, 12], 4), "at the end of what was read");
    let synced = sync(&mut s, &mut f, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 7], &[]).expect("a pass");
    assert_eq!((synced.reused, checkpoints(&s)), (10, vec![10]), "the one ahead is gone");
    let mut none = Session::with_checkpoints(&f, CAPACITY, 0).expect("room");
    sync(&mut none, &mut f, &prefix, &[3, 12]).expect("a pass");
    assert_eq!((checkpoints(&none), f.passes()), (vec![], 6), "none wanted, nothing cut");
}

#[test]
fn refusals_change_nothing() {
    let (mut f, mut s) = (model(), session(&model()));
    assert!(matches!(push(&mut s, &mut f, 1), Err(ForwardError::Poisoned)), "nothing was synced");
    sync(&mut s, &mut f, &[1, 2], &[]).expect("a pass");
    let found = sync(&mut s, &mut f, &[7; CAPACITY + 1], &[]);
    let (wanted, capacity) = (CAPACITY + 1, CAPACITY);
    assert!(
        matches!(found, Err(ForwardError::Context { wanted: w, capacity: c }) if (w, c) == (wanted, capacity)),
        "{found:?}"
    );
    let found = sync(&mut s, &mut f, &[1, 2, 30], &[]);
    assert!(matches!(found, Err(ForwardError::UnknownId { id: 30, .. })), "{found:?}");
    assert!(matches!(sync(&mut s, &mut f, &[], &[]), Err(ForwardError::Empty)), "no ids");
    let found = push(&mut s, &mut f, 30);
    assert!(matches!(found, Err(ForwardError::UnknownId { id: 30, .. })), "{found:?}");
    stands(&s, &[1, 2], "as before");
    sync(&mut s, &mut f, &[3; CAPACITY], &[]).expect("it just fits");
    let found = push(&mut s, &mut f, 1);
    assert!(matches!(found, Err(ForwardError::Context { wanted: 41, capacity: 40 })), "{found:?}");
    stands(&s, &[3; CAPACITY], "as before");
    assert!(Session::new(&f, CAPACITY + 1).is_err(), "more room than the model has");
}

/// The disk fails in any stage of any pass: one error, and the same sync gives what it would have
/// given.
#[test]
fn every_failure_is_survived() {
    let prefixes: [(&[u32], &[usize]); 5] = [
        (&[1, 2, 3, 4, 5, 6], &[2, 4]),
        (&[1, 2, 3, 4, 9, 9, 9], &[4, 6]),
        (&[1, 2, 3], &[]),
        (&[1, 2, 3, 5, 5, 5], &[5]),
        (&[7, 7, 7], &[1]),
    ];
    let mut errors = 0;
    for failing in 0..14 {
        for stages in 0..=3 {
            let (mut f, mut s) = (model(), session(&model()));
            f.failures = vec![Failure { pass: failing, stages }];
            for (prefix, at) in prefixes {
                if let Err(error) = sync(&mut s, &mut f, prefix, at) {
                    assert!(error.to_string().starts_with("scripted failure"), "{error}");
                    errors += 1;
                    let last = s.checkpoints().last().unwrap_or(0);
                    assert_eq!((s.position(), s.logits()), (last, None), "at its checkpoint");
                    let found = push(&mut s, &mut f, 1);
                    assert!(
                        matches!(found, Err(ForwardError::Poisoned)),
                        "not behind it: {found:?}"
                    );
                    let synced = sync(&mut s, &mut f, prefix, at).expect("the disk is well again");
                    assert_eq!(synced.reused, last, "from the checkpoint on");
                }
                stands(&s, prefix, "after a failure");
                if let Err(error) = push(&mut s, &mut f, 6) {
                    assert!(error.to_string().starts_with("scripted failure"), "{error}");
                    errors += 1;
                    sync(&mut s, &mut f, prefix, at).expect("the disk is well again");
                    push(&mut s, &mut f, 6).expect("the disk is well again");
                }
                stands(&s, &[prefix, &[6]].concat(), "pushed");
            }
        }
    }
    assert_eq!(errors, 14 * 4, "every failure came");
}

#[test]
fn a_cancel_leaves_the_last_checkpoint() {
    let (mut f, mut s) = (model(), session(&model()));
    let cancel = AtomicBool::new(false);
    let told = Mutex::new(Vec::new());
    let progress = |at: Progress| {
        let mut told = told.lock().expect("no panic");
        told.push((at.tokens_done, at.tokens, at.stages_done as f64 / at.stages as f64));
        cancel.store(told.len() == 6, Ordering::Relaxed);
    };
    let control = Control { cancel: &cancel, progress: Some(&progress) };
    let found = s.sync(&mut f, &[1, 2, 3, 4, 5, 6, 7, 8], &[2], &control);
    assert!(matches!(found, Err(ForwardError::Cancelled)), "{found:?}");
    assert_eq!((s.ids(), checkpoints(&s)), (&[1, 2][..], vec![2]), "what the checkpoint holds");
    cancel.store(false, Ordering::Relaxed);
    s.sync(&mut f, &[1, 2, 3, 4, 5, 6, 7, 8], &[2], &control).expect("a pass");
    stands(&s, &[1, 2, 3, 4, 5, 6, 7, 8], "after a cancel");
    let told = told.into_inner().expect("no panic");
    let first: Vec<(usize, usize)> = told[..6].iter().map(|at| (at.0, at.1)).collect();
    assert_eq!(first, [(0, 8), (0, 8), (0, 8), (2, 8), (2, 8), (2, 8)], "ids of the whole");
    let shares: Vec<f64> = told[..6].iter().map(|at| at.2).collect();
    let want = [0.0, 0.25 / 3.0, 0.5 / 3.0, 0.25, 0.25, 0.5];
    for (share, want) in shares.iter().zip(want) {
        assert!((share - want).abs() < 1e-12, "shares of the whole are {shares:?}");
    }
}

/// Hundreds of edits: truncate, change, extend, push, fail.
#[test]
fn random_edits_against_fresh_sessions() {
    let mut n = Numbers::new(3);
    for round in 0..60 {
        let mut f = model();
        let most = n.below(4);
        let mut s = Session::with_checkpoints(&f, CAPACITY, most).expect("room");
        for edit in 0..30 {
            let what = format!("round {round}, edit {edit}");
            let mut prefix = s.ids().to_vec();
            prefix.truncate(n.below(prefix.len() + 1).max(n.below(prefix.len() + 1)));
            let more = n.below(CAPACITY + 1 - prefix.len()).min(6);
            // Few different ids, so that prefixes are shared by chance too.
            prefix.extend((0..more).map(|_| n.below(2) as u32));
            if prefix.is_empty() {
                prefix.push(1);
            }
            let at: Vec<usize> = (0..n.below(4)).map(|_| n.below(CAPACITY)).collect();
            if n.below(5) == 0 {
                f.failures = vec![Failure { pass: f.passes() + n.below(2) as u64, stages: 1 }];
            }
            let mut reused = reusable(&s, &prefix);
            let mut synced = sync(&mut s, &mut f, &prefix, &at);
            if synced.is_err() {
                reused = reusable(&s, &prefix);
                synced = sync(&mut s, &mut f, &prefix, &at);
            }
            f.failures.clear();
            let synced = synced.expect("the second time at the latest");
            let read = prefix.len() - reused;
            assert_eq!((synced.reused, synced.read), (reused, read), "{what}");
            assert_eq!(synced.spent.tokens, read as u64, "{what}: spent");
            stands(&s, &prefix, &what);
            let points = checkpoints(&s);
            assert!(points.len() <= most, "{what}: {points:?}");
            assert!(points.is_sorted_by(|a, b| a < b), "{what}: {points:?}");
            assert!(points.iter().all(|p| *p <= prefix.len()), "{what}: {points:?}");
            let newest = at.iter().filter(|p| (reused.max(1)..=prefix.len()).contains(*p)).max();
            let kept = newest.is_none_or(|p| most == 0 || points.contains(p));
            assert!(kept, "{what}: {newest:?} is missing in {points:?}");
            for _ in 0..n.below(4).min(CAPACITY - prefix.len()) {
                let id = n.below(2) as u32;
                push(&mut s, &mut f, id).expect("a pass");
                prefix.push(id);
                stands(&s, &prefix, &what);
            }
        }
    }
}

#[test]
fn snapshots_come_back_bit_for_bit() {
    let (mut f, mut s) = (model(), session(&model()));
    let mut empty = Vec::new();
    s.snapshot(&f, &mut empty).expect("memory takes it");
    let back = Session::restore(&f, &mut empty.as_slice(), 10, 2).expect("it is whole");
    assert_eq!((back.ids(), back.logits()), (&[][..], None), "nothing");
    sync(&mut s, &mut f, &[1, 2, 3, 4], &[2]).expect("a pass");
    push(&mut s, &mut f, 5).expect("a pass");
    let mut bytes = Vec::new();
    s.snapshot(&f, &mut bytes).expect("memory takes it");
    let mut back = Session::restore(&f, &mut bytes.as_slice(), 10, 2).expect("it is whole");
    stands(&back, &[1, 2, 3, 4, 5], "restored");
    assert_eq!((back.capacity(), checkpoints(&back)), (10, vec![5]), "where it stands");
    let passes = f.passes();
    sync(&mut back, &mut f, &[1, 2, 3, 4, 5], &[]).expect("nothing to do");
    assert_eq!(f.passes(), passes, "its logits came with it");
    f.failures = vec![Failure { pass: passes, stages: 1 }];
    push(&mut back, &mut f, 6).expect_err("scripted");
    let synced = sync(&mut back, &mut f, &[1, 2, 3, 4, 5, 6], &[]).expect("a pass");
    assert_eq!(synced.reused, 5, "not from the beginning");
    stands(&back, &[1, 2, 3, 4, 5, 6], "after a failure");
    sync(&mut back, &mut f, &[1, 9], &[]).expect("a pass");
    stands(&back, &[1, 9], "rebuilt without an empty checkpoint");
    let none = Session::restore(&f, &mut bytes.as_slice(), 10, 0).expect("it is whole");
    assert_eq!(checkpoints(&none), [0; 0], "none wanted");
}

#[test]
fn a_session_without_logits_goes_through_a_snapshot_too() {
    let (mut f, mut s) = (model(), session(&model()));
    sync(&mut s, &mut f, &[1, 2, 3, 4], &[2]).expect("a pass");
    f.failures = vec![Failure { pass: f.passes(), stages: 0 }];
    push(&mut s, &mut f, 5).expect_err("scripted");
    let mut bytes = Vec::new();
    s.snapshot(&f, &mut bytes).expect("memory takes it");
    let mut back = Session::restore(&f, &mut bytes.as_slice(), 10, 2).expect("it is whole");
    assert_eq!((back.ids(), back.logits()), (&[1, 2][..], None), "the last checkpoint");
    let synced = sync(&mut back, &mut f, &[1, 2, 3], &[]).expect("a pass");
    assert_eq!(synced.reused, 2, "it can go on");
    stands(&back, &[1, 2, 3], "restored and extended");
}

#[test]
fn damaged_snapshots_are_refused() {
    let (mut f, mut s) = (model(), session(&model()));
    sync(&mut s, &mut f, &[1, 2, 3], &[]).expect("a pass");
    let mut bytes = Vec::new();
    s.snapshot(&f, &mut bytes).expect("memory takes it");
    let restore = |bytes: &[u8], room| Session::restore(&f, &mut &*bytes, room, 2).err();
    for len in 0..bytes.len() {
        let found = restore(&bytes[..len], 10);
        assert!(matches!(found, Some(ForwardError::Snapshot(_))), "cut at {len}: {found:?}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(restore(&bytes, 10).is_some(), "a lie at {at}");
    }
    let found = restore(&bytes, 2);
    assert!(matches!(found, Some(ForwardError::Context { wanted: 3, capacity: 2 })), "{found:?}");
    let other = ScriptedForward::new(VOCABULARY + 1, CAPACITY);
    let found = Session::restore(&other, &mut bytes.as_slice(), 10, 2).err();
    let message = found.expect("another model").to_string();
    assert_eq!(message, "snapshot refused: 30 logits, the model has 31", "both numbers");
    // Ids and state that are whole, but not each other's.
    let mut longer = session(&f);
    let mut state = Vec::new();
    let mut f2 = f.clone();
    sync(&mut longer, &mut f2, &[1, 2, 3, 4], &[]).expect("a pass");
    longer.snapshot(&f2, &mut state).expect("memory takes it");
    let head = |ids: usize| 24 + 4 * (ids + VOCABULARY) + 32;
    let mixed = [&bytes[..head(3)], &state[head(4)..]].concat();
    let message = restore(&mixed, 10).expect("a lie").to_string();
    assert_eq!(
        message, "snapshot refused: the state holds 4 tokens, its list has 3",
        "both numbers"
    );
}
