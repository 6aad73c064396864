//! Candidates: their weights under a temperature, the three filters, and the draw.

use std::cmp::Ordering;

use super::{Choice, Sampling};

/// An id that may still be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) id: u32,
    pub(super) logit: f32,
    /// Its probability times an unknown: 1 for the highest logit.
    pub(super) weight: f64,
}

/// Less is not worth a selection. Top-p sorts so many at first, then [`PART_GROWS`] times as many.
const PART: usize = 64;
const PART_GROWS: usize = 8;

/// Fills `candidates` with what the filters leave of a row whose highest logit is `highest`.
///
/// Whatever is summed up is summed in an order that the row alone decides: sorted where a filter
/// sorted, else by id.
pub(super) fn narrow(
    sampling: &Sampling,
    row: &[f32],
    highest: f32,
    candidates: &mut Vec<Candidate>,
) {
    match sampling.top_k as usize {
        0 => gather(row, usize::MAX, candidates),
        top_k => {
            gather(row, top_k, candidates);
            candidates.sort_unstable_by(order);
        }
    }
    let temperature = f64::from(sampling.temperature);
    for candidate in candidates.iter_mut() {
        // Not the system's exp: its last bit differs from one machine to the next.
        let below = f64::from(candidate.logit) - f64::from(highest);
        candidate.weight = libm::exp(below / temperature);
    }
    if sampling.top_p < 1.0 {
        nucleus(candidates, f64::from(sampling.top_p));
    }
    if sampling.min_p > 0.0 {
        let least = f64::from(sampling.min_p);
        candidates.retain(|candidate| candidate.weight >= least);
    }
}

/// Collects the `most` highest that are not forbidden, in any order. One look at each logit, with
/// a selection now and then: almost all of a long row is below what was found by its middle.
fn gather(row: &[f32], most: usize, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let room = most.saturating_mul(2).max(PART);
    let mut least = f32::NEG_INFINITY;
    for (id, &logit) in (0..).zip(row) {
        // An equal one has a higher id than all that were kept, and would have to go.
        if logit > least {
            candidates.push(Candidate { id, logit, weight: 0.0 });
            if candidates.len() == room {
                candidates.select_nth_unstable_by(most - 1, order);
                candidates.truncate(most);
                least = candidates[most - 1].logit;
            }
        }
    }
    if most < candidates.len() {
        candidates.select_nth_unstable_by(most - 1, order);
        candidates.truncate(most);
    }
}

/// Descending by logit, ascending by id.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    // Not `total_cmp`, to which 0 and -0 are different.
    b.logit.partial_cmp(&a.logit).unwrap_or(Ordering::Equal).then(a.id.cmp(&b.id))
}

/// Keeps the fewest highest that hold a share of `top_p`, at least one. Only so much is sorted.
fn nucleus(candidates: &mut Vec<Candidate>, top_p: f64) {
    let needed = top_p * candidates.iter().map(|c| c.weight).sum::<f64>();
    let (mut sorted, mut held, mut part) = (0, 0.0, PART);
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        let width = part.min(rest.len());
        if width < rest.len() {
            rest.select_nth_unstable_by(width - 1, order);
        }
        rest[..width].sort_unstable_by(order);
        for (n, candidate) in rest[..width].iter().enumerate() {
            held += candidate.weight;
            if held >= needed {
                candidates.truncate(sorted + n + 1);
                return;
            }
        }
        sorted += width;
        part *= PART_GROWS;
    }
}

