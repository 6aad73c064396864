//! Anonymous pages from the system: zeroed, aligned, free until written, and lockable.

#![allow(
    unsafe_code,
    reason = "mapping, locking and giving back memory are calls on raw addresses"
)]

use std::io;
use std::ptr::NonNull;

use crate::Locking;
use crate::memory::page_bytes;

/// Whole pages that belong to one owner; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    /// A multiple of the page, at least one.
    bytes: usize,
    origin: Origin,
}

/// Less has no huge page in it.
#[cfg(target_os = "linux")]
const HUGE_PAGE_BYTES: usize = 2 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    #[cfg(unix)]
    Mapped,
    #[cfg(any(not(unix), test))]
    Allocated(std::alloc::Layout),
}

// SAFETY: pages are plain memory that belongs to no thread.
unsafe impl Send for Pages {}
// SAFETY: a shared `Pages` gives out its address only; who reads and writes there is up to the
// one buffer that was made of it.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages for at least `bytes`, by the best means of this system.
    pub(crate) fn map(bytes: usize) -> io::Result<Pages> {
        #[cfg(unix)]
        return Pages::from_system(whole_pages(bytes)?);
        #[cfg(not(unix))]
        return Pages::from_allocator(whole_pages(bytes)?);
    }

    #[cfg(unix)]
    fn from_system(bytes: usize) -> io::Result<Pages> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses the address, so no other memory is touched.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE_BYTES {
            // Reads past the page cache name each page to the disk: with huge ones they cost a
            // fifth of the work. Advice only, which a kernel without huge pages refuses.
            // SAFETY: the range is what was just mapped, and advice changes no byte.
            let _ = unsafe { rustix::mm::madvise(start, bytes, rustix::mm::Advice::LinuxHugepage) };
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Pages { start, bytes, origin: Origin::Mapped })
    }

    /// The fallback of systems without anonymous mappings.
    #[cfg(any(not(unix), test))]
    fn from_allocator(bytes: usize) -> io::Result<Pages> {
        use std::alloc::{Layout, alloc_zeroed};

        let layout = Layout::from_size_align(bytes, page_bytes()).map_err(io::Error::other)?;
        // SAFETY: the layout has at least one page, so its size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Pages { start, bytes, origin: Origin::Allocated(layout) })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        match self.origin {
            #[cfg(unix)]
            Origin::Mapped => {
                // SAFETY: the range is exactly what was mapped, and no buffer is left: each of
                // them keeps its `Pages`. It fails only for ranges that were never mapped.
                let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
            }
            #[cfg(any(not(unix), test))]
            Origin::Allocated(layout) => {
                // SAFETY: it came from this allocator with this layout, and no buffer is left.
                unsafe { std::alloc::dealloc(self.start.as_ptr(), layout) };
            }
        }
    }
}

fn whole_pages(bytes: usize) -> io::Result<usize> {
    bytes.max(1).checked_next_multiple_of(page_bytes()).ok_or(io::ErrorKind::OutOfMemory.into())
}

/// Keeps the pages of `memory` from being reclaimed, as far as this user is allowed to.
#[cfg(unix)]
pub(crate) fn lock(memory: &[u8]) -> Locking {
    use rustix::mm::{mlock, munlock};
    use rustix::process::{Resource, getrlimit};

    // The limit does not bind whoever is privileged, so it only explains a refusal.
    let limit_bytes = getrlimit(Resource::Memlock).current;
    let (start, bytes) = (memory.as_ptr().cast_mut().cast(), memory.len());
    // SAFETY: locking changes no byte, and the range is borrowed memory of ours.
    match unsafe { mlock(start, bytes) } {
        Ok(()) => Locking::Locked,
        Err(error) => {
            // SAFETY: as above. Some systems lock a part before they fail; there is nothing to
            // be done about a failure to undo it.
            let _ = unsafe { munlock(start, bytes) };
            Locking::Refused { limit_bytes, why: io::Error::from(error).to_string() }
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn lock(_memory: &[u8]) -> Locking {
    Locking::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buffer;

    /// Every way to get pages that this system has.
    fn every_kind(bytes: usize) -> Vec<Pages> {
        let bytes = whole_pages(bytes).unwrap();
        vec![
            Pages::from_allocator(bytes).unwrap(),
            #[cfg(unix)]
            Pages::from_system(bytes).unwrap(),
        ]
    }

    #[test]
    fn pages_are_aligned_zeroed_and_writable() {
        for bytes in [0, 1, 100_000] {
            for pages in every_kind(bytes) {
                assert_eq!(pages.start().as_ptr() as usize % page_bytes(), 0, "start of {pages:?}");
                assert_eq!(pages.bytes() % page_bytes(), 0, "length of {pages:?}");
                let mut buffer = Buffer::of_pages(pages, bytes);
                assert_eq!(buffer.len(), bytes, "length of the buffer");
                assert!(buffer.iter().all(|&byte| byte == 0), "{bytes} bytes are zero");
                buffer.fill(7);
                assert!(buffer.iter().all(|&byte| byte == 7), "{bytes} bytes were written");
            }
        }
    }

    #[test]
    fn too_much_is_an_error() {
        assert!(Pages::map(usize::MAX).is_err(), "rounding up overflows");
        assert!(Pages::map(usize::MAX / 4).is_err(), "no machine has that much");
    }
}
