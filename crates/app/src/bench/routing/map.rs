//! A trace of one model made to fit another one: what is frequent stays frequent.

use super::random::Random;
use super::{Shape, Trace};

/// A trace that fits, and what had to be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) trace: Trace,
    /// A line for whoever reads the numbers; `None` if the trace fitted as it was.
    pub(crate) departure: Option<String>,
}

/// Maps a trace to a model of this shape.
///
/// A layer takes the choices of the layer at the same depth. Experts are ranked by how often
/// their layer chose them; ranks are stretched to the number of experts, and each layer gives
/// its ranks to its experts in an order of its own. If more experts must be chosen, those of the
/// next ranks come along; if fewer, the last ones are left out.
pub(crate) fn map(trace: &Trace, shape: Shape) -> Mapped {
    let Shape { layers, experts, chosen } = shape;
    let same_choices = trace.steps().all(|(_, ids)| ids.len() == chosen);
    if trace.layers == layers && trace.experts == experts && same_choices {
        return Mapped { trace: trace.clone(), departure: None };
    }
    let sources: Vec<usize> = (0..layers).map(|layer| layer * trace.layers / layers).collect();
    let ranks: Vec<Vec<usize>> = (0..trace.layers).map(|layer| ranks(trace, layer)).collect();
    let owners: Vec<Vec<u32>> =
        (0..layers).map(|layer| shuffled(experts, &mut Random::of(0, layer as u64, 0))).collect();
    let mut mapped = Trace::new(layers, experts);
    let mut stretch = Stretch { taken: vec![false; experts], ranks: Vec::new() };
    for token in 0..trace.tokens() {
        let choices: Vec<Vec<u32>> = (0..layers)
            .map(|layer| {
                let ids = trace.choice(token, sources[layer]).iter();
                let ids = ids.map(|&id| ranks[sources[layer]][id as usize]);
                stretch.fill(ids, trace.experts, chosen);
                stretch.ranks.iter().map(|&rank| owners[layer][rank]).collect()
            })
            .collect();
        mapped.push(trace.phase(token), choices.iter().map(Vec::as_slice));
    }
    let departure = format!(
        "a trace of {} layers, {} experts, {} chosen is mapped to {layers}, {experts}, {chosen} by rank",
        trace.layers,
        trace.experts,
        trace.chosen(),
    );
    Mapped { trace: mapped, departure: Some(departure) }
}

/// The rank of each expert of a layer: 0 for the one that is chosen most often.
fn ranks(trace: &Trace, layer: usize) -> Vec<usize> {
    let mut uses = vec![0_usize; trace.experts];
    for token in 0..trace.tokens() {
        trace.choice(token, layer).iter().for_each(|&id| uses[id as usize] += 1);
    }
    let mut order: Vec<usize> = (0..trace.experts).collect();
    order.sort_by_key(|&id| std::cmp::Reverse(uses[id]));
    let mut ranks = vec![0; trace.experts];
    order.into_iter().enumerate().for_each(|(rank, id)| ranks[id] = rank);
    ranks
}

fn shuffled(experts: usize, random: &mut Random) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..experts as u32).collect();
    (1..experts).for_each(|n| ids.swap(n, random.below(n + 1)));
    ids
}

/// The ranks that a choice takes in a layer of the model.
struct Stretch {
    taken: Vec<bool>,
    ranks: Vec<usize>,
}

impl Stretch {
    fn fill(&mut self, ids: impl Iterator<Item = usize>, experts_before: usize, chosen: usize) {
        self.taken.fill(false);
        self.ranks.clear();
        let experts = self.taken.len();
        for rank in ids.take(chosen) {
            self.take(rank * experts / experts_before);
        }
        // Whose neighbours come along: those that were chosen, in turn; the most frequent if none.
        let given = self.ranks.len().max(1);
        for n in 0..chosen - self.ranks.len() {
            let rank = self.ranks.get(n % given).copied().unwrap_or(0);
            self.take(rank);
        }
    }

    /// Takes the rank, or the next one that is free.
    fn take(&mut self, rank: usize) {
        let free = (rank..self.taken.len()).chain(0..rank).find(|&rank| !self.taken[rank]);
        if let Some(rank) = free {
            self.taken[rank] = true;
            self.ranks.push(rank);
        }
    }
}
