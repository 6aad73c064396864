//! The ways to read files, by the names that people give them.

use std::fmt;

/// How [`Files`](crate::Files) reads. The bytes are the same in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoMode {
    /// Past the page cache, many reads given to the kernel by one thread: `io_uring`.
    Uring,
    /// Past the page cache, one read a thread.
    Direct,
    /// Through the page cache.
    Buffered,
    /// Copied out of a mapping of the file.
    Mmap,
}

/// What is copied from a mapping before its pages are given back.
pub(super) const PIECE_BYTES: usize = 1 << 20;

impl IoMode {
    pub const ALL: [IoMode; 4] = [IoMode::Uring, IoMode::Direct, IoMode::Buffered, IoMode::Mmap];

    pub const fn name(self) -> &'static str {
        match self {
            IoMode::Uring => "uring",
            IoMode::Direct => "direct",
            IoMode::Buffered => "buffered",
            IoMode::Mmap => "mmap",
        }
    }

    /// Bytes of a file that one reader has in memory beside the slot: a mapping is copied piece by
    /// piece, and the pages of a piece are given back after it.
    pub const fn passing_bytes(self) -> u64 {
        match self {
            IoMode::Uring | IoMode::Direct | IoMode::Buffered => 0,
            IoMode::Mmap => PIECE_BYTES as u64,
        }
    }

    /// The mode of this name.
    pub fn named(name: &str) -> Option<IoMode> {
        IoMode::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// What to try where this one is refused; every system has the last of them.
    pub const fn next(self) -> Option<IoMode> {
        match self {
            IoMode::Uring => Some(IoMode::Direct),
            IoMode::Direct | IoMode::Mmap => Some(IoMode::Buffered),
            IoMode::Buffered => None,
        }
    }

    /// Whether it leaves the page cache alone.
    pub const fn is_direct(self) -> bool {
        matches!(self, IoMode::Uring | IoMode::Direct)
    }
}

impl fmt::Display for IoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
