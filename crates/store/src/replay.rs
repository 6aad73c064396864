//! A cache without bytes: the same announcements, the same hits, for traces and their policies.

use std::collections::{HashMap, VecDeque};

use crate::{Key, Policy, Stay};

/// What a cache of so many slots would have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Announced records that were resident.
    pub hits: u64,
    /// Announced records that had to be read, those that nobody had announced before included.
    pub misses: u64,
    /// Records named twice in an announcement while they were on their way.
    pub joined: u64,
    /// Records that left for others.
    pub evictions: u64,
}

impl Replayed {
    /// Hits out of all that was looked for; `None` if nothing was.
    pub fn hit_rate(&self) -> Option<f64> {
        let all = self.hits + self.misses + self.joined;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

/// Where a record is; without an entry it is on disk alone.
enum Place {
    /// Announced so many times, without a slot yet.
    Waiting(usize),
    /// On its way, announced so many times.
    Flying(usize),
    /// In its slot, with so many holds.
    Resident(usize),
}

/// Does with keys what [`crate::Cache`] does with records, in the same order of events: all
/// residents of an announcement are held first, the others get slots in their order, and a
/// consumer drops each hold before it asks for the next.
///
/// With several readers a real cache may hand out records in another order. That changes
/// nothing as long as the slots hold a whole announcement.
pub struct Replay {
    policy: Box<dyn Policy>,
    slots: usize,
    /// Slots in use.
    used: usize,
    places: HashMap<Key, Place>,
    counted: Replayed,
    waiting: VecDeque<Key>,
    flying: VecDeque<Key>,
    ready: VecDeque<Key>,
}

impl Replay {
    /// Of a cache with `slots` slots, at least 1, all of them empty.
    pub fn new(policy: Box<dyn Policy>, slots: usize) -> Replay {
        Replay {
            policy,
            slots: slots.max(1),
            used: 0,
            places: HashMap::new(),
            counted: Replayed::default(),
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Announces records of a bank and takes all of them, one after the other.
    pub fn announce(&mut self, bank: usize, records: impl IntoIterator<Item = usize>, stay: Stay) {
        for record in records {
            let key = Key { bank, record };
            match self.places.get_mut(&key) {
                Some(Place::Resident(holds)) => {
                    *holds += 1;
                    self.counted.hits += 1;
                    self.policy.on_hit(key);
                    self.ready.push_back(key);
                }
                Some(Place::Waiting(times) | Place::Flying(times)) => {
                    *times += 1;
                    self.counted.joined += 1;
                }
                None => {
                    self.counted.misses += 1;
                    self.places.insert(key, Place::Waiting(1));
                    self.waiting.push_back(key);
                }
            }
        }
        self.begin_reads(stay);
        loop {
            if let Some(key) = self.ready.pop_front() {
                if let Some(Place::Resident(holds)) = self.places.get_mut(&key) {
                    *holds -= 1;
                }
            } else if let Some(key) = self.flying.pop_front() {
                let Some(&Place::Flying(times)) = self.places.get(&key) else { continue };
                self.places.insert(key, Place::Resident(times));
                self.ready.extend(std::iter::repeat_n(key, times));
            } else {
                return;
            }
            self.begin_reads(stay);
        }
    }

    fn begin_reads(&mut self, stay: Stay) {
        while let Some(&key) = self.waiting.front()
            && self.find_slot()
        {
            self.waiting.pop_front();
            let Some(&Place::Waiting(times)) = self.places.get(&key) else { continue };
            self.places.insert(key, Place::Flying(times));
            self.used += 1;
            self.policy.on_insert(key, stay);
            self.flying.push_back(key);
        }
    }

    fn find_slot(&mut self) -> bool {
        if self.used < self.slots {
            return true;
        }
        let places = &self.places;
        let may = |key: Key| matches!(places.get(&key), Some(Place::Resident(0)));
        let Some(key) = self.policy.victim(&may).filter(|&key| may(key)) else { return false };
        self.places.remove(&key);
        self.policy.on_evict(key);
        self.counted.evictions += 1;
        self.used -= 1;
        true
    }

    /// What was counted so far.
    pub fn counted(&self) -> Replayed {
        self.counted
    }
}

/// Replays announcements, each a bank and its records, with `slots` slots that are empty first.
pub fn replay<'a>(
    policy: Box<dyn Policy>,
    slots: usize,
    steps: impl IntoIterator<Item = (usize, &'a [u32])>,
) -> Replayed {
    let mut replay = Replay::new(policy, slots);
    for (bank, records) in steps {
        replay.announce(bank, records.iter().map(|&record| record as usize), Stay::Usual);
    }
    replay.counted()
}
