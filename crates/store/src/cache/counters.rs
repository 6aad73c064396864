//! What a cache counted: hits, reads, bytes, and the time that was spent on them.

use std::ops::Sub;
use std::time::Duration;

/// Counted since the cache was made. Subtract two of them for what lies between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announced records that were resident, and not because of a guess.
    pub hits: u64,
    /// Announced records that had to be read, some of them ahead.
    pub misses: u64,
    /// Announced records whose read somebody else had asked for already.
    pub joined: u64,
    /// Records that were read wholly and found good.
    pub reads: u64,
    /// Records that could not be read or were found bad.
    pub failures: u64,
    /// Reads that were tried again since they had failed in passing.
    pub retries: u64,
    /// Bytes that came from disk, what reads were rounded by included.
    pub read_bytes: u64,
    /// Records that left for others.
    pub evictions: u64,
    /// Records whose read began on a guess.
    pub guessed: u64,
    /// Those of them that were announced in time, read or still being read.
    pub adopted: u64,
    /// How long consumers were blocked, all of them added up.
    pub wait: Duration,
    /// Wall time with at least one read under way.
    pub reading: Duration,
}

impl Sub for Counters {
    type Output = Counters;

    fn sub(self, before: Counters) -> Counters {
        Counters {
            hits: self.hits - before.hits,
            misses: self.misses - before.misses,
            joined: self.joined - before.joined,
            reads: self.reads - before.reads,
            failures: self.failures - before.failures,
            retries: self.retries - before.retries,
            read_bytes: self.read_bytes - before.read_bytes,
            evictions: self.evictions - before.evictions,
            guessed: self.guessed - before.guessed,
            adopted: self.adopted - before.adopted,
            wait: self.wait - before.wait,
            reading: self.reading - before.reading,
        }
    }
}
