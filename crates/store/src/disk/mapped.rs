//! A file as memory, to copy from: the system reads what is touched.

#![allow(unsafe_code, reason = "mapping a file and copying from it are calls on raw addresses")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::mode::PIECE_BYTES;
use crate::ShortRead;

/// The largest page that a system maps at one touch.
#[cfg(target_os = "linux")]
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// A mapping of a whole file, for reading.
#[derive(Debug)]
pub(super) struct Mapped {
    start: NonNull<u8>,
    /// What was mapped: above 0.
    bytes: usize,
}

// SAFETY: a mapping belongs to no thread.
unsafe impl Send for Mapped {}
// SAFETY: it is only ever read, by copying.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// `None` for an empty file, which cannot be mapped.
    pub(super) fn of(file: &File, bytes: u64) -> io::Result<Option<Mapped>> {
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if bytes == 0 {
            return Ok(None);
        }
        let (access, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
        // SAFETY: the system chooses the address, so no other memory is touched.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, access, flags, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Some(Mapped { start, bytes }))
    }

    /// Fills `into` with what lies at `offset`; `file` is the file that was mapped.
    ///
    /// Its length is looked at first, since touching what lies behind the end of a file kills the
    /// process. A file that is cut while it is being copied still does: that is a risk of mapping.
    pub(super) fn copy(&self, file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let ends_at = file.metadata()?.len().min(self.bytes as u64);
        let there = ends_at.saturating_sub(offset).min(into.len() as u64) as usize;
        if there < into.len() {
            return Err(ShortRead::error(there));
        }
        for (n, into) in into.chunks_mut(PIECE_BYTES).enumerate() {
            let at = offset as usize + n * PIECE_BYTES;
            // SAFETY: at + into.len() <= ends_at <= what was mapped, and `into`, borrowed mutably,
            // is not a part of a mapping that is read only.
            unsafe {
                let from = self.start.as_ptr().add(at);
                std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len());
            }
            self.forget(at, into.len());
        }
        Ok(())
    }

    /// What was copied is no part of the process any more: it would count as its memory. The page
    /// cache keeps it.
    #[cfg(target_os = "linux")]
    fn forget(&self, at: usize, bytes: usize) {
        use rustix::mm::{Advice, madvise};

        // A touch may map a large page, of which only a part was copied.
        let start = self.start.as_ptr() as usize;
        let begin = ((start + at) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES).max(start) - start;
        let end = (start + at + bytes).next_multiple_of(LARGE_PAGE_BYTES) - start;
        let end = end.min(self.bytes);
        // SAFETY: both ends lie inside of what was mapped, and the first is that of a page. Pages
        // of a file that were only read are the same when they are touched again.
        let _ = unsafe {
            let start = self.start.as_ptr().add(begin).cast();
            madvise(start, end - begin, Advice::LinuxDontNeed)
        };
    }

    #[cfg(not(target_os = "linux"))]
    fn forget(&self, _at: usize, _bytes: usize) {}
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what was mapped, and nothing borrows from it: bytes are
        // copied out. It fails only for ranges that were never mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
