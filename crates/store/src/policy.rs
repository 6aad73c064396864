//! Who leaves when a slot is needed: policies know keys only, so a trace can replay them.

mod belady;
mod clock;
mod kind;
mod lfu;
mod lru;

pub use belady::Belady;
pub use clock::Clock;
pub use kind::PolicyKind;
pub use lfu::Lfu;
pub use lru::Lru;

/// A record of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub bank: usize,
    pub record: usize,
}

/// How long a record is expected to be of use when it gets its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// As any record that was needed once and may be needed again.
    Usual,
    /// The first to leave, for passes that go through everything once: of several the latest
    /// first, so that the next pass finds the early ones. A hit makes it as any other.
    First,
}

/// Chooses the record that gives its slot to another one.
///
/// It hears of every key in the order in which records were announced, not in which they
/// arrived, so the same announcements give the same choices whatever the disk does.
pub trait Policy: Send {
    /// `key` has a slot and was announced again.
    fn on_hit(&mut self, key: Key);

    /// `key` was given a slot; its read begins.
    fn on_insert(&mut self, key: Key, stay: Stay);

    /// `key` lost its slot: chosen by [`Policy::victim`], or its read failed or was cancelled.
    fn on_evict(&mut self, key: Key);

    /// The key that should leave, out of those that `may`; `None` if none may.
    fn victim(&mut self, may: &dyn Fn(Key) -> bool) -> Option<Key>;
}
