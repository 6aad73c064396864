//! Whole records read at random without a pause: what the disk gives at this model's pattern.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use store::{Bank, Disk};

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
    let extents = |bank: &Bank| bank.record(0).iter().map(|extent| extent.bytes).max();
    let extent_bytes = banks.iter().filter_map(extents).max().unwrap_or(1);
    // One piece, which the system takes back when it is dropped.
    let mut memory = vec![1; extent_bytes * in_flight];
    let start = Instant::now();
    let read = |reader: usize, into: &mut [u8]| {
        let mut random = Random::new(seed.wrapping_mul(0x1_0001).wrapping_add(reader as u64));
        while !stop.load(Ordering::Relaxed) && start.elapsed() < time {
            let bank = &banks[random.below(banks.len())];
            for extent in bank.record(random.below(bank.records())) {
                let into = &mut into[..extent.bytes];
                if let Err(error) = disk.read_at(extent.file, extent.offset, into) {
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
        for (reader, into) in memory.chunks_mut(extent_bytes).enumerate() {
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
