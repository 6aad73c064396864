//! A reader: takes the next extent, reads it into its piece of a slot, and lands the record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use super::state::Job;
use super::{RecordView, Shared};
use crate::layout::Span;
use crate::{Buffer, Key, StoreError, disk};

/// Reads until the cache is closed.
pub(super) fn work(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_closed() {
        let Some(mut job) = state.next_job() else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let key = job.key;
        let read = read(shared, &mut job);
        state = shared.lock();
        if let Some((slot, error)) = state.land(job, read) {
            drop(state);
            let outcome = judge(shared, key, slot, error);
            state = shared.lock();
            state.arrive(shared, key, outcome);
        }
    }
}

/// Fills the piece. How many bytes were read.
fn read(shared: &Shared, job: &mut Job) -> Result<usize, StoreError> {
    let disk = &*shared.disk;
    let extent = &shared.banks[job.key.bank].record(job.key.record)[job.extent];
    let span = Span::of(extent, disk.align(), disk.file_bytes(extent.file));
    disk::read(disk, extent.file, span.offset, &mut job.piece[..span.bytes])?;
    Ok(span.bytes)
}

/// The record if it was read and is good; else its slot and what is wrong.
fn judge(
    shared: &Shared,
    key: Key,
    slot: Buffer,
    error: Option<StoreError>,
) -> Result<RecordView, (Buffer, StoreError)> {
    if let Some(error) = error {
        return Err((slot, error));
    }
    let view = RecordView::new(shared, key, slot);
    let Some(check) = &shared.check else { return Ok(view) };
    let Err(what) = catch_unwind(AssertUnwindSafe(|| check(key, &view)))
        .unwrap_or_else(|_| Err("the check panicked".to_owned()))
    else {
        return Ok(view);
    };
    let Key { bank, record } = key;
    let file = shared.disk.name(shared.banks[bank].record(record)[0].file);
    Err((view.into_slot(), StoreError::Record { file, bank, record, what }))
}
