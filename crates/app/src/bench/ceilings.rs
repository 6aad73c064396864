//! What the machine can do at best: bytes a second from memory and from the disk.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Cpu, Kernels, Precision, ladder};
use store::{HostMemory, SlotMemory as _};

use crate::fault::Fault;

/// More memory than any cache of a processor holds.
const BUFFER_BYTES_MAX: u64 = 1 << 30;
/// The share of the budget that may be borrowed while no model is loaded.
const BUDGET_SHARE: u64 = 4;
/// Each pass over the buffer reads at least so much, so that its start does not count.
const PASS_BYTES: u64 = 256 << 20;
/// Passes, of which the best counts.
const PASSES: usize = 5;

/// A buffer of so many times the largest cache is hardly held by it.
const CACHE_TIMES: u64 = 4;

/// Speed of memory as reading threads find it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ram {
    pub(crate) gb_per_s: f64,
    pub(crate) buffer_bytes: u64,
}

/// The processor's largest cache where a buffer is too small to tell memory from it.
pub(crate) fn cache_above(buffer_bytes: u64) -> Option<u64> {
    let path = "/sys/devices/system/cpu/cpu0/cache/index3/size";
    let cache_bytes = cache_bytes(&std::fs::read_to_string(path).ok()?)?;
    (buffer_bytes < CACHE_TIMES * cache_bytes).then_some(cache_bytes)
}

/// A size as Linux writes those of caches: `32768K`.
fn cache_bytes(text: &str) -> Option<u64> {
    let kibibytes: u64 = text.trim().strip_suffix('K')?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Reads memory on as many threads as calculate, in pages like those of the engine's slots and as
/// `bench kernels` reads it. The buffer is given back before this returns.
///
/// # Errors
/// When the system has no memory for it.
pub(crate) fn ram(threads: usize, budget_bytes: u64) -> Result<Ram, Fault> {
    let bytes = (budget_bytes / BUDGET_SHARE).clamp(1, BUFFER_BYTES_MAX);
    let mut buffer = HostMemory.allocate(1, bytes as usize).map_err(|error| {
        Fault::failed(format!("no memory to measure its speed in ({bytes} bytes): {error}"))
    })?;
    let buffer = &mut *buffer[0];
    buffer.fill(1);
    let cpu = Cpu::new(Kernels::best(), threads, Precision::Fast).map_err(Fault::failed)?;
    let rounds = PASS_BYTES.div_ceil(bytes);
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        let begun = Instant::now();
        for _ in 0..rounds {
            black_box(ladder::read(&cpu, black_box(buffer)));
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(Ram { gb_per_s: (bytes * rounds) as f64 / best / 1e9, buffer_bytes: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_speed_on_any_number_of_threads() {
        for threads in [1, 3] {
            let found = ram(threads, 4 << 20).expect("a mebibyte is there");
            assert!(found.gb_per_s > 0.0 && found.gb_per_s.is_finite(), "{found:?}");
            assert!(found.buffer_bytes <= 1 << 20, "a quarter of the budget: {found:?}");
        }
    }

    #[test]
    fn sizes_of_caches_are_read() {
        assert_eq!(cache_bytes("32768K\n"), Some(32 << 20), "as Linux writes it");
        for text in ["", "K", "-1K", "12M", "99999999999999999999K", "18446744073709551615K"] {
            assert_eq!(cache_bytes(text), None, "{text}");
        }
    }
}
