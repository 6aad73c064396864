//! Announcements: who comes first, what is held, what is evicted, and what is not waited for.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use store::{Cache, HostMemory, Lru, SlotMemory, StoreError};

use crate::stage::{KINDS, PATIENCE, Stage, Vectors, check_all_slots, drain, keep, patient};

#[test]
fn every_disk_and_memory_gives_the_records() {
    let stage = Stage::small();
    let (disks, _folder) = stage.every_disk();
    let memories: [(&str, &dyn SlotMemory); 2] = [("host", &HostMemory), ("vectors", &Vectors)];
    for (name, disk) in &disks {
        for (memory_name, memory) in memories {
            if disk.align() > 1 && memory_name == "vectors" {
                continue; // Vectors begin anywhere.
            }
            for slots in 1..=7 {
                for readers in [1, 2, 8] {
                    let (banks, policy) = (stage.banks.clone(), Box::new(Lru::new()));
                    let cache =
                        Cache::new(Arc::clone(disk), banks, memory, slots, policy, readers, None)
                            .unwrap();
                    for (bank, all) in [(0, &[2, 0, 1][..]), (1, &[0, 1, 2, 3])] {
                        let mut found = drain(&stage, cache.announce(bank, all)).unwrap();
                        found.sort_unstable();
                        let wanted: Vec<usize> = (0..all.len()).collect();
                        assert_eq!(found, wanted, "{name}, {memory_name}, {slots}, {readers}");
                    }
                    let counters = cache.counters();
                    assert_eq!((counters.misses, counters.reads), (7, 7), "{counters:?}");
                    let evictions = 7 - slots as u64;
                    assert_eq!(counters.evictions, evictions, "{slots} slots");
                }
            }
        }
    }
}

#[test]
fn residents_come_first_and_are_counted() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 4, 1);
        assert_eq!(
            drain(&stage, cache.announce(1, &[2, 0])).unwrap(),
            [2, 0],
            "one reader, in order"
        );
        let before = cache.counters();
        let wait = before.wait;
        assert_eq!((before.hits, before.misses, before.read_bytes), (0, 2, 1400), "{before:?}");
        assert_eq!(drain(&stage, cache.announce(1, &[1, 2, 3, 0])).unwrap(), [2, 0, 1, 3]);
        let spent = cache.counters() - before;
        assert_eq!((spent.hits, spent.misses, spent.joined), (2, 2, 0), "{spent:?}");
        assert_eq!((spent.reads, spent.read_bytes, spent.evictions), (2, 1400, 0), "{spent:?}");
        assert_eq!(disk.reads(), 4, "one extent a record");

        let after = cache.counters();
        assert_eq!(drain(&stage, cache.announce(1, &[3, 2, 1, 0])).unwrap(), [3, 2, 1, 0]);
        let spent = cache.counters() - after;
        assert_eq!((spent.hits, spent.misses, spent.read_bytes), (4, 0, 0), "{spent:?}");
        assert_eq!((spent.wait, spent.reading), (Duration::ZERO, Duration::ZERO), "all resident");
        assert!(after.wait >= wait && after.reading > Duration::ZERO, "{after:?}");
    }
}

#[test]
fn residents_of_an_announcement_do_not_leave_for_its_misses() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let cache = stage.cache(stage.faulty_disk(), 2, 1);
        drain(&stage, cache.announce(1, &[0, 1])).unwrap();
        // 0 is the oldest, but it is announced again.
        let holds = keep(&stage, cache.announce(1, &[2, 0]));
        assert_eq!(holds.iter().map(store::Hold::record).collect::<Vec<_>>(), [0, 2]);
        assert!(cache.contains(1, 0) && !cache.contains(1, 1), "1 left");
        drop(holds);
        // Nobody is evicted for more than there are slots: the residents are handed out before.
        let mut arrivals = cache.announce(1, &[1, 3, 0, 2]);
        for record in [0, 2] {
            let hold = arrivals.next().unwrap().unwrap();
            assert_eq!(hold.record(), record);
            assert!(cache.contains(1, record), "held");
        }
        assert_eq!(drain(&stage, arrivals).unwrap(), [1, 3]);
    }
}

#[test]
fn the_wait_and_the_reading_are_measured() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 2, 2);
        disk.shut_gate();
        let arrivals = cache.announce(1, &[0, 1]);
        disk.wait_for_reads(2);
        let pause = Duration::from_millis(10);
        let opener = thread::spawn(move || {
            thread::sleep(pause);
            disk.open_gate();
        });
        let begun = Instant::now();
        drain(&stage, arrivals).unwrap();
        let took = begun.elapsed();
        opener.join().unwrap();
        let counters = cache.counters();
        assert!(counters.wait <= took, "{counters:?} in {took:?}");
        assert!(counters.wait >= took / 2, "{counters:?} in {took:?}: it did nothing but wait");
        // Two reads at the same time count once.
        assert!(counters.reading >= counters.wait / 2, "{counters:?}");
        assert!(counters.reading <= took + pause, "{counters:?} in {took:?}");
    }
}

