//! What goes along with the walk: who listens, who chooses instead of the router, who looks ahead, a clock.

use std::ops::Sub;
use std::time::{Duration, Instant};

use crate::governor::{Governor, LookAhead};
use crate::routing::Routing;
use crate::tap::{Listener, Tap};

/// Taken out of the model while a pass runs.
pub(crate) struct Hooks {
    pub(crate) listener: Option<Listener>,
    pub(crate) routing: Option<Box<dyn Routing>>,
    pub(crate) governor: Governor,
    pub(crate) clock: Clock,
}

impl Hooks {
    /// Without anybody on them.
    pub(crate) fn new(look_ahead: LookAhead) -> Hooks {
        let (governor, clock) = (Governor::new(look_ahead), Clock::default());
        Hooks { listener: None, routing: None, governor, clock }
    }

    /// Says a value to whoever listens.
    pub(crate) fn tap(&mut self, value: Tap<'_>) {
        if let Some(listener) = &mut self.listener {
            listener(value);
        }
    }
}

/// Where the time of the walk went, since the model was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Attention and recurrence, with their projections.
    pub(crate) mixing: Duration,
    /// Router and experts, waiting included.
    pub(crate) experts: Duration,
    /// The last norm and the output matrix.
    pub(crate) answering: Duration,
}

impl Clock {
    /// Adds the time since `begun` to one of the sums, and begins anew.
    pub(crate) fn lap(sum: &mut Duration, begun: &mut Instant) {
        let now = Instant::now();
        *sum += now - *begun;
        *begun = now;
    }
}

impl Sub for Clock {
    type Output = Clock;

    fn sub(self, before: Clock) -> Clock {
        Clock {
            mixing: self.mixing - before.mixing,
            experts: self.experts - before.experts,
            answering: self.answering - before.answering,
        }
    }
}
