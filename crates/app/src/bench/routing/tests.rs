//! Routes that are made up against what is known of real ones, maps and guesses.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::bench::locality::Locality;
use crate::open::Routing as _;

const SHAPE: Shape = Shape { layers: 26, experts: 256, chosen: 8 };

/// What was measured on a model of this shape, at the distances of [`Locality`]: routes made up
/// for it must be near.
const REUSED: [f64; 7] = [0.33, 0.41, 0.53, 0.61, 0.70, 0.80, 0.86];
const UNION: [f64; 7] = [8.0, 13.3, 22.0, 35.7, 57.9, 86.0, 122.7];

fn within(found: f64, least: f64, most: f64, what: &str) {
    assert!((least..=most).contains(&found), "{what}: {found:.3}, {least} to {most} expected");
}

#[test]
fn made_up_routes_are_as_local_as_real_ones() {
    for seed in [1, 2] {
        let found = Locality::of(&synthetic(SHAPE, 600, seed));
        within(found.mean_overlap(), 0.27, 0.40, "chosen again by the next token");
        within(found.overlap[0], 0.07, 0.20, "by the first layer");
        let highest = found.overlap.iter().copied().fold(0.0, f64::max);
        within(highest, 0.45, 0.67, "by the layer where it is highest");
        let middle = found.overlap[6..14].iter().sum::<f64>() / 8.0;
        assert!(middle > 1.2 * found.overlap[25], "less at the end: {middle}");
        for (n, (&reused, &real)) in found.reuse.iter().zip(&REUSED).enumerate() {
            within(reused, real - 0.06, real + 0.06, &format!("reused, distance {n}"));
        }
        for (n, (&union, &real)) in found.union.iter().zip(&UNION).enumerate() {
            within(union, 0.88 * real, 1.12 * real, &format!("union, distance {n}"));
        }
        within(found.top_tenth, 0.50, 0.70, "share of the top tenth");
        within(found.first, 0.03, 0.12, "chosen for the first time");
    }
}

/// What the most popular `1/part` of all experts in the first half gets of the second one.
fn learned_before(trace: &Trace, part: usize) -> f64 {
    let half = trace.tokens() / 2;
    let mut uses = vec![[0_usize; 2]; trace.records()];
    for (n, (layer, ids)) in trace.steps().enumerate() {
        let later = usize::from(n / trace.layers >= half);
        ids.iter().for_each(|&id| uses[layer * trace.experts + id as usize][later] += 1);
    }
    uses.sort_unstable_by_key(|[first, _]| std::cmp::Reverse(*first));
    let later = |top: &[[usize; 2]]| top.iter().map(|[_, second]| second).sum::<usize>() as f64;
    later(&uses[..uses.len() / part]) / later(&uses)
}

#[test]
fn what_is_popular_changes_with_time() {
    // Whether a subject changes in between is chance: the mean over some seeds counts.
    let traces = [1, 2, 3].map(|seed| synthetic(SHAPE, 600, seed));
    for part in [10, 5] {
        let found = traces.iter().map(|trace| learned_before(trace, part)).sum::<f64>() / 3.0;
        within(found, 0.26, 0.63, &format!("1/{part} of all, learned before"));
    }
}

#[test]
fn the_same_word_takes_the_same_way_at_first() {
    let trace = synthetic(SHAPE, 600, 4);
    // The most frequent word comes in every tenth token and finds the same experts.
    let repeated = |layer: usize| {
        let mut sets: Vec<Vec<u32>> = (0..trace.tokens())
            .map(|token| {
                let mut ids = trace.choice(token, layer).to_vec();
                ids.sort_unstable();
                ids
            })
            .collect();
        let all = sets.len();
        sets.sort_unstable();
        sets.dedup();
        all - sets.len()
    };
    assert!(repeated(0) > 60, "whole choices that come again at the first layer: {}", repeated(0));
    assert!(repeated(13) < repeated(0) / 4, "but not in the middle: {}", repeated(13));
}

#[test]
fn a_seed_gives_the_same_routes_for_any_shape() {
    for [layers, experts, chosen] in [[1, 1, 1], [1, 4, 4], [3, 8, 2], [2, 512, 10]] {
        let shape = Shape { layers, experts, chosen };
        let trace = synthetic(shape, 30, 5);
        assert_eq!(trace, synthetic(shape, 30, 5), "{shape:?}: the same");
        assert_eq!((trace.tokens(), trace.layers, trace.experts), (30, layers, experts), "sizes");
        for (layer, ids) in trace.steps() {
            let different: HashSet<&u32> = ids.iter().collect();
            assert_eq!(different.len(), chosen, "{shape:?}, layer {layer}: {ids:?}");
            assert!(ids.iter().all(|&id| (id as usize) < experts), "{ids:?}");
        }
    }
    let shape = Shape { layers: 3, experts: 8, chosen: 2 };
    assert_ne!(synthetic(shape, 30, 5), synthetic(shape, 30, 6), "another seed");
}

#[test]
fn a_trace_that_fits_is_left_as_it_is() {
    let trace = synthetic(SHAPE, 5, 1);
    let mapped = map(&trace, SHAPE);
    assert_eq!((mapped.trace, mapped.departure), (trace, None), "nothing to do");
}

