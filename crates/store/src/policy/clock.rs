//! A hand that goes round: who was not announced since it last came by leaves, the frequent later.

use std::collections::{BTreeMap, HashMap};

use super::{Key, Policy, Stay};

/// How many rounds of the hand a record can earn.
const ROUNDS: u8 = 3;

/// Records sit in a ring. Each hit earns a round, up to three; the hand takes one round from
/// everyone that it passes and stops at the first that has none left and may leave.
///
/// An event costs one look-up, two for who only passes through. A victim costs a step for each round that was earned since the
/// last one and for each key that may not leave: at most four turns of the ring.
#[derive(Debug, Default)]
pub struct Clock {
    ring: Vec<Option<Seat>>,
    /// Where each key sits.
    seats: HashMap<Key, usize>,
    /// Seats of those that left: a record takes the seat of the one that left for it.
    empty: Vec<usize>,
    hand: usize,
    /// Those that came as [`Stay::First`] and were not hit since, by when they came.
    passing: BTreeMap<u64, Key>,
    /// How many of them there ever were.
    passed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    key: Key,
    rounds: u8,
    /// Its place among those that only pass through.
    passing: Option<u64>,
}

impl Clock {
    pub fn new() -> Clock {
        Clock::default()
    }
}

impl Policy for Clock {
    fn on_hit(&mut self, key: Key) {
        let seat = self.seats.get(&key).and_then(|&at| self.ring[at].as_mut());
        if let Some(seat) = seat {
            // Whoever only passed through has earned an ordinary place, and no more.
            match seat.passing.take() {
                Some(time) => drop(self.passing.remove(&time)),
                None => seat.rounds = ROUNDS.min(seat.rounds + 1),
            }
        }
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.on_evict(key);
        let at = self.empty.pop().unwrap_or_else(|| {
            self.ring.push(None);
            self.ring.len() - 1
        });
        let passing = (stay == Stay::First).then_some(self.passed);
        if let Some(time) = passing {
            self.passing.insert(time, key);
            self.passed += 1;
        }
        self.ring[at] = Some(Seat { key, rounds: 0, passing });
        self.seats.insert(key, at);
    }

    fn on_evict(&mut self, key: Key) {
        let Some(at) = self.seats.remove(&key) else { return };
        if let Some(time) = self.ring[at].take().and_then(|seat| seat.passing) {
            self.passing.remove(&time);
        }
        self.empty.push(at);
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        if let Some(&key) = self.passing.values().rev().find(|&&key| may(key)) {
            return Some(key);
        }
        // After as many turns as there are rounds nobody has any left.
        for _ in 0..self.ring.len() * (usize::from(ROUNDS) + 1) {
            let at = self.hand;
            self.hand = (at + 1) % self.ring.len();
            match &mut self.ring[at] {
                Some(seat) if seat.rounds > 0 => seat.rounds -= 1,
                Some(seat) if may(seat.key) => return Some(seat.key),
                _ => {}
            }
        }
        None
    }
}
