//! Whole records read at random without a pause: what the disk gives at this model's pattern.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use store::{Bank, Disk, Extent};

use crate::bench::feed::Random;
use crate::fault::Fault;

/// What was read, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) seconds: f64,
}

impl Rate {
    pub(crate) fn gb_per_s(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }
}

/// Reads records of `banks` for so long, `in_flight` of them at the same time, into memory for one
/// extent each.
///
/// # Errors
/// What the disk says.
pub(crate) fn measure(
    disk: &dyn Disk,
    banks: &[Bank],
    in_flight: usize,
    time: Duration,
    seed: u64,
) -> Result<Rate, Fault> {
    let (stop, bytes, records) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let failed: Mutex<Option<Fault>> = Mutex::new(None);
    let align = disk.align();
    let extents = |bank: &Bank| bank.record(0).iter().map(|extent| extent.bytes).max();
    let extent_bytes = banks.iter().filter_map(extents).max().unwrap_or(1);
    // At worst an extent begins at the last byte of a block.
    let room_bytes = (extent_bytes + align).next_multiple_of(align);
    // One piece, which the system takes back when it is dropped.
    let mut memory = vec![1_u8; room_bytes * in_flight + align];
    let skipped = memory.as_ptr().align_offset(align);
    let memory = &mut memory[skipped..][..room_bytes * in_flight];
    let start = Instant::now();
    let read = |reader: usize, into: &mut [u8]| {
        let mut random = Random::new(seed.wrapping_mul(0x1_0001).wrapping_add(reader as u64));
        while !stop.load(Ordering::Relaxed) && start.elapsed() < time {
            let bank = &banks[random.below(banks.len())];
            for extent in bank.record(random.below(bank.records())) {
                let (offset, rounded) = rounded(disk, extent);
                if let Err(error) = disk.read_at(extent.file, offset, &mut into[..rounded]) {
                    let fault = Fault::failed(format!("{}: {error}", disk.name(extent.file)));
                    *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(fault);
                    stop.store(true, Ordering::Relaxed);
                    return;
                }
                bytes.fetch_add(extent.bytes as u64, Ordering::Relaxed);
            }
            records.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for (reader, into) in memory.chunks_mut(room_bytes).enumerate() {
            let read = &read;
            scope.spawn(move || read(reader, into));
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(fault) => Err(fault),
        None => Ok(Rate { bytes: bytes.into_inner(), records: records.into_inner(), seconds }),
    }
}

/// Where a read of the extent begins, and how many bytes it has: outwards to what the disk reads
/// at once, but not past the end of the file.
fn rounded(disk: &dyn Disk, extent: &Extent) -> (u64, usize) {
    let align = disk.align() as u64;
    let begin = extent.offset / align * align;
    let end = (extent.offset + extent.bytes as u64).next_multiple_of(align);
    (begin, (end.min(disk.file_bytes(extent.file)).max(begin) - begin) as usize)
}

#[cfg(test)]
mod tests {
    use store::testing::MemoryDisk;

    use super::*;

    #[test]
    fn reads_are_rounded_to_what_the_disk_reads() {
        let extents = vec![
            Extent { file: 0, offset: 7, bytes: 5000 },
            Extent { file: 0, offset: 15_000, bytes: 5000 },
        ];
        let banks = [Bank::new(1, extents.clone()).expect("two records")];
        let disk = MemoryDisk::new(vec![vec![1; 20_000]]).with_align(4096);
        assert_eq!(rounded(&disk, &extents[0]), (0, 8192), "outwards");
        assert_eq!(rounded(&disk, &extents[1]), (12_288, 7712), "not past the end");
        let rate = measure(&disk, &banks, 3, Duration::from_millis(5), 1).expect("aligned reads");
        assert!(rate.records > 0 && rate.bytes == 5000 * rate.records, "own bytes: {rate:?}");
        assert!(rate.gb_per_s() > 0.0, "{rate:?}");
    }

    #[test]
    fn what_the_disk_says_ends_it() {
        let extent = Extent { file: 0, offset: 20, bytes: 60 };
        let banks = [Bank::new(1, vec![extent]).expect("a record")];
        let disk = MemoryDisk::new(vec![vec![1; 100]]);
        let faulty = store::testing::FaultyDisk::over(std::sync::Arc::new(disk));
        let error = store::testing::Fault::Error(std::io::ErrorKind::TimedOut);
        faulty.always(store::testing::When::Always, error);
        let fault = measure(&faulty, &banks, 2, Duration::from_secs(60), 1).expect_err("broken");
        assert!(fault.line().is_some_and(|line| line.contains("memory-0")), "{fault:?}");
    }
}
