//! The model's state beside the text: it fits, or the text is read again; nothing else happens.

use std::sync::atomic::AtomicBool;

use engine::testing::ScriptedForward;
use engine::{Control, Session};

use super::*;

const CAPACITY: usize = 40;

fn forward() -> ScriptedForward {
    ScriptedForward::new(20, CAPACITY)
}

fn stand(session: &mut Session<ScriptedForward>, forward: &mut ScriptedForward, ids: &[u32]) {
    let cancel = AtomicBool::new(false);
    session.sync(forward, ids, &[ids.len() - 2], &Control::new(&cancel)).expect("room");
}

fn read(forward: &mut ScriptedForward, ids: &[u32]) -> Session<ScriptedForward> {
    let mut session = Session::new(forward, CAPACITY).expect("room");
    stand(&mut session, forward, ids);
    session
}

fn why(restored: Restored<ScriptedForward>) -> String {
    match restored {
        Restored::Whole(session) => panic!("restored {:?}", session.ids()),
        Restored::Absent => "absent".to_owned(),
        Restored::Unusable(why) => {
            assert!(!why.contains('\n') && !why.is_empty(), "one line: {why:?}");
            why
        }
    }
}

#[test]
fn a_state_comes_back_and_goes_on() {
    let (_folder, shelf) = shelf();
    let (mut saved, mut forward) = (create(&shelf), forward());
    assert_eq!(why(saved.restore_state(&forward, CAPACITY, 2)), "absent", "none yet");
    let mut session = read(&mut forward, &[1, 2, 3, 4, 5]);
    let Kept::Written { bytes, .. } = saved.keep_state(&session, &forward).expect("kept") else {
        panic!("there was none");
    };
    let path = shelf.directory().join(saved.name()).join("state.snapshot");
    assert_eq!(fs::metadata(&path).expect("there").len(), bytes, "counted");
    assert_eq!(
        saved.keep_state(&session, &forward).expect("kept"),
        Kept::Unchanged,
        "the same ids"
    );
    assert_eq!(saved.bytes_written().1, bytes, "written once");
    let name = saved.name().to_owned();
    drop(saved);
    let (mut saved, _) = shelf.resume(&name).expect("resumed");
    let Restored::Whole(back) = saved.restore_state(&forward, CAPACITY, 2) else { panic!("whole") };
    assert_eq!((back.ids(), back.logits()), (session.ids(), session.logits()), "the same");
    assert_eq!(
        saved.keep_state(&back, &forward).expect("kept"),
        Kept::Unchanged,
        "known to be there"
    );
    stand(&mut session, &mut forward, &[1, 2, 3, 4, 5, 6]);
    let kept = saved.keep_state(&session, &forward).expect("kept");
    assert!(matches!(kept, Kept::Written { .. }), "more ids");
}

/// The next turn departs before the generation prompt: that is where a state is worth keeping.
#[test]
fn a_state_kept_at_the_checkpoint_serves_the_next_turn() {
    let (_folder, shelf) = shelf();
    let (mut saved, mut forward) = (create(&shelf), forward());
    let mut session = read(&mut forward, &[1, 2, 3, 4, 5]);
    let cancel = AtomicBool::new(false);
    session.push(&mut forward, 9, &Control::new(&cancel)).expect("room");
    assert_eq!(session.back_to(&forward, 3).expect("back"), 3, "the checkpoint");
    saved.keep_state(&session, &forward).expect("kept");
    let Restored::Whole(mut back) = saved.restore_state(&forward, CAPACITY, 2) else {
        panic!("whole")
    };
    let next = [1, 2, 3, 7, 7, 7];
    let synced = back.sync(&mut forward, &next, &[], &Control::new(&cancel)).expect("room");
    assert_eq!((synced.reused, synced.read), (3, 3), "only what followed is read");
}

#[test]
fn what_does_not_fit_is_said_and_left() {
    let (_folder, shelf) = shelf();
    let (mut saved, mut forward) = (create(&shelf), forward());
    let session = read(&mut forward, &[1, 2, 3]);
    saved.keep_state(&session, &forward).expect("kept");
    let mut other = forward.clone();
    other.facts.fingerprint = [7; 32];
    let told = why(saved.restore_state(&other, CAPACITY, 2));
    assert!(told.contains("other weights"), "{told}");
    let told = why(saved.restore_state(&forward, 2, 2));
    assert!(told.contains("2 tokens, 3 are wanted"), "{told}");
    for (changed, part) in [
        (Settings { system: None, ..settings() }, "system prompt"),
        (Settings { tools: Vec::new(), ..settings() }, "list of tools"),
        (Settings { think: None, ..settings() }, "reasoning"),
    ] {
        saved.set(&model(), &changed).expect("set");
        let told = why(saved.restore_state(&forward, CAPACITY, 2));
        assert!(told.contains(part), "{part}: {told}");
    }
    let sampling = Settings { sampling: serde_json::Map::new(), ..settings() };
    saved.set(&model(), &sampling).expect("set");
    let restored = saved.restore_state(&forward, CAPACITY, 2);
    assert!(matches!(restored, Restored::Whole(_)), "sampling changes no state");
}

#[test]
fn every_cut_and_every_flipped_bit_is_seen() {
    let (_folder, shelf) = shelf();
    let (mut saved, mut forward) = (create(&shelf), forward());
    let session = read(&mut forward, &[1, 2, 3]);
    saved.keep_state(&session, &forward).expect("kept");
    let path = shelf.directory().join(saved.name()).join("state.snapshot");
    let bytes = fs::read(&path).expect("read");
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("written");
        why(saved.restore_state(&forward, CAPACITY, 2));
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).expect("written");
        why(saved.restore_state(&forward, CAPACITY, 2));
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    fs::write(&path, &longer).expect("written");
    let told = why(saved.restore_state(&forward, CAPACITY, 2));
    assert!(told.contains("behind its end"), "{told}");
    fs::write(&path, &bytes).expect("written");
    let whole = matches!(saved.restore_state(&forward, CAPACITY, 2), Restored::Whole(_));
    assert!(whole, "and the true one is taken");
}

#[test]
fn a_head_that_claims_too_much_is_refused_before_memory_is_taken() {
    let (_folder, shelf) = shelf();
    let (mut saved, forward) = (create(&shelf), forward());
    let path = shelf.directory().join(saved.name()).join("state.snapshot");
    let claimed = [b"fmsaved1".as_slice(), &u32::MAX.to_le_bytes()].concat();
    fs::write(&path, claimed).expect("written");
    let told = why(saved.restore_state(&forward, CAPACITY, 2));
    assert!(told.contains("4294967295 bytes"), "{told}");
}

/// A failed writing leaves the old snapshot, and nothing half.
#[test]
fn a_failed_writing_leaves_what_was_there() {
    let (_folder, shelf) = shelf();
    let saved = create(&shelf);
    let path = shelf.directory().join(saved.name()).join("state.snapshot");
    fs::write(&path, b"old").expect("written");
    let failed = super::super::whole::write(&path, |out| {
        out.write_all(b"new and half")?;
        Err(std::io::Error::other("the disk is full"))
    });
    assert!(failed.is_err_and(|error| error.to_string().contains("full")), "told");
    assert_eq!(fs::read(&path).expect("read"), b"old", "the old one");
    assert!(!path.with_extension("new").exists(), "nothing half");
}
