//! Which mode reads the records of these very files fastest.

use std::time::Duration;

use super::{Measure, Rate, Sequence, measure};
use crate::{Bank, Extent, Files, IoMode, StoreError};

/// With fewer bytes in records nothing is measured: the page cache will have them soon.
const WORTH_BYTES: u64 = 512 << 20;
/// The modes that are tried. A later one must be faster than an earlier one by the margin: what
/// reads past the page cache leaves memory to those who ask for it, and less work to the processor.
const CANDIDATES: [IoMode; 3] = [IoMode::Uring, IoMode::Direct, IoMode::Buffered];
const MARGIN: f64 = 1.05;
/// Each mode has so many turns, and its best one counts: others use the disk too.
const TURNS: usize = 2;
/// What one turn reads at most.
const TURN_BYTES: u64 = 2 << 30;

/// What became of a mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub mode: IoMode,
    /// Or a line that says why it cannot be had.
    pub rate: Result<Rate, String>,
}

/// The mode to read with, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub mode: IoMode,
    /// Empty when it was clear without measuring.
    pub tried: Vec<Tried>,
    pub reason: String,
}

/// Reads records of the files in every mode, `time` each, and chooses. What lies in the page cache
/// is thrown out of it before, as far as it is going to be read.
///
/// # Errors
/// A file that cannot be opened, or a read that fails; a mode that is refused is no error.
pub fn choose(
    catalog: &format::Catalog,
    banks: &[Bank],
    in_flight: usize,
    time: Duration,
    seed: u64,
) -> Result<Verdict, StoreError> {
    let bytes: u64 = banks.iter().map(|bank| bank.record_bytes() * bank.records() as u64).sum();
    if bytes < WORTH_BYTES {
        let reason = format!("{} MiB of records are not worth a measurement", bytes >> 20);
        return Ok(Verdict { mode: IoMode::Buffered, tried: Vec::new(), reason });
    }
    Ok(judge(try_all(catalog, banks, in_flight, time, seed)?))
}

fn try_all(
    catalog: &format::Catalog,
    banks: &[Bank],
    in_flight: usize,
    time: Duration,
    seed: u64,
) -> Result<Vec<Tried>, StoreError> {
    let mut opened = Vec::new();
    for mode in CANDIDATES {
        opened.push((
            mode,
            match Files::of(catalog, mode) {
                Ok(files) => Ok((files, Rate::default())),
                Err(refused @ StoreError::Mode { .. }) => Err(refused.to_string()),
                Err(error) => return Err(error),
            },
        ));
    }
    let limits = Measure { in_flight, time: time / TURNS as u32 };
    let turns = Sequence::new(banks, seed).divide(TURNS * CANDIDATES.len());
    for (turn, mut sequence) in turns.into_iter().enumerate() {
        let (mode, Ok((files, best))) = &mut opened[turn % CANDIDATES.len()] else { continue };
        sequence.shorten(banks, TURN_BYTES);
        let cold = files.forget(extents(banks, &sequence));
        if !cold && *mode == IoMode::Buffered {
            // What came from memory says nothing of the disk.
            continue;
        }
        let rate = measure(files, banks, &mut sequence, &limits)?;
        if rate.gb_per_s() > best.gb_per_s() {
            *best = rate;
        }
    }
    let tried =
        |(mode, outcome): (_, Result<_, _>)| Tried { mode, rate: outcome.map(|(_, rate)| rate) };
    Ok(opened.into_iter().map(tried).collect())
}

fn extents<'a>(banks: &'a [Bank], sequence: &'a Sequence) -> impl Iterator<Item = &'a Extent> {
    sequence.records().iter().flat_map(|&(bank, record)| banks[bank].record(record))
}

/// The first mode that no later one beats by the margin.
fn judge(tried: Vec<Tried>) -> Verdict {
    let mut best: Option<(IoMode, f64)> = None;
    for Tried { mode, rate } in &tried {
        let Ok(rate) = rate.as_ref().map(Rate::gb_per_s) else { continue };
        if best.is_none_or(|(_, before)| rate > before * MARGIN) {
            best = Some((*mode, rate));
        }
    }
    // Every system reads through the page cache.
    let mode = best.map_or(IoMode::Buffered, |(mode, _)| mode);
    Verdict { mode, tried, reason: "no other was faster by 5 %".to_owned() }
}

/// A short name of the disk that the records lie on, and of what a record is. `None` where the
/// system does not name its disks, or without banks.
///
/// # Errors
/// [`StoreError::Open`] when the file is not there any more.
pub fn pattern(catalog: &format::Catalog, banks: &[Bank]) -> Result<Option<String>, StoreError> {
    let Some(bank) = banks.first() else { return Ok(None) };
    let Some(file) = catalog.files.get(bank.record(0)[0].file) else { return Ok(None) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let found = std::fs::metadata(&file.path);
        let device = found.map_err(|error| {
            let (path, error) = (file.path.clone(), std::sync::Arc::new(error));
            StoreError::Open { path, error }
        })?;
        let (extents, bytes) = (bank.extents_per_record(), bank.record_bytes());
        Ok(Some(format!("{:x}-{extents}x{bytes}", device.dev())))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(None)
    }
}

