//! Buffers are cut, filled by several threads and joined, whatever memory they are made of.

use std::panic::{AssertUnwindSafe, catch_unwind};

use store::{Buffer, HostMemory, SlotMemory, StoreError};

use crate::stage::Vectors;

const BYTES: usize = 64 * 5;

fn every_memory() -> [(&'static str, &'static dyn SlotMemory); 2] {
    [("host", &HostMemory), ("vectors", &Vectors)]
}

fn of_each_memory() -> Vec<(&'static str, Buffer)> {
    every_memory()
        .into_iter()
        .map(|(name, memory)| (name, memory.allocate(1, BYTES).unwrap().remove(0)))
        .collect()
}

#[test]
fn pieces_are_filled_apart_and_joined() {
    for at in [0, 1, 100, BYTES] {
        for (name, buffer) in of_each_memory() {
            let (mut left, mut right) = buffer.split_at(at);
            assert_eq!((left.len(), right.len()), (at, BYTES - at), "{name} cut at {at}");
            std::thread::scope(|scope| {
                scope.spawn(|| left.fill(1));
                scope.spawn(|| right.fill(2));
            });
            let whole = left.join(right);
            assert_eq!(whole.len(), BYTES, "{name} joined at {at}");
            assert!(whole[..at].iter().all(|&b| b == 1), "{name}: left of {at}");
            assert!(whole[at..].iter().all(|&b| b == 2), "{name}: right of {at}");
        }
    }
}

#[test]
fn a_piece_keeps_its_memory() {
    for (name, buffer) in of_each_memory() {
        let (first, mut last) = buffer.split_at(BYTES - 1);
        drop(first);
        last[0] = 9;
        assert_eq!(last[..], [9], "{name}");
    }
}

#[test]
fn only_neighbours_are_joined() {
    let join = |a: Buffer, b: Buffer| catch_unwind(AssertUnwindSafe(|| a.join(b))).is_ok();
    for (name, buffer) in of_each_memory() {
        let (a, bc) = buffer.split_at(10);
        let (b, c) = bc.split_at(10);
        assert!(!join(a, c), "{name}: a gap lies between");
        let other = Buffer::new(vec![0]);
        assert!(!join(b, other), "{name}: two memories");
    }
    let (a, b) = Buffer::new([1, 2]).split_at(1);
    assert!(!join(b, a), "the wrong way round");
}

#[test]
fn a_cut_beyond_the_end_is_refused() {
    for (name, buffer) in of_each_memory() {
        let cut = catch_unwind(AssertUnwindSafe(|| buffer.split_at(BYTES + 1)));
        assert!(cut.is_err(), "{name}");
    }
}

#[test]
fn slots_have_the_size_that_was_asked_for() {
    for (name, memory) in every_memory() {
        let slots = memory.allocate(3, BYTES).unwrap();
        let sizes: Vec<_> = slots.iter().map(|slot| slot.len()).collect();
        assert_eq!(sizes, [BYTES; 3], "{name}");
        assert!(slots.iter().all(|slot| slot.iter().all(|&b| b == 0)), "{name} is zeroed");
    }
}

#[test]
fn more_slots_than_any_machine_holds_are_an_error() {
    for (slots, slot_bytes) in [(2, usize::MAX / 2 + 1), (1, usize::MAX), (1 << 20, 1 << 42)] {
        let error = HostMemory.allocate(slots, slot_bytes).unwrap_err();
        assert!(matches!(error, StoreError::Allocate { .. }), "{error}");
        let start = format!("cannot allocate {slots} slots of {slot_bytes} bytes: ");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}
