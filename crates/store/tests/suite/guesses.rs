//! Guesses: read when there is nothing else to do, adopted when announced, and nobody's loss when wrong.

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use store::testing::{Fault, When};
use store::{Cache, Patience, StoreError};

use crate::stage::{Rng, Stage, check_all_slots, drain, keep, patient};

/// Waits until nothing is being read on a guess any more.
fn settled(cache: &Cache, reads: u64) {
    let begun = Instant::now();
    while cache.counters().reads + cache.counters().failures < reads {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", cache.counters());
        thread::yield_now();
    }
}

#[test]
fn what_was_guessed_is_there_when_it_is_announced() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 4, 2).with_reserve(2);
    cache.guess(1, &[3, 1]);
    settled(&cache, 2);
    assert_eq!(drain(&stage, cache.announce(1, &[1, 3, 0])).unwrap(), [1, 3, 0], "residents first");
    let counters = cache.counters();
    assert_eq!((counters.hits, counters.misses), (0, 3), "{counters:?}: all were read for it");
    assert_eq!((counters.guessed, counters.adopted), (2, 2), "{counters:?}");
    assert_eq!(disk.reads(), 3, "each once");
    check_all_slots(&stage, &cache);
}

#[test]
fn a_guess_that_is_being_read_is_waited_for() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 4, 1).with_reserve(2);
    disk.shut_gate();
    cache.guess(1, &[2, 0]);
    disk.wait_for_reads(1);
    let arrivals = cache.announce(1, &[0, 2]);
    disk.open_gate();
    let mut found = drain(&stage, arrivals).unwrap();
    found.sort_unstable();
    assert_eq!(found, [0, 2], "both");
    let counters = cache.counters();
    assert_eq!((counters.misses, counters.adopted, counters.joined), (2, 2, 0), "{counters:?}");
    assert_eq!(disk.reads(), 2, "each once");
}

#[test]
fn wrong_guesses_cost_no_slot_and_no_resident() {
    let stage = Stage::small();
    let cache = stage.cache(stage.faulty_disk(), 4, 2).with_reserve(2);
    drop(keep(&stage, cache.announce(0, &[0, 1])));
    for _ in 0..5 {
        let reads = cache.counters().reads;
        cache.guess(1, &[0, 1, 2, 3]);
        settled(&cache, reads + 2);
        assert!(cache.contains(0, 0) && cache.contains(0, 1), "guesses evict nobody");
        // Nothing of what was guessed.
        assert_eq!(drain(&stage, cache.announce(1, &[])).unwrap(), [0; 0], "nothing");
        assert!((0..4).all(|record| !cache.contains(1, record)), "all forgotten");
    }
    assert_eq!(cache.counters().evictions, 0, "{:?}", cache.counters());
    check_all_slots(&stage, &cache);
}

#[test]
fn announced_records_go_first() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 6, 1).with_reserve(3);
    disk.shut_gate();
    let first = cache.announce(1, &[0]);
    disk.wait_for_reads(1);
    cache.guess(0, &[0, 1]);
    let second = cache.announce(1, &[1]);
    disk.open_gate();
    assert_eq!(drain(&stage, second).unwrap(), [1], "the second");
    assert_eq!(drain(&stage, first).unwrap(), [0], "the first");
    let offset = stage.banks[1].record(1)[0].offset;
    assert_eq!(disk.log()[1].1, offset, "before every guess");
}

#[test]
fn a_guess_that_fails_is_nobodys_error() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 4, 1).with_reserve(2);
    disk.always(When::Always, Fault::Error(ErrorKind::InvalidData));
    cache.guess(1, &[3]);
    settled(&cache, 1);
    disk.heal();
    assert_eq!(drain(&stage, cache.announce(1, &[3])).unwrap(), [3], "it is read again");
    check_all_slots(&stage, &cache);
}

#[test]
fn unknown_guesses_and_caches_without_a_reserve_do_nothing() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 2, 1);
    cache.guess(1, &[0]);
    let cache = cache.with_reserve(9);
    cache.guess(1, &[4, 99]);
    cache.guess(7, &[0]);
    assert_eq!(cache.counters().guessed, 0, "nothing to guess");
    assert_eq!(drain(&stage, cache.announce(1, &[0])).unwrap(), [0], "one slot is always left");
    assert_eq!(disk.reads(), 1, "nothing else was read");
}

#[test]
fn random_guesses_change_nothing_but_who_is_read_when() {
    let stage = Stage::new(&[(9, &[40, 3]), (8, &[64, 65, 1])]);
    for (slots, reserve, readers) in [(3, 1, 1), (6, 3, 2), (9, 8, 4), (12, 2, 8)] {
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), slots, readers).with_reserve(reserve);
        let mut rng = Rng::new(slots as u64);
        for n in 0..400 {
            let bank = n % 2;
            let known = stage.banks[bank].records();
            let mut some = || -> Vec<usize> {
                let mut some: Vec<usize> = (0..known).filter(|_| rng.below(4) == 0).collect();
                some.truncate(3);
                some
            };
            cache.guess(bank, &some());
            let wanted = some();
            let mut found = drain(&stage, cache.announce(bank, &wanted)).unwrap();
            found.sort_unstable();
            assert_eq!(found, wanted, "step {n}, {slots} slots, {reserve} reserved");
        }
        let counters = cache.counters();
        assert!(counters.adopted > 0 && counters.adopted < counters.guessed, "{counters:?}");
        check_all_slots(&stage, &cache.with_patience(patient(Duration::from_millis(50))));
    }
}

#[test]
fn a_disk_that_hangs_is_an_error_and_lets_the_program_end() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let patience = Patience { slot: Duration::from_secs(60), read: Duration::from_millis(20) };
    let cache = stage.cache(disk.clone(), 2, 1).with_patience(patience);
    disk.shut_gate();
    let error = drain(&stage, cache.announce(1, &[0, 1])).unwrap_err();
    let first = stage.banks[1].record(0)[0];
    let (file, offset) = (first.file, first.offset);
    let expected =
        format!("memory-{file}: a read at offset {offset} did not come back within 0.02 s");
    assert!(matches!(error, StoreError::Silent { .. }), "{error}");
    assert_eq!(error.to_string(), expected, "where");
    // Nobody waits for the reader that hangs.
    drop(cache);
    disk.open_gate();
}

#[test]
fn a_disk_that_is_slow_is_no_error() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let patience = Patience { slot: Duration::from_secs(60), read: Duration::from_millis(400) };
    let cache = stage.cache(disk.clone(), 4, 1).with_patience(patience);
    // All four take longer than the patience for one.
    disk.always(When::Always, Fault::Delay(Duration::from_millis(150)));
    assert_eq!(drain(&stage, cache.announce(1, &[0, 1, 2, 3])).unwrap(), [0, 1, 2, 3], "slowly");
}
