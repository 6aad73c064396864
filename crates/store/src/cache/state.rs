//! What the cache's lock guards: which record is where, who waits for what, and the counts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::flight::{Flight, Waiter, cut};
use super::guesses::Guesses;
use super::parts::{Part, part_bytes, parts};
use super::{Counters, Patience, RecordView, Shared};
use crate::{Buffer, Key, Policy, Stay, StoreError};

/// How many records of a sweep may be on their way or wait for their consumer: enough to keep any
/// disk busy.
const PASSING_MAX: usize = 24;
/// And not more than this part of all slots.
const PASSING_SHARE: usize = 4;

/// A record that somebody wants or wanted. Keys without an entry are on disk alone.
pub(super) enum Entry {
    /// Announced, without a slot yet.
    Waiting(Waiting),
    Flying(Flight),
    /// Held by somebody else too, as long as its count is above one.
    Resident(Arc<RecordView>),
    /// Read on a guess, in a slot of the reserve. The policy does not know of it.
    Guessed(Arc<RecordView>),
}

/// Who waits for a slot, and what for.
pub(super) struct Waiting {
    waiters: Vec<Waiter>,
    stay: Stay,
    /// Whether it was announced by a sweep, whose consumer drops each hold before the next.
    sweep: bool,
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
    pub(super) free: Vec<Buffer>,
    pub(super) entries: HashMap<Key, Entry>,
    /// Keys of the `Waiting` entries, first come first served.
    waiting: VecDeque<Key>,
    /// Reads that no reader has begun, and the pieces that they fill.
    pub(super) jobs: VecDeque<(Job, Buffer)>,
    policy: Box<dyn Policy>,
    /// Entries that the policy knows: those that were announced and have a slot.
    pub(super) tracked: usize,
    /// Those of them that pass through.
    passing: HashSet<Key>,
    /// From so many on they make room for one another only.
    passing_max: usize,
    pub(super) guesses: Guesses,
    announcements: HashMap<Waiter, Announcement>,
    next_waiter: Waiter,
    /// How many entries are `Flying`.
    pub(super) flights: usize,
    /// Changes whenever a slot may have changed hands.
    pub(super) moves: u64,
    closed: bool,
    /// A read did not come back: its reader is not waited for any more.
    pub(super) hung: bool,
    /// When a read came back last, or was the first to begin.
    pub(super) landed: Instant,
    pub(super) patience: Patience,
    pub(super) counters: Counters,
    readers_busy: usize,
    /// When the first of them began.
    busy_since: Instant,
}

impl State {
    pub(super) fn new(free: Vec<Buffer>, policy: Box<dyn Policy>, patience: Patience) -> State {
        State {
            tracked: 0,
            passing: HashSet::new(),
            passing_max: (free.len() / PASSING_SHARE).clamp(1, PASSING_MAX),
            guesses: Guesses::new(free.len()),
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
            hung: false,
            landed: Instant::now(),
            patience,
            counters: Counters::default(),
            readers_busy: 0,
            busy_since: Instant::now(),
        }
    }

