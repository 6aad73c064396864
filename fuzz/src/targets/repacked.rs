//! Parsers of repacked checkpoints: headers of record files, manifests, journals.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use format::{
    JOURNAL, Journal, MANIFEST, Manifest, RECORD_PREFIX, Stamp, parse_journal, parse_manifest,
    parse_record_header,
};
use model::repack::repack;
use model::tiny::{self, Float, Layout, Spec};

use crate::target::{Shape, Target, Verdict};

/// What a repack of a tiny model wrote.
fn repacked(layout: Layout) -> Result<tempfile::TempDir, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let [from, to] = [tempfile::tempdir(), tempfile::tempdir()];
    let (from, to) = (from.map_err(|e| told(&e))?, to.map_err(|e| told(&e))?);
    let spec = Spec { layers: 2, mtp: false, vision: false, ..Spec::wide() };
    tiny::write(from.path(), &spec, layout).map_err(|e| told(&e))?;
    repack(from.path(), to.path(), &|_, _| (), &AtomicBool::new(false)).map_err(|e| told(&e))?;
    Ok(to)
}

const LAYOUTS: [Layout; 3] = [
    Layout::Mlx { bits: 4, group: 64, router_bits: None, dtype: Float::Bf16 },
    Layout::Fp8,
    Layout::HfStacked { dtype: Float::F16 },
];

/// A file of each.
fn seeds(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let read = |layout| super::read(&repacked(layout)?.path().join(name));
    LAYOUTS.into_iter().map(read).collect()
}

/// `format::parse_record_header`: whatever it accepts lies inside its file and is written alike.
/// What is fuzzed begins behind letters and version, with the length of the JSON.
pub(super) fn records() -> Result<Target, String> {
    let path = PathBuf::from("experts-00001.records");
    let (mut headers, mut data_sizes) = (Vec::new(), Vec::new());
    for mut file in seeds("experts-00001.records")? {
        let whole = file.len() as u64;
        let header = parse_record_header(&path, &file, whole).map_err(|error| error.to_string())?;
        data_sizes.push(whole - header.data_offset);
        file.truncate(header.data_offset as usize);
        headers.push(file.split_off(RECORD_PREFIX.len()));
    }
    let run = move |input: &[u8]| {
        let begin = aligned(&[&RECORD_PREFIX, input].concat());
        let mut verdict = Verdict::Refused;
        for data in data_sizes.iter().copied().chain([0]) {
            let file_bytes = begin.len() as u64 + data;
            let parsed = parse_record_header(&path, &begin, file_bytes);
            if let Ok(header) = &parsed {
                assert_eq!(header.file_bytes(), file_bytes, "the records cover the file");
                let ends = header.planes().map(|plane| plane.offset + plane.bytes);
                assert_eq!(ends.max(), Some(header.record_bytes as u64), "planes in a record");
                assert_eq!(header.checksums.len(), header.records, "one for each record");
                let again = parse_record_header(&path, &header.to_bytes(), file_bytes);
                assert!(again.is_ok_and(|again| again == *header), "written and read again");
            }
            if Verdict::of(&parsed) == Verdict::Accepted {
                verdict = Verdict::Accepted;
            }
        }
        verdict
    };
    Ok(Target { name: "records", shape: Shape::Header, seeds: headers, run: Box::new(run) })
}

/// An honest header is filled up with spaces as a writer does: lies would else end at the first
/// look, at a length that is no multiple of 4096.
fn aligned(begin: &[u8]) -> Vec<u8> {
    let mut begin = begin.to_vec();
    let length = begin.get(8..16).and_then(|length| length.try_into().ok()).map(u64::from_le_bytes);
    if length == (begin.len() as u64).checked_sub(16) {
        begin.resize(begin.len().next_multiple_of(4096), b' ');
        let length = begin.len() as u64 - 16;
        begin[8..16].copy_from_slice(&length.to_le_bytes());
    }
    begin
}

/// `format::parse_manifest`: no name that it accepts leads out of the directory.
pub(super) fn manifest() -> Result<Target, String> {
    let path = PathBuf::from(MANIFEST);
    let run = move |input: &[u8]| {
        let parsed = parse_manifest(&path, input);
        if let Ok(manifest) = &parsed {
            let written = [&manifest.trunk].into_iter().chain(&manifest.records);
            written.chain(&manifest.copies).for_each(|file| stays(&file.name));
            manifest.source.iter().for_each(|file| stays(&file.stamp.name));
            let again: Result<Manifest, _> = parse_manifest(&path, &manifest.to_bytes());
            assert!(again.is_ok_and(|again| again == *manifest), "written and read again");
        }
        Verdict::of(&parsed)
    };
    let seeds = seeds(MANIFEST)?;
    Ok(Target { name: "manifest", shape: Shape::Json, seeds, run: Box::new(run) })
}

/// `format::parse_journal`, as [`manifest`].
pub(super) fn journal() -> Result<Target, String> {
    let path = PathBuf::from(JOURNAL);
    let run = move |input: &[u8]| {
        let parsed = parse_journal(&path, input);
        if let Ok(journal) = &parsed {
            journal.source.iter().for_each(|(stamp, _)| stays(&stamp.name));
        }
        Verdict::of(&parsed)
    };
    let stamp = |name: &str| Stamp { name: name.to_owned(), bytes: 7, modified: "1.5".to_owned() };
    let source = vec![(stamp("a.safetensors"), Some([7; 32])), (stamp("config.json"), None)];
    let seeds = vec![Journal { source }.to_bytes(), Journal::default().to_bytes()];
    Ok(Target { name: "journal", shape: Shape::Json, seeds, run: Box::new(run) })
}

fn stays(name: &str) {
    let parts = Path::new(name).components().count();
    assert!(parts == 1 && !name.contains(['/', '\\']), "{name:?} leads elsewhere");
}
