//! Routes as a walk asks for them: choices of a token's layers, and guesses of a stated accuracy.

use std::sync::Arc;

use super::Trace;
use super::random::Random;
use crate::open::Routing;

/// How often the next layer's router, asked with the present state, guesses its first choice,
/// its second, and so on, of ten. Reported were the first, fourth, seventh and tenth; the others
/// lie between.
pub(crate) const LOOK_AHEAD_ACCURACY: [f64; 10] =
    [0.92, 0.88, 0.84, 0.80, 0.75, 0.70, 0.64, 0.60, 0.56, 0.53];

/// A trace that is played over and over.
pub(crate) struct Played {
    trace: Arc<Trace>,
    /// The token of the trace that position 0 has.
    first: usize,
    seed: u64,
}

impl Played {
    /// Of a trace that fits the model and has tokens; `seed` is for guesses.
    pub(crate) fn new(trace: Arc<Trace>, first: usize, seed: u64) -> Self {
        Self { trace, first, seed }
    }

    /// The token of the trace for a position: the first follows the last.
    fn token(&self, position: usize) -> usize {
        (self.first + position) % self.trace.tokens()
    }

    /// What would be foreseen of [`Routing::choose`]: each rank is right as often as the
    /// accuracy says (its last value holds for all further ranks), else some expert that is not
    /// chosen. The same guess each time that it is asked for.
    pub(crate) fn foresee(&self, position: usize, layer: usize, accuracy: &[f64], ids: &mut [u32]) {
        let token = self.token(position);
        let right = self.trace.choice(token, layer);
        let mut random = Random::of(self.seed, position as u64, layer as u64);
        for rank in 0..ids.len() {
            let certainty = accuracy.get(rank).or(accuracy.last()).copied().unwrap_or(0.0);
            let is_right = random.unit() < certainty;
            ids[rank] = match right.get(rank) {
                Some(&id) if is_right && !ids[..rank].contains(&id) => id,
                _ => self.wrong(right, &ids[..rank], &mut random),
            };
        }
    }

    /// An expert that is neither chosen nor guessed; a chosen one where there is no other.
    fn wrong(&self, right: &[u32], guessed: &[u32], random: &mut Random) -> u32 {
        let experts = self.trace.experts;
        let first = random.below(experts) as u32;
        let mut all = (0..experts as u32).map(|n| (first + n) % experts as u32);
        let other = all.clone().find(|id| !right.contains(id) && !guessed.contains(id));
        other.or_else(|| all.find(|id| !guessed.contains(id))).unwrap_or(first)
    }
}

impl Routing for Played {
    fn choose(&mut self, position: usize, layer: usize, ids: &mut [u32]) {
        ids.copy_from_slice(self.trace.choice(self.token(position), layer));
    }

    fn guess(&mut self, position: usize, layer: usize, ids: &mut [u32]) -> bool {
        self.foresee(position, layer, &LOOK_AHEAD_ACCURACY, ids);
        true
    }
}
