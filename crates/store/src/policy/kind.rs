//! The policies by name: what a command line or a plan says, and what a cache is given.

use std::str::FromStr;

use super::{Clock, Lfu, Lru, Policy};

/// Half-life of [`Lfu`] in cycles, and in fills of all slots: the longer of both. Chosen on the
/// routings of five models, where twice or half as much costs up to 3 points of hits and mostly
/// less than one.
const HALF_LIFE_CYCLES: usize = 8;
const HALF_LIFE_FILLS: usize = 2;

/// A policy that needs no future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyKind {
    /// Least recently announced first. Below a cycle it never hits.
    Lru,
    /// A ring, a hand, and up to three rounds for the frequent. Below a cycle it never hits.
    Clock,
    /// The least frequent of late first; counts outlive eviction, so it hits below a cycle too.
    #[default]
    Lfu,
}

impl PolicyKind {
    pub const ALL: [PolicyKind; 3] = [PolicyKind::Lru, PolicyKind::Clock, PolicyKind::Lfu];

    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::Lru => "lru",
            PolicyKind::Clock => "clock",
            PolicyKind::Lfu => "lfu",
        }
    }

    /// For a cache of `slots` slots, where one round over all banks announces `cycle` records.
    pub fn make(self, slots: usize, cycle: usize) -> Box<dyn Policy> {
        match self {
            PolicyKind::Lru => Box::new(Lru::new()),
            PolicyKind::Clock => Box::new(Clock::new()),
            PolicyKind::Lfu => {
                let cycles = cycle.saturating_mul(HALF_LIFE_CYCLES);
                Box::new(Lfu::new(cycles.max(slots.saturating_mul(HALF_LIFE_FILLS))))
            }
        }
    }

    /// Bytes of memory that it takes at most, with `slots` slots and `records` records in all
    /// banks: hash tables at their emptiest and while they grow, nodes of trees half full.
    pub fn memory_bytes(self, slots: usize, records: usize) -> u64 {
        let (slots, records) = (slots.min(records) as u64, records as u64);
        match self {
            PolicyKind::Lru => 240 * slots,
            PolicyKind::Clock => 360 * slots,
            PolicyKind::Lfu => 168 * records + 96 * slots,
        }
    }
}

impl FromStr for PolicyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<PolicyKind, String> {
        let kind = PolicyKind::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| {
            let names = PolicyKind::ALL.map(PolicyKind::name).join(", ");
            format!("policy {text:?}; accepted: {names}")
        })
    }
}
