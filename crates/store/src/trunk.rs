//! The trunk: pieces of files that are read once, in parallel, and stay in memory.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::{io, thread};

use crate::disk::check;
use crate::layout::{Span, room_bytes};
use crate::{Buffer, Disk, Extent, StoreError, disk, pages};

/// What one read takes: large enough for any disk, small enough that cancelling is quick.
const CHUNK_BYTES: usize = 4 << 20;

/// Pieces of files, in one run of pages.
#[derive(Debug)]
pub struct Trunk {
    memory: Buffer,
    /// Where the data of each extent lies in it.
    data: Vec<Range<usize>>,
}

/// Whether the trunk can be reclaimed by the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locking {
    /// It cannot.
    Locked,
    /// It can: this user may lock `limit_bytes` at most (`None`: without limit), or the system
    /// had another reason.
    Refused { limit_bytes: Option<u64>, why: String },
    /// It can: there is no way to lock memory here.
    Unsupported,
}

/// One read: where from, where to.
struct Job {
    /// Its place among all jobs, in the order of the memory.
    place: usize,
    file: usize,
    offset: u64,
    /// How much of `into` is read.
    bytes: usize,
    into: Buffer,
}

impl Trunk {
    /// Reads `extents` with `readers` threads. `progress` hears of bytes read and of all bytes,
    /// on the calling thread; `cancel` is looked at before each read of some MiB.
    ///
    /// Each piece begins at a multiple of 64 bytes if the disk needs no alignment.
    ///
    /// # Errors
    /// When an extent lies outside of its file, memory or threads are not to be had, a read
    /// fails (the first that did), or `cancel` was set ([`StoreError::Cancelled`]).
    pub fn load(
        disk: &dyn Disk,
        extents: &[Extent],
        readers: usize,
        progress: &dyn Fn(u64, u64),
        cancel: &AtomicBool,
    ) -> Result<Trunk, StoreError> {
        if readers == 0 {
            return Err(StoreError::Zero { what: "readers", found: 0 });
        }
        for extent in extents {
            check(disk, extent)?;
        }
        let memory_bytes = Trunk::memory_bytes(extents, disk.align());
        let memory = usize::try_from(memory_bytes)
            .map_err(|_| io::ErrorKind::OutOfMemory.into())
            .and_then(Buffer::anonymous)
            .map_err(|error| {
                let (slot_bytes, error) = (memory_bytes as usize, Arc::new(error));
                StoreError::Allocate { slots: 1, slot_bytes, error }
            })?;
        let (jobs, data) = cut(disk, extents, memory);
        let pieces = read(disk, jobs, readers, progress, cancel)?;
        let memory = pieces.into_iter().reduce(Buffer::join);
        Ok(Trunk { memory: memory.unwrap_or_else(|| Buffer::new(Vec::new())), data })
    }

    /// What a trunk of these pieces takes in memory.
    pub fn memory_bytes(extents: &[Extent], align: usize) -> u64 {
        extents.iter().map(|extent| room_bytes(extent.bytes, align) as u64).sum()
    }

    /// The bytes of the `i`-th extent.
    ///
    /// # Panics
    /// When there were fewer extents.
    pub fn bytes(&self, i: usize) -> &[u8] {
        &self.memory[self.data[i].clone()]
    }

    /// Keeps the system from reclaiming the trunk, where it lets us.
    pub fn lock(&self) -> Locking {
        pages::lock(&self.memory)
    }
}

/// The reads in the order of the memory, which they share out among them, and where the data of
/// each extent will lie.
fn cut(disk: &dyn Disk, extents: &[Extent], memory: Buffer) -> (Vec<Job>, Vec<Range<usize>>) {
    let align = disk.align();
    let mut jobs = Vec::new();
    let mut data = Vec::with_capacity(extents.len());
    let (mut rest, mut at) = (memory, 0);
    for extent in extents {
        let span = Span::of(extent, align, disk.file_bytes(extent.file));
        let room = room_bytes(extent.bytes, align);
        let own = span.data(extent);
        data.push(at + own.start..at + own.end);
        let mut read = 0;
        while read < span.bytes {
            let bytes = CHUNK_BYTES.max(align).min(span.bytes - read);
            // The last read of an extent takes the rest of its room too.
            let last = read + bytes == span.bytes;
            let (into, after) = rest.split_at(if last { room - read } else { bytes });
            let offset = span.offset + read as u64;
            jobs.push(Job { place: jobs.len(), file: extent.file, offset, bytes, into });
            rest = after;
            read += bytes;
        }
        at += room;
    }
    (jobs, data)
}

/// Does all jobs. The memory that was read into, in its order.
fn read(
    disk: &dyn Disk,
    jobs: Vec<Job>,
    readers: usize,
    progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Vec<Buffer>, StoreError> {
    let total_bytes = jobs.iter().map(|job| job.bytes as u64).sum();
    let mut pieces: Vec<Option<Buffer>> = jobs.iter().map(|_| None).collect();
    let queue = Mutex::new(jobs.into_iter());
    let failed = AtomicBool::new(false);
    let next = || {
        let stop = cancel.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        if stop { None } else { queue.lock().unwrap_or_else(PoisonError::into_inner).next() }
    };
    let work = |results: &mpsc::Sender<(Job, Result<u64, StoreError>)>| {
        while let Some(mut job) = next() {
            let read = disk::read(disk, job.file, job.offset, &mut job.into[..job.bytes]);
            if results.send((job, read)).is_err() {
                break;
            }
        }
    };
    let mut done_bytes = 0;
    thread::scope(|scope| {
        let (results, arriving) = mpsc::channel();
        for n in 0..readers {
            let (results, work) = (results.clone(), &work);
            thread::Builder::new()
                .name(format!("trunk-reader-{n}"))
                .spawn_scoped(scope, move || work(&results))
                .map_err(|error| {
                    failed.store(true, Ordering::Relaxed);
                    StoreError::Reader { error: Arc::new(error) }
                })?;
        }
        drop(results);
        let mut outcome = Ok(());
        for (job, read) in arriving {
            if let Err(error) = read {
                failed.store(true, Ordering::Relaxed);
                outcome = outcome.and(Err(error));
                continue;
            }
            done_bytes += job.bytes as u64;
            pieces[job.place] = Some(job.into);
            progress(done_bytes, total_bytes);
        }
        outcome
    })?;
    if done_bytes < total_bytes {
        return Err(StoreError::Cancelled { done_bytes, total_bytes });
    }
    Ok(pieces.into_iter().flatten().collect())
}
