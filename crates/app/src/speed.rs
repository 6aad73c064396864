//! The speed that can be expected before anything is loaded: bytes that a token needs, over what the machine gives.

mod kept;

pub(crate) use kept::ram;

use crate::bench::bound::{Speeds, Work};
use crate::open::{Checkpoint, Planned};

/// The context that a prediction is for, in ids: enough for an answer.
const POSITION: usize = 1024;

/// The share of memory's speed at which weights are multiplied; reads of the disk need no such
/// allowance. The exact precision is bound by arithmetic and not by memory. Measured: 0.32 to 0.37
/// on a synthetic 35B (4 bits), AMD EPYC (Zen 3, AVX2), 2 threads; half of that while other work
/// kept both cores busy. The fast precision: 0.70 to 0.72 on the same shape with 2 threads of
/// a Xeon (Sapphire Rapids); 0.46 with 16 of another, of a ceiling that was measured too low.
const EXACT_SHARE: f64 = 0.33;
const FAST_SHARE: f64 = 0.7;

/// Hit rates of a least-recently-used cache by the share of all experts that it holds: the lowest
/// that was published for any of the models whose routing is known, first reads counted.
const PUBLISHED: [(f64, f64); 9] = [
    (0.0, 0.0),
    (0.031, 0.13),
    (0.0625, 0.25),
    (0.125, 0.32),
    (0.18, 0.435),
    (0.36, 0.62),
    (0.54, 0.72),
    (0.73, 0.79),
    (1.0, 0.85),
];

/// What a speed depends on, bytes for one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) trunk_bytes: u64,
    pub(crate) state_bytes: u64,
    pub(crate) expert_bytes: u64,
    /// Slots, of all experts: 0 to 1.
    pub(crate) share: f64,
    /// Whether the slots hold less than one token uses.
    pub(crate) below_cycle: bool,
    /// The share of memory's speed at which weights are multiplied.
    pub(crate) multiplying_share: f64,
}

/// Tokens a second, and the hit rates (0 to 1) behind them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prediction {
    /// With the lowest hit rate that was published for such a cache.
    pub(crate) tok_per_s: f64,
    pub(crate) hit_rate: f64,
    /// With experts chosen evenly, which no router does: the least to expect.
    pub(crate) tok_per_s_low: f64,
    pub(crate) hit_rate_low: f64,
}

impl Asked {
    pub(crate) fn of(checkpoint: &Checkpoint, planned: &Planned) -> Self {
        let plan = &planned.plan;
        Self {
            multiplying_share: if planned.is_exact() { EXACT_SHARE } else { FAST_SHARE },
            trunk_bytes: checkpoint.inspection().trunk_bytes_per_token,
            state_bytes: checkpoint.state_bytes_per_token(planned, POSITION.min(plan.ctx)),
            expert_bytes: plan.cycle_bytes,
            share: plan.slot_count as f64 / checkpoint.records().max(1) as f64,
            below_cycle: plan.below_cycle(),
        }
    }

    /// Published, and if experts were chosen evenly.
    fn hit_rates(&self) -> (f64, f64) {
        match self {
            Self { below_cycle: true, .. } => (0.0, 0.0),
            // Each expert is read once and stays.
            Self { share, .. } if *share >= 1.0 => (1.0, 1.0),
            Self { share, .. } => (published(*share).max(*share), *share),
        }
    }

    fn tok_per_s(&self, speeds: &Speeds, hit_rate: f64) -> Option<f64> {
        let work = Work {
            tokens: 1.0,
            trunk_bytes: self.trunk_bytes as f64,
            state_bytes: self.state_bytes as f64,
            expert_bytes: self.expert_bytes as f64,
            missed_bytes: self.expert_bytes as f64 * (1.0 - hit_rate),
        };
        let speeds = Speeds { ram: self.multiplying_share * speeds.ram, ..*speeds };
        work.bounds(&speeds).map(|bounds| bounds.bound)
    }
}

