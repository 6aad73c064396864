//! What the machine can do at best: bytes a second from memory and from the disk.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::fault::Fault;

/// More memory than any cache of a processor holds.
const BUFFER_BYTES_MAX: u64 = 1 << 30;
/// The share of the budget that may be borrowed while no model is loaded.
const BUDGET_SHARE: u64 = 4;
/// Each pass over the buffer reads at least so much, so that its start does not count.
const PASS_BYTES: u64 = 256 << 20;
/// Passes, of which the best counts.
const PASSES: usize = 5;
/// Sums that run beside each other: enough to keep loads under way.
const LANES: usize = 32;

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

/// Reads memory on as many threads as calculate. The buffer is given back before this returns.
///
/// # Errors
/// When the system has no memory for it.
pub(crate) fn ram(threads: usize, budget_bytes: u64) -> Result<Ram, Fault> {
    let bytes = (budget_bytes / BUDGET_SHARE).min(BUFFER_BYTES_MAX);
    let part = (bytes as usize / size_of::<u64>() / threads).max(LANES);
    let mut buffer: Vec<u64> = Vec::new();
    buffer.try_reserve_exact(part * threads).map_err(|error| {
        Fault::failed(format!("no memory to measure its speed in ({bytes} bytes): {error}"))
    })?;
    buffer.resize(part * threads, 1);
    let buffer_bytes = (buffer.len() * size_of::<u64>()) as u64;
    let rounds = PASS_BYTES.div_ceil(buffer_bytes);
    let barrier = Barrier::new(threads);
    let clocks: Vec<Vec<(Instant, Instant)>> = thread::scope(|scope| {
        let parts = buffer.chunks(part);
        let workers: Vec<_> =
            parts.map(|part| scope.spawn(|| passes(part, rounds, &barrier))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let seconds = |pass: usize| {
        let begun = clocks.iter().map(|times| times[pass].0).min()?;
        let ended = clocks.iter().map(|times| times[pass].1).max()?;
        Some((ended - begun).as_secs_f64())
    };
    let best = (0..PASSES).filter_map(seconds).fold(f64::INFINITY, f64::min);
    Ok(Ram { gb_per_s: (buffer_bytes * rounds) as f64 / best / 1e9, buffer_bytes })
}

/// When each pass of one thread began and ended.
fn passes(part: &[u64], rounds: u64, barrier: &Barrier) -> Vec<(Instant, Instant)> {
    let pass = |_| {
        barrier.wait();
        let begun = Instant::now();
        for _ in 0..rounds {
            black_box(sum(black_box(part)));
        }
        (begun, Instant::now())
    };
    (0..PASSES).map(pass).collect()
}

/// The plainest loop that waits for nothing but memory.
fn sum(words: &[u64]) -> u64 {
    let (blocks, rest) = words.as_chunks::<LANES>();
    let mut sums = [0_u64; LANES];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |sum, word| sum.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        for count in [0, 1, LANES - 1, LANES, 3 * LANES + 5] {
            let words: Vec<u64> = (1..=count as u64).collect();
            assert_eq!(sum(&words), (count * (count + 1) / 2) as u64, "{count} words");
        }
    }

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
