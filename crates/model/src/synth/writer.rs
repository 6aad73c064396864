//! Large files at the speed of the disk: one block is made while others are written, past the page cache.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::SynthError;

/// What one write takes.
const BLOCK_BYTES: usize = 8 << 20;
/// One is made, the others are written or wait for it.
const BLOCKS: usize = 3;
/// Direct writes begin in memory and in the file at multiples of this, and end at one.
const ALIGN: usize = 4096;

/// Writes files one after the other. `told` hears of the bytes of all of them together.
pub(super) struct Writer<'a, T> {
    cancel: &'a AtomicBool,
    told: T,
    written_bytes: u64,
    is_direct: bool,
}

impl<'a, T: FnMut(u64)> Writer<'a, T> {
    pub(super) fn new(cancel: &'a AtomicBool, told: T) -> Writer<'a, T> {
        Writer { cancel, told, written_bytes: 0, is_direct: true }
    }

    /// Whether no file went through the page cache.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Writes a file of so many bytes, which `fill` gives from the first on, and waits until they
    /// are on the disk.
    pub(super) fn write(
        &mut self,
        path: &Path,
        bytes: u64,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<(), SynthError> {
        let failed = |error| SynthError::Write { path: path.into(), error };
        let (file, is_direct) = create(path).map_err(failed)?;
        self.is_direct &= is_direct;
        let (full, to_write) = mpsc::channel();
        let (written, empty) = mpsc::channel();
        let outcome = thread::scope(|scope| {
            let file = &file;
            let worker = scope.spawn(move || write_blocks(file, &to_write, &written));
            let filled = self.fill(bytes, &mut fill, &full, &empty);
            // Without this the worker would wait for more.
            drop(full);
            let worked = worker.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            worked.map_err(failed).and(filled)
        });
        // The last block was padded to a whole one.
        outcome.and_then(|()| file.set_len(bytes).and_then(|()| file.sync_all()).map_err(failed))
    }

    /// Makes the blocks. An end of the channels means that a write failed, which its thread tells.
    fn fill(
        &mut self,
        bytes: u64,
        fill: &mut impl FnMut(&mut [u8]),
        full: &Sender<Block>,
        empty: &Receiver<Block>,
    ) -> Result<(), SynthError> {
        let mut made = 0;
        let mut under_way = 0;
        let mut left = bytes;
        while left > 0 {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(SynthError::Cancelled);
            }
            let mut block = if made < BLOCKS {
                made += 1;
                Block::new()
            } else {
                let Ok(block) = empty.recv() else { return Ok(()) };
                under_way -= 1;
                self.tell(&block);
                block
            };
            block.used = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            fill(block.used());
            left -= block.used as u64;
            if full.send(block).is_err() {
                return Ok(());
            }
            under_way += 1;
        }
        for _ in 0..under_way {
            let Ok(block) = empty.recv() else { return Ok(()) };
            self.tell(&block);
        }
        Ok(())
    }

    fn tell(&mut self, block: &Block) {
        self.written_bytes += block.used as u64;
        (self.told)(self.written_bytes);
    }
}

/// Writes what comes, and hands the blocks back.
fn write_blocks(
    mut file: &File,
    to_write: &Receiver<Block>,
    written: &Sender<Block>,
) -> io::Result<()> {
    for mut block in to_write {
        file.write_all(block.padded())?;
        // Whoever takes no blocks any more was cancelled.
        let _ = written.send(block);
    }
    Ok(())
}

/// Memory for one write.
struct Block {
    memory: Vec<u8>,
    /// Where the aligned part of it begins.
    start: usize,
    /// Bytes that belong to the file.
    used: usize,
}

impl Block {
    fn new() -> Block {
        let memory = vec![0; BLOCK_BYTES + ALIGN];
        let address = memory.as_ptr().addr();
        Block { start: address.next_multiple_of(ALIGN) - address, memory, used: 0 }
    }

    fn used(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.used]
    }

    /// What belongs to the file, and zeros up to a multiple of [`ALIGN`].
    fn padded(&mut self) -> &[u8] {
        let padded = &mut self.memory[self.start..][..self.used.next_multiple_of(ALIGN)];
        padded[self.used..].fill(0);
        padded
    }
}

/// A new file, and whether writes to it pass by the page cache: 18 GB of them would throw out
/// whatever else a small machine has in it.
#[cfg(target_os = "linux")]
fn create(path: &Path) -> io::Result<(File, bool)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let options = |flags| {
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)
    };
    match options(direct) {
        Ok(file) => Ok((file, true)),
        // A file system in memory, for one, has nothing to pass by.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok((options(0)?, false)),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn create(path: &Path) -> io::Result<(File, bool)> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    Ok((file, false))
}
