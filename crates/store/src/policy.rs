//! Who leaves when a slot is needed: policies know keys only, so a trace can replay them.

use std::collections::{BTreeMap, HashMap};

/// A record of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub bank: usize,
    pub record: usize,
}

/// Chooses the record that gives its slot to another one.
///
/// It hears of every key in the order in which records were announced, not in which they
/// arrived, so the same announcements give the same choices whatever the disk does.
pub trait Policy: Send {
    /// `key` has a slot and was announced again.
    fn on_hit(&mut self, key: Key);

    /// `key` was given a slot; its read begins.
    fn on_insert(&mut self, key: Key);

    /// `key` lost its slot: chosen by [`Policy::victim`], or its read failed or was cancelled.
    fn on_evict(&mut self, key: Key);

    /// The key that should leave, out of those that `may`; `None` if none may.
    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key>;
}

/// The least recently announced leaves first.
#[derive(Debug, Default)]
pub struct Lru {
    /// When each key was announced last.
    times: HashMap<Key, u64>,
    /// The same the other way round: oldest first.
    order: BTreeMap<u64, Key>,
    /// Later than every time in use.
    now: u64,
}

impl Lru {
    pub fn new() -> Lru {
        Lru::default()
    }

    fn touch(&mut self, key: Key) {
        if let Some(before) = self.times.insert(key, self.now) {
            self.order.remove(&before);
        }
        self.order.insert(self.now, key);
        self.now += 1;
    }
}

impl Policy for Lru {
    fn on_hit(&mut self, key: Key) {
        self.touch(key);
    }

    fn on_insert(&mut self, key: Key) {
        self.touch(key);
    }

    fn on_evict(&mut self, key: Key) {
        if let Some(time) = self.times.remove(&key) {
            self.order.remove(&time);
        }
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        self.order.values().copied().find(|&key| may(key))
    }
}
