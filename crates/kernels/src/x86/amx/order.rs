//! In which order the groups of a row are multiplied.

use std::ops::Range;

use crate::lanes::LANES;
use crate::ops::integers::Form;

/// The order of the groups of a row: lane by lane. Lanes are added as [`crate::lanes::Lanes::sum`]
/// adds those of a register, l and l + 8 first: in this order few sums wait for another.
pub(super) struct Order {
    /// Columns of a group.
    pub(super) group: usize,
    /// The numbers of the groups.
    pub(super) groups: Vec<usize>,
    /// Where those of each lane stand. A row has zeros from its last group on: with eight groups,
    /// sums of eight lanes are enough.
    pub(super) lanes: Vec<Range<usize>>,
}

impl Order {
    pub(super) fn of(&Form { group, groups: count, .. }: &Form) -> Order {
        let lanes = count.next_power_of_two().min(LANES);
        let mut order =
            Order { group, groups: Vec::with_capacity(count), lanes: Vec::with_capacity(lanes) };
        for step in 0..lanes {
            let turned = step.reverse_bits().checked_shr(usize::BITS - lanes.ilog2());
            let first = order.groups.len();
            order.groups.extend((turned.unwrap_or(0)..count).step_by(LANES));
            order.lanes.push(first..order.groups.len());
        }
        order
    }
}
