//! Whole records read at random without a pause: what the disk gives at this model's pattern.

use std::time::Duration;

use store::probe::{self, Measure, Rate, Sequence};
use store::{Bank, Disk};

use crate::fault::Fault;

/// Reads records of `banks` for so long, with at most `in_flight` reads at the same time.
///
/// # Errors
/// What the disk says.
pub(crate) fn measure(
    disk: &dyn Disk,
    banks: &[Bank],
    in_flight: usize,
    time: Duration,
    seed: u64,
) -> Result<Rate, Fault> {
    let mut sequence = Sequence::new(banks, seed);
    let measure = Measure { in_flight, time };
    probe::measure(disk, banks, &mut sequence, &measure).map_err(Fault::failed)
}
