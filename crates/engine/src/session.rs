//! A session is a timeline: callers hand over the whole prefix, and it extends, rewinds or rebuilds.

mod snapshot;

use crate::forward::{Checkpoint, Control, Forward, ForwardError, Progress, Spent, Step, Want};

/// Checkpoints that a session keeps unless told otherwise.
pub const CHECKPOINTS_DEFAULT: usize = 2;

/// One sequence, the ids that it holds, and points to which it can go back.
///
/// After an error or a cancel a session stays usable: what it holds is cut to its last checkpoint
/// (perhaps to nothing), and the next [`Session::sync`] goes on from there with the same logits as
/// if nothing had happened.
pub struct Session<F: Forward> {
    /// `None` when going back failed: the next sync makes a new one.
    sequence: Option<F::Sequence>,
    capacity: usize,
    /// What the sequence holds.
    ids: Vec<u32>,
    /// The point before the first id; a restored sequence has none.
    empty: Option<Checkpoint>,
    /// Ascending by position, all of them on the timeline.
    checkpoints: Vec<Checkpoint>,
    checkpoints_max: usize,
    /// The newest row of logits: that of the last position as long as `row_holds`.
    row: Vec<f32>,
    row_holds: bool,
}

/// What [`Session::sync`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Synced {
    /// Ids of the prefix that were there already.
    pub reused: usize,
    /// Ids that went through the model.
    pub read: usize,
    /// What reading them cost.
    pub spent: Spent,
}

impl<F: Forward> Session<F> {
    /// An empty session with room for `capacity` ids and [`CHECKPOINTS_DEFAULT`] checkpoints.
    ///
    /// # Errors
    /// [`ForwardError::Context`] when the model has not that much room.
    pub fn new(forward: &F, capacity: usize) -> Result<Self, ForwardError> {
        Self::with_checkpoints(forward, capacity, CHECKPOINTS_DEFAULT)
    }

