//! What a turn cost: the facts behind the last line and behind `--stats json`.

mod json;
mod last_line;
mod timing;

use engine::Phase;
pub(crate) use json::json;
pub(crate) use last_line::last_line;
pub(crate) use timing::{parts, timing};

/// How a turn was run. The rest of what a report tells is in [`engine::Generated`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conditions {
    /// From the start of the program until the prompt could be read.
    pub(crate) start_seconds: f64,
    /// `None` where the system does not tell.
    pub(crate) peak_rss_bytes: Option<u64>,
    pub(crate) plan_bytes: u64,
    pub(crate) budget_bytes: u64,
    pub(crate) experts_per_token: usize,
    /// The model's own number.
    pub(crate) published_experts_per_token: usize,
    pub(crate) precision: &'static str,
    pub(crate) threads: usize,
    pub(crate) device: &'static str,
    pub(crate) isa: String,
    pub(crate) io_mode: &'static str,
}

impl Conditions {
    /// Of a model that nobody planned.
    pub(crate) fn unknown() -> Self {
        Self {
            start_seconds: 0.0,
            peak_rss_bytes: None,
            plan_bytes: 0,
            budget_bytes: 0,
            experts_per_token: 0,
            published_experts_per_token: 0,
            precision: "-",
            threads: 0,
            device: "-",
            isa: "-".to_owned(),
            io_mode: "-",
        }
    }

    /// What is not as the model was published, in words.
    pub(crate) fn departures(&self) -> Option<String> {
        let (used, own) = (self.experts_per_token, self.published_experts_per_token);
        (used != own).then(|| format!("{used} of the model's {own} experts"))
    }
}

/// Rates of one phase; `None` where there is nothing to divide by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) tok_per_s: Option<f64>,
    pub(crate) read_bytes_per_token: Option<f64>,
    pub(crate) touched_bytes_per_token: Option<f64>,
    /// 0 to 1.
    pub(crate) hit_rate: Option<f64>,
    /// Bytes over the time in which at least one read was under way.
    pub(crate) read_gb_per_s: Option<f64>,
}

impl Rates {
    pub(crate) fn of(phase: &Phase) -> Self {
        let spent = &phase.spent;
        let per_token = |bytes: u64| ratio(bytes as f64, phase.tokens as f64);
        let reading = spent.reading.as_secs_f64();
        Self {
            tok_per_s: phase.tokens_per_second(),
            read_bytes_per_token: per_token(spent.read_bytes),
            touched_bytes_per_token: per_token(spent.touched_bytes),
            hit_rate: ratio(spent.hits as f64, (spent.hits + spent.misses) as f64),
            read_gb_per_s: ratio(spent.read_bytes as f64 / 1e9, reading)
                .filter(|_| spent.read_bytes > 0),
        }
    }
}

pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// A turn of 128 ids and the machine it ran on, for the tests of both forms.
#[cfg(test)]
fn example() -> (engine::Generated, Conditions) {
    use std::time::Duration;

    use engine::{Generated, Spent, StopReason};
    let spent = Spent {
        tokens: 127,
        read_bytes: 127 * 430_000_000,
        touched_bytes: 127 * 1_210_000_000,
        hits: 61,
        misses: 39,
        wait: Duration::from_secs(4),
        reading: Duration::from_secs_f64(127.0 * 0.43 / 2.1),
        mixing: Duration::from_secs(2),
        multiplying: Duration::from_secs(3),
        answering: Duration::from_secs(1),
        elapsed: Duration::from_secs_f64(127.0 / 11.9),
    };
    let decode = Phase { tokens: 127, spent, elapsed: Duration::from_secs_f64(127.0 / 11.9) };
    let prompt = Phase { tokens: 20, spent: Spent::default(), elapsed: Duration::from_secs(2) };
    let generated = Generated {
        ids: vec![7; 128],
        text: String::new(),
        reasoning: String::new(),
        stop: StopReason::Length,
        reused: 0,
        prompt,
        decode,
        first_id: Some(Duration::from_millis(2100)),
        logits_hash: Some("a1b2c3d4".to_owned()),
    };
    let conditions = Conditions {
        start_seconds: 1.5,
        peak_rss_bytes: Some(5_000_000),
        plan_bytes: 6_000_000,
        budget_bytes: 8_000_000,
        experts_per_token: 10,
        published_experts_per_token: 10,
        precision: "exact",
        threads: 2,
        device: "cpu",
        isa: "avx2".to_owned(),
        io_mode: "buffered",
    };
    (generated, conditions)
}
