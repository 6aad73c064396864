//! The disk fails at every read: one clear error, nothing wrong published, no slot lost.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use store::testing::{Fault, FaultyDisk, When};
use store::{Cache, Disk, HostMemory, Key, Lru, RecordCheck, RecordView, StoreError};

use crate::stage::{KINDS, PATIENCE, Stage, check_all_slots, drain};

/// What a session does, again and again: bank and records.
const SCRIPT: [(usize, &[usize]); 4] = [(0, &[0, 1]), (1, &[3, 0, 1, 2]), (0, &[2, 0]), (1, &[1])];

/// Reads that the script begins when nothing fails: 3 extents in bank 0, 1 in bank 1.
fn reads_of_script(stage: &Stage, slots: usize, readers: usize) -> usize {
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), slots, readers);
    for (bank, records) in SCRIPT {
        drain(stage, cache.announce(bank, records)).unwrap();
    }
    disk.reads()
}

#[test]
fn a_failure_at_any_read_is_one_error_and_nothing_else() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let faults = [Fault::Error(ErrorKind::InvalidData), Fault::Short(0), Fault::Panic];
        for (slots, readers) in [(1, 1), (2, 1), (3, 2), (6, 8)] {
            for n in 0..reads_of_script(&stage, slots, readers) {
                for fault in faults {
                    let disk = stage.faulty_disk();
                    let cache = stage.cache(disk.clone(), slots, readers);
                    disk.once(When::Nth(n), fault);
                    let mut errors = Vec::new();
                    for (bank, records) in SCRIPT {
                        errors.extend(drain(&stage, cache.announce(bank, records)).err());
                        // Whoever asks again gets it.
                        if !errors.is_empty() {
                            drain(&stage, cache.announce(bank, records)).unwrap();
                        }
                    }
                    let told = format!("read {n}, {fault:?}, {slots} slots, {readers} readers");
                    assert!(errors.len() <= 1, "{told}: {errors:?}");
                    let failures = cache.counters().failures;
                    // A read whose consumer was done already fails for nobody.
                    assert_eq!(failures, 1, "{told}");
                    let [StoreError::Read { wanted, .. }] = errors[..] else {
                        panic!("{told}: {errors:?}")
                    };
                    assert!([100, 33, 1, 700].contains(&wanted), "{told}: {wanted} bytes");
                    check_all_slots(&stage, &cache);
                }
            }
        }
    }
}

/// The message of a cache of one slot whose disk was told to fail.
fn message(prepare: impl Fn(&FaultyDisk), check: Option<RecordCheck>) -> String {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    prepare(&disk);
    let (banks, policy) = (stage.banks.clone(), Box::new(Lru::new()));
    let cache = Cache::new(disk.clone(), banks, &HostMemory, 1, policy, 2, check).unwrap();
    let error = drain(&stage, cache.announce(1, &[2])).unwrap_err();
    assert!(!cache.contains(1, 2), "nothing is published: {error}");
    disk.heal();
    if let Err(again) = drain(&stage, cache.announce(1, &[2])) {
        assert_eq!(again.to_string(), error.to_string(), "it fails the same way");
    }
    error.to_string()
}

#[test]
fn messages_say_where_and_what() {
    let extent = Stage::small().banks[1].record(2)[0];
    let place =
        format!("memory-{}: cannot read 700 bytes at offset {}", extent.file, extent.offset);
    let short = message(|disk| disk.always(When::Always, Fault::Short(12)), None);
    assert_eq!(short, format!("{place}: found 12 bytes, the file ends there"));
    let failed = |disk: &FaultyDisk| disk.always(When::Always, Fault::Error(ErrorKind::TimedOut));
    assert_eq!(message(failed, None), format!("{place}: timed out"));

    let check: RecordCheck = Arc::new(|key: Key, view: &RecordView| {
        assert_eq!((key.bank, key.record), (view.bank(), view.record()), "the same record");
        if view.extent(0).iter().all(|&byte| byte == 9) {
            Err("all nines".to_owned())
        } else {
            Ok(())
        }
    });
    let nines = |disk: &FaultyDisk| disk.always(When::Always, Fault::Garbage(9));
    assert_eq!(
        message(nines, Some(check)),
        format!("memory-{}: bank 1, record 2: all nines", extent.file)
    );
    let panics: RecordCheck = Arc::new(|_, _| std::panic::resume_unwind(Box::new(())));
    let told = message(|_| {}, Some(panics));
    assert!(told.ends_with("bank 1, record 2: the check panicked"), "{told}");
}

#[test]
fn a_file_that_shrinks_is_a_short_read() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let (disks, folder) = stage.every_disk();
        let files = &disks.iter().find(|(name, _)| name == "files, buffered").unwrap().1;
        let cache = stage.cache(Arc::clone(files), 2, 1);
        let extent = stage.banks[1].record(2)[0];
        let path = folder.path().join(extent.file.to_string());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(extent.offset + 5).unwrap();
        let error = drain(&stage, cache.announce(1, &[2])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: cannot read 700 bytes at offset {}: found 5 bytes, the file ends there",
                path.display(),
                extent.offset
            )
        );
    }
}

#[test]
fn an_error_ends_its_announcement_and_what_it_had_begun() {
    for kind in KINDS {
        let stage = Stage::new(&[(20, &[50])]).read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 10, 2);
        disk.always(When::Always, Fault::Delay(Duration::from_millis(1)));
        disk.once(When::Nth(1), Fault::Error(ErrorKind::Other));
        let mut arrivals = cache.announce(0, &(0..20).collect::<Vec<_>>());
        let mut good = 0;
        let error = loop {
            match arrivals.next().unwrap() {
                Ok(hold) => stage.check(&hold),
                Err(error) => break error,
            }
            good += 1;
        };
        assert!(good < 19, "{good} records came before {error}");
        let begun = disk.reads();
        let counters = cache.counters();
        assert_eq!(counters.reads + counters.failures, begun as u64, "what had begun has ended");
        assert!(arrivals.next().is_none() && arrivals.left() == 0, "an error is the end");
        thread::sleep(PATIENCE / 10);
        assert_eq!(disk.reads(), begun, "nothing begins after the error");
        disk.heal();
        check_all_slots(&stage, &cache);
    }
}

#[test]
fn everybody_who_waits_for_a_record_hears_that_it_failed() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 2, 1);
        disk.shut_gate();
        disk.once(When::Always, Fault::Error(ErrorKind::Other));
        let both = [cache.announce(1, &[0, 0]), cache.announce(1, &[0])];
        disk.open_gate();
        for mut arrivals in both {
            let item = arrivals.next();
            assert!(matches!(item, Some(Err(StoreError::Read { .. }))), "{item:?}");
            assert!(arrivals.next().is_none(), "an error is the end");
        }
        assert_eq!((disk.reads(), cache.counters().failures), (1, 1));
        assert_eq!(drain(&stage, cache.announce(1, &[0])).unwrap(), [0], "it is tried again");
        assert_eq!(disk.file_bytes(0), stage.files[0].len() as u64, "the disk shows its files");
    }
}
