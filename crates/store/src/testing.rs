//! Disks for tests: in memory, and failing, slow or shut as it is asked of them.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Disk, ShortRead};

mod queued;

pub use queued::Queued;

/// Files that are vectors.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    files: Vec<Vec<u8>>,
    align: usize,
}

impl MemoryDisk {
    pub fn new(files: Vec<Vec<u8>>) -> MemoryDisk {
        MemoryDisk { files, align: 1 }
    }

    /// The same files on a disk that refuses reads which are not aligned to `align` bytes, a
    /// power of two, in the file and in memory.
    #[must_use]
    pub fn with_align(self, align: usize) -> MemoryDisk {
        MemoryDisk { align, ..self }
    }
}

impl Disk for MemoryDisk {
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let (end, of_file) = (offset + into.len() as u64, self.file_bytes(file));
        let aligned = |value: u64| value.is_multiple_of(self.align as u64);
        if !aligned(offset) || !aligned(into.as_ptr() as u64) || !aligned(end) && end != of_file {
            let what = format!("a read from {offset} to {end} is not aligned to {}", self.align);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let from = self.files[file].get(offset as usize..).unwrap_or_default();
        let Some(from) = from.get(..into.len()) else {
            return Err(ShortRead::error(from.len()));
        };
        into.copy_from_slice(from);
        Ok(())
    }

    fn name(&self, file: usize) -> String {
        format!("memory-{file}")
    }

    fn file_bytes(&self, file: usize) -> u64 {
        self.files[file].len() as u64
    }

    fn files(&self) -> usize {
        self.files.len()
    }

    fn align(&self) -> usize {
        self.align
    }
}

/// Which reads a [`Fault`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// The n-th read since the disk was made, from 0.
    Nth(usize),
    /// Reads that touch these bytes of a file.
    Bytes { file: usize, range: Range<u64> },
    /// Every read.
    Always,
}

/// What happens instead of a read, or before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The read fails.
    Error(io::ErrorKind),
    /// The system reports the error of this number.
    System(i32),
    /// The read does not come back before [`FaultyDisk::heal`].
    Hang,
    /// The file ends after so many bytes.
    Short(usize),
    /// The read takes that much longer.
    Delay(Duration),
    /// The read succeeds, but all its bytes are these.
    Garbage(u8),
    /// The disk panics.
    Panic,
}

/// A disk over another one that does what tests ask of it.
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was asked for, and whether it happens once only.
    faults: Vec<(When, Fault, bool)>,
    /// File, offset and bytes of every read that began.
    log: Vec<(usize, u64, usize)>,
    shut: bool,
    /// How often the disk was healed.
    heals: usize,
}

impl FaultyDisk {
    /// Over any disk; without faults until some are asked for.
    pub fn over(inner: Arc<dyn Disk>) -> FaultyDisk {
        FaultyDisk { inner, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Over files in memory.
    pub fn new(files: Vec<Vec<u8>>) -> FaultyDisk {
        FaultyDisk::over(Arc::new(MemoryDisk::new(files)))
    }

    /// From now on every read that `when` is about has the fault.
    pub fn always(&self, when: When, fault: Fault) {
        self.lock().faults.push((when, fault, false));
    }

    /// The next read that `when` is about has the fault.
    pub fn once(&self, when: When, fault: Fault) {
        self.lock().faults.push((when, fault, true));
    }

    /// No faults from now on.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.heals += 1;
        self.changed.notify_all();
    }

    fn hang(&self) {
        let mut state = self.lock();
        let heals = state.heals;
        while state.heals == heals {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads that begin from now on do not go on before [`FaultyDisk::open_gate`].
    pub fn shut_gate(&self) {
        self.lock().shut = true;
    }

    pub fn open_gate(&self) {
        self.lock().shut = false;
        self.changed.notify_all();
    }

    /// Blocks until `reads` reads have begun since the disk was made.
    pub fn wait_for_reads(&self, reads: usize) {
        let mut state = self.lock();
        while state.log.len() < reads {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many reads have begun since the disk was made.
    pub fn reads(&self) -> usize {
        self.lock().log.len()
    }

    /// File, offset and bytes of every read, in the order in which they began.
    pub fn log(&self) -> Vec<(usize, u64, usize)> {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the read, waits at the gate, and says what shall happen to it.
    fn begin(&self, file: usize, offset: u64, bytes: usize) -> Vec<Fault> {
        let mut state = self.lock();
        let n = state.log.len();
        state.log.push((file, offset, bytes));
        self.changed.notify_all();
        while state.shut {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let end = offset + bytes as u64;
        let mut faults = Vec::new();
        state.faults.retain(|(when, fault, once)| {
            let hit = match when {
                When::Nth(wanted) => n == *wanted,
                When::Bytes { file: wanted, range } => {
                    file == *wanted && offset < range.end && range.start < end
                }
                When::Always => true,
            };
            if hit {
                faults.push(*fault);
            }
            !(hit && *once)
        });
        faults
    }
}

impl Disk for FaultyDisk {
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut garbage = None;
        for fault in self.begin(file, offset, into.len()) {
            match fault {
                Fault::Error(kind) => return Err(kind.into()),
                Fault::System(number) => return Err(io::Error::from_raw_os_error(number)),
                Fault::Hang => self.hang(),
                Fault::Short(found) => return Err(ShortRead::error(found.min(into.len()))),
                Fault::Delay(time) => std::thread::sleep(time),
                Fault::Garbage(byte) => garbage = Some(byte),
                // Not `panic!`, which would print.
                Fault::Panic => std::panic::resume_unwind(Box::new("asked to panic")),
            }
        }
        self.inner.read_at(file, offset, into)?;
        if let Some(byte) = garbage {
            into.fill(byte);
        }
        Ok(())
    }

    fn name(&self, file: usize) -> String {
        self.inner.name(file)
    }

    fn file_bytes(&self, file: usize) -> u64 {
        self.inner.file_bytes(file)
    }

    fn files(&self) -> usize {
        self.inner.files()
    }

    fn align(&self) -> usize {
        self.inner.align()
    }
}
