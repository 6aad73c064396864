//! Policies against naive twins: the same victims for the same announcements.

mod naive;

use std::collections::HashSet;

use naive::{NaiveBelady, NaiveClock, NaiveLfu, NaiveLru};
use store::{Belady, Clock, Key, Lfu, Lru, Policy, PolicyKind, Stay};

use crate::stage::Rng;

/// A clever policy and its twin.
type Twins = (&'static str, [Box<dyn Policy>; 2]);

fn key(record: usize) -> Key {
    Key { bank: record % 3, record }
}

/// All policies, for announcements in this order.
fn twins(future: &[Key]) -> Vec<Twins> {
    let all = future.to_vec();
    vec![
        ("lru", [Box::new(Lru::new()), Box::<NaiveLru>::default()]),
        ("clock", [Box::new(Clock::new()), Box::<NaiveClock>::default()]),
        ("lfu, 5 events", [Box::new(Lfu::new(5)), Box::new(NaiveLfu::new(5))]),
        ("lfu, 300 events", [Box::new(Lfu::new(300)), Box::new(NaiveLfu::new(300))]),
        ("belady", [Box::new(Belady::new(all.clone())), Box::new(NaiveBelady::new(all))]),
    ]
}

fn named(name: &str) -> [Box<dyn Policy>; 2] {
    let found = twins(&[]).into_iter().find(|(other, _)| *other == name);
    found.expect("one of the twins").1
}

/// Evicts everyone, in the order in which they leave.
fn leave(policy: &mut dyn Policy) -> Vec<usize> {
    let mut left = Vec::new();
    while let Some(victim) = policy.victim(&|_| true) {
        policy.on_evict(victim);
        left.push(victim.record);
    }
    left
}

#[test]
fn the_least_recently_announced_leaves() {
    for mut policy in named("lru") {
        let all = |_: Key| true;
        assert_eq!(policy.victim(&all), None, "nobody is there");
        (0..4).for_each(|n| policy.on_insert(key(n), Stay::Usual));
        policy.on_hit(key(0));
        policy.on_hit(key(2));
        assert_eq!(policy.victim(&all), Some(key(1)), "1 3 0 2");
        assert_eq!(policy.victim(&|k| k != key(1)), Some(key(3)), "1 may not");
        assert_eq!(policy.victim(&|_| false), None, "none may");
        policy.on_evict(key(1));
        policy.on_evict(key(1));
        assert_eq!(policy.victim(&all), Some(key(3)), "3 0 2");
        policy.on_insert(key(3), Stay::Usual);
        assert_eq!(policy.victim(&all), Some(key(0)), "0 2 3");
    }
}

#[test]
fn the_hand_takes_the_rounds_that_hits_earned() {
    for mut policy in named("clock") {
        (0..4).for_each(|n| policy.on_insert(key(n), Stay::Usual));
        (0..9).for_each(|_| policy.on_hit(key(0)));
        policy.on_hit(key(1));
        assert_eq!(policy.victim(&|_| true), Some(key(2)), "0 and 1 have rounds");
        policy.on_evict(key(2));
        policy.on_insert(key(4), Stay::Usual);
        // The hand stands before 3; 0 has two rounds left, 1 none, 4 took the seat of 2.
        assert_eq!(leave(&mut *policy), [3, 1, 4, 0], "nine hits earned three rounds");
    }
}

#[test]
fn counts_outlive_eviction_and_fade() {
    for mut policy in named("lfu, 300 events") {
        (0..3).for_each(|_| policy.on_hit(key(0)));
        policy.on_evict(key(0));
        policy.on_insert(key(1), Stay::Usual);
        policy.on_hit(key(1));
        policy.on_insert(key(0), Stay::Usual);
        policy.on_insert(key(2), Stay::Usual);
        assert_eq!(leave(&mut *policy), [2, 1, 0], "announced once, twice, four times");
    }
    for mut policy in named("lfu, 5 events") {
        (0..3).for_each(|_| policy.on_hit(key(0)));
        (0..40).for_each(|_| policy.on_hit(key(1)));
        policy.on_insert(key(2), Stay::Usual);
        assert_eq!(leave(&mut *policy), [0, 2, 1], "three times, but eight half-lives ago");
    }
}

#[test]
fn what_is_needed_last_leaves_first() {
    let future = [0, 1, 2, 1, 0].map(key);
    let (_, both) = twins(&future).pop().expect("the last of them");
    for mut policy in both {
        (0..3).for_each(|n| policy.on_insert(key(n), Stay::Usual));
        assert_eq!(leave(&mut *policy), [2, 0, 1], "never again, fifth, fourth");
    }
}

#[test]
fn the_first_to_leave_are_the_latest_of_a_pass() {
    for (name, both) in twins(&[]) {
        for mut policy in both {
            policy.on_insert(key(0), Stay::Usual);
            (1..4).for_each(|n| policy.on_insert(key(n), Stay::First));
            policy.on_hit(key(2));
            if name != "belady" {
                let left = leave(&mut *policy);
                assert_eq!(left, [3, 1, 0, 2], "{name}: 2 was hit and stays the longest");
            }
        }
    }
}

/// The same random events to both, of which each says who must leave.
fn same_victims(name: &str, both: &mut [Box<dyn Policy>; 2], wanted: &[Key], slots: usize) {
    let mut rng = Rng::new(slots as u64);
    let mut inside = HashSet::new();
    for (step, &wanted) in wanted.iter().enumerate() {
        if inside.contains(&wanted) {
            both.iter_mut().for_each(|policy| policy.on_hit(wanted));
            continue;
        }
        while inside.len() >= slots || rng.below(50) == 0 {
            let (odds, evens) = (rng.below(4) > 0, rng.below(4) > 0);
            let may = |k: Key| if k.record.is_multiple_of(2) { evens } else { odds };
            let [clever, naive] = both.each_mut().map(|policy| policy.victim(&may));
            assert_eq!(clever, naive, "{name}, step {step} with {slots} slots");
            let someone = inside.iter().any(|&k| may(k));
            assert_eq!(clever.is_some(), someone, "{name}, step {step}: if one may, one leaves");
            let Some(victim) = clever else { continue };
            assert!(inside.remove(&victim), "{name}, step {step}: {victim:?} has no slot");
            both.iter_mut().for_each(|policy| policy.on_evict(victim));
        }
        // Now and then somebody whose read failed leaves, whom no policy chose.
        if rng.below(40) == 0
            && let Some(&failed) = inside.iter().min()
        {
            inside.remove(&failed);
            both.iter_mut().for_each(|policy| policy.on_evict(failed));
        }
        inside.insert(wanted);
        let stay = if rng.below(5) == 0 { Stay::First } else { Stay::Usual };
        both.iter_mut().for_each(|policy| policy.on_insert(wanted, stay));
    }
}

#[test]
fn random_announcements_have_the_same_victims() {
    for slots in [1, 2, 7, 40] {
        let mut rng = Rng::new(99 + slots as u64);
        // Low numbers more often than high ones.
        let wanted: Vec<Key> = (0..4000).map(|_| key(rng.below(60).min(rng.below(60)))).collect();
        for (name, mut both) in twins(&wanted) {
            same_victims(name, &mut both, &wanted, slots);
        }
    }
}

/// What a cache of `slots` gets out of announcements.
fn hits(policy: &mut dyn Policy, slots: usize, announced: &[Key]) -> usize {
    let mut inside = HashSet::new();
    let mut hits = 0;
    for &key in announced {
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

/// Ten records in turn: all hits with ten slots; with nine none for those that go by age alone,
/// and eight of nine for who knows the future.
#[test]
fn below_a_cycle_age_alone_hits_nothing() {
    let announced: Vec<Key> = (0..100).map(|n| key(n % 10)).collect();
    for (name, both) in twins(&announced) {
        for mut policy in both {
            assert_eq!(hits(&mut *policy, 10, &announced), 90, "{name}, a slot for each");
        }
    }
    for (name, both) in twins(&announced) {
        let expected = match name {
            "lru" | "clock" => 0,
            "belady" => 80,
            _ => continue,
        };
        for mut policy in both {
            assert_eq!(hits(&mut *policy, 9, &announced), expected, "{name}, a slot too few");
        }
    }
}

/// Half of the announcements are of two records, the others go round ten more: a frequent pair
/// keeps its slots although the round is longer than they are many.
#[test]
fn below_a_cycle_frequency_still_hits() {
    let once = |n: usize| if n.is_multiple_of(2) { key(n / 2 % 2) } else { key(2 + n / 2 % 10) };
    let announced: Vec<Key> = (0..400).map(once).collect();
    let mut lfu = PolicyKind::Lfu.make(3, 20);
    let found = hits(&mut *lfu, 3, &announced);
    assert!(found >= 190, "{found} hits of 198 that the pair can have");
}

#[test]
fn policies_are_known_by_their_names() {
    for kind in PolicyKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind), "its own name");
        assert!(kind.memory_bytes(10, 100) > 0, "{}: it takes something", kind.name());
    }
    let refused = "mru".parse::<PolicyKind>().unwrap_err();
    assert!(refused.contains("mru") && refused.contains("lru, clock, lfu"), "{refused}");
}
