//! `bench kernels`: how much of the speed of memory each way of multiplying reaches, all in one run.

mod deltanet;
mod fork_join;
mod report;
mod rings;
mod rungs;

use deltanet::Delta;
use fork_join::ForkJoin;
use kernels::{Cpu, Kernels, Precision};
use rungs::Product;

use super::figures::median;
use crate::cli::KernelsArgs;
use crate::fault::Fault;
use crate::interrupt;

/// How often each row takes its turn.
const ROUNDS: usize = 9;
/// The share of a ring that one turn goes through.
const TURN_SHARE: usize = 8;
/// Less memory has no row in it.
const BYTES_MIN: u64 = 1 << 20;
const FORK_JOIN: &str = "fork_join";

/// What one turn did.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    calls: usize,
    bytes: usize,
    seconds: f64,
}

impl Turn {
    fn gb_per_s(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }

    fn call_seconds(&self) -> f64 {
        self.seconds / self.calls as f64
    }
}

/// One row: a kernel on so many threads.
#[derive(Clone, Debug)]
struct Row {
    kernel: &'static str,
    bits: usize,
    threads: usize,
    /// Against f64, before it was timed.
    max_abs_err: f32,
    turns: Vec<Turn>,
}

impl Row {
    fn gb_per_s(&self) -> Vec<f64> {
        self.turns.iter().map(Turn::gb_per_s).collect()
    }

    fn call_seconds(&self) -> Option<f64> {
        median(&self.turns.iter().map(Turn::call_seconds).collect::<Vec<_>>())
    }
}

/// Reading and nothing else, on so many threads.
#[derive(Clone, Debug)]
struct Ceiling {
    threads: usize,
    turns: Vec<Turn>,
}

impl Ceiling {
    fn gb_per_s(&self) -> Option<f64> {
        median(&self.turns.iter().map(Turn::gb_per_s).collect::<Vec<_>>())
    }
}

/// All that was measured.
#[derive(Clone, Debug)]
struct Measured {
    isa: String,
    /// Of one ring.
    ring_bytes: u64,
    /// One thread, then all; the same where all are one. Empty if no row needs it.
    ceilings: Vec<Ceiling>,
    rows: Vec<Row>,
    fork_join: Vec<ForkJoin>,
}

/// Measures all of it. What goes to stdout comes back.
pub(super) fn kernels(args: &KernelsArgs) -> Result<String, Fault> {
    let cancel = interrupt::watch()?;
    let table = table(args.isa.as_deref())?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or_else(cores, usize::from);
    let ring_bytes = args.bytes.bytes(None).filter(|bytes| *bytes >= BYTES_MIN);
    let ring_bytes = ring_bytes.ok_or_else(|| {
        Fault::command_line("--bytes: accepted: a number of bytes from 1MiB on, such as 1GiB")
    })?;
    let chosen = |name: &str| args.only.as_deref().is_none_or(|only| name.starts_with(only));
    let products: Vec<Product> = Product::all().filter(|p| chosen(p.name())).collect();
    let deltas: Vec<Delta> = Delta::ALL.into_iter().filter(|d| chosen(d.name())).collect();
    let fork_join = chosen(FORK_JOIN);
    if products.is_empty() && deltas.is_empty() && !fork_join {
        return Err(unknown(args.only.as_deref().unwrap_or_default()));
    }
    let mut found = Measured {
        isa: table.isa().to_string(),
        ring_bytes,
        ceilings: Vec::new(),
        rows: Vec::new(),
        fork_join: Vec::new(),
    };
    if !products.is_empty() || !deltas.is_empty() {
        let mut counts = vec![1, threads];
        counts.dedup();
        let cpus: Result<Vec<Cpu>, _> =
            counts.iter().map(|n| Cpu::new(table, *n, Precision::Fast)).collect();
        let cpus = cpus.map_err(Fault::failed)?;
        (found.ceilings, found.rows) = rungs::measure(&products, &cpus, ring_bytes, cancel)?;
        found.rows.extend(deltanet::measure(&deltas, &cpus, ring_bytes, cancel)?);
    }
    if fork_join {
        found.fork_join = fork_join::measure(table, threads, cancel)?;
    }
    Ok(if args.json { format!("{}\n", report::json(&found)) } else { report::table(&found) })
}

fn table(name: Option<&str>) -> Result<&'static Kernels, Fault> {
    let Some(name) = name else { return Ok(Kernels::best()) };
    Kernels::named(name).ok_or_else(|| {
        let names: Vec<String> =
            Kernels::available().iter().map(|table| table.isa().to_string()).collect();
        Fault::command_line(format!("--isa {name}: accepted here: {}", names.join(", ")))
    })
}

fn unknown(only: &str) -> Fault {
    let names = Product::all().map(Product::name).chain(Delta::ALL.map(Delta::name));
    let names: Vec<&str> = names.chain([FORK_JOIN]).collect();
    Fault::command_line(format!("--only {only}: accepted: beginnings of {}", names.join(", ")))
}

/// Refuses what is not near the truth, and says how near it is.
fn checked(
    kernel: &str,
    threads: usize,
    found: &[f32],
    truth: &[f64],
    bound: f32,
) -> Result<f32, Fault> {
    let errors = found.iter().zip(truth).map(|(found, truth)| (f64::from(*found) - truth).abs());
    // In the total order a NaN is above all numbers.
    let error = errors.max_by(f64::total_cmp).unwrap_or(0.0);
    match found.len() == truth.len() && error <= f64::from(bound) {
        true => Ok(error as f32),
        false => Err(Fault::failed(format!(
            "{kernel} on {threads} threads: differs from f64 by {error:e}, accepted: {bound:e}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_not_timed() {
        assert_eq!(checked("k", 1, &[1.0, 2.25], &[1.0, 2.0], 0.25), Ok(0.25), "near enough");
        for wrong in [[1.0, 2.5], [1.0, f32::NAN], [f32::NAN, 2.0], [f32::INFINITY, 2.0]] {
            let told = checked("k", 1, &wrong, &[1.0, 2.0], 0.25);
            assert!(told.is_err(), "{wrong:?}: {told:?}");
        }
        assert!(checked("k", 1, &[1.0], &[1.0, 2.0], 0.25).is_err(), "too short");
    }

    #[test]
    fn a_turn_is_bytes_by_time() {
        let turn = Turn { calls: 4, bytes: 2_000_000_000, seconds: 0.5 };
        assert!((turn.gb_per_s() - 4.0).abs() < 1e-12, "2 GB in half a second: {turn:?}");
        assert!((turn.call_seconds() - 0.125).abs() < 1e-12, "four calls: {turn:?}");
    }
}
