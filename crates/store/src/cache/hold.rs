//! The right to read a slot, and the record that lies in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Shared;
use crate::{Buffer, Key};

/// A record in its slot, wholly read.
pub struct RecordView {
    key: Key,
    slot: Buffer,
    /// Where the data of each extent lies in the slot.
    data: Vec<Range<usize>>,
}

impl RecordView {
    pub(super) fn new(shared: &Shared, key: Key, slot: Buffer) -> RecordView {
        let layout = &shared.layouts[key.bank];
        let extents = shared.banks[key.bank].record(key.record).iter().enumerate();
        RecordView { key, slot, data: extents.map(|(i, extent)| layout.data(i, extent)).collect() }
    }

    /// The bytes of the `i`-th extent of the record, at any alignment.
    ///
    /// # Panics
    /// When the record has fewer extents.
    pub fn extent(&self, i: usize) -> &[u8] {
        &self.slot[self.data[i].clone()]
    }

    /// How many extents the record has.
    pub fn extents(&self) -> usize {
        self.data.len()
    }

    pub fn bank(&self) -> usize {
        self.key.bank
    }

    pub fn record(&self) -> usize {
        self.key.record
    }

    pub(super) fn into_slot(self) -> Buffer {
        self.slot
    }
}

impl fmt::Debug for RecordView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordView").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The right to read a slot: as long as one of its clones lives, the slot stays as it is.
///
/// It may outlive the arrivals it came from, and the cache.
pub struct Hold {
    /// `None` only while it is dropped.
    view: Option<Arc<RecordView>>,
    shared: Arc<Shared>,
}

impl Hold {
    pub(super) fn new(view: Arc<RecordView>, shared: Arc<Shared>) -> Hold {
        Hold { view: Some(view), shared }
    }

    pub fn view(&self) -> &RecordView {
        self.view.as_ref().expect("the view is taken by drop alone")
    }

    pub fn bank(&self) -> usize {
        self.view().bank()
    }

    pub fn record(&self) -> usize {
        self.view().record()
    }

    /// As [`RecordView::extent`].
    ///
    /// # Panics
    /// When the record has fewer extents.
    pub fn extent(&self, i: usize) -> &[u8] {
        self.view().extent(i)
    }
}

impl Clone for Hold {
    fn clone(&self) -> Hold {
        Hold { view: self.view.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.view = None;
        // The slot may be what somebody waits for.
        self.shared.lock().give_back(&self.shared);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(self.view()).finish()
    }
}