/// The banks as if each record were one aligned extent, somewhere in the same file: what a disk
/// gives when records lie together. Banks in files that hold no whole record are left out.
pub fn as_one_extent(disk: &dyn crate::Disk, banks: &[Bank]) -> Vec<Bank> {
    let bank = |bank: &Bank| {
        let file = bank.record(0)[0].file;
        let bytes = usize::try_from(bank.record_bytes()).ok()?;
        let step = bytes.next_multiple_of(disk.align().max(4096)) as u64;
        let records = bank.records().min((disk.file_bytes(file) / step) as usize);
        let extent = |n| Extent { file, offset: n as u64 * step, bytes };
        Bank::new(1, (0..records).map(extent).collect()).ok()
    };
    banks.iter().filter_map(bank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rates: [Option<f64>; 3]) -> Vec<Tried> {
        let rate = |gb: f64| Rate { bytes: (gb * 1e9) as u64, seconds: 1.0, ..Rate::default() };
        let rates = rates.map(|gb| gb.map(rate).ok_or_else(|| "refused".to_owned()));
        let both = CANDIDATES.into_iter().zip(rates);
        both.map(|(mode, rate)| Tried { mode, rate }).collect()
    }

    #[test]
    fn a_later_mode_must_be_clearly_faster() {
        for (rates, mode) in [
            ([Some(1.0), Some(1.04), Some(1.0)], IoMode::Uring),
            ([Some(1.0), Some(1.06), Some(1.1)], IoMode::Direct),
            ([Some(1.0), Some(1.04), Some(1.06)], IoMode::Buffered),
            ([None, Some(1.0), Some(1.04)], IoMode::Direct),
            ([None, None, Some(0.1)], IoMode::Buffered),
            ([None, Some(0.0), Some(0.0)], IoMode::Direct),
            ([None, None, None], IoMode::Buffered),
        ] {
            assert_eq!(judge(tried(rates)).mode, mode, "{rates:?}");
        }
    }

    /// A catalog of one file with one tensor of so many bytes, and its bytes as a bank.
    fn checkpoint(bytes: usize, records: usize) -> (tempfile::TempDir, format::Catalog, Bank) {
        let folder = tempfile::tempdir().unwrap();
        let header =
            format!(r#"{{"t":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
        let mut content = (header.len() as u64).to_le_bytes().to_vec();
        content.extend(header.as_bytes());
        content.extend(vec![7; bytes]);
        std::fs::write(folder.path().join("model.safetensors"), content).unwrap();
        let catalog = format::Catalog::open(folder.path()).unwrap();
        let each = bytes / records;
        let start = catalog.get("t").unwrap().offset;
        let extent = |n| Extent { file: 0, offset: start + (n * each) as u64, bytes: each };
        let bank = Bank::new(1, (0..records).map(extent).collect()).unwrap();
        (folder, catalog, bank)
    }

    #[test]
    fn every_mode_is_tried_on_the_files_themselves() {
        let (_folder, catalog, bank) = checkpoint(3 << 20, 100);
        let time = Duration::from_secs(5);
        for tried in try_all(&catalog, &[bank], 3, time, 1).unwrap() {
            match tried.rate {
                // Each turn has a sixth of the records.
                Ok(rate) => assert!((16..=17).contains(&rate.records), "{}: {rate:?}", tried.mode),
                Err(why) => println!("SKIP {}: {why}", tried.mode),
            }
        }
    }

    #[test]
    fn little_is_not_measured() {
        let (folder, catalog, bank) = checkpoint(1 << 20, 4);
        drop(folder);
        // The files are gone, and nobody misses them.
        let verdict = choose(&catalog, &[bank], 8, Duration::from_secs(9), 1).unwrap();
        assert_eq!((verdict.mode, verdict.tried.len()), (IoMode::Buffered, 0), "{verdict:?}");
        assert_eq!(verdict.reason, "1 MiB of records are not worth a measurement");
    }

    #[test]
    fn records_in_one_extent_lie_inside_their_file() {
        let disk = crate::testing::MemoryDisk::new(vec![vec![0; 100_000]]);
        let extents = |n: u64| {
            [7, 50_000].map(|from| Extent { file: 0, offset: from + 6000 * n, bytes: 5000 })
        };
        let bank = Bank::new(2, (0..8).flat_map(extents).collect()).unwrap();
        let one = as_one_extent(&disk, &[bank]);
        assert_eq!((one[0].records(), one[0].record_bytes()), (8, 10_000), "{one:?}");
        assert_eq!(one[0].record(7), [Extent { file: 0, offset: 7 * 12_288, bytes: 10_000 }]);
        let too_large = Extent { file: 0, offset: 0, bytes: 60_000 };
        let bank = Bank::new(2, vec![too_large; 2]).unwrap();
        assert_eq!(as_one_extent(&disk, &[bank]), [], "no whole record fits");
    }
}
