//! The plainest policy: the least recently announced leaves first.

use std::collections::{BTreeMap, HashMap};

use super::{Key, Policy, Stay};

/// The least recently announced leaves first.
///
/// An event costs two steps in a balanced tree; a victim, one step for each key that may not
/// leave and is older.
#[derive(Debug, Default)]
pub struct Lru {
    /// When each key was announced last; below 0 for [`Stay::First`].
    times: HashMap<Key, i64>,
    /// The same the other way round: the first to leave first.
    order: BTreeMap<i64, Key>,
    /// How many times were given out, at either end.
    warm: i64,
    cold: i64,
}

impl Lru {
    pub fn new() -> Lru {
        Lru::default()
    }

    fn place(&mut self, key: Key, stay: Stay) {
        let time = match stay {
            Stay::Usual => {
                self.warm += 1;
                self.warm
            }
            Stay::First => {
                self.cold += 1;
                -self.cold
            }
        };
        if let Some(before) = self.times.insert(key, time) {
            self.order.remove(&before);
        }
        self.order.insert(time, key);
    }
}

impl Policy for Lru {
    fn on_hit(&mut self, key: Key) {
        self.place(key, Stay::Usual);
    }

    fn on_insert(&mut self, key: Key, stay: Stay) {
        self.place(key, stay);
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
