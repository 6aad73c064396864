//! A model without weights: its logits are a function of all ids before, and it fails on demand.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::forward::{
    Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Spent, Step, StepOutput,
};

/// What is said after certain ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The ids that call for the answer.
    pub after: Vec<u32>,
    /// What follows them; end it with a stop id where the turn shall end.
    pub answer: Vec<u32>,
}

/// One pass that will not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which pass, counted from 0 over the life of the model; refused steps do not count.
    pub pass: u64,
    /// How many of its stages succeed before.
    pub stages: usize,
}

/// What a scripted failure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scripted failure in pass {pass} after {stages} stages")]
pub struct ScriptedFailure {
    /// The pass.
    pub pass: u64,
    /// Stages done.
    pub stages: usize,
}

/// A model whose logits are a pure function of all ids before, within -4 and 4; where a script
/// applies, the id that follows has 20.
///
/// It does all that [`Forward`] promises and refuses all that may be refused. After a failure a
/// sequence holds rubbish until it is rewound.
#[derive(Clone, Debug)]
pub struct ScriptedForward {
    /// What it says of itself.
    pub facts: Facts,
    /// What is said after certain ids; the first that applies counts.
    pub scripts: Vec<Script>,
    /// Stages of each pass.
    pub stages: usize,
    /// Passes that fail.
    pub failures: Vec<Failure>,
    /// Passes whose logits are not numbers.
    pub broken_rows: Vec<u64>,
    /// Bytes that each id reads and twice as many that it touches.
    pub read_bytes_per_token: u64,
    passes: u64,
}

/// A sequence of a [`ScriptedForward`].
#[derive(Clone, Debug)]
pub struct ScriptedSequence {
    serial: u64,
    ids: Vec<u32>,
    capacity: usize,
    /// Ids of the last step.
    step: usize,
    poisoned: bool,
}

/// What a checkpoint holds: enough to find every wrong use.
struct Point {
    fingerprint: [u8; 32],
    serial: u64,
    ids: Vec<u32>,
}

const MAGIC: &[u8; 8] = b"scripted";

/// What a failed pass leaves behind.
const RUBBISH: u32 = u32::MAX;

fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl ScriptedForward {
    /// A model with rows of `vocabulary` logits and sequences of up to `context` ids; no scripts,
    /// no failures, 3 stages, hidden states of width 4, cuts of up to 8 ids.
    #[must_use]
    pub fn new(vocabulary: usize, context: usize) -> Self {
        let facts = Facts { vocabulary, context, hidden: 4, cut_max: 8, fingerprint: [b'S'; 32] };
        Self {
            facts,
            scripts: Vec::new(),
            stages: 3,
            failures: Vec::new(),
            broken_rows: Vec::new(),
            read_bytes_per_token: 1000,
            passes: 0,
        }
    }

    /// Adds a script.
    #[must_use]
    pub fn answering(mut self, after: Vec<u32>, answer: Vec<u32>) -> Self {
        self.scripts.push(Script { after, answer });
        self
    }

    /// Passes that were begun.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// The id that a script has for the next position.
    fn scripted(&self, ids: &[u32]) -> Option<u32> {
        self.scripts.iter().find_map(|script| {
            (0..script.answer.len()).rev().find_map(|said| {
                let before = ids.strip_suffix(&script.answer[..said])?;
                before.ends_with(&script.after).then_some(script.answer[said])
            })
        })
    }

    fn row(&self, ids: &[u32], seed: u64) -> Vec<f32> {
        let row = (0..self.facts.vocabulary as u64).map(|i| noise(mix(seed ^ i)));
        let mut row: Vec<f32> = row.collect();
        if let Some(logit) = self.scripted(ids).and_then(|id| row.get_mut(id as usize)) {
            *logit = 20.0;
        }
        row
    }

    /// What can be refused before anything is changed.
    fn check(&self, step: &Step<'_, ScriptedSequence>) -> Result<(), ForwardError> {
        let (sequence, ids) = (&step.sequence, step.tokens);
        if ids.is_empty() {
            return Err(ForwardError::Empty);
        }
        if sequence.poisoned {
            return Err(ForwardError::Poisoned);
        }
        let (wanted, capacity) = (sequence.ids.len() + ids.len(), sequence.capacity);
        if wanted > capacity {
            return Err(ForwardError::Context { wanted, capacity });
        }
        let vocabulary = self.facts.vocabulary;
        match ids.iter().find(|id| **id as usize >= vocabulary) {
            Some(&id) => Err(ForwardError::UnknownId { id, vocabulary }),
            None => Ok(()),
        }
    }

    /// The pass as far as it can fail.
    fn stages(&self, pass: u64, tokens: usize, control: &Control<'_>) -> Result<(), ForwardError> {
        for done in 0..=self.stages {
            if self.failures.contains(&Failure { pass, stages: done }) {
                let failure = ScriptedFailure { pass, stages: done };
                return Err(ForwardError::Failed(Box::new(failure)));
            }
            let tokens_done = if done == self.stages { tokens } else { 0 };
            let (stages_done, stages) = (done, self.stages);
            control.stage(Progress { tokens_done, tokens, stages_done, stages })?;
        }
        Ok(())
    }

    fn answer(&self, step: &mut Step<'_, ScriptedSequence>, broken: bool) -> StepOutput {
        let start = step.logits.start(step.tokens.len());
        let mut seed = step.sequence.ids.iter().fold(0, |seed, id| follow(seed, *id));
        let mut output = StepOutput::default();
        for (n, id) in step.tokens.iter().enumerate() {
            step.sequence.ids.push(*id);
            seed = follow(seed, *id);
            if n < start {
                continue;
            }
            output.logits.extend(self.row(&step.sequence.ids, seed));
            if step.hidden {
                let width = self.facts.hidden as u64;
                output.hidden.extend((0..width).map(|i| noise(mix(!seed ^ i))));
            }
        }
        if broken {
            output.logits.fill(f32::NAN);
        }
        step.sequence.step = step.tokens.len();
        let tokens = step.tokens.len() as u64;
        output.spent = Spent {
            tokens,
            read_bytes: tokens * self.read_bytes_per_token,
            touched_bytes: 2 * tokens * self.read_bytes_per_token,
            hits: tokens,
            misses: tokens,
            wait: Duration::ZERO,
            reading: Duration::ZERO,
            elapsed: Duration::from_micros(tokens),
            ..Spent::default()
        };
        output
    }
}