#[test]
fn a_record_named_twice_is_read_once_and_given_twice() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 1, 2);
        let holds = keep(&stage, cache.announce(1, &[3, 3]));
        assert_eq!((holds.len(), disk.reads()), (2, 1));
        let holds = [holds, keep(&stage, cache.announce(1, &[3, 3, 3]))].concat();
        let counters = cache.counters();
        assert_eq!((counters.hits, counters.misses, counters.joined), (3, 1, 1), "{counters:?}");
        drop(holds);
        check_all_slots(&stage, &cache);
    }
}

#[test]
fn looking_does_not_block() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 3, 1);
        drain(&stage, cache.announce(1, &[0])).unwrap();
        disk.shut_gate();
        let mut arrivals = cache.announce(1, &[1, 0]);
        assert_eq!((arrivals.left(), arrivals.ready()), (2, true));
        assert_eq!(arrivals.try_next().unwrap().unwrap().record(), 0, "the resident");
        assert_eq!((arrivals.left(), arrivals.ready()), (1, false));
        assert!(arrivals.try_next().is_none(), "the gate is shut");
        disk.open_gate();
        assert_eq!(arrivals.next().unwrap().unwrap().record(), 1);
        assert_eq!((arrivals.left(), arrivals.ready()), (0, true));
        assert!(arrivals.try_next().is_none() && arrivals.next().is_none(), "the end");
        assert!(cache.announce(0, &[]).next().is_none(), "nothing was announced");
    }
}

#[test]
fn a_held_slot_stays_as_it_is() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let cache = stage.cache(stage.faulty_disk(), 2, 3);
        let hold = keep(&stage, cache.announce(0, &[1])).remove(0);
        let clone = hold.clone();
        drop(hold);
        for _ in 0..3 {
            drain(&stage, cache.announce(1, &[0, 1, 2, 3])).unwrap();
            assert!(cache.contains(0, 1), "a clone holds it");
            stage.check(&clone);
        }
        drop(cache);
        stage.check(&clone);
        thread::spawn(move || drop(clone)).join().unwrap();
    }
}

#[test]
fn without_a_slot_to_come_nobody_waits_for_ever() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let cache = stage.cache(stage.faulty_disk(), 2, 2);
        let mut arrivals = cache.announce(1, &[0, 1, 2, 3]);
        let holds = [arrivals.next().unwrap().unwrap(), arrivals.next().unwrap().unwrap()];
        let error = arrivals.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "all 2 slots are held and none was given back for 0.01 s, 2 announced records need one"
        );
        assert!(arrivals.next().is_none(), "an error is the end");
        drop(holds);
        check_all_slots(&stage, &cache);
    }
}

#[test]
fn a_slot_that_another_thread_gives_back_is_waited_for() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let cache =
            stage.cache(stage.faulty_disk(), 1, 1).with_patience(patient(Duration::from_secs(60)));
        let hold = keep(&stage, cache.announce(0, &[0])).remove(0);
        let mut arrivals = cache.announce(0, &[1]);
        let (waits, told) = mpsc::channel();
        let other = thread::spawn(move || {
            told.recv().unwrap();
            thread::sleep(PATIENCE / 10);
            drop(hold);
        });
        waits.send(()).unwrap();
        stage.check(&arrivals.next().unwrap().unwrap());
        other.join().unwrap();
    }
}

#[test]
fn what_is_dropped_early_is_called_off() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 3, 1);
        disk.shut_gate();
        // Record 0 is being read, 1 and 2 have slots, 3 waits for one.
        let arrivals = cache.announce(1, &[0, 1, 2, 3]);
        disk.wait_for_reads(1);
        drop(arrivals);
        disk.open_gate();
        assert_eq!(drain(&stage, cache.announce(1, &[0])).unwrap(), [0]);
        assert_eq!(disk.reads(), 1, "what had begun was finished, nothing else was read");
        assert!((1..4).all(|record| !cache.contains(1, record)), "nothing else is resident");
        check_all_slots(&stage, &cache);
    }
}

#[test]
fn what_others_want_is_not_called_off() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 2, 1);
        disk.shut_gate();
        let first = cache.announce(1, &[0, 1, 2]);
        disk.wait_for_reads(1);
        let second = cache.announce(1, &[2, 1, 0]);
        drop(first);
        disk.open_gate();
        assert_eq!(drain(&stage, second).unwrap(), [0, 1, 2], "as the first one asked for them");
        assert_eq!(disk.reads(), 3, "each once");
    }
}

#[test]
fn a_closed_cache_lets_its_consumers_go() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 2, 1).with_patience(patient(Duration::from_secs(60)));
        disk.shut_gate();
        let mut arrivals = cache.announce(1, &[0, 1, 2]);
        disk.wait_for_reads(1);
        let consumer = thread::spawn(move || (arrivals.next(), arrivals.next().is_none()));
        let closer = thread::spawn(move || drop(cache));
        let (item, over) = consumer.join().unwrap();
        assert!(matches!(item, Some(Err(StoreError::Closed { missing: 3 }))), "{item:?}");
        assert!(over, "an error is the end");
        disk.open_gate();
        closer.join().unwrap();
        assert_eq!(disk.reads(), 1, "no other read has begun");
    }
}
