//! Where each extent's data lies in a slot when reads have to be rounded outwards.

use std::ops::Range;

use crate::{Bank, Extent};

/// Rooms in a slot begin at multiples of this even where reads need no alignment: a cache line.
pub(crate) const ROOM_ALIGN_BYTES: usize = 64;

/// What is read for one extent: outwards to the alignment, but never past the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// From the start of the file; a multiple of the alignment.
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
    /// Bytes before the extent's own data.
    pub(crate) lead: usize,
}

impl Span {
    /// `extent` lies inside its file, which has `file_bytes`; `align` is a power of two.
    pub(crate) fn of(extent: &Extent, align: usize, file_bytes: u64) -> Span {
        let mask = align as u64 - 1;
        let offset = extent.offset & !mask;
        let end = extent.offset + extent.bytes as u64;
        let rounded = end.checked_add(mask).map_or(file_bytes, |end| (end & !mask).min(file_bytes));
        let bytes = (rounded - offset) as usize;
        Span { offset, bytes, lead: (extent.offset - offset) as usize }
    }

    /// Where the extent's own data lies in what was read.
    pub(crate) fn data(&self, extent: &Extent) -> Range<usize> {
        self.lead..self.lead + extent.bytes
    }
}

/// Room for any extent of `bytes`, wherever it begins in its file.
pub(crate) fn room_bytes(bytes: usize, align: usize) -> usize {
    // At worst the data begins at the last byte of an aligned block.
    (bytes + (align - 1)).next_multiple_of(align.max(ROOM_ALIGN_BYTES))
}

/// Where the extents of a bank's records lie in a slot: one room each, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where each room begins, and at the end where the last one ends.
    edges: Vec<usize>,
    align: usize,
}

impl Layout {
    /// For reads at multiples of `align`, a power of two ([`Disk::align`](crate::Disk::align)).
    pub fn new(bank: &Bank, align: usize) -> Layout {
        let mut edges = vec![0];
        let mut end = 0;
        for extent in bank.record(0) {
            end += room_bytes(extent.bytes, align);
            edges.push(end);
        }
        Layout { edges, align }
    }

    /// Bytes of a slot for one record, with the slack of rounded reads.
    pub fn slot_bytes(&self) -> usize {
        self.edges.last().copied().unwrap_or(0)
    }

    /// Where room `i` begins: a multiple of the alignment and of 64.
    pub fn room(&self, i: usize) -> usize {
        self.edges[i]
    }

    /// Where the data of `extent`, the `i`-th of its record, lies in the slot.
    pub fn data(&self, i: usize, extent: &Extent) -> Range<usize> {
        let lead = (extent.offset & (self.align as u64 - 1)) as usize;
        let start = self.edges[i] + lead;
        start..start + extent.bytes
    }
}

/// Bytes of a slot that any record of these banks fits into; 0 without banks.
pub fn slot_bytes(banks: &[Bank], align: usize) -> usize {
    banks.iter().map(|bank| Layout::new(bank, align).slot_bytes()).max().unwrap_or(0)
}
