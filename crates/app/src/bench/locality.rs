//! How local a trace is: what the next tokens use again, and how unevenly experts are used.

use std::collections::{HashMap, HashSet};

use super::trace::Trace;

/// Statistics of a trace that decide what a cache gets out of it; shares from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Locality {
    /// Of each layer: what a token chose that the token before had chosen too.
    pub(crate) overlap: Vec<f64>,
    /// For each of [`DISTANCES`]: choices that were made at most so many tokens before, too.
    pub(crate) reuse: Vec<f64>,
    /// Choices that were never made before: no cache hits these.
    pub(crate) first: f64,
    /// Choices that fall on the tenth of all experts that is used most.
    pub(crate) top_tenth: f64,
    /// For each of [`DISTANCES`]: different experts that so many consecutive tokens choose in a
    /// layer; 0 where the trace is too short.
    pub(crate) union: Vec<f64>,
}

/// In tokens.
pub(crate) const DISTANCES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

impl Locality {
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut last: HashMap<(usize, u32), usize> = HashMap::new();
        let mut uses: HashMap<(usize, u32), usize> = HashMap::new();
        let mut within = [0_usize; DISTANCES.len()];
        let (mut all, mut first) = (0, 0);
        let mut again = vec![0_usize; trace.layers];
        let mut after_first = vec![0_usize; trace.layers];
        for token in 0..trace.tokens() {
            for (layer, ids) in trace.token(token).enumerate() {
                after_first[layer] += if token > 0 { ids.len() } else { 0 };
                for &id in ids {
                    all += 1;
                    *uses.entry((layer, id)).or_default() += 1;
                    let Some(before) = last.insert((layer, id), token) else {
                        first += 1;
                        continue;
                    };
                    again[layer] += usize::from(token - before == 1);
                    for (within, &distance) in within.iter_mut().zip(&DISTANCES) {
                        *within += usize::from(token - before <= distance);
                    }
                }
            }
        }
        let mut counts: Vec<usize> = uses.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let top: usize = counts.iter().take(trace.records() / 10).sum();
        let overlap = again.iter().zip(&after_first).map(|(n, of)| share(*n, *of)).collect();
        Self {
            overlap,
            reuse: within.iter().map(|&n| share(n, all)).collect(),
            first: share(first, all),
            top_tenth: share(top, all),
            union: DISTANCES.iter().map(|&tokens| union(trace, tokens)).collect(),
        }
    }

    /// Over all layers.
    pub(crate) fn mean_overlap(&self) -> f64 {
        self.overlap.iter().sum::<f64>() / self.overlap.len().max(1) as f64
    }
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

/// Different experts of a layer in windows of so many tokens that lie side by side, on average.
fn union(trace: &Trace, tokens: usize) -> f64 {
    let windows = trace.tokens() / tokens;
    let mut found = 0;
    for window in 0..windows {
        for layer in 0..trace.layers {
            let tokens = window * tokens..(window + 1) * tokens;
            let ids = tokens.flat_map(|token| trace.choice(token, layer));
            found += ids.collect::<HashSet<_>>().len();
        }
    }
    share(found, windows * trace.layers)
}
