//! Records that are read on a guess, before anybody announced them, into slots kept for that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::state::{Entry, Job, State, take_jobs};
use super::{RecordView, Shared};
use crate::{Buffer, Key, Stay, StoreError};

/// What was guessed and is not settled yet.
///
/// A guess takes a slot of the reserve and no other, so it costs nobody who was announced a slot.
/// When its record is announced the slot simply changes sides: the record becomes one like any
/// other, and the reserve gets its next slot from the record that the policy gives up, which is
/// what a miss would have cost too.
pub(super) struct Guesses {
    slots: usize,
    /// Slots for guesses.
    reserve: usize,
    /// Without a slot yet, the likeliest first.
    pending: VecDeque<Key>,
    /// Being read; whether it is known by now that the guess was wrong.
    pub(super) flying: HashMap<Key, bool>,
    /// Read, and not asked for yet.
    resident: Vec<Key>,
    /// Reads that no reader has begun; those of announced records go before them.
    pub(super) jobs: VecDeque<(Job, Buffer)>,
}

impl Guesses {
    pub(super) fn new(slots: usize) -> Guesses {
        Guesses {
            slots,
            reserve: 0,
            pending: VecDeque::new(),
            flying: HashMap::new(),
            resident: Vec::new(),
            jobs: VecDeque::new(),
        }
    }

    /// From now on so many slots are for guesses.
    pub(super) fn reserve(&mut self, slots: usize) {
        self.reserve = slots.min(self.slots.saturating_sub(1));
    }

    /// Slots that announced records may fill.
    pub(super) fn unreserved(&self) -> usize {
        self.slots - self.reserve
    }

    /// Slots in use.
    fn used(&self) -> usize {
        self.flying.len() + self.resident.len()
    }
}

impl State {
    /// Notes records that may soon be announced, the likeliest first. Those of an older guess about
    /// the bank that no reader has begun are forgotten.
    pub(super) fn guess(&mut self, shared: &Shared, keys: impl Iterator<Item = Key>) {
        if self.guesses.reserve == 0 {
            return;
        }
        for key in keys {
            if !self.entries.contains_key(&key) && !self.guesses.pending.contains(&key) {
                self.guesses.pending.push_back(key);
            }
        }
        self.begin_reads(shared);
    }

    /// Gives slots of the reserve to guesses, as long as no announced record waits for one.
    /// How many reads that makes.
    pub(super) fn begin_guesses(&mut self, shared: &Shared, part_bytes: usize) -> usize {
        let mut begun = 0;
        while self.waiting_is_empty()
            && !self.is_closed()
            && self.guesses.used() < self.guesses.reserve
            && let Some(key) = self.guesses.pending.pop_front()
        {
            if self.entries.contains_key(&key) {
                continue;
            }
            let Some(slot) = self.find_guess_slot() else {
                self.guesses.pending.push_front(key);
                break;
            };
            self.counters.guessed += 1;
            self.guesses.flying.insert(key, false);
            let jobs = self.depart(shared, key, slot, Vec::new(), part_bytes);
            begun += jobs.len();
            self.guesses.jobs.extend(jobs);
        }
        begun
    }

    /// A free slot, or what the announced records took beyond their share when they adopted guesses.
    fn find_guess_slot(&mut self) -> Option<Buffer> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.tracked > self.guesses.unreserved() { self.evict() } else { None }
    }

    /// If the record that is announced was guessed, it is one like any other from now on. Whether
    /// it was.
    pub(super) fn adopt(&mut self, key: Key, stay: Stay) -> bool {
        if self.guesses.flying.remove(&key).is_some() {
            let jobs = take_jobs(&mut self.guesses.jobs, key);
            self.jobs.extend(jobs);
        } else if let Some(at) = self.guesses.resident.iter().position(|&other| other == key) {
            self.guesses.resident.swap_remove(at);
            let Some(Entry::Guessed(view)) = self.entries.remove(&key) else {
                unreachable!("a guess that is resident has its entry")
            };
            self.entries.insert(key, Entry::Resident(view));
        } else {
            return false;
        }
        self.counters.adopted += 1;
        self.track(key, stay);
        true
    }

    /// The records of a bank that are needed have all been announced: what is left of the guesses
    /// about it was wrong.
    pub(super) fn settle(&mut self, bank: usize) {
        self.guesses.pending.retain(|key| key.bank != bank);
        let wrong: Vec<Key> =
            self.guesses.resident.iter().copied().filter(|key| key.bank == bank).collect();
        for key in wrong {
            self.drop_guess(key);
        }
        let flying: Vec<Key> =
            self.guesses.flying.keys().copied().filter(|key| key.bank == bank).collect();
        for key in flying {
            if self.has_begun(key) {
                self.guesses.flying.insert(key, true);
            } else {
                self.guesses.flying.remove(&key);
                self.entries.remove(&key);
                self.flights -= 1;
                let jobs = take_jobs(&mut self.guesses.jobs, key);
                self.free.extend(jobs.into_iter().map(|(_, piece)| piece).reduce(Buffer::join));
            }
        }
    }

    /// Gives up a guess that was read and not asked for, for the sake of an announced record.
    pub(super) fn drop_a_guess(&mut self) -> Option<Buffer> {
        let key = *self.guesses.resident.first()?;
        self.drop_guess(key);
        self.free.pop()
    }

    /// Frees the slot of a guess that was read.
    fn drop_guess(&mut self, key: Key) {
        self.guesses.resident.retain(|&other| other != key);
        if let Some(Entry::Guessed(view)) = self.entries.remove(&key) {
            let view = Arc::into_inner(view).expect("nobody was ever given the record");
            self.free.push(view.into_slot());
        }
    }

    /// A guess was read, or could not be. Nobody waits for it, so nobody hears of an error: whoever
    /// announces the record reads it again.
    pub(super) fn land_guess(
        &mut self,
        key: Key,
        outcome: Result<RecordView, (Buffer, StoreError)>,
    ) {
        let wrong = self.guesses.flying.remove(&key).unwrap_or(true);
        match outcome {
            Ok(view) if !wrong => {
                self.entries.insert(key, Entry::Guessed(Arc::new(view)));
                self.guesses.resident.push(key);
            }
            Ok(view) => self.free.push(view.into_slot()),
            Err((slot, _)) => self.free.push(slot),
        }
    }
}
