//! Scores of many positions: means as they come, and one number a position for the percentiles.

use super::score::Score;

/// Everything that is kept of the positions so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The divergence of each.
    kl: Vec<f32>,
    kl_mean: f64,
    /// Σ of squared distances from the mean.
    kl_squares: f64,
    agreed: usize,
    /// Sums.
    nll: [f64; 2],
}

/// What is said in the end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    /// Positions.
    pub(super) tokens: usize,
    pub(super) kl_mean: f64,
    /// Of the mean, taking positions as independent; `None` of a single one.
    pub(super) kl_standard_error: Option<f64>,
    /// 50, 95, 99 percent of the positions have at most this divergence; the last is the largest.
    pub(super) kl_percentiles: [f32; 4],
    /// 0 to 1.
    pub(super) top1_agreement: f64,
    /// Reference, candidate.
    pub(super) nll_mean: [f64; 2],
}

impl Tally {
    pub(super) fn with_room(positions: usize) -> Self {
        Self { kl: Vec::with_capacity(positions), ..Self::default() }
    }

    pub(super) fn add(&mut self, score: &Score) {
        self.kl.push(score.kl as f32);
        // Welford's way: no difference of large sums.
        let before = score.kl - self.kl_mean;
        self.kl_mean += before / self.kl.len() as f64;
        self.kl_squares += before * (score.kl - self.kl_mean);
        self.agreed += usize::from(score.agrees);
        for (sum, nll) in self.nll.iter_mut().zip(score.nll) {
            *sum += nll;
        }
    }

    /// Of at least one position.
    pub(super) fn figures(mut self) -> Figures {
        self.kl.sort_unstable_by(f32::total_cmp);
        let (tokens, count) = (self.kl.len(), self.kl.len() as f64);
        let variance = (tokens > 1).then(|| self.kl_squares / (count - 1.0));
        // The least divergence that so many positions do not exceed.
        let percentile = |percent: usize| self.kl[(tokens * percent).div_ceil(100) - 1];
        Figures {
            tokens,
            kl_mean: self.kl_mean,
            kl_standard_error: variance.map(|variance| (variance / count).sqrt()),
            kl_percentiles: [50, 95, 99, 100].map(percentile),
            top1_agreement: self.agreed as f64 / count,
            nll_mean: self.nll.map(|sum| sum / count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_positions_by_hand() {
        let mut tally = Tally::with_room(4);
        for (kl, agrees) in [(0.0, true), (0.5, true), (0.25, false), (0.25, true)] {
            tally.add(&Score { kl, agrees, nll: [1.0, 1.0 + kl] });
        }
        let figures = tally.figures();
        // Squared distances from 0.25: 1/16 + 1/16, over 3, over 4.
        let error = (0.125_f64 / 3.0 / 4.0).sqrt();
        let found = figures.kl_standard_error.expect("of four");
        assert!((found - error).abs() < 1e-15, "{found}, {error} expected");
        let want = Figures {
            tokens: 4,
            kl_mean: 0.25,
            kl_standard_error: figures.kl_standard_error,
            kl_percentiles: [0.25, 0.5, 0.5, 0.5],
            top1_agreement: 0.75,
            nll_mean: [1.0, 1.25],
        };
        assert_eq!(figures, want, "all of it");
    }

    #[test]
    fn one_position_has_no_error() {
        let mut tally = Tally::with_room(1);
        tally.add(&Score { kl: 0.5, agrees: false, nll: [2.0, 3.0] });
        let figures = tally.figures();
        assert_eq!((figures.kl_standard_error, figures.kl_percentiles), (None, [0.5; 4]), "one");
    }

    #[test]
    fn percentiles_are_those_of_the_ranks() {
        let mut tally = Tally::with_room(200);
        for kl in (1..=200).rev() {
            tally.add(&Score { kl: f64::from(kl), agrees: true, nll: [0.0; 2] });
        }
        assert_eq!(tally.figures().kl_percentiles, [100.0, 190.0, 198.0, 200.0], "of 1 to 200");
    }
}
