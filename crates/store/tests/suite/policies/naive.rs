//! Policies as lists that are searched from end to end: what the clever ones must agree with.

use store::{Key, Policy, Stay};

/// A list, the first to leave first.
#[derive(Default)]
pub(super) struct NaiveLru(Vec<Key>);

impl Policy for NaiveLru {
    fn on_hit(&mut self, key: Key) {
        self.on_insert(key, Stay::Usual);
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.on_evict(key);
        let place = if stay == Stay::First { 0 } else { self.0.len() };
        self.0.insert(place, key);
    }

    fn on_evict(&mut self, key: Key) {
        self.0.retain(|&other| other != key);
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        self.0.iter().copied().find(|&key| may(key))
    }
}

/// Seats in a ring: who sits there, rounds left, and when it came if it only passes through.
#[derive(Default)]
pub(super) struct NaiveClock {
    ring: Vec<Option<(Key, u8, Option<usize>)>>,
    /// Seats in the order in which they became empty.
    emptied: Vec<usize>,
    hand: usize,
    now: usize,
}

impl Policy for NaiveClock {
    fn on_hit(&mut self, key: Key) {
        for (other, rounds, passing) in self.ring.iter_mut().flatten() {
            if *other == key {
                *rounds = if passing.is_some() { 0 } else { (*rounds + 1).min(3) };
                *passing = None;
            }
        }
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.now += 1;
        let sitter = Some((key, 0, (stay == Stay::First).then_some(self.now)));
        match self.emptied.pop() {
            Some(at) => self.ring[at] = sitter,
            None => self.ring.push(sitter),
        }
    }

    fn on_evict(&mut self, key: Key) {
        for (at, seat) in self.ring.iter_mut().enumerate() {
            if seat.is_some_and(|(other, ..)| other == key) {
                *seat = None;
                self.emptied.push(at);
            }
        }
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        let sitters = || self.ring.iter().flatten().filter(|(key, ..)| may(*key));
        let passing = sitters().filter_map(|&(key, _, passing)| Some((passing?, key))).max();
        if let Some((_, key)) = passing {
            return Some(key);
        }
        let nobody = sitters().next().is_none();
        let mut steps_left = self.ring.len() * 4;
        while steps_left > 0 {
            steps_left -= 1;
            let at = self.hand;
            self.hand = (at + 1) % self.ring.len();
            let Some((key, rounds, _)) = &mut self.ring[at] else { continue };
            if *rounds > 0 {
                *rounds -= 1;
            } else if may(*key) {
                return Some(*key);
            }
        }
        assert!(nobody, "four turns take all rounds from everyone");
        None
    }
}

/// Every announcement of every key, and who has a slot.
pub(super) struct NaiveLfu {
    growth: f64,
    /// Announcements that count, of all keys.
    now: i32,
    /// Events, for ties and for those that pass through.
    events: u64,
    announced: Vec<(Key, i32)>,
    /// With the last event, and whether it only passes through.
    inside: Vec<(Key, u64, bool)>,
}

impl NaiveLfu {
    pub(super) fn new(half_life: usize) -> NaiveLfu {
        let growth = 1.0 + std::f64::consts::LN_2 / half_life as f64;
        NaiveLfu { growth, now: 0, events: 0, announced: Vec::new(), inside: Vec::new() }
    }

    fn score(&self, key: Key) -> f64 {
        let mine = self.announced.iter().filter(|(other, _)| *other == key);
        mine.map(|(_, time)| self.growth.powi(time - self.now)).sum()
    }
}

impl Policy for NaiveLfu {
    fn on_hit(&mut self, key: Key) {
        self.on_insert(key, Stay::Usual);
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.on_evict(key);
        self.events += 1;
        if stay == Stay::Usual {
            self.now += 1;
            self.announced.push((key, self.now));
        }
        self.inside.push((key, self.events, stay == Stay::First));
    }

    fn on_evict(&mut self, key: Key) {
        self.inside.retain(|(other, ..)| *other != key);
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        let inside = || self.inside.iter().filter(|(key, ..)| may(*key));
        let passing = inside().filter(|(.., passing)| *passing).max_by_key(|(_, event, _)| *event);
        let lowest = || {
            inside().min_by(|a, b| self.score(a.0).total_cmp(&self.score(b.0)).then(a.1.cmp(&b.1)))
        };
        passing.or_else(lowest).map(|(key, ..)| *key)
    }
}

/// All that is still to be announced.
pub(super) struct NaiveBelady {
    future: Vec<Option<Key>>,
    inside: Vec<Key>,
}

impl NaiveBelady {
    pub(super) fn new(future: Vec<Key>) -> NaiveBelady {
        let future = future.into_iter().map(Some).collect();
        NaiveBelady { future, inside: Vec::new() }
    }
}

impl Policy for NaiveBelady {
    fn on_hit(&mut self, key: Key) {
        self.on_insert(key, Stay::Usual);
    }

    fn on_insert(&mut self, key: Key, _: Stay) {
        self.on_evict(key);
        self.inside.push(key);
        if let Some(now) = self.future.iter_mut().find(|other| **other == Some(key)) {
            *now = None;
        }
    }

    fn on_evict(&mut self, key: Key) {
        self.inside.retain(|&other| other != key);
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        let next = |key: Key| {
            let place = self.future.iter().position(|other| *other == Some(key));
            place.unwrap_or(usize::MAX)
        };
        // Of several that are never needed again, the smallest.
        self.inside
            .iter()
            .copied()
            .filter(|&key| may(key))
            .min_by_key(|&key| (usize::MAX - next(key), key))
    }
}
