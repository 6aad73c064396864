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
