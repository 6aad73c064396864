//! Policies against naive twins: the same victims for the same announcements.

use std::collections::HashSet;

use store::{Key, Lru, Policy, Stay};

use crate::stage::Rng;

/// A list, oldest first.
#[derive(Default)]
struct NaiveLru(Vec<Key>);

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

fn key(record: usize) -> Key {
    Key { bank: record % 3, record }
}

fn twins() -> [(&'static str, Box<dyn Policy>); 2] {
    [("naive", Box::<NaiveLru>::default()), ("lru", Box::<Lru>::default())]
}

#[test]
fn the_least_recently_announced_leaves() {
    for (name, mut policy) in twins() {
        let all = |_: Key| true;
        assert_eq!(policy.victim(&all), None, "{name}: nobody is there");
        (0..4).for_each(|n| policy.on_insert(key(n), Stay::Usual));
        policy.on_hit(key(0));
        policy.on_hit(key(2));
        assert_eq!(policy.victim(&all), Some(key(1)), "{name}: 1 3 0 2");
        assert_eq!(policy.victim(&|k| k != key(1)), Some(key(3)), "{name}: 1 may not");
        assert_eq!(policy.victim(&|_| false), None, "{name}: none may");
        policy.on_evict(key(1));
        policy.on_evict(key(1));
        assert_eq!(policy.victim(&all), Some(key(3)), "{name}: 3 0 2");
        policy.on_insert(key(3), Stay::Usual);
        assert_eq!(policy.victim(&all), Some(key(0)), "{name}: 0 2 3");
    }
}

#[test]
fn random_announcements_have_the_same_victims() {
    for slots in [1, 2, 7, 40] {
        let mut rng = Rng::new(slots as u64);
        let [(_, mut naive), (_, mut lru)] = twins();
        let mut inside = HashSet::new();
        for step in 0..4000 {
            let wanted = key(rng.below(60));
            if inside.contains(&wanted) {
                naive.on_hit(wanted);
                lru.on_hit(wanted);
                continue;
            }
            if inside.len() == slots || rng.below(50) == 0 {
                let (odds, evens) = (rng.below(4) > 0, rng.below(4) > 0);
                let may = |k: Key| if k.record.is_multiple_of(2) { evens } else { odds };
                let victim = naive.victim(&may);
                assert_eq!(lru.victim(&may), victim, "step {step} with {slots} slots");
                let Some(victim) = victim else { continue };
                inside.remove(&victim);
                naive.on_evict(victim);
                lru.on_evict(victim);
            }
            inside.insert(wanted);
            let stay = if rng.below(4) == 0 { Stay::First } else { Stay::Usual };
            naive.on_insert(wanted, stay);
            lru.on_insert(wanted, stay);
        }
    }
}

#[test]
fn the_first_to_leave_are_the_latest_of_a_pass() {
    for (name, mut policy) in twins() {
        policy.on_insert(key(0), Stay::Usual);
        (1..4).for_each(|n| policy.on_insert(key(n), Stay::First));
        let mut left = Vec::new();
        policy.on_hit(key(2));
        while let Some(victim) = policy.victim(&|_| true) {
            policy.on_evict(victim);
            left.push(victim);
        }
        assert_eq!(left, [3, 1, 0, 2].map(key), "{name}: 2 was hit and stays the longest");
    }
}

/// What a cache of `slots` gets out of a trace.
fn hits(policy: &mut dyn Policy, slots: usize, trace: impl Iterator<Item = Key>) -> usize {
    let mut inside = HashSet::new();
    let mut hits = 0;
    for key in trace {
        if inside.contains(&key) {
            hits += 1;
            policy.on_hit(key);
            continue;
        }
        if inside.len() == slots {
            let victim = policy.victim(&|_| true).unwrap();
            inside.remove(&victim);
            policy.on_evict(victim);
        }
        inside.insert(key);
        policy.on_insert(key, Stay::Usual);
    }
    hits
}

/// Ten records in turn: all hits with ten slots, none with nine.
#[test]
fn below_a_cycle_nothing_is_hit() {
    for (slots, expected) in [(9, 0), (10, 90)] {
        for (name, mut policy) in twins() {
            let trace = (0..100).map(|n| key(n % 10));
            assert_eq!(hits(&mut *policy, slots, trace), expected, "{name}, {slots} slots");
        }
    }
}
