//! How experts are read: as the command line says, or in the mode that was fastest on this disk.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};
use model::Opened;
use serde_json::{Value, json};
use store::IoMode;
use store::probe::{Tried, Verdict};

use crate::cli;
use crate::fault::Fault;
use crate::say;

/// How long each mode is tried.
const PROBE: Duration = Duration::from_millis(300);
/// Of the files that keep what was measured; other versions are measured again.
const VERSION: u64 = 2;

/// A mode that the files can be read in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) mode: IoMode,
    /// What this disk gave in this mode, 10^9 bytes of records a second; `None` if not measured.
    pub(crate) gb_per_s: Option<f64>,
    /// What it would give if each expert were one aligned piece, as `repack` makes them; `None` if
    /// not measured.
    pub(crate) one_piece_gb_per_s: Option<f64>,
    /// Why this mode, and what the others gave.
    pub(crate) reason: String,
}

impl Reading {
    fn unmeasured(mode: IoMode, reason: String) -> Self {
        Self { mode, gb_per_s: None, one_piece_gb_per_s: None, reason }
    }
}

/// The mode for `wished`, with at most `in_flight` reads at the same time.
pub(super) fn choose(
    opened: &Opened,
    wished: cli::IoMode,
    in_flight: usize,
) -> Result<Reading, Fault> {
    let asked = |mode| Reading::unmeasured(mode, "as --io says".to_owned());
    let reading = match wished {
        // The page cache would hold what layers share once and flatter every figure.
        cli::IoMode::Auto if opened.distinct_layers() < opened.config().layers() => {
            Reading::unmeasured(
                IoMode::Uring,
                "layers share bytes that a page cache would keep".into(),
            )
        }
        cli::IoMode::Auto => fastest(opened, in_flight)?,
        cli::IoMode::Uring => asked(IoMode::Uring),
        cli::IoMode::Direct => asked(IoMode::Direct),
        cli::IoMode::Buffered => asked(IoMode::Buffered),
        cli::IoMode::Mmap => asked(IoMode::Mmap),
    };
    let (mode, note) = opened.settle_io(reading.mode).map_err(Fault::failed)?;
    match note {
        None => Ok(reading),
        Some(note) => {
            say::note(&note);
            Ok(Reading::unmeasured(mode, note))
        }
    }
}

/// What was measured on this disk before, or is measured now and kept.
fn fastest(opened: &Opened, in_flight: usize) -> Result<Reading, Fault> {
    let path = opened.io_pattern().map_err(Fault::failed)?.and_then(|pattern| place(&pattern));
    if let Some(known) = path.as_deref().and_then(kept) {
        return Ok(known);
    }
    // Another order of records every time, for a disk may remember them.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = since.as_nanos() as u64;
    let verdict = opened.probe_io(in_flight, PROBE, seed).map_err(Fault::failed)?;
    let mut reading = told(&verdict);
    if !verdict.tried.is_empty() {
        let rate = opened.probe_one_piece(reading.mode, in_flight, PROBE, seed);
        let rate = rate.map_err(Fault::failed)?;
        reading.one_piece_gb_per_s = rate.map(|rate| rate.gb_per_s());
    }
    if let Some(path) = path.filter(|_| !verdict.tried.is_empty())
        && let Err(error) = keep(&path, &reading)
    {
        say::note(format_args!(
            "{}: what was measured cannot be kept: {error}; it is measured again next time",
            path.display()
        ));
    }
    Ok(reading)
}

/// The file for a pattern; `None` on a system without a directory for caches.
fn place(pattern: &str) -> Option<PathBuf> {
    let caches = choose_native_strategy().ok()?.cache_dir();
    Some(caches.join("flash-moe").join("io").join(format!("{pattern}.json")))
}

