//! Where the time of a pass goes, summed over its layers.

use std::time::{Duration, Instant};

/// Wall time of the parts of one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Attention and DeltaNet, with their projections.
    pub(crate) mixing: Duration,
    /// Routers and experts, waits for their records included.
    pub(crate) experts: Duration,
    /// The last norm and the output matrix.
    pub(crate) answering: Duration,
}

/// Runs `work` and adds the time that it took.
pub(crate) fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *sum += start.elapsed();
    result
}
