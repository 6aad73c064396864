//! One error for everything that can go wrong with bytes on their way from disk into memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::IoMode;

/// What a file, a slot or a reader got wrong. Each prints as one line.
///
/// A failed read is told to everybody who announced the record, so the error can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: cannot be opened: {error}", path.display())]
    Open { path: PathBuf, error: Arc<io::Error> },

    #[error("{}: is {found}, accepted are regular files", path.display())]
    NotAFile { path: PathBuf, found: &'static str },

    /// A way to read that the system, or the file system of this file, does not have.
    #[error("{place}: reading {mode} is refused: {error}")]
    Mode { place: String, mode: IoMode, error: Arc<io::Error> },

    /// A short read says in `error` how many bytes were found.
    #[error("{file}: cannot read {wanted} bytes at offset {offset}: {error}")]
    Read { file: String, offset: u64, wanted: usize, error: Arc<io::Error> },

    #[error("{file}: bank {bank}, record {record}: {what}")]
    Record { file: String, bank: usize, record: usize, what: String },

    #[error("file {file} is not open, accepted are 0 to {} ({files} files)", files.saturating_sub(1))]
    NoSuchFile { file: usize, files: usize },

    #[error(
        "{file}: the file ends at byte {ends_at}, {wanted} bytes at offset {offset} lie outside"
    )]
    OutsideFile { file: String, offset: u64, wanted: usize, ends_at: u64 },

    #[error(
        "bank {bank}, record {record} is unknown, accepted are {banks} banks, and {records} records in this one"
    )]
    NoSuchRecord { bank: usize, record: usize, banks: usize, records: usize },

    #[error("a bank of {extents} extents with {per_record} a record: {expected}")]
    BankShape { extents: usize, per_record: usize, expected: &'static str },

    #[error("record {record}, extent {extent} has {found} bytes, in record 0 it has {expected}")]
    UnequalRecords { record: usize, extent: usize, found: usize, expected: usize },

    #[error("found {found} {what}, accepted are 1 or more")]
    Zero { what: &'static str, found: usize },

    #[error("cannot allocate {slots} slots of {slot_bytes} bytes: {error}")]
    Allocate { slots: usize, slot_bytes: usize, error: Arc<io::Error> },

    #[error(
        "slot memory gave {found} slots of at least {found_bytes} bytes, expected {slots} of {slot_bytes}"
    )]
    SlotMemory { found: usize, found_bytes: usize, slots: usize, slot_bytes: usize },

    #[error("a reader cannot be started: {error}")]
    Reader { error: Arc<io::Error> },

    #[error(
        "all {slots} slots are held and none was given back for {patience_seconds} s, {missing} announced records need one"
    )]
    NoSlot { slots: usize, missing: usize, patience_seconds: f64 },

    #[error("{file}: a read at offset {offset} did not come back within {patience_seconds} s")]
    Silent { file: String, offset: u64, patience_seconds: f64 },

    #[error("the cache was closed while {missing} announced records had not arrived")]
    Closed { missing: usize },

    #[error("reading was cancelled after {done_bytes} of {total_bytes} bytes")]
    Cancelled { done_bytes: u64, total_bytes: u64 },
}

/// The cause of an [`io::ErrorKind::UnexpectedEof`] that a [`Disk`](crate::Disk) reports.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("found {found} bytes, the file ends there")]
pub struct ShortRead {
    /// Bytes that could be read.
    pub found: usize,
}

impl ShortRead {
    /// The error of a read that found only `found` bytes.
    pub fn error(found: usize) -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, ShortRead { found })
    }
}
