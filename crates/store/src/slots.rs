//! The seam behind which slots are allocated: in the host's memory, or in a device's.

use std::sync::Arc;

use crate::{Buffer, StoreError};

/// Gives memory for slots, once, before the first read.
pub trait SlotMemory: Send + Sync {
    /// `slots` buffers of at least `slot_bytes` each, aligned as far as `slot_bytes` is, up to a
    /// page.
    ///
    /// # Errors
    /// [`StoreError::Allocate`].
    fn allocate(&self, slots: usize, slot_bytes: usize) -> Result<Vec<Buffer>, StoreError>;
}

/// One run of the host's pages. A slot that is never written costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostMemory;

impl SlotMemory for HostMemory {
    fn allocate(&self, slots: usize, slot_bytes: usize) -> Result<Vec<Buffer>, StoreError> {
        let failed = |error| StoreError::Allocate { slots, slot_bytes, error: Arc::new(error) };
        let bytes = slots
            .checked_mul(slot_bytes)
            .ok_or_else(|| failed(std::io::ErrorKind::OutOfMemory.into()))?;
        let mut rest = Buffer::anonymous(bytes).map_err(failed)?;
        let mut cut = Vec::with_capacity(slots);
        for _ in 0..slots {
            let (slot, after) = rest.split_at(slot_bytes);
            cut.push(slot);
            rest = after;
        }
        Ok(cut)
    }
}
