//! Several users of one cache at once: each record is read once, and nobody is left waiting.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use store::StoreError;
use store::testing::{Fault, When};

use crate::stage::{KINDS, Rng, Stage, check_all_slots, drain, patient};

#[test]
fn two_who_announce_the_same_read_it_once() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        for readers in 2..=8 {
            let disk = stage.faulty_disk();
            let cache = stage.cache(disk.clone(), 3, readers);
            disk.shut_gate();
            let first = cache.announce(0, &[0, 1, 2]);
            let second = cache.announce(0, &[2, 1, 0]);
            thread::scope(|scope| {
                for arrivals in [first, second] {
                    scope.spawn(|| {
                        let mut found = drain(&stage, arrivals).unwrap();
                        found.sort_unstable();
                        assert_eq!(found, [0, 1, 2], "{readers} readers");
                    });
                }
                disk.open_gate();
            });
            assert_eq!(disk.reads(), 9, "three records of three extents");
            let counters = cache.counters();
            assert_eq!(
                (counters.misses, counters.joined, counters.reads),
                (3, 3, 3),
                "{counters:?}"
            );
        }
    }
}

#[test]
fn the_extents_of_a_record_are_read_at_the_same_time() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 1, 3);
        disk.shut_gate();
        let arrivals = cache.announce(0, &[1]);
        // It would wait for ever if they came one after the other.
        disk.wait_for_reads(3);
        disk.open_gate();
        assert_eq!(drain(&stage, arrivals).unwrap(), [1]);
    }
}

/// Everybody announces at random, keeps some holds for a while and sometimes leaves early.
fn one_user(stage: &Stage, cache: &store::Cache, kept: usize, seed: u64) -> (usize, usize) {
    let mut rng = Rng::new(seed);
    let (mut taken, mut failed) = (0, 0);
    let mut holds = Vec::new();
    for _ in 0..120 {
        let bank = rng.below(stage.banks.len());
        let known = stage.banks[bank].records();
        let records: Vec<usize> = (0..1 + rng.below(known)).map(|_| rng.below(known)).collect();
        for arrival in cache.announce(bank, &records) {
            match arrival {
                Ok(hold) => {
                    stage.check(&hold);
                    taken += 1;
                    holds.push(hold);
                    if holds.len() > kept {
                        holds.swap_remove(rng.below(holds.len()));
                    }
                }
                Err(StoreError::Read { .. }) => failed += 1,
                Err(error) => panic!("{error}"),
            }
            if rng.below(12) == 0 {
                break;
            }
        }
        // What is kept while waiting for more must leave a slot for everybody.
        holds.clear();
    }
    (taken, failed)
}

#[test]
fn many_users_with_few_slots_and_a_bad_disk() {
    for kind in KINDS {
        let stage = Stage::new(&[(6, &[40, 3]), (5, &[64, 65, 1]), (2, &[300])]).read_by(kind);
        for (users, slots, readers, kept) in
            [(2, 1, 2, 0), (2, 4, 2, 1), (4, 5, 4, 1), (3, 8, 8, 2)]
        {
            let disk = stage.faulty_disk();
            let patience = Duration::from_secs(60);
            let cache = stage.cache(disk.clone(), slots, readers).with_patience(patient(patience));
            for n in 0..40 {
                disk.once(When::Nth(n * 7), Fault::Error(ErrorKind::Other));
            }
            let totals = thread::scope(|scope| {
                let cache = &cache;
                let users: Vec<_> = (0..users)
                    .map(|n| {
                        scope.spawn({
                            let stage = &stage;
                            move || one_user(stage, cache, kept, n as u64 + 1)
                        })
                    })
                    .collect();
                users.into_iter().map(|user| user.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(totals.iter().all(|&(taken, _)| taken > 100), "{totals:?}");
            assert!(totals.iter().any(|&(_, failed)| failed > 0), "{totals:?}: the disk was bad");
            let counters = cache.counters();
            assert!(counters.joined > 0, "{counters:?}: nobody met");
            check_all_slots(&stage, &cache.with_patience(patient(Duration::from_millis(50))));
        }
    }
}
