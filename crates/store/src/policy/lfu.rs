//! Frequency that fades: what was announced seldom and long ago leaves first, and is not forgotten.

use std::collections::{BTreeMap, HashMap};

use super::{Key, Policy, Stay};

/// What a score may grow to before all are divided by it: far from the largest number, so that
/// sums stay finite, and far from 1, so that it happens seldom.
const SCALE: f64 = (1_u128 << 100) as f64;

/// The record with the lowest score leaves first. Every announcement adds to a score; what was
/// added counts half as much after a half-life. Scores outlive eviction. What only passes
/// through ([`Stay::First`]) adds nothing and lets nothing fade.
///
/// An event costs two steps in a balanced tree; a victim, one step for each key that may not
/// leave and has a lower score. Memory: an entry for every record that was ever announced, and
/// one more for each that has a slot.
#[derive(Debug)]
pub struct Lfu {
    marks: HashMap<Key, Mark>,
    /// Those with a slot: the first to leave first.
    order: BTreeMap<Rank, Key>,
    /// What an announcement adds now. Instead of old scores becoming smaller, this grows, so
    /// the order of two scores changes only when one of them is added to.
    weight: f64,
    /// By how much it grows with each event.
    growth: f64,
    /// How many events there were: the time.
    events: u64,
}

/// A score as the bits of a number that is not negative (they have its order), then the time:
/// of equal scores the older leaves first.
type Rank = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Mark {
    score: f64,
    /// `None` without a slot.
    rank: Option<Rank>,
}

impl Lfu {
    /// What was added counts half after `half_life` events.
    pub fn new(half_life: usize) -> Lfu {
        let growth = 1.0 + std::f64::consts::LN_2 / half_life.max(1) as f64;
        let (marks, order) = (HashMap::new(), BTreeMap::new());
        Lfu { marks, order, weight: 1.0, growth, events: 0 }
    }

    fn touch(&mut self, key: Key, stay: Stay) {
        self.events += 1;
        let before = self.marks.get(&key).copied();
        if let Some(rank) = before.and_then(|mark| mark.rank) {
            self.order.remove(&rank);
        }
        let mut score = before.map_or(0.0, |mark| mark.score);
        let rank = match stay {
            Stay::Usual => {
                self.weight *= self.growth;
                score += self.weight;
                (score.to_bits(), self.events)
            }
            Stay::First => (0, u64::MAX - self.events),
        };
        self.order.insert(rank, key);
        self.marks.insert(key, Mark { score, rank: Some(rank) });
        if self.weight > SCALE {
            self.rescale();
        }
    }

    /// Divides all scores. Those too old to matter become 0 and keep their order by time.
    fn rescale(&mut self) {
        self.weight /= SCALE;
        self.order.clear();
        for (&key, mark) in &mut self.marks {
            mark.score /= SCALE;
            if let Some((bits, time)) = &mut mark.rank {
                *bits = (f64::from_bits(*bits) / SCALE).to_bits();
                self.order.insert((*bits, *time), key);
            }
        }
    }
}

impl Policy for Lfu {
    fn on_hit(&mut self, key: Key) {
        self.touch(key, Stay::Usual);
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.touch(key, stay);
    }

    fn on_evict(&mut self, key: Key) {
        if let Some(rank) = self.marks.get_mut(&key).and_then(|mark| mark.rank.take()) {
            self.order.remove(&rank);
        }
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        self.order.values().copied().find(|&key| may(key))
    }
}
