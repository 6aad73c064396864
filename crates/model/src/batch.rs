//! A pass: which ids of which steps go through the walk together, and how each step is divided over passes.

use std::ops::Range;

use crate::deltanet::Split;
use crate::state::CUT_MAX;

/// The rows of a pass that belong to one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Index of the step in the batch.
    pub(crate) step: usize,
    /// Rows of the pass.
    pub(crate) rows: Range<usize>,
    /// Index, in the step, of the first of them.
    pub(crate) first: usize,
    /// Ids of the whole step.
    pub(crate) step_ids: usize,
}

impl Part {
    /// Divides the rows, with `pending` ids pending before them. The last [`CUT_MAX`] ids of a step
    /// stay pending when it ends; all others go into the state as they pass.
    pub(crate) fn split(&self, pending: usize) -> Split {
        let (apply, held) = if self.first == 0 { (pending, 0) } else { (0, pending) };
        let window_start = self.step_ids.saturating_sub(CUT_MAX);
        let direct = window_start.saturating_sub(self.first).min(self.rows.len());
        Split { apply, held, direct, window: self.rows.len() - direct }
    }

    /// Ids of the step behind these rows.
    pub(crate) fn end(&self) -> usize {
        self.first + self.rows.len()
    }
}

/// Divides steps of these lengths into passes of at most `chunk` rows, in order.
pub(crate) fn passes(steps: &[usize], chunk: usize) -> Vec<Vec<Part>> {
    let mut passes: Vec<Vec<Part>> = Vec::new();
    let mut room = 0;
    for (step, &step_ids) in steps.iter().enumerate() {
        let mut first = 0;
        while first < step_ids {
            if room == 0 {
                passes.push(Vec::new());
                room = chunk;
            }
            let count = room.min(step_ids - first);
            let begin = chunk - room;
            if let Some(pass) = passes.last_mut() {
                pass.push(Part { step, rows: begin..begin + count, first, step_ids });
            }
            first += count;
            room -= count;
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_full_and_in_order() {
        let part = |step, rows, first, step_ids| Part { step, rows, first, step_ids };
        let found = passes(&[3, 1, 4], 3);
        let want = [
            vec![part(0, 0..3, 0, 3)],
            vec![part(1, 0..1, 0, 1), part(2, 1..3, 0, 4)],
            vec![part(2, 0..2, 2, 4)],
        ];
        assert_eq!(found, want, "8 ids in passes of 3");
        for chunk in 1..20 {
            let ids: usize = passes(&[5, 9, 1], chunk).iter().flatten().map(|p| p.rows.len()).sum();
            assert_eq!(ids, 15, "every id once, chunk {chunk}");
        }
    }

    #[test]
    fn the_end_of_a_step_stays_pending() {
        for step_ids in 1..30 {
            for chunk in 1..12 {
                let mut pending = 3;
                let mut in_state = 0;
                for part in passes(&[step_ids], chunk).into_iter().flatten() {
                    let Split { apply, held, direct, window } = part.split(pending);
                    assert!(direct == 0 || held == 0, "rows go in order: {part:?}");
                    in_state += apply + direct;
                    pending = held + window;
                    assert!(pending <= CUT_MAX, "there is room: {part:?}");
                }
                assert_eq!(pending, step_ids.min(CUT_MAX), "{step_ids} in {chunk}");
                assert_eq!(in_state, 3 + step_ids - pending, "the rest is in the state");
            }
        }
    }
}
