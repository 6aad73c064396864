//! Routes to work with in place of a router's: read from a trace, or made up.

mod map;
mod play;
mod random;
mod routes;
mod synthetic;

pub(crate) use map::map;
#[cfg(test)]
use play::LOOK_AHEAD_ACCURACY;
pub(crate) use play::Played;
pub(crate) use routes::Routes;
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
