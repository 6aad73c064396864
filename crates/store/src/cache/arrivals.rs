//! What was announced, handed out as it arrives.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::flight::Waiter;
use super::state::State;
use super::{Hold, Shared};
use crate::StoreError;

/// The records of one announcement: the residents first, then the others as they arrive.
///
/// As an iterator it blocks while reads are under way. After an error it is at its end: reads
/// that had not begun are called off, and the others were waited for. Dropping it early calls
/// off what has not begun and waits for nothing.
pub struct Arrivals {
    shared: Arc<Shared>,
    id: Waiter,
}

impl Arrivals {
    pub(super) fn new(shared: Arc<Shared>, id: Waiter) -> Arrivals {
        Arrivals { shared, id }
    }

    /// How many records are still to be handed out, ready or not.
    pub fn left(&self) -> usize {
        let (ready, under_way) = self.shared.lock().left(self.id);
        ready + under_way
    }

    /// Whether `next` would not block.
    pub fn ready(&self) -> bool {
        let (ready, under_way) = self.shared.lock().left(self.id);
        ready > 0 || under_way == 0
    }

    /// As `next`, but `None` also while nothing is ready; then [`Arrivals::left`] is above 0.
    pub fn try_next(&mut self) -> Option<Result<Hold, StoreError>> {
        let state = self.shared.lock();
        self.pop(state)
    }

    fn pop(&self, mut state: MutexGuard<'_, State>) -> Option<Result<Hold, StoreError>> {
        match state.take(self.id)? {
            Ok(view) => Some(Ok(Hold::new(view, Arc::clone(&self.shared)))),
            Err(error) => Some(Err(self.fail(state, error))),
        }
    }

    /// Ends the announcement: calls off what can be, waits for the rest.
    fn fail(&self, mut state: MutexGuard<'_, State>, error: StoreError) -> StoreError {
        state.call_off(&self.shared, self.id);
        while !state.is_closed() && state.left(self.id).1 > 0 {
            let begun = Instant::now();
            state = self.shared.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.counters.wait += begun.elapsed();
        }
        state.leave(&self.shared, self.id);
        error
    }
}

impl Iterator for Arrivals {
    type Item = Result<Hold, StoreError>;

    fn next(&mut self) -> Option<Result<Hold, StoreError>> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        let mut stalled: Option<(u64, Instant)> = None;
        loop {
            let (ready, under_way) = state.left(self.id);
            if ready > 0 || under_way == 0 {
                return self.pop(state);
            }
            if state.is_closed() {
                return Some(Err(self.fail(state, StoreError::Closed { missing: under_way })));
            }
            let now = Instant::now();
            stalled = state.moves().map(|moves| match stalled {
                Some((before, since)) if before == moves => (before, since),
                _ => (moves, now),
            });
            let waited = stalled.map_or(Duration::ZERO, |(_, since)| now - since);
            let Some(patience) = state.patience.checked_sub(waited).filter(|left| !left.is_zero())
            else {
                let patience_seconds = state.patience.as_secs_f64();
                let error = StoreError::NoSlot {
                    slots: shared.slots,
                    missing: under_way,
                    patience_seconds,
                };
                return Some(Err(self.fail(state, error)));
            };
            let woken = shared.arrived.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.counters.wait += now.elapsed();
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.shared.lock().leave(&self.shared, self.id);
    }
}