#[test]
fn what_is_frequent_stays_frequent() {
    let trace = synthetic(SHAPE, 300, 1);
    let before = Locality::of(&trace);
    for [layers, experts, chosen] in [[60, 512, 10], [40, 256, 8], [13, 128, 4], [26, 256, 12]] {
        let shape = Shape { layers, experts, chosen };
        let mapped = map(&trace, shape);
        let told = mapped.departure.expect("something was done");
        assert!(told.contains("26") && told.contains(&layers.to_string()), "{told}");
        for (layer, ids) in mapped.trace.steps() {
            let different: HashSet<&u32> = ids.iter().collect();
            assert_eq!(different.len(), chosen, "{shape:?}, layer {layer}: {ids:?}");
            assert!(ids.iter().all(|&id| (id as usize) < experts), "{shape:?}: {ids:?}");
        }
        let after = Locality::of(&mapped.trace);
        let change = after.mean_overlap() - before.mean_overlap();
        within(change, -0.08, 0.08, &format!("{shape:?}: change of overlap"));
        let change = after.top_tenth - before.top_tenth;
        within(change, -0.15, 0.2, &format!("{shape:?}: change of the top tenth"));
    }
}

/// One layer of four experts; 2 is chosen three times, 0 twice, 1 once.
#[test]
fn ranks_are_stretched_and_choices_filled_by_hand() {
    let mut trace = Trace::new(1, 4);
    for ids in [&[2, 0][..], &[2, 1], &[0, 2]] {
        trace.push(None, [ids]);
    }
    let mapped = map(&trace, Shape { layers: 2, experts: 8, chosen: 3 }).trace;
    for layer in 0..2 {
        let choice = |token| mapped.choice(token, layer).to_vec();
        // Ranks 0, 1, 2 for 2, 0, 1 become 0, 2, 4, and the neighbour of the first comes along.
        let [two, zero, beside_two] = choice(0)[..] else { panic!("three are chosen") };
        let [same_two, one, same_beside] = choice(1)[..] else { panic!("three are chosen") };
        assert_eq!(
            (two, beside_two),
            (same_two, same_beside),
            "layer {layer}: 2 and its neighbour"
        );
        assert_eq!(choice(2)[..2], [zero, two], "layer {layer}: in the order of the trace");
        let all: HashSet<u32> = [two, zero, one, beside_two, choice(2)[2]].into();
        assert_eq!(all.len(), 5, "layer {layer}: all different");
    }
    assert_ne!(mapped.choice(0, 0), mapped.choice(0, 1), "each layer has an order of its own");
    let cut = map(&trace, Shape { layers: 1, experts: 4, chosen: 1 }).trace;
    assert_eq!(cut.choice(0, 0), cut.choice(1, 0), "the first one is left");
    assert_ne!(cut.choice(0, 0), cut.choice(2, 0), "the first one is left");
}

#[test]
fn a_trace_is_played_over_and_over() {
    let trace = synthetic(SHAPE, 3, 1);
    let mut played = Played::new(Arc::new(trace.clone()), 0, 0);
    let mut ids = [0; 8];
    for position in 0..7 {
        for layer in [0, 25] {
            played.choose(position, layer, &mut ids);
            assert_eq!(ids, trace.choice(position % 3, layer), "position {position}");
        }
    }
}

#[test]
fn guesses_are_as_good_as_was_asked() {
    let shape = Shape { layers: 20, experts: 64, chosen: 10 };
    let trace = synthetic(shape, 200, 1);
    let played = Played::new(Arc::new(trace.clone()), 0, 9);
    let (mut ids, mut again) = ([0; 12], [0; 12]);
    let mut right = [0_usize; 12];
    for (n, (layer, choice)) in trace.steps().enumerate() {
        let token = n / shape.layers;
        played.foresee(token, layer, &LOOK_AHEAD_ACCURACY, &mut ids);
        played.foresee(token, layer, &LOOK_AHEAD_ACCURACY, &mut again);
        assert_eq!(ids, again, "the same guess each time");
        let different: HashSet<u32> = ids.into();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
        for (rank, id) in ids.iter().enumerate() {
            right[rank] += usize::from(choice.contains(id));
        }
    }
    let guesses = (trace.tokens() * trace.layers) as f64;
    for (rank, &right) in right.iter().enumerate() {
        // Beyond what is chosen there is nothing to be right about.
        let expected = LOOK_AHEAD_ACCURACY.get(rank).copied().unwrap_or(0.0);
        within(right as f64 / guesses, expected - 0.03, expected + 0.03, &format!("rank {rank}"));
    }
    played.foresee(0, 0, &[1.0], &mut ids[..10]);
    assert_eq!(&ids[..10], trace.choice(0, 0), "certainty is the choice itself");
}

/// Where all experts are chosen a wrong guess does not exist, but ids still differ.
#[test]
fn guesses_are_different_even_where_none_can_be_wrong() {
    let shape = Shape { layers: 1, experts: 4, chosen: 4 };
    let played = Played::new(Arc::new(synthetic(shape, 1, 1)), 0, 0);
    for position in 0..50 {
        let mut ids = [0; 4];
        played.foresee(position, 0, &[0.5], &mut ids);
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3], "position {position}");
    }
}
