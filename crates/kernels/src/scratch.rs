//! Buffers that grow to the largest call so far and are used again.

use std::sync::{Mutex, TryLockError};

/// Calls `work` with what is kept. Where another call has that, with a new one that is freed at
/// once: only calls from inside a task, or from several threads, can meet so.
pub(crate) fn with<T: Default, R>(kept: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
    let mut spare = T::default();
    let mut own = match kept.try_lock() {
        Ok(own) => Some(own),
        Err(TryLockError::Poisoned(own)) => Some(own.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    work(own.as_deref_mut().unwrap_or(&mut spare))
}

/// Makes room for `len` elements: exactly, because memory is planned.
pub(crate) fn grow<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.reserve_exact(len - buffer.len());
        buffer.resize(len, T::default());
    }
}

/// Bytes of a line of the cache.
pub(crate) const LINE: usize = 64;

/// A buffer that begins with a line of the cache: a register of a whole line then never takes two.
#[derive(Default)]
pub(crate) struct Lines<T>(Vec<T>);

impl<T: Clone + Default> Lines<T> {
    /// Bytes of a buffer of so many elements.
    pub(crate) const fn bytes(len: usize) -> usize {
        len * size_of::<T>() + LINE
    }

    /// Makes room for `len` elements: exactly, because memory is planned.
    pub(crate) fn grow(&mut self, len: usize) {
        grow(&mut self.0, len + LINE / size_of::<T>());
    }

    /// What there is from the first whole line on.
    #[inline(always)]
    pub(crate) fn all(&self) -> &[T] {
        let start = self.0.as_ptr().align_offset(LINE);
        self.0.get(start..).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        let start = self.0.as_ptr().align_offset(LINE);
        self.0.get_mut(start..).unwrap_or_default()
    }
}
