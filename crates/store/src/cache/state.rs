//! What the cache's lock guards: which record is where, who waits for what, and the counts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight::{Flight, Waiter, cut};
use super::parts::{Part, part_bytes, parts};
use super::{Counters, RecordView, Shared};
use crate::{Buffer, Key, Policy, StoreError};

/// A record that somebody wants or wanted. Keys without an entry are on disk alone.
enum Entry {
    /// Announced, without a slot yet.
    Waiting(Vec<Waiter>),
    Flying(Flight),
    /// Held by somebody else too, as long as its count is above one.
    Resident(Arc<RecordView>),
}

/// What one consumer announced and has not taken yet.
#[derive(Default)]
struct Announcement {
    ready: VecDeque<Result<Arc<RecordView>, StoreError>>,
    /// What is still to come; twice if it was named twice.
    under_way: Vec<Key>,
}

/// One read of a record.
pub(super) struct Job {
    pub(super) key: Key,
    /// Its place among the parts of the record.
    pub(super) place: usize,
    pub(super) part: Part,
}

/// What a read that succeeded cost.
pub(super) struct Landed {
    pub(super) bytes: usize,
    /// How often it had failed in passing.
    pub(super) retries: u64,
}

pub(super) struct State {
    free: Vec<Buffer>,
    entries: HashMap<Key, Entry>,
    /// Keys of the `Waiting` entries, first come first served.
    waiting: VecDeque<Key>,
    /// Reads that no reader has begun, and the pieces that they fill.
    jobs: VecDeque<(Job, Buffer)>,
    policy: Box<dyn Policy>,
    announcements: HashMap<Waiter, Announcement>,
    next_waiter: Waiter,
    /// How many entries are `Flying`.
    flights: usize,
    /// Changes whenever a slot may have changed hands.
    moves: u64,
    closed: bool,
    pub(super) patience: Duration,
    pub(super) counters: Counters,
    readers_busy: usize,
    /// When the first of them began.
    busy_since: Instant,
}

impl State {
    pub(super) fn new(free: Vec<Buffer>, policy: Box<dyn Policy>, patience: Duration) -> State {
        State {
            free,
            entries: HashMap::new(),
            waiting: VecDeque::new(),
            jobs: VecDeque::new(),
            policy,
            announcements: HashMap::new(),
            next_waiter: 0,
            flights: 0,
            moves: 0,
            closed: false,
            patience,
            counters: Counters::default(),
            readers_busy: 0,
            busy_since: Instant::now(),
        }
    }

    /// Holds the residents among `keys` and queues up the others; begins no read.
    pub(super) fn announce(&mut self, keys: impl Iterator<Item = Key>) -> Waiter {
        let id = self.next_waiter;
        let mut announcement = Announcement::default();
        for key in keys {
            match self.entries.get_mut(&key) {
                Some(Entry::Resident(view)) => {
                    self.counters.hits += 1;
                    self.policy.on_hit(key);
                    announcement.ready.push_back(Ok(Arc::clone(view)));
                    continue;
                }
                Some(Entry::Waiting(waiters) | Entry::Flying(Flight { waiters, .. })) => {
                    self.counters.joined += 1;
                    waiters.push(id);
                }
                None => {
                    self.counters.misses += 1;
                    self.entries.insert(key, Entry::Waiting(vec![id]));
                    self.waiting.push_back(key);
                }
            }
            announcement.under_way.push(key);
        }
        self.add(announcement)
    }

    /// An announcement of which nothing comes but an error.
    pub(super) fn refuse(&mut self, error: StoreError) -> Waiter {
        self.add(Announcement { ready: [Err(error)].into(), under_way: Vec::new() })
    }

    fn add(&mut self, announcement: Announcement) -> Waiter {
        let id = self.next_waiter;
        self.announcements.insert(id, announcement);
        self.next_waiter += 1;
        id
    }

