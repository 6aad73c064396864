//! What fails in passing is read again, what hangs is waited for, and large extents are read in parts.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use store::testing::{Fault, FaultyDisk, MemoryDisk, When};
use store::{Bank, Disk, Extent, Files, IoMode, StoreError};

use crate::stage::{KINDS, Kind, Stage, check_all_slots, drain};

/// What Unix reports when a disk has lost a request.
const EIO: i32 = 5;

#[test]
fn what_fails_in_passing_is_read_again() {
    let passing = [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut];
    let mut faults: Vec<Fault> = passing.into_iter().map(Fault::Error).collect();
    if cfg!(unix) {
        faults.push(Fault::System(EIO));
    }
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        for &fault in &faults {
            let disk = stage.faulty_disk();
            let cache = stage.cache(disk.clone(), 3, 2);
            disk.once(When::Nth(0), fault);
            disk.once(When::Nth(1), fault);
            let mut found = drain(&stage, cache.announce(0, &[0, 1])).unwrap();
            found.sort_unstable();
            assert_eq!(found, [0, 1], "{kind:?}, {fault:?}");
            let counters = cache.counters();
            assert_eq!((counters.retries, counters.failures), (2, 0), "{kind:?}, {fault:?}");
            assert_eq!(disk.reads(), 6 + 2, "{kind:?}, {fault:?}");
        }
    }
}

#[test]
fn what_goes_on_failing_is_given_up() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        for (fault, reads) in [(ErrorKind::TimedOut, 3), (ErrorKind::PermissionDenied, 1)] {
            let disk = stage.faulty_disk();
            let cache = stage.cache(disk.clone(), 2, 2);
            disk.always(When::Always, Fault::Error(fault));
            let error = drain(&stage, cache.announce(1, &[2])).unwrap_err();
            assert!(matches!(error, StoreError::Read { wanted: 700, .. }), "{kind:?}: {error}");
            assert_eq!(disk.reads(), reads, "{kind:?}, {fault:?}");
            disk.heal();
            check_all_slots(&stage, &cache);
        }
    }
}

#[test]
fn a_read_that_hangs_holds_up_nobody_else() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 3, 2);
        disk.once(When::Nth(0), Fault::Hang);
        let mut hanging = cache.announce(1, &[0]);
        disk.wait_for_reads(1);
        assert_eq!(drain(&stage, cache.announce(1, &[1, 2])).unwrap(), [1, 2], "{kind:?}");
        assert!(hanging.try_next().is_none() && hanging.left() == 1, "{kind:?}: it hangs");
        disk.heal();
        assert_eq!(drain(&stage, hanging).unwrap(), [0], "{kind:?}: it came after all");
    }
}

#[test]
fn a_cache_is_closed_only_when_nobody_writes_to_its_slots() {
    for kind in KINDS {
        let stage = Stage::small().read_by(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 3, 2);
        disk.once(When::Nth(0), Fault::Hang);
        let arrivals = cache.announce(1, &[0]);
        disk.wait_for_reads(1);
        let closing = thread::spawn(move || drop(cache));
        thread::sleep(Duration::from_millis(20));
        assert!(!closing.is_finished(), "{kind:?}: a read is under way");
        disk.heal();
        closing.join().unwrap();
        drop(arrivals);
    }
}

const KIB: usize = 1 << 10;

/// Two records of one large and one small extent, at odd offsets.
fn large(kind: Kind) -> Stage {
    let file: Vec<u8> = (0..5 << 20).map(|n: usize| (n ^ (n >> 8) ^ (n >> 17)) as u8).collect();
    let extents = [(1, 2100 * KIB), (9, 3), (2200 * KIB + 5, 2100 * KIB), (77, 3)];
    let extent = |(offset, bytes)| Extent { file: 0, offset: offset as u64, bytes };
    let bank = Bank::new(2, extents.map(extent).to_vec()).unwrap();
    Stage { kind, files: vec![file], banks: vec![bank] }
}

#[test]
fn few_large_extents_are_cut_so_that_all_who_read_have_work() {
    // Alignment, reads at the same time, records, reads that are made.
    for (align, readers, records, reads) in [
        (1, 1, 1, 2),
        (1, 2, 1, 2 + 1),
        (512, 4, 1, 4 + 1),
        (512, 4, 2, 2 * (2 + 1)),
        (4096, 2, 2, 2 + 2),
        // No part is smaller than 256 KiB.
        (4096, 100, 1, 9 + 1),
    ] {
        for kind in KINDS {
            let stage = large(kind);
            let inner = MemoryDisk::new(stage.files.clone()).with_align(align);
            let disk = Arc::new(FaultyDisk::over(Arc::new(inner)));
            let cache = stage.cache(disk.clone(), 2, readers);
            let all: Vec<usize> = (0..records).collect();
            let mut found = drain(&stage, cache.announce(0, &all)).unwrap();
            found.sort_unstable();
            assert_eq!(found, all, "{kind:?}, aligned to {align}, {readers} readers");
            let log = disk.log();
            assert_eq!(log.len(), reads, "{kind:?}, {align}, {readers} readers: {log:?}");
        }
    }
}

#[test]
fn cut_extents_that_are_called_off_give_their_slot_back() {
    for kind in KINDS {
        let stage = large(kind);
        let disk = stage.faulty_disk();
        let cache = stage.cache(disk.clone(), 1, 4);
        disk.always(When::Nth(2), Fault::Error(ErrorKind::InvalidData));
        let error = drain(&stage, cache.announce(0, &[0])).unwrap_err();
        assert!(matches!(error, StoreError::Read { .. }), "{kind:?}: {error}");
        drop(cache.announce(0, &[1]));
        check_all_slots(&stage, &cache);
    }
}

/// Every mode over a file that is longer than one request of any kernel, and whose end is no
/// whole block; then over one that was cut since it was opened.
#[test]
fn every_mode_reads_large_records_and_says_when_a_file_was_cut() {
    for mode in IoMode::ALL {
        let mut stage = large(Kind::Pool);
        stage.files[0].truncate((2200 + 2100) * KIB + 5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        std::fs::write(&path, &stage.files[0]).unwrap();
        let disk: Arc<dyn Disk> = match Files::open(std::slice::from_ref(&path), mode) {
            Ok(files) => Arc::new(files),
            Err(refused @ StoreError::Mode { .. }) => {
                println!("SKIP {refused}");
                continue;
            }
            Err(error) => panic!("{mode}: {error}"),
        };
        for readers in [1, 4] {
            let cache = stage.cache(Arc::clone(&disk), 2, readers);
            let mut found = drain(&stage, cache.announce(0, &[1, 0])).unwrap();
            found.sort_unstable();
            assert_eq!(found, [0, 1], "{mode}, {readers} readers");
        }
        let cache = stage.cache(Arc::clone(&disk), 1, 2);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(3000 * KIB as u64 + 7).unwrap();
        let error = drain(&stage, cache.announce(0, &[1])).unwrap_err().to_string();
        assert!(error.ends_with(" bytes, the file ends there"), "{mode}: {error}");
        assert_eq!(drain(&stage, cache.announce(0, &[0])).unwrap(), [0], "{mode}: still there");
    }
}
