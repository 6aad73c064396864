//! `bench disk`: how fast this model's experts can be read, by mode, by reads under way, and by how they lie.

use std::time::Duration;

use serde_json::{Value, json};
use store::probe::Rate;
use store::{Bank, Disk, Extent};

use super::records::measure;
use super::report::{is_cached, markdown};
use crate::cli::DiskArgs;
use crate::fault::Fault;
use crate::open::Checkpoint;
use crate::{interrupt, say};

/// Reads under way at the same time.
const IN_FLIGHT: [usize; 5] = [1, 2, 4, 8, 16];
/// Where whole pieces begin: any file system reads such blocks directly.
const BLOCK_BYTES: u64 = 4096;
/// What is said of figures that the page cache had a part in.
const WARM: &str = "through the page cache: what it holds already does not come from the disk";

/// How records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// As the files have them.
    Record,
    /// Each in one aligned piece of the same size.
    Aligned,
}

impl Pattern {
    const ALL: [Self; 2] = [Self::Record, Self::Aligned];

    fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Aligned => "aligned",
        }
    }
}

struct Row {
    io_mode: &'static str,
    pattern: Pattern,
    extents: usize,
    /// One for each of [`IN_FLIGHT`].
    rates: Vec<Rate>,
}

/// Measures all of it. What goes to stdout comes back.
pub(super) fn disk(args: &DiskArgs) -> Result<String, Fault> {
    let cancel = interrupt::watch()?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let time = Duration::from_secs_f32(args.seconds);
    let mut rows = Vec::new();
    let mut record_bytes = 0;
    for (io_mode, files) in checkpoint.disks() {
        let files = match files {
            Ok(files) => files,
            Err(why) => {
                let why = why.line().unwrap_or("no reason was told");
                say::note(format_args!("{io_mode}: left out, {why}"));
                continue;
            }
        };
        let banks = checkpoint.banks()?;
        record_bytes = banks.first().map_or(0, Bank::record_bytes);
        for pattern in Pattern::ALL {
            let Some(banks) = laid_out(pattern, &banks, &files) else {
                say::note(format_args!(
                    "{}: left out, no file has room for one such piece",
                    pattern.name()
                ));
                continue;
            };
            let extents = banks.first().map_or(0, Bank::extents_per_record);
            let mut rates = Vec::new();
            for in_flight in IN_FLIGHT {
                interrupt::check(cancel)?;
                // Another order each time: what was read just now may lie in a cache.
                let seed = args.seed.wrapping_add((rows.len() * 64 + in_flight) as u64);
                rates.push(measure(&files, &banks, in_flight, time, seed)?);
            }
            rows.push(Row { io_mode, pattern, extents, rates });
        }
    }
    Ok(if args.json {
        format!("{}\n", json(&rows, record_bytes))
    } else {
        table(&rows, record_bytes)
    })
}

/// The banks that have this pattern; `None` where the files are too small for one piece.
fn laid_out(pattern: Pattern, banks: &[Bank], files: &dyn Disk) -> Option<Vec<Bank>> {
    if pattern == Pattern::Record {
        return Some(banks.to_vec());
    }
    let bytes = banks.first()?.record_bytes().next_multiple_of(BLOCK_BYTES);
    let pieces = |file: usize| {
        let pieces = files.file_bytes(file) / bytes;
        (0..pieces).map(move |n| Extent { file, offset: n * bytes, bytes: bytes as usize })
    };
    let extents: Vec<Extent> = (0..files.files()).flat_map(pieces).collect();
    Bank::new(1, extents).ok().map(|bank| vec![bank])
}

fn json(rows: &[Row], record_bytes: u64) -> Value {
    let measured = |row: &Row| -> Vec<Value> {
        let one = |(in_flight, rate): (&usize, &Rate)| {
            json!({
                "io_mode": row.io_mode,
                "pattern": row.pattern.name(),
                "extents": row.extents,
                "in_flight": in_flight,
                "gb_per_s": rate.gb_per_s(),
                "records_per_s": rate.records as f64 / rate.seconds,
                "warm": is_cached(row.io_mode),
            })
        };
        IN_FLIGHT.iter().zip(&row.rates).map(one).collect()
    };
    let best = |pattern: Pattern| {
        let rows = rows.iter().filter(|row| row.pattern == pattern);
        let rates = rows.flat_map(|row| row.rates.iter().map(Rate::gb_per_s));
        rates.max_by(f64::total_cmp)
    };
    json!({
        "record_bytes": record_bytes,
        "disk_ceiling_gb_per_s": best(Pattern::Record),
        "aligned_ceiling_gb_per_s": best(Pattern::Aligned),
        "measured": rows.iter().flat_map(measured).collect::<Vec<Value>>(),
    })
}

fn table(rows: &[Row], record_bytes: u64) -> String {
    let depths: Vec<String> = IN_FLIGHT.iter().map(|depth| format!("{depth} in flight")).collect();
    let mut heads = vec!["io", "pattern", "extents"];
    heads.extend(depths.iter().map(String::as_str));
    let cells = |row: &Row| {
        let mut cells =
            vec![row.io_mode.to_owned(), row.pattern.name().to_owned(), row.extents.to_string()];
        cells.extend(row.rates.iter().map(|rate| format!("{:.2} GB/s", rate.gb_per_s())));
        cells
    };
    let mut out = markdown(&heads, &rows.iter().map(cells).collect::<Vec<_>>());
    out += &format!("\nrecords of {}, at random\n", crate::size::shown(record_bytes));
    let cached: Vec<&str> =
        rows.iter().map(|row| row.io_mode).filter(|mode| is_cached(mode)).collect();
    if let Some(mode) = cached.first() {
        out += &format!("{mode}: {WARM}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use store::testing::MemoryDisk;

    use super::*;

    #[test]
    fn aligned_pieces_are_whole_blocks_inside_the_files() {
        let extents = vec![Extent { file: 0, offset: 7, bytes: 5000 }];
        let banks = [Bank::new(1, extents).expect("a bank of one record")];
        let disk = MemoryDisk::new(vec![vec![1; 20_000], vec![2; 100]]);
        let aligned = laid_out(Pattern::Aligned, &banks, &disk).expect("room for two");
        assert_eq!(aligned[0].records(), 2, "the second file is too small");
        assert_eq!(aligned[0].record(1), [Extent { file: 0, offset: 8192, bytes: 8192 }], "blocks");
        assert_eq!(laid_out(Pattern::Record, &banks, &disk), Some(banks.to_vec()), "as it lies");
        let small = MemoryDisk::new(vec![vec![1; 8000]]);
        assert_eq!(laid_out(Pattern::Aligned, &banks, &small), None, "no room");
        let time = Duration::from_millis(5);
        let rate = measure(&disk, &aligned, 2, time, 1).expect("memory does not fail");
        assert!(rate.records > 0 && rate.bytes == 8192 * rate.records, "whole records: {rate:?}");
    }
}