    /// Gives slots to those that wait for one, as far as there are any.
    pub(super) fn begin_reads(&mut self, shared: &Shared) {
        let mut begun = 0;
        let part_bytes = self.part_bytes(shared);
        while !self.closed
            && let Some(&key) = self.waiting.front()
            && let Some(slot) = self.find_slot()
        {
            self.waiting.pop_front();
            let Some(Entry::Waiting(waiters)) = self.entries.remove(&key) else {
                unreachable!("only waiting keys are in the queue")
            };
            let parts = parts(shared, key, part_bytes);
            let pieces = cut(slot, parts.iter().skip(1).map(|part| part.at));
            self.entries.insert(key, Entry::Flying(Flight::new(waiters, pieces.len())));
            self.policy.on_insert(key);
            self.flights += 1;
            self.moves += 1;
            begun += pieces.len();
            for (place, (part, piece)) in parts.into_iter().zip(pieces).enumerate() {
                self.jobs.push_back((Job { key, place, part }, piece));
            }
        }
        shared.wake(begun);
    }

    /// How large the parts are of records that get their slots now.
    fn part_bytes(&self, shared: &Shared) -> usize {
        let free = shared.readers.saturating_sub(self.jobs.len() + self.readers_busy);
        part_bytes(shared, self.waiting.iter().copied(), free)
    }

