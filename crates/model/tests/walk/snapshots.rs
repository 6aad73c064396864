//! Sequences as bytes: brought back bit for bit, and refused when anything about them is wrong.

use engine::{Forward, ForwardError, Want};

use crate::reference::Reference;
use crate::setup::{Arrangement, FIXTURES, bits, fixture, load, step};

#[test]
fn a_snapshot_goes_on_as_the_sequence_would_have() {
    for name in [FIXTURES[0], FIXTURES[1], FIXTURES[4]] {
        let dir = fixture(name);
        let ids = Reference::open(&dir).ids("input_ids");
        let mut model = load(&dir, &Arrangement::default());
        let mut sequence = model.sequence(100).expect("there is room");
        step(&mut model, &mut sequence, &ids[..21], Want::None).expect("it runs");
        let mut bytes = Vec::new();
        model.snapshot(&sequence, &mut bytes).expect("a vector takes everything");
        let wanted = step(&mut model, &mut sequence, &ids[21..30], Want::All).expect("runs").logits;
        // Another process, another room.
        let mut model = load(&dir, &Arrangement { threads: 2, ..Arrangement::default() });
        for capacity in [30, 77] {
            let mut back = model.restore(&mut &bytes[..], capacity).expect("a good snapshot");
            assert_eq!(model.position(&back), 21, "position");
            let found = step(&mut model, &mut back, &ids[21..30], Want::All).expect("runs").logits;
            assert!(bits(&found) == bits(&wanted), "{name}: the same bits in {capacity}");
        }
    }
}

#[test]
fn damaged_and_foreign_snapshots_are_refused() {
    let dir = fixture(FIXTURES[3]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement::default());
    let mut sequence = model.sequence(40).expect("there is room");
    step(&mut model, &mut sequence, &ids[..11], Want::None).expect("it runs");
    let mut bytes = Vec::new();
    model.snapshot(&sequence, &mut bytes).expect("a vector takes everything");
    let refused = |bytes: &[u8]| {
        let result = model.restore(&mut &bytes[..], 40).map(|_| ());
        assert!(matches!(result, Err(ForwardError::Snapshot(_))), "{result:?}");
    };
    // Every cut of the header, and some of the rest.
    for len in (0..200).chain((200..bytes.len()).step_by(4093)).chain([bytes.len() - 1]) {
        refused(&bytes[..len]);
    }
    // A flipped bit anywhere.
    for at in (0..96).chain((96..bytes.len()).step_by(4099)).chain([bytes.len() - 1]) {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        let result = model.restore(&mut &bad[..], 40).map(|_| ());
        assert!(result.is_err(), "a flipped bit at {at}");
    }
    let small = model.restore(&mut &bytes[..], 10).map(|_| ());
    assert!(matches!(small, Err(ForwardError::Context { wanted: 11, capacity: 10 })), "{small:?}");
    let other = load(&fixture(FIXTURES[0]), &Arrangement::default());
    let foreign = other.restore(&mut &bytes[..], 40).map(|_| ()).expect_err("another model");
    assert!(foreign.to_string().contains("another model"), "{foreign}");
}