/// `None` where experts have to be read and no disk was measured.
pub(crate) fn predict(asked: &Asked, speeds: &Speeds) -> Option<Prediction> {
    let (hit_rate, hit_rate_low) = asked.hit_rates();
    Some(Prediction {
        tok_per_s: asked.tok_per_s(speeds, hit_rate)?,
        hit_rate,
        tok_per_s_low: asked.tok_per_s(speeds, hit_rate_low)?,
        hit_rate_low,
    })
}

/// One line for people.
pub(crate) fn shown(predicted: Option<Prediction>, speeds: &Speeds) -> String {
    let gigabytes = |bytes: f64| format!("{:.1} GB/s", bytes / 1e9);
    let memory = gigabytes(speeds.ram);
    let Some(found) = predicted else {
        return format!("not predicted: the disk was not measured (memory {memory})");
    };
    let disk = speeds.disk.map(|disk| format!(", disk {}", gigabytes(disk))).unwrap_or_default();
    let rates = match found.hit_rate > found.hit_rate_low {
        true => format!(
            "{:.0} % found in memory, the least that was published for so many slots; {:.1} tok/s \
             and {:.0} % if experts were chosen evenly",
            100.0 * found.hit_rate,
            found.tok_per_s_low,
            100.0 * found.hit_rate_low,
        ),
        false => format!("{:.0} % found in memory", 100.0 * found.hit_rate),
    };
    format!("{:.1} tok/s predicted ({rates}; memory {memory}{disk})", found.tok_per_s)
}

/// The published rate, between two points in proportion.
fn published(share: f64) -> f64 {
    let above = PUBLISHED.iter().position(|(at, _)| *at >= share).unwrap_or(PUBLISHED.len() - 1);
    let ((from, low), (to, high)) = (PUBLISHED[above.max(1) - 1], PUBLISHED[above.max(1)]);
    low + (high - low) * ((share - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        trunk_bytes: 3_000_000_000,
        state_bytes: 1_000_000_000,
        expert_bytes: 4_000_000_000,
        share: 0.18,
        below_cycle: false,
        multiplying_share: 0.5,
    };
    const SPEEDS: Speeds = Speeds { ram: 20e9, disk: Some(2e9) };

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 1e-9
    }

    #[test]
    fn published_rates_rise_with_the_share() {
        assert!(near(published(0.18), 0.435), "a point of the curve");
        assert!(near(published(0.09375), 0.285), "half way between two");
        assert!(near(published(0.0), 0.0) && near(published(1.0), 0.85), "its ends");
        let rates: Vec<f64> = (0..=100).map(|n| published(f64::from(n) / 100.0)).collect();
        assert!(rates.is_sorted(), "more memory is never worse: {rates:?}");
    }

    #[test]
    fn a_prediction_is_the_bound_at_the_speed_of_multiplying() {
        let found = predict(&ASKED, &SPEEDS).expect("all is known");
        // Trunk and state, 4 GB, at a share of 20 GB/s; then 4 GB of experts at that speed, or what
        // is missed of them, 56.5 % or 82 %, at 2 GB/s, whichever takes longer.
        let multiplied = 0.2_f64 / 0.5;
        assert!(near(found.tok_per_s, 1.0 / (multiplied + multiplied.max(1.13))), "{found:?}");
        assert!(near(found.tok_per_s_low, 1.0 / (multiplied + multiplied.max(1.64))), "{found:?}");
        assert!(near(found.hit_rate, 0.435) && near(found.hit_rate_low, 0.18), "{found:?}");
    }

    #[test]
    fn the_ends_need_no_curve() {
        let blind = Speeds { disk: None, ..SPEEDS };
        let whole = Asked { share: 1.0, ..ASKED };
        let found = predict(&whole, &blind).expect("nothing is read");
        let want = 0.5 / 0.4;
        assert!(near(found.tok_per_s, want), "8 GB at a share of 20 GB/s: {found:?}");
        assert_eq!(predict(&ASKED, &blind), None, "reads from a disk that nobody knows");
        let short = Asked { below_cycle: true, ..ASKED };
        let found = predict(&short, &SPEEDS).expect("all is known");
        let want = 1.0 / (0.2 / 0.5 + 2.0);
        assert!(near(found.hit_rate, 0.0) && near(found.tok_per_s, want), "{found:?}");
    }
}
