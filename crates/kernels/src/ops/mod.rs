//! Every operation written once, over the lanes of any table.

pub(crate) mod ahead;
pub(crate) mod attend;
pub(crate) mod delta;
mod direct;
pub(crate) mod elements;
pub(crate) mod integers;
mod kept;
pub(crate) mod matmul;
pub(crate) mod quantise;
pub(crate) mod rows;
pub(crate) mod scaled;
pub(crate) mod sums;
mod tiles;
mod weights;
