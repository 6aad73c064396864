//! The policy that knows the future: what is needed last leaves first. For replays alone.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Key, Policy, Stay};

/// When a key is needed next; the last number if never.
type Next = Reverse<usize>;

/// The record that is needed again last of all leaves first: no policy that has to take in every
/// record hits more, apart from what holds forbid.
///
/// An event costs two steps in a balanced tree. Memory: a place for every announced record.
#[derive(Debug)]
pub struct Belady {
    /// When each key will be announced, soonest first.
    future: HashMap<Key, VecDeque<usize>>,
    /// Those with a slot and when they are needed next.
    next: HashMap<Key, Next>,
    /// The same in order: the first to leave first.
    order: BTreeSet<(Next, Key)>,
}

impl Belady {
    /// All that will be announced, in order; within one announcement no key twice.
    pub fn new(future: impl IntoIterator<Item = Key>) -> Belady {
        let mut times: HashMap<Key, VecDeque<usize>> = HashMap::new();
        for (time, key) in future.into_iter().enumerate() {
            times.entry(key).or_default().push_back(time);
        }
        Belady { future: times, next: HashMap::new(), order: BTreeSet::new() }
    }

    /// The next of the key's times is now.
    fn touch(&mut self, key: Key) {
        self.on_evict(key);
        let times = self.future.entry(key).or_default();
        times.pop_front();
        let next = Reverse(times.front().copied().unwrap_or(usize::MAX));
        self.next.insert(key, next);
        self.order.insert((next, key));
    }
}

impl Policy for Belady {
    fn on_hit(&mut self, key: Key) {
        self.touch(key);
    }

    /// Who knows the future need not be told how long a record is to stay.
    fn on_insert(&mut self, key: Key, _: Stay) {
        self.touch(key);
    }

    fn on_evict(&mut self, key: Key) {
        if let Some(next) = self.next.remove(&key) {
            self.order.remove(&(next, key));
        }
    }

    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key> {
        self.order.iter().map(|&(_, key)| key).find(|&key| may(key))
    }
}