/// The candidate in whose stretch of the line from 0 to 1 the number falls. The highest has weight
/// 1 and passes every filter, so there is always one.
pub(super) fn pick(candidates: &[Candidate], unit: f64) -> Choice {
    let total: f64 = candidates.iter().map(|c| c.weight).sum();
    let point = unit * total;
    let mut passed = 0.0;
    let mut choice = Choice { id: 0, probability: 0.0 };
    for candidate in candidates.iter().filter(|c| c.weight > 0.0) {
        passed += candidate.weight;
        choice = Choice { id: candidate.id, probability: candidate.weight / total };
        if passed > point {
            break;
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::random::Random;

    /// The same by sorting everything: ids with their probabilities, descending.
    fn naive(sampling: &Sampling, row: &[f32]) -> Vec<(u32, f64)> {
        let mut all: Vec<(u32, f64)> = (0..).zip(row.iter().map(|l| f64::from(*l))).collect();
        all.retain(|(_, logit)| *logit > f64::NEG_INFINITY);
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let highest = all[0].1;
        if sampling.top_k > 0 {
            all.truncate(sampling.top_k as usize);
        }
        for (_, logit) in &mut all {
            *logit = ((*logit - highest) / f64::from(sampling.temperature)).exp();
        }
        if sampling.top_p < 1.0 {
            let needed = f64::from(sampling.top_p) * all.iter().map(|c| c.1).sum::<f64>();
            let before = |n: usize| all[..n].iter().map(|c| c.1).sum::<f64>();
            let kept = (1..=all.len()).find(|n| before(*n) >= needed).unwrap_or(all.len());
            all.truncate(kept);
        }
        all.retain(|(_, weight)| *weight >= f64::from(sampling.min_p));
        let total: f64 = all.iter().map(|c| c.1).sum();
        all.into_iter().map(|(id, weight)| (id, weight / total)).collect()
    }

    #[test]
    fn the_filters_leave_what_the_full_sort_leaves() {
        let mut random = Random::new(11);
        let mut found = Vec::new();
        for round in 0..2000 {
            let mut part = |n: usize| (random.unit() * n as f64) as usize;
            let (len, steps) = (1 + part(if round % 10 == 0 { 3000 } else { 90 }), 1 + part(50));
            let mut row: Vec<f32> = (0..len).map(|_| part(steps) as f32 / 4.0 - 3.0).collect();
            for _ in 0..part(len) {
                row[part(len)] = f32::NEG_INFINITY;
            }
            row[part(len)] = 5.0;
            let sampling = Sampling {
                temperature: [0.1, 0.6, 1.0, 7.0][part(4)],
                top_k: [0, 0, 1, 2, 20, 100][part(6)],
                top_p: [1.0, 0.95, 0.5, 1e-6][part(4)],
                min_p: [0.0, 0.0, 0.05, 1.0][part(4)],
                ..Sampling::default()
            };
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            narrow(&sampling, &row, highest, &mut found);
            let total: f64 = found.iter().map(|c| c.weight).sum();
            found.sort_by(order);
            let want = naive(&sampling, &row);
            let ids: Vec<u32> = found.iter().map(|c| c.id).collect();
            let want_ids: Vec<u32> = want.iter().map(|c| c.0).collect();
            assert_eq!(ids, want_ids, "round {round}: {sampling:?}");
            for (candidate, (id, probability)) in found.iter().zip(want) {
                let error = (candidate.weight / total - probability).abs();
                // Sums of up to 3000 numbers in another order, and another exp.
                assert!(error < 1e-12, "round {round}: probability of {id} is off by {error}");
            }
        }
    }

    fn left(sampling: Sampling) -> Vec<u32> {
        // Probabilities 0.4, 0.3, 0.2, 0.1, but for rounding.
        let row = [0.2f32, 0.4, 0.1, 0.3].map(f32::ln);
        let mut candidates = Vec::new();
        narrow(&sampling, &row, row[1], &mut candidates);
        let mut ids: Vec<u32> = candidates.iter().map(|c| c.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn by_hand() {
        let all = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(left(all), [0, 1, 2, 3], "all off");
        assert_eq!(left(Sampling { top_k: 2, ..all }), [1, 3], "the two highest");
        assert_eq!(left(Sampling { top_p: 0.69, ..all }), [1, 3], "0.4 + 0.3 reach it");
        assert_eq!(left(Sampling { top_p: 0.71, ..all }), [0, 1, 3], "0.4 + 0.3 do not");
        assert_eq!(left(Sampling { top_p: 0.01, ..all }), [1], "at least one");
        assert_eq!(left(Sampling { min_p: 0.7, ..all }), [1, 3], "0.3 is 3/4 of the highest");
        let cold = Sampling { temperature: 0.5, ..all };
        assert_eq!(left(Sampling { min_p: 0.7, ..cold }), [1], "now it is 9/16");
        // Top-p works on what top-k left: 0.4 / 0.7 is 0.571.
        assert_eq!(left(Sampling { top_k: 2, top_p: 0.57, ..all }), [1], "renormalised");
        assert_eq!(left(Sampling { top_k: 2, top_p: 0.58, ..all }), [1, 3], "renormalised");
    }

    #[test]
    fn the_smallest_temperature_is_the_highest_logit() {
        let sampling = Sampling { temperature: f32::MIN_POSITIVE, ..Sampling::default() };
        let mut candidates = Vec::new();
        narrow(&sampling, &[f32::MIN, 1.0, f32::MAX], f32::MAX, &mut candidates);
        for unit in [0.0, 0.5, 1.0 - f64::EPSILON / 2.0] {
            assert_eq!(pick(&candidates, unit), Choice { id: 2, probability: 1.0 }, "{unit}");
        }
    }

    #[test]
    fn the_draw_by_hand() {
        let weights = [(7, 1.0), (8, 0.0), (9, 0.5), (3, 0.5)];
        let candidates = weights.map(|(id, weight)| Candidate { id, logit: 0.0, weight });
        for (unit, id, probability) in
            [(0.0, 7, 0.5), (0.49, 7, 0.5), (0.5, 9, 0.25), (0.74, 9, 0.25), (0.75, 3, 0.25)]
        {
            assert_eq!(pick(&candidates, unit), Choice { id, probability }, "{unit}");
        }
        assert_eq!(pick(&candidates, 1.0).id, 3, "rounding never leads beyond the last");
    }
}
