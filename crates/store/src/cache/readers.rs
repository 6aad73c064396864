//! Those who read: they take the next part, fill its piece of a slot, and land the record.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::{io, thread};

use super::state::{Job, Landed};
use super::{RecordView, Shared};
use crate::disk::{self, failed, pause};
use crate::{Buffer, Done, Key, Order, ReadQueue, StoreError};

/// One thread of a pool: reads until the cache is closed.
pub(super) fn work(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_closed() {
        let Some((job, mut piece)) = state.next_job() else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let into = &mut piece[..job.part.bytes];
        let read = disk::read(&*shared.disk, job.part.file, job.part.offset, into);
        let landed = read.map(|retries| Landed { bytes: job.part.bytes, retries });
        land(shared, &job, piece, landed);
        state = shared.lock();
    }
}

/// The one thread that keeps a queue full, with `depth` reads at most, until the cache is closed
/// and nothing is under way.
pub(super) fn serve(shared: &Shared, mut queue: Box<dyn ReadQueue>, depth: usize) {
    // What is under way by its ticket, and how often it was tried again.
    let mut under_way: HashMap<u64, (Job, u64)> = HashMap::new();
    let mut tickets = 0..;
    loop {
        let mut begun = Vec::new();
        {
            let mut state = shared.lock();
            while under_way.len() + begun.len() < depth
                && let Some(job) = state.next_job()
            {
                begun.push(job);
            }
            if state.is_closed() && under_way.is_empty() && begun.is_empty() {
                return;
            }
        }
        for ((job, into), ticket) in begun.into_iter().zip(&mut tickets) {
            queue.push(order(&job, ticket, into));
            under_way.insert(ticket, (job, 0));
        }
        for Done { ticket, into, outcome } in queue.wait() {
            let (job, retries) = under_way.remove(&ticket).expect("a ticket comes back once");
            match outcome {
                Err(error) if let Some(pause) = pause(&error, retries) => {
                    // Others wait for a moment too: this is rare, and the kernel goes on reading.
                    thread::sleep(pause);
                    queue.push(order(&job, ticket, into));
                    under_way.insert(ticket, (job, retries + 1));
                }
                outcome => {
                    let landed = outcome
                        .map(|()| Landed { bytes: job.part.bytes, retries })
                        .map_err(|error| told(shared, &job, error));
                    land(shared, &job, into, landed);
                }
            }
        }
    }
}

fn order(job: &Job, ticket: u64, into: Buffer) -> Order {
    let part = job.part;
    Order { ticket, file: part.file, offset: part.offset, bytes: part.bytes, into }
}

fn told(shared: &Shared, job: &Job, error: io::Error) -> StoreError {
    failed(&*shared.disk, job.part.file, job.part.offset, job.part.bytes, error)
}

/// A read has ended; with the last one of its record that is published or given up.
fn land(shared: &Shared, job: &Job, piece: Buffer, read: Result<Landed, StoreError>) {
    let whole = shared.lock().land(job, piece, read);
    if let Some((slot, error)) = whole {
        let outcome = judge(shared, job.key, slot, error);
        shared.lock().arrive(shared, job.key, outcome);
    }
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
