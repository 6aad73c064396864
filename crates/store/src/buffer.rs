//! Owned pieces of larger memory that can be split among readers and joined again.

#![allow(unsafe_code, reason = "pieces of one allocation that are owned apart need raw pointers")]

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::pages::Pages;

/// Bytes that nobody else can reach, and that keep alive the memory they are a piece of.
///
/// A buffer can be cut in two, filled by two threads, and joined again.
pub struct Buffer {
    /// The first byte. All pieces descend from the pointer to the whole.
    start: NonNull<u8>,
    bytes: usize,
    owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: a buffer is the only one that reaches its bytes (`new`, `anonymous` make one for the
// whole, `split_at` makes disjoint ones), as a `Box<[u8]>` is, and its owner may be sent.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer gives out shared slices only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// All of `memory`, whatever it is: a vector, or a mapped buffer of a device.
    pub fn new<M>(memory: M) -> Buffer
    where
        M: AsMut<[u8]> + Any + Send + Sync,
    {
        let mut owner = Arc::new(memory);
        let whole = Arc::get_mut(&mut owner).expect("nobody else has a new Arc").as_mut();
        // The slice borrows from the content of the Arc, which never moves and which nobody
        // touches again until the last buffer is gone.
        let (start, bytes) = (NonNull::from(&mut *whole).cast(), whole.len());
        Buffer { start, bytes, owner }
    }

    /// Zeroed memory of its own pages, which cost nothing until they are written.
    pub(crate) fn anonymous(bytes: usize) -> io::Result<Buffer> {
        Ok(Buffer::of_pages(Pages::map(bytes)?, bytes))
    }

    pub(crate) fn of_pages(pages: Pages, bytes: usize) -> Buffer {
        assert!(bytes <= pages.bytes(), "{bytes} bytes of {} were mapped", pages.bytes());
        Buffer { start: pages.start(), bytes, owner: Arc::new(pages) }
    }

    /// The bytes before `at` and the rest.
    ///
    /// # Panics
    /// When `at` lies beyond the end.
    pub fn split_at(self, at: usize) -> (Buffer, Buffer) {
        assert!(at <= self.bytes, "cannot split {} bytes at {at}", self.bytes);
        // SAFETY: `at` lies within the allocation or at its end, as was just checked.
        let middle = unsafe { self.start.add(at) };
        let right =
            Buffer { start: middle, bytes: self.bytes - at, owner: Arc::clone(&self.owner) };
        (Buffer { bytes: at, ..self }, right)
    }

    /// Undoes [`Buffer::split_at`].
    ///
    /// # Panics
    /// When `next` does not begin where this one ends.
    pub fn join(self, next: Buffer) -> Buffer {
        let of_one = std::ptr::addr_eq(Arc::as_ptr(&self.owner), Arc::as_ptr(&next.owner));
        let touching = self.start.as_ptr().wrapping_add(self.bytes) == next.start.as_ptr();
        assert!(of_one && touching, "only neighbours can be joined");
        Buffer { bytes: self.bytes + next.bytes, ..self }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `bytes` are a part of memory that `owner` keeps alive and that is
        // initialised; nobody else can write it while this buffer is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; buffers are disjoint and this one is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
