//! Ids without a tokenizer: a random prompt, then one pass after the other, each of them timed.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use engine::{Control, Forward, ForwardError, Phase, Spent, Step, Want};

use crate::fault::Fault;
use crate::interrupt;
use crate::progress::{Progress, Unit};

/// An id does not come again for so many others: a model in a loop would find its few experts in
/// memory and flatter the speed.
const WINDOW: usize = 64;

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to but without `count`, which is at least 1.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

/// A prompt that its seed decides.
pub(crate) fn prompt(seed: u64, tokens: usize, vocabulary: usize) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..tokens).map(|_| random.below(vocabulary) as u32).collect()
}

/// One prompt, and what was decoded after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repeat {
    pub(crate) prompt: Phase,
    pub(crate) decode: Phase,
    /// Of each step of decoding.
    pub(crate) latencies: Vec<Duration>,
    /// From the start of the prompt to the first id after it.
    pub(crate) first_id: Duration,
    /// Of the last row of logits.
    pub(crate) logits_hash: String,
}

/// Reads a prompt, then decodes.
///
/// # Errors
/// What ends a pass; an interruption.
pub(crate) fn once<F: Forward>(
    model: &mut F,
    prompt: &[u32],
    decode: usize,
    cancel: &AtomicBool,
) -> Result<Repeat, Fault> {
    let failed = |error: ForwardError| match interrupt::check(cancel) {
        Err(interrupted) => interrupted,
        Ok(()) => Fault::failed(error),
    };
    let mut sequence = model.sequence(prompt.len() + decode).map_err(failed)?;
    let progress = Progress::new("measuring", Unit::Tokens);
    let total = (prompt.len() + decode) as u64;
    let tell = |told: engine::Progress| {
        if told.tokens > 1 {
            let share = told.stages_done as f64 / told.stages.max(1) as f64;
            let share = share * prompt.len() as f64 / total as f64;
            progress.tell(told.tokens_done as u64, total, share);
        }
    };
    let control = Control { cancel, progress: Some(&tell) };
    let mut pass = |ids: &[u32]| -> Result<(Vec<f32>, Spent), ForwardError> {
        let step = Step { sequence: &mut sequence, tokens: ids, logits: Want::Last, hidden: false };
        let answer = model.forward(&mut [step], &control)?.steps.remove(0);
        Ok((answer.logits, answer.spent))
    };

    let start = Instant::now();
    let (mut logits, spent) = pass(prompt).map_err(failed)?;
    let elapsed = start.elapsed();
    let mut fed = prompt.to_vec();
    let mut id = likeliest(&logits, &fed);
    let mut repeat = Repeat {
        prompt: Phase { tokens: prompt.len(), spent, elapsed },
        first_id: start.elapsed(),
        ..Repeat::default()
    };
    for n in 0..decode {
        let start = Instant::now();
        let (row, spent) = pass(&[id]).map_err(failed)?;
        logits = row;
        fed.push(id);
        id = likeliest(&logits, &fed);
        let elapsed = start.elapsed();
        repeat.latencies.push(elapsed);
        repeat.decode.tokens += 1;
        repeat.decode.spent.add(&spent);
        repeat.decode.elapsed += elapsed;
        let done = (prompt.len() + n + 1) as u64;
        progress.tell(done, total, done as f64 / total as f64);
    }
    repeat.logits_hash = engine::logits_hash(&logits);
    Ok(repeat)
}

/// The id with the highest logit, the lowest on a tie, among those that are not the last of `fed`.
fn likeliest(logits: &[f32], fed: &[u32]) -> u32 {
    let recent = &fed[fed.len().saturating_sub(WINDOW)..];
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in (0..).zip(logits) {
        if logit > best.1 && !recent.contains(&id) {
            best = (id, logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_prompt_and_no_other() {
        let ids = prompt(1, 512, 248_320);
        assert_eq!(ids, prompt(1, 512, 248_320), "the same seed");
        assert_ne!(ids, prompt(2, 512, 248_320), "another seed");
        assert!(ids.iter().all(|&id| id < 248_320), "all are known");
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 500, "hardly any comes twice: {}", distinct.len());
        assert!(prompt(1, 99, 3).contains(&2), "the last id comes too");
    }

    #[test]
    fn the_likeliest_is_not_one_of_the_last() {
        let logits = [0.0, 3.0, 2.0, 3.0];
        assert_eq!(likeliest(&logits, &[]), 1, "the lower of two");
        assert_eq!(likeliest(&logits, &[1]), 3, "the other of the two");
        assert_eq!(likeliest(&logits, &[1, 3]), 2, "the next");
        let mut long = vec![1];
        long.extend([0; WINDOW]);
        assert_eq!(likeliest(&logits, &long), 1, "it is long ago");
    }
}
