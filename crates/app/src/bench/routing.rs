//! Routes to work with in place of a router's: read from a trace, or made up.

mod map;
#[cfg_attr(not(test), allow(dead_code, reason = "for the walk, which takes it from here"))]
mod play;
mod random;
mod synthetic;

pub(crate) use map::map;
#[cfg_attr(
    not(test),
    allow(unused_imports, reason = "for the walk, which takes it from here")
)]
pub(crate) use play::{LOOK_AHEAD_ACCURACY, Played, Routing};
pub(crate) use synthetic::synthetic;

use super::trace::Trace;

/// What routes are for: so many layers with so many experts each, of which a token uses some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) layers: usize,
    pub(crate) experts: usize,
    pub(crate) chosen: usize,
}

#[cfg(test)]
mod tests;