/// The state after one more id.
fn follow(seed: u64, id: u32) -> u64 {
    mix(seed.wrapping_mul(31) ^ u64::from(id)).wrapping_add(1)
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// From -4 to 4 in steps that an f32 holds.
fn noise(bits: u64) -> f32 {
    (bits >> 44) as f32 / (1 << 17) as f32 - 4.0
}

impl Forward for ScriptedForward {
    type Sequence = ScriptedSequence;

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn sequence(&self, capacity: usize) -> Result<ScriptedSequence, ForwardError> {
        if capacity > self.facts.context {
            let (wanted, capacity) = (capacity, self.facts.context);
            return Err(ForwardError::Context { wanted, capacity });
        }
        let (serial, ids) = (serial(), Vec::new());
        Ok(ScriptedSequence { serial, ids, capacity, step: 0, poisoned: false })
    }

    fn position(&self, sequence: &ScriptedSequence) -> usize {
        sequence.ids.len()
    }

    fn forward(
        &mut self,
        batch: &mut [Step<'_, ScriptedSequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError> {
        if batch.is_empty() {
            return Err(ForwardError::Empty);
        }
        batch.iter().try_for_each(|step| self.check(step))?;
        let pass = self.passes;
        self.passes += 1;
        let tokens = batch.iter().map(|step| step.tokens.len()).sum();
        if let Err(error) = self.stages(pass, tokens, control) {
            for step in batch {
                step.sequence.poisoned = true;
                step.sequence.ids.push(RUBBISH);
            }
            return Err(error);
        }
        let broken = self.broken_rows.contains(&pass);
        Ok(Output { steps: batch.iter_mut().map(|step| self.answer(step, broken)).collect() })
    }

    fn keep(&self, sequence: &mut ScriptedSequence, ids: usize) -> Result<(), ForwardError> {
        if sequence.poisoned {
            return Err(ForwardError::Poisoned);
        }
        let (wanted, limit) = (sequence.step.saturating_sub(ids), self.facts.cut_max);
        if wanted > limit {
            return Err(ForwardError::Cut { wanted, limit });
        }
        sequence.ids.truncate(sequence.ids.len() - wanted);
        sequence.step = 0;
        Ok(())
    }

    fn checkpoint(&self, sequence: &ScriptedSequence) -> Result<Checkpoint, ForwardError> {
        if sequence.poisoned {
            return Err(ForwardError::Poisoned);
        }
        let (serial, ids) = (sequence.serial, sequence.ids.clone());
        let point = Point { fingerprint: self.facts.fingerprint, serial, ids };
        Ok(Checkpoint { position: sequence.ids.len(), state: Box::new(point) })
    }

    fn rewind(&self, sequence: &mut ScriptedSequence, to: &Checkpoint) -> Result<(), ForwardError> {
        let foreign = ForwardError::Foreign { position: to.position };
        let Some(point) = to.state.downcast_ref::<Point>() else { return Err(foreign) };
        if point.fingerprint != self.facts.fingerprint
            || point.serial != sequence.serial
            || point.ids.len() != to.position
            || !sequence.ids.starts_with(&point.ids)
        {
            return Err(foreign);
        }
        sequence.ids.truncate(to.position);
        sequence.step = 0;
        sequence.poisoned = false;
        Ok(())
    }

    fn snapshot(&self, sequence: &ScriptedSequence, out: &mut dyn Write) -> io::Result<()> {
        if sequence.poisoned {
            return Err(io::Error::new(io::ErrorKind::InvalidData, ForwardError::Poisoned));
        }
        out.write_all(MAGIC)?;
        out.write_all(&self.facts.fingerprint)?;
        let sum = sequence.ids.iter().fold(0, |sum, id| follow(sum, *id));
        out.write_all(&(sequence.ids.len() as u64).to_le_bytes())?;
        out.write_all(&sum.to_le_bytes())?;
        sequence.ids.iter().try_for_each(|id| out.write_all(&id.to_le_bytes()))
    }

    fn restore(
        &self,
        from: &mut dyn Read,
        capacity: usize,
    ) -> Result<ScriptedSequence, ForwardError> {
        let refused = |why: &str| ForwardError::Snapshot(why.to_owned());
        let short = |error: io::Error| ForwardError::Snapshot(error.to_string());
        let (mut magic, mut fingerprint, mut word) = ([0; 8], [0; 32], [0; 8]);
        from.read_exact(&mut magic).map_err(short)?;
        if &magic != MAGIC {
            return Err(refused("not a scripted sequence"));
        }
        from.read_exact(&mut fingerprint).map_err(short)?;
        if fingerprint != self.facts.fingerprint {
            return Err(refused("of another model"));
        }
        from.read_exact(&mut word).map_err(short)?;
        let count = u64::from_le_bytes(word);
        from.read_exact(&mut word).map_err(short)?;
        let mut sequence = self.sequence(capacity)?;
        if count > capacity as u64 {
            return Err(refused("longer than the room for it"));
        }
        for _ in 0..count {
            let mut id = [0; 4];
            from.read_exact(&mut id).map_err(short)?;
            sequence.ids.push(u32::from_le_bytes(id));
        }
        let sum = sequence.ids.iter().fold(0, |sum, id| follow(sum, *id));
        if sum != u64::from_le_bytes(word) {
            return Err(refused("damaged"));
        }
        Ok(sequence)
    }
}
