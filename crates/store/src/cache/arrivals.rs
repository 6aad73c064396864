//! What was announced, handed out as it arrives.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

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

    /// What to say when waiting was in vain: the disk is silent, or there is no slot.
    fn impatient(&self, state: &mut State, missing: usize, silent: bool) -> StoreError {
        let shared = &*self.shared;
        if !silent {
            let patience_seconds = state.patience.slot.as_secs_f64();
            return StoreError::NoSlot { slots: shared.slots, missing, patience_seconds };
        }
        state.hung = true;
        let first =
            state.begun_for(self.id).map(|key| shared.banks[key.bank].record(key.record)[0]);
        StoreError::Silent {
            file: first.map_or_else(|| "the disk".to_owned(), |first| shared.disk.name(first.file)),
            offset: first.map_or(0, |first| first.offset),
            patience_seconds: state.patience.read.as_secs_f64(),
        }
    }

    /// Ends the announcement: calls off what can be, waits for the rest.
    fn fail(&self, mut state: MutexGuard<'_, State>, error: StoreError) -> StoreError {
        state.call_off(&self.shared, self.id);
        while !state.is_closed() && !state.hung && state.left(self.id).1 > 0 {
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
            // Either nothing moves at all, for want of a slot, or the disk is silent.
            let (since, patience) = match (stalled, state.silent_since()) {
                (Some((_, since)), _) => (since, state.patience.slot),
                (None, Some(since)) => (since, state.patience.read),
                (None, None) => (now, state.patience.read),
            };
            let left = patience.saturating_sub(now.saturating_duration_since(since));
            if left.is_zero() {
                let error = self.impatient(&mut state, under_way, stalled.is_none());
                return Some(Err(self.fail(state, error)));
            }
            let woken = shared.arrived.wait_timeout(state, left);
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