fn told(verdict: &Verdict) -> Reading {
    let mut reason = verdict.reason.clone();
    for (n, Tried { mode, rate }) in verdict.tried.iter().enumerate() {
        let joint = if n == 0 { ": " } else { ", " };
        let _ = match rate {
            Ok(rate) => write!(reason, "{joint}{mode} {:.2} GB/s", rate.gb_per_s()),
            Err(why) => write!(reason, "{joint}{why}"),
        };
    }
    let chosen = verdict.tried.iter().find(|tried| tried.mode == verdict.mode);
    let rate = chosen.and_then(|tried| tried.rate.as_ref().ok());
    Reading {
        gb_per_s: rate.map(|rate| rate.gb_per_s()),
        ..Reading::unmeasured(verdict.mode, reason)
    }
}

/// The file appears under its name only when it is whole.
fn keep(path: &Path, reading: &Reading) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let value = json!({
        "version": VERSION,
        "mode": reading.mode.name(),
        "gb_per_s": reading.gb_per_s,
        "one_piece_gb_per_s": reading.one_piece_gb_per_s,
        "reason": reading.reason,
    });
    let file = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(file.path(), format!("{value}\n"))?;
    file.persist(path)?;
    Ok(())
}

/// What a file keeps; `None` if there is none, it is broken, or of another version.
fn kept(path: &Path) -> Option<Reading> {
    let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    if value["version"] != VERSION {
        return None;
    }
    let mode = IoMode::named(value["mode"].as_str()?)?;
    let reason = value["reason"].as_str()?;
    if reason.chars().any(char::is_control) {
        return None;
    }
    Some(Reading {
        gb_per_s: Some(value["gb_per_s"].as_f64()?),
        one_piece_gb_per_s: value["one_piece_gb_per_s"].as_f64(),
        ..Reading::unmeasured(mode, reason.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use store::probe::Rate;

    use super::*;

    #[test]
    fn what_was_measured_is_kept_until_it_is_broken_or_old() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("io/801-9x1769472.json");
        assert_eq!(kept(&path), None, "nothing was measured yet");
        let reason = "no other was faster".to_owned();
        let reading = Reading {
            mode: IoMode::Direct,
            gb_per_s: Some(1.5),
            one_piece_gb_per_s: Some(2.25),
            reason,
        };
        for _ in 0..2 {
            keep(&path, &reading).expect("it can be written, and again");
            assert_eq!(kept(&path).as_ref(), Some(&reading), "as it was");
        }
        let good = fs::read_to_string(&path).expect("it is there");
        for (from, to) in [
            ("\"version\":2", "\"version\":1"),
            ("\"version\":2,", ""),
            ("direct", "telepathy"),
            ("1.5", "null"),
            ("1.5", "\"fast\""),
            ("other", "\\n"),
            ("}", ""),
        ] {
            let broken = good.replace(from, to);
            assert_ne!(broken, good, "{from} is there");
            fs::write(&path, broken).expect("it can be written");
            assert_eq!(kept(&path), None, "{to:?} for {from:?}");
        }
        let folder = fs::read_dir(folder.path().join("io")).expect("it is there");
        assert_eq!(folder.count(), 1, "nothing else is left behind");
    }

    #[test]
    fn the_reason_has_all_numbers() {
        let rate = |bytes| Ok(Rate { bytes, seconds: 2.0, ..Rate::default() });
        let verdict = Verdict {
            mode: IoMode::Direct,
            tried: vec![
                Tried { mode: IoMode::Uring, rate: Err("io_uring: refused".to_owned()) },
                Tried { mode: IoMode::Direct, rate: rate(3_000_000_000) },
                Tried { mode: IoMode::Buffered, rate: rate(1_000_000_000) },
            ],
            reason: "because".to_owned(),
        };
        let reading = told(&verdict);
        assert_eq!(reading.gb_per_s, Some(1.5), "of the mode that is used");
        let want = "because: io_uring: refused, direct 1.50 GB/s, buffered 0.50 GB/s";
        assert_eq!(reading.reason, want);
        let verdict = Verdict { mode: IoMode::Buffered, tried: Vec::new(), ..verdict };
        let reading = told(&verdict);
        assert_eq!((reading.gb_per_s, &*reading.reason), (None, "because"), "{reading:?}");
    }
}
