//! What the disk gives at the pattern of the records, with the queue always full: the ceiling of all reading.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::disk::{check, failed};
use crate::layout::{Span, room_bytes};
use crate::{Bank, Buffer, Disk, Extent, Order, StoreError, disk};

mod choice;
mod sequence;

pub use choice::{Tried, Verdict, as_one_extent, choose, pattern};
pub use sequence::Sequence;

/// What was read, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Of the records themselves.
    pub bytes: u64,
    /// With what the reads were rounded by.
    pub read_bytes: u64,
    /// Whole records.
    pub records: u64,
    pub seconds: f64,
}

impl Rate {
    /// Of the records themselves, 10^9 bytes a second; 0 before anything was read.
    pub fn gb_per_s(&self) -> f64 {
        if self.seconds > 0.0 { self.bytes as f64 / 1e9 / self.seconds } else { 0.0 }
    }
}

/// How long a measurement takes, and what it keeps under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Reads at the same time; the memory for them is `in_flight` times the largest extent.
    pub in_flight: usize,
    /// Reads begin for so long; those under way then are waited for and counted.
    pub time: Duration,
}

/// Reads whole records in the order of `sequence`, without a pause between them, into memory of
/// its own. It ends with the time or with the sequence.
///
/// # Errors
/// When an extent lies outside of its file, memory or threads are not to be had, or a read fails.
pub fn measure(
    disk: &dyn Disk,
    banks: &[Bank],
    sequence: &mut Sequence,
    measure: &Measure,
) -> Result<Rate, StoreError> {
    for extent in banks.iter().flat_map(Bank::all) {
        check(disk, extent)?;
    }
    let Measure { in_flight, time } = *measure;
    if in_flight == 0 {
        return Err(StoreError::Zero { what: "reads", found: 0 });
    }
    let largest = banks.iter().flat_map(|bank| bank.record(0)).map(|extent| extent.bytes).max();
    let room = room_bytes(largest.unwrap_or(0), disk.align());
    let rooms = crate::SlotMemory::allocate(&crate::HostMemory, in_flight, room)?;
    let queue =
        disk.queue(in_flight).map_err(|error| StoreError::Reader { error: error.into() })?;
    let begun = Instant::now();
    let source = Source { disk, banks, sequence, record: Vec::new(), ends: begun + time };
    let mut rate = match queue {
        Some(queue) => by_queue(disk, source, queue, rooms)?,
        None => by_threads(disk, source, rooms)?,
    };
    rate.seconds = begun.elapsed().as_secs_f64();
    Ok(rate)
}

/// One read, and what it is counted as.
struct Read {
    file: usize,
    span: Span,
    /// Of the record itself.
    bytes: usize,
    /// Whether it is the last of its record.
    last: bool,
}

impl Read {
    fn count(&self, rate: &mut Rate) {
        rate.bytes += self.bytes as u64;
        rate.read_bytes += self.span.bytes as u64;
        rate.records += u64::from(self.last);
    }
}

/// The reads of the records, one after the other.
struct Source<'a> {
    disk: &'a dyn Disk,
    banks: &'a [Bank],
    sequence: &'a mut Sequence,
    /// What is left of the record that was begun, the next extent last.
    record: Vec<Extent>,
    ends: Instant,
}

impl Iterator for Source<'_> {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        if self.record.is_empty() {
            let (bank, record) = (Instant::now() < self.ends).then(|| self.sequence.next())??;
            self.record.extend(self.banks[bank].record(record).iter().rev());
        }
        let extent = self.record.pop()?;
        let file_bytes = self.disk.file_bytes(extent.file);
        let span = Span::of(&extent, self.disk.align(), file_bytes);
        Some(Read { file: extent.file, span, bytes: extent.bytes, last: self.record.is_empty() })
    }
}

fn by_threads(disk: &dyn Disk, source: Source<'_>, rooms: Vec<Buffer>) -> Result<Rate, StoreError> {
    let total = Mutex::new((source, Rate::default()));
    let failed = AtomicBool::new(false);
    let work = |mut room: Buffer| -> Result<(), StoreError> {
        let lock = || total.lock().unwrap_or_else(PoisonError::into_inner);
        while !failed.load(Ordering::Relaxed)
            && let Some(read) = { lock().0.next() }
        {
            let into = &mut room[..read.span.bytes];
            let done = disk::read(disk, read.file, read.span.offset, into);
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            done?;
            read.count(&mut lock().1);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let mut readers = Vec::new();
        for room in rooms {
            let work = &work;
            let started = thread::Builder::new()
                .name("store-probe".to_owned())
                .spawn_scoped(scope, move || work(room))
                .map_err(|error| {
                    failed.store(true, Ordering::Relaxed);
                    StoreError::Reader { error: Arc::new(error) }
                })?;
            readers.push(started);
        }
        let done = readers.into_iter().map(|reader| reader.join());
        done.map(|done| done.expect("a disk that panics is caught")).try_for_each(|done| done)
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner).1)
}

fn by_queue(
    disk: &dyn Disk,
    mut source: Source<'_>,
    mut queue: Box<dyn crate::ReadQueue>,
    mut rooms: Vec<Buffer>,
) -> Result<Rate, StoreError> {
    let mut rate = Rate::default();
    let in_flight = rooms.len();
    let mut under_way: Vec<Option<Read>> = (0..in_flight).map(|_| None).collect();
    let mut free: Vec<usize> = (0..in_flight).collect();
    let mut first: Option<(Read, io::Error)> = None;
    loop {
        while first.is_none()
            && let Some(into) = rooms.pop()
        {
            let Some(read) = source.next() else {
                rooms.push(into);
                break;
            };
            let place = free.pop().expect("there is a place for each room");
            let (file, span) = (read.file, read.span);
            under_way[place] = Some(read);
            let (ticket, offset) = (place as u64, span.offset);
            queue.push(Order { ticket, file, offset, bytes: span.bytes, into });
        }
        if rooms.len() == in_flight {
            break;
        }
        for done in queue.wait() {
            let place = done.ticket as usize;
            let read = under_way[place].take().expect("a ticket comes back once");
            rooms.push(done.into);
            free.push(place);
            match done.outcome {
                Ok(()) => read.count(&mut rate),
                Err(error) => first = first.or(Some((read, error))),
            }
        }
    }
    match first {
        None => Ok(rate),
        Some((Read { file, span, .. }, error)) => {
            Err(failed(disk, file, span.offset, span.bytes, error))
        }
    }
}
