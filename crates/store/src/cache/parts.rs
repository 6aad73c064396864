//! Which reads fill a slot: one for each extent, or several when there are fewer than could be under way.

use super::Shared;
use crate::Key;
use crate::layout::Span;

/// Extents above this may be cut.
const CUT_ABOVE_BYTES: usize = 512 << 10;
/// No part of a cut extent is smaller, but for the last.
const PART_BYTES_MIN: usize = 256 << 10;
/// Parts end at multiples of this, which every disk can read.
const PART_STEP_BYTES: usize = 64 << 10;

/// A read of a record, and the piece of its slot that it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where the piece begins in the slot. It ends where the next one begins.
    pub(super) at: usize,
    pub(super) file: usize,
    /// From the start of the file.
    pub(super) offset: u64,
    /// What is read: at most the piece.
    pub(super) bytes: usize,
}

/// Parts no larger than `part_bytes`, a multiple of the disk's alignment, in the order of the slot.
pub(super) fn parts(shared: &Shared, key: Key, part_bytes: usize) -> Vec<Part> {
    let layout = &shared.layouts[key.bank];
    let extents = shared.banks[key.bank].record(key.record);
    let mut parts = Vec::with_capacity(extents.len());
    for (i, extent) in extents.iter().enumerate() {
        let (align, file_bytes) = (shared.disk.align(), shared.disk.file_bytes(extent.file));
        let span = Span::of(extent, align, file_bytes);
        let step = if span.bytes > CUT_ABOVE_BYTES { part_bytes } else { span.bytes };
        for from in (0..span.bytes).step_by(step) {
            let (at, offset) = (layout.room(i) + from, span.offset + from as u64);
            parts.push(Part { at, file: extent.file, offset, bytes: step.min(span.bytes - from) });
        }
    }
    parts
}

/// How large parts shall be, so that the records of `waiting` keep `free` reads more under way.
pub(super) fn part_bytes(
    shared: &Shared,
    waiting: impl ExactSizeIterator<Item = Key>,
    free: usize,
) -> usize {
    if waiting.len() >= free {
        return usize::MAX;
    }
    let (mut large, mut bytes) = (0, 0);
    for key in waiting {
        for extent in shared.banks[key.bank].record(key.record) {
            if extent.bytes > CUT_ABOVE_BYTES {
                large += 1;
                bytes += extent.bytes;
            }
        }
    }
    if large >= free {
        return usize::MAX;
    }
    let step = PART_STEP_BYTES.max(shared.disk.align());
    bytes.div_ceil(free).max(PART_BYTES_MIN).next_multiple_of(step)
}
