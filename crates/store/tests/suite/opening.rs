//! What a cache refuses to be made of: no slots, no readers, extents outside, memory too small.

use std::sync::Arc;

use store::testing::MemoryDisk;
use store::{Bank, Buffer, Cache, Extent, HostMemory, Lru, SlotMemory, StoreError};

use crate::stage::Stage;

/// Gives other slots than it was asked for.
struct Stingy {
    slots_less: usize,
    bytes_less: usize,
}

impl SlotMemory for Stingy {
    fn allocate(&self, slots: usize, slot_bytes: usize) -> Result<Vec<Buffer>, StoreError> {
        let bytes = slot_bytes - self.bytes_less;
        Ok((self.slots_less..slots).map(|_| Buffer::new(vec![0; bytes])).collect())
    }
}

fn open(
    banks: Vec<Bank>,
    memory: &dyn SlotMemory,
    slots: usize,
    readers: usize,
) -> Result<Cache, StoreError> {
    let disk = Arc::new(MemoryDisk::new(vec![vec![0; 100]]));
    Cache::new(disk, banks, memory, slots, Box::new(Lru::new()), readers, None)
}

fn message(
    extent: Extent,
    memory: &dyn SlotMemory,
    slots: usize,
    readers: usize,
) -> Option<String> {
    let bank = Bank::new(1, vec![extent]).unwrap();
    open(vec![bank], memory, slots, readers).err().map(|error| error.to_string())
}

#[test]
fn what_cannot_work_is_refused() {
    let host = &HostMemory;
    let good = Extent { file: 0, offset: 90, bytes: 10 };
    assert_eq!(message(good, host, 2, 1), None, "the good one");
    let cases: [(Extent, &dyn SlotMemory, usize, usize, &str); 8] = [
        (good, host, 0, 1, "found 0 slots, accepted are 1 or more"),
        (good, host, 1, 0, "found 0 readers, accepted are 1 or more"),
        (
            Extent { file: 1, ..good },
            host,
            1,
            1,
            "file 1 is not open, accepted are 0 to 0 (1 files)",
        ),
        (
            Extent { bytes: 11, ..good },
            host,
            1,
            1,
            "memory-0: the file ends at byte 100, 11 bytes at offset 90 lie outside",
        ),
        (
            Extent { offset: u64::MAX, ..good },
            host,
            1,
            1,
            "memory-0: the file ends at byte 100, 10 bytes at offset 18446744073709551615 lie outside",
        ),
        (
            Extent { offset: 101, bytes: 1, ..good },
            host,
            1,
            1,
            "memory-0: the file ends at byte 100, 1 bytes at offset 101 lie outside",
        ),
        (
            good,
            &Stingy { slots_less: 1, bytes_less: 0 },
            2,
            1,
            "slot memory gave 1 slots of at least 64 bytes, expected 2 of 64",
        ),
        (
            good,
            &Stingy { slots_less: 0, bytes_less: 1 },
            2,
            1,
            "slot memory gave 2 slots of at least 63 bytes, expected 2 of 64",
        ),
    ];
    for (extent, memory, slots, readers, expected) in cases {
        assert_eq!(message(extent, memory, slots, readers).as_deref(), Some(expected));
    }
}

#[test]
fn a_cache_of_no_banks_knows_no_record() {
    let cache = open(Vec::new(), &HostMemory, 1, 1).unwrap();
    assert!(cache.announce(0, &[]).next().is_none(), "nothing was announced");
    let error = cache.announce(0, &[0]).next().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::NoSuchRecord { banks: 0, records: 0, .. }), "{error:?}");
}

#[test]
fn unknown_records_are_refused_before_anything_is_read() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 2, 1);
    for (bank, records, record, known) in [(0, &[0, 3][..], 3, 3), (1, &[4], 4, 4), (2, &[0], 0, 0)]
    {
        let mut arrivals = cache.announce(bank, records);
        let error = arrivals.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "bank {bank}, record {record} is unknown, accepted are 2 banks, \
                 and {known} records in this one"
            )
        );
        assert!(arrivals.next().is_none(), "nothing after the error");
    }
    assert_eq!(disk.reads(), 0, "nothing was read");
    assert_eq!(cache.counters(), store::Counters::default(), "nothing was counted");
}