    /// Holds the residents among `keys` and queues up the others; begins no read.
    pub(super) fn announce(
        &mut self,
        keys: impl Iterator<Item = (Key, Stay)>,
        sweep: bool,
    ) -> Waiter {
        let id = self.next_waiter;
        let mut announcement = Announcement::default();
        for (key, stay) in keys {
            let adopted = self.adopt(key, stay);
            match self.entries.get_mut(&key) {
                Some(Entry::Resident(view)) => {
                    // A guess that was right saves waiting, not reading.
                    let count = match adopted {
                        true => &mut self.counters.misses,
                        false => &mut self.counters.hits,
                    };
                    *count += 1;
                    announcement.ready.push_back(Ok(Arc::clone(view)));
                    if stay == Stay::Usual && !adopted {
                        self.policy.on_hit(key);
                        self.passing.remove(&key);
                    }
                    continue;
                }
                Some(
                    Entry::Waiting(Waiting { waiters, .. }) | Entry::Flying(Flight { waiters, .. }),
                ) => {
                    // What was guessed and is not there yet is waited for as any miss is.
                    let count = match adopted {
                        true => &mut self.counters.misses,
                        false => &mut self.counters.joined,
                    };
                    *count += 1;
                    waiters.push(id);
                }
                Some(Entry::Guessed(_)) => unreachable!("it was adopted just now"),
                None => {
                    self.counters.misses += 1;
                    let waiting = Waiting { waiters: vec![id], stay, sweep };
                    self.entries.insert(key, Entry::Waiting(waiting));
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
            && let Some(slot) = self.find_slot(key)
        {
            self.waiting.pop_front();
            let Some(Entry::Waiting(Waiting { waiters, stay, .. })) = self.entries.remove(&key)
            else {
                unreachable!("only waiting keys are in the queue")
            };
            self.track(key, stay);
            let jobs = self.depart(shared, key, slot, waiters, part_bytes);
            begun += jobs.len();
            self.jobs.extend(jobs);
        }
        begun += self.begin_guesses(shared, part_bytes);
        shared.wake(begun);
    }

    /// A record with a slot begins to fly. Its reads, for one of the queues.
    pub(super) fn depart(
        &mut self,
        shared: &Shared,
        key: Key,
        slot: Buffer,
        waiters: Vec<Waiter>,
        part_bytes: usize,
    ) -> Vec<(Job, Buffer)> {
        let parts = parts(shared, key, part_bytes);
        let pieces = cut(slot, parts.iter().skip(1).map(|part| part.at));
        self.entries.insert(key, Entry::Flying(Flight::new(waiters, pieces.len())));
        if self.flights == 0 {
            self.landed = Instant::now();
        }
        self.flights += 1;
        self.moves += 1;
        let places = parts.into_iter().zip(pieces).enumerate();
        places.map(|(place, (part, piece))| (Job { key, place, part }, piece)).collect()
    }

    /// The policy hears of a record that has a slot and was announced.
    pub(super) fn track(&mut self, key: Key, stay: Stay) {
        self.policy.on_insert(key, stay);
        self.tracked += 1;
        if stay == Stay::First {
            self.passing.insert(key);
        }
    }

    /// How large the parts are of records that get their slots now.
    fn part_bytes(&self, shared: &Shared) -> usize {
        let free = shared.readers.saturating_sub(self.jobs.len() + self.readers_busy);
        part_bytes(shared, self.waiting.iter().copied(), free)
    }

    fn untrack(&mut self, key: Key) {
        self.policy.on_evict(key);
        self.tracked -= 1;
        self.passing.remove(&key);
    }

    /// A slot for an announced record: a free one that is not reserved for guesses, that of a
    /// record which nobody holds, and rather a reserved one than none. Records that pass through
    /// give their slots to one another, once they have a few: they wait for their consumer, who is
    /// slower than the disk, and not at the cost of those that stay.
    fn find_slot(&mut self, key: Key) -> Option<Buffer> {
        if self.tracked < self.guesses.unreserved()
            && let Some(slot) = self.free.pop()
        {
            return Some(slot);
        }
        if self.passing.len() >= self.passing_max {
            let sweep = matches!(self.entries.get(&key), Some(Entry::Waiting(w)) if w.sweep);
            let slot = self.evict_of(true);
            if slot.is_some() || sweep {
                return slot;
            }
        }
        self.evict().or_else(|| self.free.pop()).or_else(|| self.drop_a_guess())
    }

    /// The slot of the record that the policy gives up, out of those that nobody holds.
    pub(super) fn evict(&mut self) -> Option<Buffer> {
        self.evict_of(false)
    }

    fn evict_of(&mut self, passing: bool) -> Option<Buffer> {
        let (entries, among) = (&self.entries, &self.passing);
        let may = |key: Key| match entries.get(&key) {
            Some(Entry::Resident(view)) => {
                Arc::strong_count(view) == 1 && (!passing || among.contains(&key))
            }
            _ => false,
        };
        let key = self.policy.victim(&may).filter(|&key| may(key))?;
        let Some(Entry::Resident(view)) = self.entries.remove(&key) else {
            unreachable!("only residents may be evicted")
        };
        self.untrack(key);
        self.counters.evictions += 1;
        // Further holds are made under this lock or of holds, and of this one there are none.
        Some(Arc::into_inner(view).expect("nobody else holds the record").into_slot())
    }

    /// The next read, for a reader that now begins it.
    pub(super) fn next_job(&mut self) -> Option<(Job, Buffer)> {
        let next = self.jobs.pop_front().or_else(|| self.guesses.jobs.pop_front());
        let (job, piece) = next?;
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
        self.landed = Instant::now();
        self.hung = false;
        if self.readers_busy == 0 {
            self.counters.reading += self.landed - self.busy_since;
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
        match &outcome {
            Ok(_) => self.counters.reads += 1,
            Err(_) => self.counters.failures += 1,
        }
        if self.guesses.flying.contains_key(&key) {
            self.land_guess(key, outcome);
            self.begin_reads(shared);
            shared.arrived.notify_all();
            return;
        }
        let item = match outcome {
            Ok(view) => {
                let view = Arc::new(view);
                self.entries.insert(key, Entry::Resident(Arc::clone(&view)));
                Ok(view)
            }
            Err((slot, error)) => {
                self.untrack(key);
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
                Some(Entry::Waiting(waiting)) => &mut waiting.waiters,
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
            Some(Entry::Waiting(..)) => self.waiting.retain(|&other| other != key),
            Some(Entry::Flying(_)) => {
                let pieces = take_jobs(&mut self.jobs, key).into_iter().map(|(_, piece)| piece);
                self.free.extend(pieces.reduce(Buffer::join));
                self.untrack(key);
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

    /// Changes as long as a slot may become free without whoever asks; `None` while reads are
    /// under way.
    pub(super) fn moves(&self) -> Option<u64> {
        (self.flights == 0).then_some(self.moves)
    }

    /// Since when nothing came from the disk although something should; `None` if nothing should.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        (self.readers_busy > 0).then_some(self.landed.max(self.busy_since))
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
        matches!(self.entries.get(&key), Some(Entry::Resident(_) | Entry::Guessed(_)))
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.jobs.clear();
        self.guesses.jobs.clear();
    }

    pub(super) fn waiting_is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a reader has begun to read the record.
    pub(super) fn has_begun(&self, key: Key) -> bool {
        matches!(self.entries.get(&key), Some(Entry::Flying(flight)) if flight.begun)
    }

    /// One of the records that `id` waits for and that a reader has begun.
    pub(super) fn begun_for(&self, id: Waiter) -> Option<Key> {
        let keys = &self.announcements.get(&id)?.under_way;
        keys.iter().copied().find(|&key| self.has_begun(key))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Takes a record's reads out of a queue, in their order.
pub(super) fn take_jobs(queue: &mut VecDeque<(Job, Buffer)>, key: Key) -> VecDeque<(Job, Buffer)> {
    let (taken, left) = std::mem::take(queue).into_iter().partition(|(job, _)| job.key == key);
    *queue = left;
    taken
}

fn remove_one<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    if let Some(at) = list.iter().position(|other| other == item) {
        list.remove(at);
    }
}
