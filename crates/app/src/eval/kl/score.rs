//! One position: how far the expectations of two models are apart, and what each makes of the token that came.

/// What is known of one position. Divergences and likelihoods are in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    /// KL(reference || candidate).
    pub(super) kl: f64,
    /// Whether both find the same id the likeliest, the lowest on a tie.
    pub(super) agrees: bool,
    /// -ln of the probability of the token that came: reference, candidate.
    pub(super) nll: [f64; 2],
}

impl Score {
    /// From the logits of reference and candidate over the same ids; `None` when one is not finite.
    pub(super) fn of([reference, candidate]: [&[f32]; 2], came: usize) -> Option<Self> {
        let (first, second) = (Softmax::of(reference)?, Softmax::of(candidate)?);
        // Σ p (ln p - ln q) with ln p = logit - shift. The shifts do not depend on the id, so that
        // equal logits give exactly 0.
        let mut sum = 0.0;
        for (a, b) in reference.iter().zip(candidate) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            sum += (a - first.largest).exp() * (a - b);
        }
        let kl = sum / first.total - (first.shift() - second.shift());
        let nll = [(&first, reference), (&second, candidate)]
            .map(|(softmax, logits)| softmax.shift() - f64::from(logits[came]));
        // What rounding leaves below 0 is 0.
        Some(Self { kl: kl.max(0.0), agrees: first.likeliest == second.likeliest, nll })
    }
}

/// What turns logits into probabilities.
struct Softmax {
    largest: f64,
    likeliest: usize,
    /// Σ e^(logit - largest)
    total: f64,
}

impl Softmax {
    fn of(logits: &[f32]) -> Option<Self> {
        let mut largest = (f32::NEG_INFINITY, 0);
        for (id, logit) in logits.iter().enumerate() {
            if !logit.is_finite() {
                return None;
            }
            if *logit > largest.0 {
                largest = (*logit, id);
            }
        }
        let (largest, likeliest) = (f64::from(largest.0), largest.1);
        let total = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
        Some(Self { largest, likeliest, total })
    }

    /// What is taken from a logit to make it the logarithm of a probability.
    fn shift(&self) -> f64 {
        self.largest + self.total.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, want: f64, within: f64) {
        assert!((found - want).abs() < within, "{found}, {want} expected");
    }

    #[test]
    fn two_coins_by_hand() {
        // p = (3/4, 1/4), q = (1/2, 1/2), as logits with any shift; ln 3 as f32 is off by 1e-7.
        let p = [1.098_612_3 + 4.0, 4.0];
        let score = Score::of([&p, &[-2.0, -2.0]], 1).expect("finite");
        near(score.kl, 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln(), 1e-6);
        near(score.kl, 0.130_812_035_9, 1e-6);
        near(score.nll[0], 4.0_f64.ln(), 1e-6);
        near(score.nll[1], 2.0_f64.ln(), 1e-12);
        assert!(score.agrees, "on a tie the lowest id is the likeliest");
        // The other way it is another number: 0.5 ln (2/3) + 0.5 ln 2.
        let back = Score::of([&[-2.0, -2.0], &p], 0).expect("finite");
        near(back.kl, 0.5 * (4.0_f64 / 3.0).ln(), 1e-6);
        let other = Score::of([&p, &[-2.0, -1.5]], 0).expect("finite");
        assert!(!other.agrees, "{other:?}");
    }

    #[test]
    fn equal_logits_are_exactly_no_divergence() {
        let logits: Vec<f32> = (0..1000_u16).map(|n| (f32::from(n) * 0.7).sin() * 30.0).collect();
        let score = Score::of([&logits, &logits], 7).expect("finite");
        assert_eq!((score.kl, score.agrees), (0.0, true), "{score:?}");
        assert_eq!(score.nll[0], score.nll[1], "the same");
    }

    #[test]
    fn logits_far_apart_neither_overflow_nor_vanish() {
        // The candidate is certain of the other id.
        let score = Score::of([&[1000.0, -1000.0], &[-1000.0, 1000.0]], 0).expect("finite");
        assert_eq!((score.kl, score.nll), (2000.0, [0.0, 2000.0]), "{score:?}");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Score::of([&[0.0, 1.0], &[0.0, bad]], 0), None, "{bad}");
            assert_eq!(Score::of([&[bad, 1.0], &[0.0, 1.0]], 0), None, "{bad}");
        }
    }
}
