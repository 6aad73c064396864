//! What was measured of kernels: one line of JSON, or tables with what stands behind them.

use serde_json::{Value, json};

use super::deltanet::Delta;
use super::{Measured, Row};
use crate::bench::ceilings::cache_above;
use crate::bench::figures::{deviation, median};
use crate::bench::report::markdown;
use crate::size::shown;

/// The share of the ceiling of as many threads.
fn fraction(found: &Measured, row: &Row) -> Option<f64> {
    let ceiling = found.ceilings.iter().find(|ceiling| ceiling.threads == row.threads)?;
    Some(median(&row.gb_per_s())? / ceiling.gb_per_s()?)
}

/// How many times as fast as the plain loop on as many threads: for forms of the delta rule.
fn times_scalar(found: &Measured, row: &Row) -> Option<f64> {
    Delta::ALL.iter().find(|form| form.name() == row.kernel)?;
    let plain = |other: &&Row| other.kernel == Delta::Scalar.name() && other.threads == row.threads;
    Some(found.rows.iter().find(plain)?.call_seconds()? / row.call_seconds()?)
}

pub(super) fn json(found: &Measured) -> Value {
    let row = |row: &Row| {
        let rates = row.gb_per_s();
        json!({
            "kernel": row.kernel,
            "bits": row.bits,
            "threads": row.threads,
            "gb_per_s": median(&rates),
            "fraction_of_ceiling": fraction(found, row),
            "max_abs_err": row.max_abs_err,
            "gb_per_s_deviation": deviation(&rates),
            "seconds": row.call_seconds(),
            "times_scalar": times_scalar(found, row),
        })
    };
    let ceiling = |at: Option<&super::Ceiling>| at.and_then(super::Ceiling::gb_per_s);
    let fork_join = found.fork_join.iter().map(|task| {
        json!({
            "threads": task.threads,
            "seconds": task.seconds,
            "p95": task.p95,
            "rested_seconds": task.rested_seconds,
        })
    });
    json!({
        "ram_gb_per_s_1": ceiling(found.ceilings.first()),
        "ram_gb_per_s_all": ceiling(found.ceilings.last()),
        "isa": found.isa,
        "kernels": found.rows.iter().map(row).collect::<Vec<Value>>(),
        "fork_join": fork_join.collect::<Vec<Value>>(),
        "ring_bytes": found.ring_bytes,
        "rounds": super::ROUNDS,
    })
}

pub(super) fn table(found: &Measured) -> String {
    let mut out = String::new();
    if !found.rows.is_empty() {
        let heads = [
            "kernel",
            "bits",
            "threads",
            "GB/s",
            "of reading",
            "µs a call",
            "x scalar",
            "largest error",
        ];
        let rows: Vec<Vec<String>> = found.rows.iter().map(|row| cells(found, row)).collect();
        out += &markdown(&heads, &rows);
        out.push('\n');
    }
    for ceiling in &found.ceilings {
        let rates: Vec<f64> = ceiling.turns.iter().map(super::Turn::gb_per_s).collect();
        out += &format!(
            "reading alone, {} threads: {:.2} ± {:.2} GB/s\n",
            ceiling.threads,
            ceiling.gb_per_s().unwrap_or(0.0),
            deviation(&rates),
        );
    }
    if !found.ceilings.is_empty() {
        out += &format!(
            "{}, {} rounds in turn over {} of each kind\n",
            found.isa,
            super::ROUNDS,
            shown(found.ring_bytes),
        );
        if let Some(cache_bytes) = cache_above(found.ring_bytes) {
            out += &format!(
                "the processor's cache of {} may hold part of that: more --bytes tell\n",
                shown(cache_bytes),
            );
        }
    }
    for task in &found.fork_join {
        out += &format!(
            "an empty task on {} threads: {:.2} µs (p95 {:.2}), {:.2} µs after a rest\n",
            task.threads,
            1e6 * task.seconds,
            1e6 * task.p95,
            1e6 * task.rested_seconds,
        );
    }
    out
}

fn cells(found: &Measured, row: &Row) -> Vec<String> {
    let rates = row.gb_per_s();
    let digits = |value: Option<f64>, scale: f64, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{:.digits$}", scale * value))
    };
    vec![
        row.kernel.to_owned(),
        row.bits.to_string(),
        row.threads.to_string(),
        format!("{} ± {:.2}", digits(median(&rates), 1.0, 2), deviation(&rates)),
        format!("{} %", digits(fraction(found, row), 100.0, 0)),
        digits(row.call_seconds(), 1e6, 1),
        digits(times_scalar(found, row), 1.0, 2),
        format!("{:.1e}", row.max_abs_err),
    ]
}
