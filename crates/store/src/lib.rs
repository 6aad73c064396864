//! Where the bytes are and what they cost: a plan, a trunk that stays, and a cache of records.
//!
//! A [`Plan`] says where every byte of memory goes, before any work. The [`Trunk`] is read once
//! and stays. All else lies in [`Bank`]s of records on disk: whoever needs some announces them to
//! the [`Cache`], works on those already resident while readers fetch the rest, and gets a
//! [`Hold`] for each; a held slot is neither evicted nor written.

mod bank;
mod buffer;
mod cache;
mod disk;
mod error;
mod layout;
pub mod memory;
mod pages;
mod plan;
mod policy;
pub mod probe;
mod replay;
mod slots;
pub mod testing;
mod trunk;

pub use bank::{Bank, Extent};
pub use buffer::Buffer;
pub use cache::{Arrivals, Cache, Counters, Hold, Patience, RecordCheck, RecordView};
pub use disk::{Disk, Done, Files, IoMode, Order, ReadQueue, Waker};
pub use error::{ShortRead, StoreError};
pub use layout::{Layout, slot_bytes};
pub use plan::{Needs, Plan, Refusal, Warning, Wish};
pub use policy::{Belady, Clock, Key, Lfu, Lru, Policy, PolicyKind, Stay};
pub use replay::{Replay, Replayed, replay};
pub use slots::{HostMemory, SlotMemory};
pub use trunk::{Locking, Trunk};
