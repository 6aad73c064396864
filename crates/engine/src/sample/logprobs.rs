//! What the model itself thought of its choice: log-probabilities, and a fingerprint of the row.

use sha2::{Digest, Sha256};

/// Natural logarithms of probabilities, in the model's own distribution over the ids below the
/// tokenizer's size: before mask, penalties, temperature and filters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogProbs {
    /// Of the id that was chosen.
    pub chosen: f64,
    /// The highest with their ids, descending, the lower id first on a tie.
    pub top: Vec<(u32, f64)>,
}

/// Log-probabilities of `id` and of the `top` highest. An id that is not below `vocabulary_size`
/// has negative infinity.
#[must_use]
pub fn log_probabilities(logits: &[f32], vocabulary_size: usize, id: u32, top: usize) -> LogProbs {
    let row = &logits[..vocabulary_size.min(logits.len())];
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let below = |logit: f32| f64::from(logit) - f64::from(highest);
    let log_sum = libm::log(row.iter().map(|logit| libm::exp(below(*logit))).sum());
    let chosen = row.get(id as usize).map_or(f64::NEG_INFINITY, |logit| below(*logit) - log_sum);
    let mut ids: Vec<u32> = (0..).take(row.len()).collect();
    let order = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    if top > 0 && top < ids.len() {
        ids.select_nth_unstable_by(top - 1, order);
    }
    ids.truncate(top);
    ids.sort_unstable_by(order);
    let top = ids.into_iter().map(|id| (id, below(row[id as usize]) - log_sum)).collect();
    LogProbs { chosen, top }
}

/// The first 8 hex digits of SHA-256 over a whole row as little-endian bytes.
#[must_use]
pub fn logits_hash(logits: &[f32]) -> String {
    let mut hash = Sha256::new();
    for logit in logits {
        hash.update(logit.to_le_bytes());
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, want: f64) -> bool {
        // The row holds f32 logarithms, which are off by 6e-8 of about 2 at most.
        (found - want).abs() < 2e-7
    }

    #[test]
    fn by_hand() {
        // 0.1, 0.4, 0.3, 0.2 times 8, and a padding id that would take everything.
        let row = [0.8f32, 3.2, 2.4, 1.6, 1e9].map(f32::ln);
        let found = log_probabilities(&row, 4, 3, 2);
        assert!(near(found.chosen, 0.2f64.ln()), "{}", found.chosen);
        let ids: Vec<u32> = found.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 2], "descending");
        assert!(near(found.top[0].1, 0.4f64.ln()), "{:?}", found.top);
        assert!(near(found.top[1].1, 0.3f64.ln()), "{:?}", found.top);
        let all = log_probabilities(&row, 4, 0, 9);
        let sum: f64 = all.top.iter().map(|(_, l)| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "all of them are {sum}");
        assert_eq!(all.top.len(), 4, "no more than there are");
        let padding = log_probabilities(&row, 4, 4, 0);
        let nothing = LogProbs { chosen: f64::NEG_INFINITY, top: Vec::new() };
        assert_eq!(padding, nothing, "padding is not in the distribution");
    }

    #[test]
    fn ties_and_great_numbers() {
        let found = log_probabilities(&[1e30, 3e38, 3e38, -3e38], 4, 2, 3);
        let ids: Vec<u32> = found.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 2, 0], "the lower id first");
        assert!(near(found.chosen, 0.5f64.ln()), "half of it: {}", found.chosen);
    }

    #[test]
    fn the_hash_is_over_little_endian_bytes() {
        // sha256(00 00 80 3f 00 00 00 c0), and of nothing, by another implementation.
        assert_eq!(logits_hash(&[1.0, -2.0]), "ee4ac73c", "two numbers");
        assert_eq!(logits_hash(&[]), "e3b0c442", "none");
    }
}
