//! Replays against real caches: the same announcements must give the same counts to the last hit.

use std::sync::Arc;

use store::{
    Belady, Cache, Counters, HostMemory, Key, Lru, Policy, PolicyKind, Replay, Replayed, Stay,
    replay,
};

use crate::stage::{Rng, Stage, drain};

type Step = (usize, Vec<u32>);

/// As a walk announces: the banks in turn, of each some records that were wanted the round
/// before and some new ones.
fn rounds(stage: &Stage, rounds: usize, wanted: usize, seed: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); stage.banks.len()];
    let mut steps = Vec::new();
    for _ in 0..rounds {
        for (bank, before) in before.iter_mut().enumerate() {
            let records = stage.banks[bank].records();
            before.retain(|_| rng.below(5) < 2);
            while before.len() < wanted.min(records) {
                let record = rng.below(records).min(rng.below(records)) as u32;
                if !before.contains(&record) {
                    before.push(record);
                }
            }
            before.sort_unstable();
            steps.push((bank, before.clone()));
        }
    }
    steps
}

/// Any bank, any records, some of them twice.
fn random(stage: &Stage, steps: usize, seed: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut step = || {
        let bank = rng.below(stage.banks.len());
        let records = stage.banks[bank].records();
        let wanted = rng.below(records) + 1;
        (bank, (0..wanted).map(|_| rng.below(records) as u32).collect())
    };
    (0..steps).map(|_| step()).collect()
}

/// A cache and a replay go through the steps side by side.
fn side_by_side(
    stage: &Stage,
    make: &dyn Fn() -> Box<dyn Policy>,
    slots: usize,
    readers: usize,
    steps: &[Step],
    told: &str,
) {
    let (disk, banks) = (Arc::new(stage.memory_disk()), stage.banks.clone());
    let cache = Cache::new(disk, banks, &HostMemory, slots, make(), readers, None).unwrap();
    let mut replay = Replay::new(make(), slots);
    for (n, (bank, records)) in steps.iter().enumerate() {
        let records: Vec<usize> = records.iter().map(|&record| record as usize).collect();
        drain(stage, cache.announce(*bank, &records)).unwrap();
        replay.announce(*bank, records, Stay::Usual);
        let Counters { hits, misses, joined, evictions, .. } = cache.counters();
        let found = Replayed { hits, misses, joined, evictions };
        assert_eq!(replay.counted(), found, "{told}, {slots} slots, {readers} readers, step {n}");
    }
}

#[test]
fn a_replay_counts_what_a_cache_counts() {
    let stage = Stage::new(&[(9, &[40, 3]), (12, &[64]), (7, &[5])]);
    for slots in [1, 2, 3, 5, 8, 11, 20, 27] {
        for (what, steps, distinct) in [
            ("rounds", rounds(&stage, 60, 4, slots as u64), true),
            ("random", random(&stage, 150, slots as u64), false),
        ] {
            for kind in PolicyKind::ALL {
                let told = format!("{what}, {}", kind.name());
                let make = || kind.make(slots, 12);
                side_by_side(&stage, &make, slots, 1, &steps, &told);
                // As long as an announcement fits, readers may land records in any order.
                if distinct && slots >= 8 {
                    side_by_side(&stage, &make, slots, 3, &steps, &told);
                }
            }
            if distinct {
                let make = || -> Box<dyn Policy> { Box::new(Belady::new(keys(&steps))) };
                side_by_side(&stage, &make, slots, 1, &steps, "rounds, belady");
            }
        }
    }
}

fn keys(steps: &[Step]) -> impl Iterator<Item = Key> {
    let keys = |(bank, records): &Step| {
        let bank = *bank;
        let keys = records.clone().into_iter().map(move |record| record as usize);
        keys.map(move |record| Key { bank, record })
    };
    steps.iter().flat_map(keys)
}

fn count(policy: Box<dyn Policy>, slots: usize, steps: &[(usize, &[u32])]) -> Replayed {
    replay(policy, slots, steps.iter().copied())
}

/// Three slots. 0 1 2 come in; 1 is a hit; 3 takes the place of 0, which then is missed.
#[test]
fn hits_are_counted_by_hand() {
    let steps: [(usize, &[u32]); 4] = [(0, &[0, 1, 2]), (0, &[1]), (0, &[3]), (0, &[0])];
    let found = count(Box::new(Lru::new()), 3, &steps);
    let expected = Replayed { hits: 1, misses: 5, joined: 0, evictions: 2 };
    assert_eq!(found, expected, "one hit of six");
    assert_eq!(found.hit_rate(), Some(1.0 / 6.0), "cold misses count");
    assert_eq!(Replayed::default().hit_rate(), None, "nothing was looked for");
}

/// The least recent is announced after one that is missed: announced together it is held first
/// and hit; one after the other it has left by then.
#[test]
fn residents_of_an_announcement_do_not_leave_for_it() {
    let (first, second): (&[u32], &[u32]) = (&[0, 1], &[2, 0]);
    let together = count(Box::new(Lru::new()), 2, &[(0, first), (0, second)]);
    assert_eq!(together, Replayed { hits: 1, misses: 3, joined: 0, evictions: 1 }, "together");
    let singly: [(usize, &[u32]); 4] = [(0, &[0]), (0, &[1]), (0, &[2]), (0, &[0])];
    let singly = count(Box::new(Lru::new()), 2, &singly);
    assert_eq!(singly, Replayed { hits: 0, misses: 4, joined: 0, evictions: 2 }, "one by one");
}

/// More records than slots, twice over: what only passes through leaves the first ones there.
#[test]
fn a_second_pass_finds_what_the_first_one_left() {
    for kind in PolicyKind::ALL {
        let mut replay = Replay::new(kind.make(4, 10), 4);
        for _ in 0..2 {
            (0..10).for_each(|record| replay.announce(0, [record], Stay::First));
        }
        assert_eq!(replay.counted().hits, 3, "{}: all slots but the one in use", kind.name());
    }
}
