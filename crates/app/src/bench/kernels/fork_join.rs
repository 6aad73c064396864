//! What it costs to give threads a task and to wait for them, when the task is nothing.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use kernels::{Cpu, Kernels, Precision};

use crate::bench::figures::{median, percentile};
use crate::fault::Fault;
use crate::interrupt;

/// Measurements of each kind, and tasks of those without a rest.
const BATCHES: usize = 100;
const TASKS: usize = 200;
/// Long enough that threads have gone to sleep.
const REST: Duration = Duration::from_micros(500);

/// One task, from the call to its return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ForkJoin {
    pub(super) threads: usize,
    /// One task after the other: the median of batches.
    pub(super) seconds: f64,
    /// Of the slowest batches but the last twentieth.
    pub(super) p95: f64,
    /// After threads had nothing to do for a while: the median.
    pub(super) rested_seconds: f64,
}

/// On 1 to `threads` threads.
pub(super) fn measure(
    table: &'static Kernels,
    threads: usize,
    cancel: &AtomicBool,
) -> Result<Vec<ForkJoin>, Fault> {
    let mut all = Vec::new();
    for threads in 1..=threads {
        interrupt::check(cancel)?;
        let cpu = Cpu::new(table, threads, Precision::Fast).map_err(Fault::failed)?;
        let mut items = vec![0_u8; threads];
        let mut tasks = |count: usize| {
            let begun = Instant::now();
            for _ in 0..count {
                cpu.each(&mut items, |_, item| *item = item.wrapping_add(1));
            }
            begun.elapsed().as_secs_f64() / count as f64
        };
        tasks(TASKS);
        let busy: Vec<f64> = (0..BATCHES).map(|_| tasks(TASKS)).collect();
        let rested: Vec<f64> = (0..BATCHES)
            .map(|_| {
                thread::sleep(REST);
                tasks(1)
            })
            .collect();
        let of = |value: Option<f64>| value.ok_or_else(|| Fault::failed("nothing was measured"));
        all.push(ForkJoin {
            threads,
            seconds: of(median(&busy))?,
            p95: of(percentile(&busy, 0.95))?,
            rested_seconds: of(median(&rested))?,
        });
    }
    Ok(all)
}
