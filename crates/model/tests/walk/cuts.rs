//! Taking back: the end of a step by `keep`, everything else by checkpoints.

use engine::{Forward, ForwardError, Want};
use model::CUT_MAX;

use crate::reference::Reference;
use crate::setup::{Arrangement, FIXTURES, bits, fixture, load, step};

#[test]
fn a_step_can_be_cut_to_any_of_its_last_positions() {
    for name in [FIXTURES[0], FIXTURES[4]] {
        let dir = fixture(name);
        let ids = Reference::open(&dir).ids("input_ids");
        for chunk in [None, Some(1), Some(3)] {
            let mut model = load(&dir, &Arrangement { chunk, ..Arrangement::default() });
            for (before, step_ids) in [(0, 5), (6, 8), (6, 12), (1, 1)] {
                for cut in 0..=step_ids.min(CUT_MAX) {
                    let kept = step_ids - cut;
                    let mut sequence = model.sequence(64).expect("there is room");
                    if before > 0 {
                        step(&mut model, &mut sequence, &ids[..before], Want::None).expect("runs");
                    }
                    let tokens = &ids[before..before + step_ids];
                    step(&mut model, &mut sequence, tokens, Want::None).expect("it runs");
                    model.keep(&mut sequence, kept).expect("within the cut");
                    assert_eq!(model.position(&sequence), before + kept, "position");
                    // Other ids than those that were cut, then a plain run over the same ids.
                    let other = &ids[40..44];
                    let found =
                        step(&mut model, &mut sequence, other, Want::All).expect("it runs").logits;
                    let mut plain = model.sequence(64).expect("there is room");
                    let path = [&ids[..before + kept], other].concat();
                    let wanted = step(&mut model, &mut plain, &path, Want::From(before + kept));
                    let wanted = wanted.expect("it runs").logits;
                    let what = format!("{name}: {before} + {step_ids} - {cut}, chunk {chunk:?}");
                    assert!(bits(&found) == bits(&wanted), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_cut_that_reaches_too_far_is_refused() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement::default());
    let mut sequence = model.sequence(64).expect("there is room");
    step(&mut model, &mut sequence, &ids[..20], Want::None).expect("it runs");
    let error = model.keep(&mut sequence, 20 - CUT_MAX - 1).expect_err("too far");
    let ForwardError::Cut { wanted, limit } = error else { panic!("{error}") };
    assert_eq!((wanted, limit), (CUT_MAX + 1, CUT_MAX), "both numbers");
    assert_eq!(model.position(&sequence), 20, "nothing was cut");
    // Twice in a row: the second cut counts from the first.
    model.keep(&mut sequence, 18).expect("two back");
    model.keep(&mut sequence, 15).expect("three more back");
    assert_eq!(model.position(&sequence), 15, "five in all");
    model.keep(&mut sequence, 99).expect("more than there are: all of them");
    assert_eq!(model.position(&sequence), 15, "all of them");
}

#[test]
fn checkpoints_bring_back_what_was() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement::default());
    let mut sequence = model.sequence(100).expect("there is room");
    let empty = model.checkpoint(&sequence).expect("even of nothing");
    step(&mut model, &mut sequence, &ids[..13], Want::None).expect("it runs");
    let early = model.checkpoint(&sequence).expect("a mark");
    let first = step(&mut model, &mut sequence, &ids[13..30], Want::All).expect("it runs").logits;
    let late = model.checkpoint(&sequence).expect("a mark");
    step(&mut model, &mut sequence, &ids[50..60], Want::None).expect("it runs");
    model.rewind(&mut sequence, &late).expect("still on the way");
    assert_eq!((late.position, model.position(&sequence)), (30, 30), "positions");
    model.rewind(&mut sequence, &early).expect("still on the way");
    let again = step(&mut model, &mut sequence, &ids[13..30], Want::All).expect("it runs").logits;
    assert!(bits(&again) == bits(&first), "the same bits");
    // The way went below it and took another turn: its keys are gone.
    let foreign = model.rewind(&mut sequence, &late);
    assert!(matches!(foreign, Err(ForwardError::Foreign { position: 30 })), "{foreign:?}");
    let mut other = model.sequence(100).expect("there is room");
    let foreign = model.rewind(&mut other, &early);
    assert!(matches!(foreign, Err(ForwardError::Foreign { .. })), "of another sequence");
    model.rewind(&mut sequence, &empty).expect("the beginning is always there");
    assert_eq!(model.position(&sequence), 0, "empty again");
}