    /// A free slot, or that of a record which nobody holds.
    fn find_slot(&mut self) -> Option<Buffer> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let entries = &self.entries;
        let may = |key: Key| match entries.get(&key) {
            Some(Entry::Resident(view)) => Arc::strong_count(view) == 1,
            _ => false,
        };
        let key = self.policy.victim(&may).filter(|&key| may(key))?;
        let Some(Entry::Resident(view)) = self.entries.remove(&key) else {
            unreachable!("only residents may be evicted")
        };
        self.policy.on_evict(key);
        self.counters.evictions += 1;
        // Further holds are made under this lock or of holds, and of this one there are none.
        Some(Arc::into_inner(view).expect("nobody else holds the record").into_slot())
    }

    /// The next read, for a reader that now begins it.
    pub(super) fn next_job(&mut self) -> Option<(Job, Buffer)> {
        let (job, piece) = self.jobs.pop_front()?;
        if let Some(Entry::Flying(flight)) = self.entries.get_mut(&job.key) {
            flight.begun = true;
        }
        if self.readers_busy == 0 {
            self.busy_since = Instant::now();
        }
        self.readers_busy += 1;
        Some((job, piece))
    }

    /// A reader is done with a job. The record's slot, or what went wrong, if it was the last.
    pub(super) fn land(
        &mut self,
        job: &Job,
        piece: Buffer,
        read: Result<Landed, StoreError>,
    ) -> Option<(Buffer, Option<StoreError>)> {
        self.readers_busy -= 1;
        if self.readers_busy == 0 {
            self.counters.reading += self.busy_since.elapsed();
        }
        let Some(Entry::Flying(flight)) = self.entries.get_mut(&job.key) else {
            unreachable!("a flight that has begun ends with its last piece")
        };
        match read {
            Ok(Landed { bytes, retries }) => {
                self.counters.read_bytes += bytes as u64;
                self.counters.retries += retries;
            }
            Err(error) => flight.error = flight.error.take().or(Some(error)),
        }
        if !flight.land(job.place, piece) {
            return None;
        }
        Some((flight.take_slot()?, flight.error.take()))
    }

    /// The end of a flight: publishes the record, or frees its slot and tells what went wrong.
    pub(super) fn arrive(
        &mut self,
        shared: &Shared,
        key: Key,
        outcome: Result<RecordView, (Buffer, StoreError)>,
    ) {
        let Some(Entry::Flying(flight)) = self.entries.remove(&key) else {
            unreachable!("a flight arrives once")
        };
        self.flights -= 1;
        self.moves += 1;
        let item = match outcome {
            Ok(view) => {
                let view = Arc::new(view);
                self.counters.reads += 1;
                self.entries.insert(key, Entry::Resident(Arc::clone(&view)));
                Ok(view)
            }
            Err((slot, error)) => {
                self.counters.failures += 1;
                self.policy.on_evict(key);
                self.free.push(slot);
                Err(error)
            }
        };
        for waiter in flight.waiters {
            // Whoever dropped its arrivals is not there any more.
            if let Some(announcement) = self.announcements.get_mut(&waiter) {
                remove_one(&mut announcement.under_way, &key);
                announcement.ready.push_back(item.clone());
            }
        }
        drop(item);
        self.begin_reads(shared);
        shared.arrived.notify_all();
    }

    /// Gives up what `id` waits for, apart from what a reader has begun, and what it did not take.
    pub(super) fn call_off(&mut self, shared: &Shared, id: Waiter) {
        let Some(announcement) = self.announcements.get_mut(&id) else { return };
        announcement.ready.clear();
        let keys = std::mem::take(&mut announcement.under_way);
        let mut begun = Vec::new();
        for key in keys {
            let waiters = match self.entries.get_mut(&key) {
                Some(Entry::Waiting(waiters)) => waiters,
                Some(Entry::Flying(flight)) if !flight.begun && !self.closed => &mut flight.waiters,
                _ => {
                    begun.push(key);
                    continue;
                }
            };
            remove_one(waiters, &id);
            if waiters.is_empty() {
                self.forget(key);
            }
        }
        if let Some(announcement) = self.announcements.get_mut(&id) {
            announcement.under_way = begun;
        }
        self.moves += 1;
        self.begin_reads(shared);
    }

    /// Removes a record that nobody waits for any more and that no reader has begun.
    fn forget(&mut self, key: Key) {
        match self.entries.remove(&key) {
            Some(Entry::Waiting(_)) => self.waiting.retain(|&other| other != key),
            Some(Entry::Flying(_)) => {
                let jobs = std::mem::take(&mut self.jobs);
                let (called_off, jobs) = jobs.into_iter().partition(|(job, _)| job.key == key);
                self.jobs = jobs;
                let called_off: VecDeque<(Job, Buffer)> = called_off;
                let pieces = called_off.into_iter().map(|(_, piece)| piece);
                self.free.extend(pieces.reduce(Buffer::join));
                self.policy.on_evict(key);
                self.flights -= 1;
            }
            _ => {}
        }
    }

    /// As [`State::call_off`]; nothing is delivered to `id` from now on.
    pub(super) fn leave(&mut self, shared: &Shared, id: Waiter) {
        self.call_off(shared, id);
        self.announcements.remove(&id);
    }

    /// What `id` can have now.
    pub(super) fn take(&mut self, id: Waiter) -> Option<Result<Arc<RecordView>, StoreError>> {
        self.announcements.get_mut(&id)?.ready.pop_front()
    }

    /// How many records of `id` are ready, and how many are still to come.
    pub(super) fn left(&self, id: Waiter) -> (usize, usize) {
        let counts = |one: &Announcement| (one.ready.len(), one.under_way.len());
        self.announcements.get(&id).map_or((0, 0), counts)
    }

    /// Changes as long as a slot may become free without whoever asks.
    pub(super) fn moves(&self) -> Option<u64> {
        (self.flights == 0).then_some(self.moves)
    }

    /// A hold was dropped.
    pub(super) fn give_back(&mut self, shared: &Shared) {
        self.moves += 1;
        self.begin_reads(shared);
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.counters;
        if self.readers_busy > 0 {
            counters.reading += self.busy_since.elapsed();
        }
        counters
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        matches!(self.entries.get(&key), Some(Entry::Resident(_)))
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.jobs.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

fn remove_one<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    if let Some(at) = list.iter().position(|other| other == item) {
        list.remove(at);
    }
}
