//! From a row of logits to one id: mask, penalties, temperature, top-k, top-p, min-p, in this order.

mod filter;
mod logprobs;
mod penalty;
mod random;
mod settings;

use filter::Candidate;
pub use logprobs::{LogProbs, log_probabilities, logits_hash};
pub use penalty::History;
use random::Random;
pub use settings::{Sampling, SamplingError, SamplingOverrides};

/// What may forbid ids, a grammar for instance: the one place where the vocabulary is narrowed.
pub trait Mask {
    /// Puts negative infinity where an id is forbidden now. `logits` are a copy of the model's own,
    /// one for each id below the tokenizer's size.
    fn allow(&mut self, logits: &mut [f32]);

    /// Hears of every id that became part of the output, forced ones and reasoning included.
    fn accept(&mut self, id: u32);
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The id.
    pub id: u32,
    /// Its share of what was left after all filters: 1 when there was no other.
    pub probability: f64,
}

/// Why no id can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The model's numbers are broken; whatever came of them would be a lie.
    #[error("the logit of token id {at} is not a finite number: the model's numbers are broken")]
    NotFinite {
        /// The first such id.
        at: usize,
    },
    /// The mask left nothing.
    #[error("every token is forbidden by the mask, at least one has to be allowed")]
    AllForbidden,
    /// A row without ids, or a tokenizer without any.
    #[error("there are no logits to choose from")]
    Empty,
}

/// Chooses ids. The same settings and rows give the same ids on every machine.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    /// Ids from here on are never sampled.
    vocabulary_size: usize,
    random: Random,
    /// The row as it is changed, kept for its memory.
    row: Vec<f32>,
    candidates: Vec<Candidate>,
    seen: Vec<bool>,
}

impl Sampler {
    /// A sampler over the ids below `vocabulary_size`: the tokenizer's size, since rows of the model
    /// beyond it are padding.
    #[must_use]
    pub fn new(sampling: &Sampling, vocabulary_size: usize) -> Self {
        Self {
            sampling: *sampling,
            vocabulary_size,
            random: Random::new(sampling.seed),
            row: Vec::new(),
            candidates: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Chooses from one row of logits. At temperature 0 this is the highest, the lowest id on a
    /// tie, and nothing is drawn; else exactly one number is drawn.
    ///
    /// The mask's [`Mask::accept`] is not called: that is for whoever appends the id.
    ///
    /// # Errors
    /// [`SampleError::NotFinite`] for any logit of the row, padding included,
    /// [`SampleError::AllForbidden`], [`SampleError::Empty`].
    pub fn sample(
        &mut self,
        logits: &[f32],
        history: History<'_>,
        mask: Option<&mut (dyn Mask + '_)>,
    ) -> Result<Choice, SampleError> {
        if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(SampleError::NotFinite { at });
        }
        let size = self.vocabulary_size.min(logits.len());
        self.row.clear();
        self.row.extend_from_slice(&logits[..size]);
        if let Some(mask) = mask {
            mask.allow(&mut self.row);
            // Only negative infinity has a meaning here.
            let wrong = |l: &f32| l.is_nan() || *l == f32::INFINITY;
            if let Some(at) = self.row.iter().position(wrong) {
                return Err(SampleError::NotFinite { at });
            }
        }
        penalty::apply(&self.sampling, history, &mut self.row, &mut self.seen);
        let best = argmax(&self.row).ok_or(SampleError::Empty)?;
        if self.row[best] == f32::NEG_INFINITY {
            return Err(SampleError::AllForbidden);
        }
        if self.sampling.temperature == 0.0 {
            return Ok(Choice { id: best as u32, probability: 1.0 });
        }
        filter::narrow(&self.sampling, &self.row, self.row[best], &mut self.candidates);
        Ok(filter::pick(&self.candidates, self.random.unit()))
    }
}

/// Where the highest logit is, the first of equal ones.
fn argmax(row: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (at, logit) in row.iter().enumerate() {
        if *logit > row[best] {
            best = at;
        }
    }
    (!row.is_empty()).then_some(best)
}
