//! Every operation written once, over the lanes of any table.

pub(crate) mod attend;
pub(crate) mod delta;
pub(crate) mod elements;
pub(crate) mod integers;
pub(crate) mod matmul;
pub(crate) mod quantise;
pub(crate) mod sums;
mod weights;