    /// As [`Session::new`] with at most `checkpoints_max` checkpoints at a time, the one before the
    /// first id not counted.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn with_checkpoints(
        forward: &F,
        capacity: usize,
        checkpoints_max: usize,
    ) -> Result<Self, ForwardError> {
        let sequence = forward.sequence(capacity)?;
        let empty = Some(forward.checkpoint(&sequence)?);
        Ok(Self {
            sequence: Some(sequence),
            capacity,
            ids: Vec::new(),
            empty,
            checkpoints: Vec::new(),
            checkpoints_max,
            row: Vec::new(),
            row_holds: false,
        })
    }

    /// Makes the sequence hold exactly `prefix`, with the logits of its last position at hand.
    ///
    /// As much as possible is kept: all when `prefix` goes on from what is held, else what lies
    /// before the nearest checkpoint on the way. When `prefix` is what is held and its logits are
    /// still there, nothing is read. Checkpoints are taken at those positions of `checkpoint_at`
    /// that are passed or reached (ids before the point; order does not matter); the oldest make
    /// room. Progress of a prompt that is read in several parts is told as one.
    ///
    /// # Errors
    /// [`ForwardError::Empty`] without ids, [`ForwardError::Context`] and
    /// [`ForwardError::UnknownId`] before anything is changed. After all others the session holds
    /// what its last checkpoint holds.
    pub fn sync(
        &mut self,
        forward: &mut F,
        prefix: &[u32],
        checkpoint_at: &[usize],
        control: &Control<'_>,
    ) -> Result<Synced, ForwardError> {
        self.check(forward, prefix)?;
        let shared = prefix.iter().zip(&self.ids).take_while(|(a, b)| a == b).count();
        let extends = self.sequence.is_some() && shared == self.ids.len();
        if !extends || (shared == prefix.len() && !self.row_holds) {
            // A row of logits comes only with an id that is read: the last one always is.
            self.go_back(forward, shared.min(prefix.len() - 1))?;
        }
        let reused = self.ids.len();
        let spent = self.read(forward, &prefix[reused..], checkpoint_at, control)?;
        Ok(Synced { reused, read: prefix.len() - reused, spent })
    }

    /// Appends one id that was chosen from [`Session::logits`].
    ///
    /// # Errors
    /// [`ForwardError::Poisoned`] when there are no such logits (nothing was synced since the
    /// beginning or the last error), [`ForwardError::Context`] and [`ForwardError::UnknownId`];
    /// these change nothing. After all others the session holds what its last checkpoint holds.
    pub fn push(
        &mut self,
        forward: &mut F,
        id: u32,
        control: &Control<'_>,
    ) -> Result<Spent, ForwardError> {
        if !self.row_holds {
            return Err(ForwardError::Poisoned);
        }
        if self.ids.len() == self.capacity {
            let (wanted, capacity) = (self.capacity + 1, self.capacity);
            return Err(ForwardError::Context { wanted, capacity });
        }
        self.pass(forward, &[id], Want::Last, control)
    }

    /// Goes back to the newest checkpoint at or before `position`, or to the beginning; where the
    /// session holds no more than `position` ids, it stays. Returns where it stands then.
    ///
    /// # Errors
    /// Those of the model; the next [`Session::sync`] begins anew then.
    pub fn back_to(&mut self, forward: &F, position: usize) -> Result<usize, ForwardError> {
        if self.ids.len() > position {
            self.go_back(forward, position)?;
        }
        Ok(self.ids.len())
    }

    /// The logits of the last position, one row of the model's vocabulary; `None` where they would
    /// have to be made first by [`Session::sync`].
    #[must_use]
    pub fn logits(&self) -> Option<&[f32]> {
        self.row_holds.then_some(self.row.as_slice())
    }

    /// The newest row there was, whether the session still stands at its position or not.
    pub(crate) fn newest_row(&self) -> &[f32] {
        &self.row
    }

    /// The ids that the sequence holds.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How many ids the sequence holds.
    #[must_use]
    pub fn position(&self) -> usize {
        self.ids.len()
    }

    /// How many ids the sequence can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where the session can go back to, ascending; position 0 is not named.
    pub fn checkpoints(&self) -> impl Iterator<Item = usize> {
        self.checkpoints.iter().map(|checkpoint| checkpoint.position)
    }

    fn check(&self, forward: &F, prefix: &[u32]) -> Result<(), ForwardError> {
        if prefix.is_empty() {
            return Err(ForwardError::Empty);
        }
        if prefix.len() > self.capacity {
            let (wanted, capacity) = (prefix.len(), self.capacity);
            return Err(ForwardError::Context { wanted, capacity });
        }
        let vocabulary = forward.facts().vocabulary;
        match prefix.iter().find(|id| **id as usize >= vocabulary) {
            Some(&id) => Err(ForwardError::UnknownId { id, vocabulary }),
            None => Ok(()),
        }
    }

    /// Reads ids behind those that are held, in parts that end where a checkpoint is wished.
    fn read(
        &mut self,
        forward: &mut F,
        rest: &[u32],
        checkpoint_at: &[usize],
        control: &Control<'_>,
    ) -> Result<Spent, ForwardError> {
        let start = self.ids.len();
        let end = start + rest.len();
        let wished = self.wished(checkpoint_at, start, end);
        let mut spent = Spent::default();
        let mut stops = wished.clone();
        stops.extend((!rest.is_empty()).then_some(end));
        stops.dedup();
        for stop in stops {
            let at = self.ids.len() - start;
            let part = &rest[at..stop - start];
            if !part.is_empty() {
                let want = if stop == end { Want::Last } else { Want::None };
                let progress = |told| whole(told, at, part.len(), rest.len(), control);
                let mut control = *control;
                if control.progress.is_some() && part.len() < rest.len() {
                    control.progress = Some(&progress);
                }
                spent.add(&self.pass(forward, part, want, &control)?);
            }
            if wished.contains(&stop) {
                self.take_checkpoint(forward)?;
            }
        }
        Ok(spent)
    }

    /// The positions at which checkpoints will be taken, ascending: no more than can be kept, and
    /// none that is there already.
    fn wished(&self, checkpoint_at: &[usize], start: usize, end: usize) -> Vec<usize> {
        let there = |at: &usize| self.checkpoints().any(|position| position == *at);
        let passed = |at: &&usize| **at > 0 && (start..=end).contains(*at) && !there(at);
        let mut wished: Vec<usize> = checkpoint_at.iter().filter(passed).copied().collect();
        wished.sort_unstable();
        wished.dedup();
        wished.split_off(wished.len().saturating_sub(self.checkpoints_max))
    }

    fn take_checkpoint(&mut self, forward: &F) -> Result<(), ForwardError> {
        let Some(sequence) = &self.sequence else { return Err(ForwardError::Poisoned) };
        // The old one goes first: two at once would be more memory than was planned.
        let too_many = (self.checkpoints.len() + 1).saturating_sub(self.checkpoints_max);
        self.checkpoints.drain(..too_many);
        match forward.checkpoint(sequence) {
            Ok(checkpoint) => self.checkpoints.push(checkpoint),
            Err(error) => {
                self.recover(forward);
                return Err(error);
            }
        }
        Ok(())
    }

    /// One pass over ids behind those that are held.
    fn pass(
        &mut self,
        forward: &mut F,
        ids: &[u32],
        logits: Want,
        control: &Control<'_>,
    ) -> Result<Spent, ForwardError> {
        let Some(sequence) = self.sequence.as_mut() else { return Err(ForwardError::Poisoned) };
        let step = Step { sequence, tokens: ids, logits, hidden: false };
        match forward.forward(&mut [step], control) {
            Ok(mut output) => {
                let answer = output.steps.pop().unwrap_or_default();
                self.ids.extend_from_slice(ids);
                self.row_holds = !answer.logits.is_empty();
                if self.row_holds {
                    self.row = answer.logits;
                }
                Ok(answer.spent)
            }
            Err(error) => {
                let unchanged = matches!(
                    error,
                    ForwardError::Context { .. }
                        | ForwardError::UnknownId { .. }
                        | ForwardError::Empty
                );
                if !unchanged {
                    self.recover(forward);
                }
                Err(error)
            }
        }
    }

    /// Back to the last checkpoint after an error. When even that fails there is no sequence until
    /// the next sync, which then says what is wrong.
    fn recover(&mut self, forward: &F) {
        let _told_by_the_next_sync = self.go_back(forward, usize::MAX);
    }

    /// Back to the nearest checkpoint at or before `limit`, or to the beginning.
    fn go_back(&mut self, forward: &F, limit: usize) -> Result<(), ForwardError> {
        self.row_holds = false;
        self.checkpoints.retain(|checkpoint| checkpoint.position <= limit);
        let done = match (&mut self.sequence, self.checkpoints.last().or(self.empty.as_ref())) {
            (Some(sequence), Some(to)) => {
                self.ids.truncate(to.position);
                forward.rewind(sequence, to)
            }
            _ => self.begin_anew(forward),
        };
        if done.is_err() {
            self.sequence = None;
            self.empty = None;
            self.checkpoints.clear();
            self.ids.clear();
        }
        done
    }

    /// A new sequence, where there is none or nothing to go back to. The old one is given up first:
    /// two at once would be more memory than was planned.
    fn begin_anew(&mut self, forward: &F) -> Result<(), ForwardError> {
        self.sequence = None;
        self.checkpoints.clear();
        self.ids.clear();
        let sequence = forward.sequence(self.capacity)?;
        self.empty = Some(forward.checkpoint(&sequence)?);
        self.sequence = Some(sequence);
        Ok(())
    }
}

/// Progress of one part as progress of the whole: `part` ids of `total`, `before` of them done. The
/// stages are scaled so that their quotient is the share of the whole.
fn whole(told: Progress, before: usize, part: usize, total: usize, control: &Control<'_>) {
    if let Some(progress) = control.progress {
        progress(Progress {
            tokens_done: before + told.tokens_done,
            tokens: total,
            stages_done: told.stages * before + told.stages_done * part,
            stages: told.stages * total,
        });
    }
}
