//! What `eval kl` found, as a table and as one line of JSON.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::tally::Figures;
use crate::cli::{KvType, Precision};
use crate::size::shown;
use crate::table::Table;

/// How one model was run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) precision: Precision,
    pub(super) kv: KvType,
    pub(super) experts_per_token: usize,
    /// In its passes.
    pub(super) seconds: f64,
}

/// The whole comparison.
pub(super) struct Report {
    /// Reference, candidate.
    pub(super) sides: [Side; 2],
    pub(super) figures: Figures,
    /// Tokens of a window.
    pub(super) ctx: usize,
    /// Tokens that went through both models at a time.
    pub(super) chunk: usize,
    /// Ids that are compared.
    pub(super) vocabulary: usize,
    /// Ids that are left out.
    pub(super) padding_ids: usize,
    pub(super) threads: usize,
    pub(super) isa: String,
    /// Of both together.
    pub(super) plan_bytes: u64,
    pub(super) budget_bytes: u64,
    pub(super) peak_rss_bytes: Option<u64>,
}

impl Report {
    pub(super) fn json(&self) -> Value {
        let figures = &self.figures;
        let [p50, p95, p99, max] = figures.kl_percentiles;
        let [reference, candidate] = [0, 1].map(|side| self.side(side));
        json!({
            "tokens": figures.tokens,
            "kl_mean": figures.kl_mean,
            "kl_standard_error": figures.kl_standard_error,
            "kl_p50": p50,
            "kl_p95": p95,
            "kl_p99": p99,
            "kl_max": max,
            "top1_agreement": figures.top1_agreement,
            "reference": reference,
            "candidate": candidate,
            "ctx": self.ctx,
            "chunk": self.chunk,
            "vocabulary": self.vocabulary,
            "padding_ids": self.padding_ids,
            "threads": self.threads,
            "isa": self.isa,
            "plan_bytes": self.plan_bytes,
            "budget_bytes": self.budget_bytes,
            "peak_rss_bytes": self.peak_rss_bytes,
        })
    }

    fn side(&self, side: usize) -> Value {
        let Side { precision, kv, experts_per_token, seconds } = self.sides[side];
        let nll_mean = self.figures.nll_mean[side];
        json!({
            "precision": name(precision),
            "kv": name(kv),
            "experts_per_token": experts_per_token,
            "nll_mean": nll_mean,
            "perplexity": nll_mean.exp(),
            "seconds": seconds,
        })
    }

    pub(super) fn table(&self) -> String {
        let padding = match self.padding_ids {
            0 => String::new(),
            ids => format!(", {ids} ids of padding left out"),
        };
        format!(
            "{}\n{}\nwindows of {} tokens, {} ids{padding}, {} of memory\n",
            self.configurations(),
            self.comparison(),
            self.ctx,
            self.vocabulary,
            shown(self.plan_bytes),
        )
    }

    fn configurations(&self) -> String {
        let mut table = Table::new(&[true, true, true, false, false, false, false]);
        table.row(["configuration", "precision", "kv", "experts", "NLL", "perplexity", "seconds"]);
        for (side, what) in ["reference", "candidate"].into_iter().enumerate() {
            let Side { precision, kv, experts_per_token, seconds } = self.sides[side];
            let nll = self.figures.nll_mean[side];
            table.row([
                what,
                &name(precision),
                &name(kv),
                &experts_per_token.to_string(),
                &format!("{nll:.5}"),
                &format!("{:.4}", nll.exp()),
                &format!("{seconds:.1}"),
            ]);
        }
        table.lines()
    }

    fn comparison(&self) -> String {
        let figures = &self.figures;
        let [p50, p95, p99, max] = figures.kl_percentiles.map(|kl| format!("{kl:.2e}"));
        let error = figures.kl_standard_error;
        let mut table = Table::new(&[true, false]);
        for (what, value) in [
            ("tokens", figures.tokens.to_string()),
            ("mean KL, nats", format!("{:.4e}", figures.kl_mean)),
            ("standard error", error.map_or("-".to_owned(), |error| format!("{error:.2e}"))),
            ("KL, median", p50),
            ("KL, 95 %", p95),
            ("KL, 99 %", p99),
            ("KL, largest", max),
            ("top-1 agreement", format!("{:.3} %", 100.0 * figures.top1_agreement)),
        ] {
            table.row([what, &value]);
        }
        table.lines()
    }
}

/// As the flag has it.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_json_say_the_same() {
        let side = |experts_per_token, seconds| Side {
            precision: Precision::Exact,
            kv: KvType::F32,
            experts_per_token,
            seconds,
        };
        let report = Report {
            sides: [side(8, 1.5), side(4, 1.0)],
            figures: Figures {
                tokens: 1999,
                kl_mean: 0.0125,
                kl_standard_error: Some(0.0005),
                kl_percentiles: [0.25, 0.5, 1.0, 2.0],
                top1_agreement: 0.9375,
                nll_mean: [1.0, 2.0],
            },
            ctx: 512,
            chunk: 64,
            vocabulary: 8000,
            padding_ids: 192,
            threads: 2,
            isa: "avx2".to_owned(),
            plan_bytes: 3 << 20,
            budget_bytes: 4 << 20,
            peak_rss_bytes: None,
        };
        let found = report.json();
        for (name, want) in [
            ("tokens", json!(1999)),
            ("kl_mean", json!(0.0125)),
            ("kl_p99", json!(1.0)),
            ("top1_agreement", json!(0.9375)),
            ("padding_ids", json!(192)),
            ("peak_rss_bytes", Value::Null),
        ] {
            assert_eq!(found[name], want, "{name}");
        }
        assert_eq!(found["candidate"]["experts_per_token"], 4, "the candidate is the second");
        assert_eq!(found["reference"]["perplexity"], 1.0_f64.exp(), "e to the mean");
        let want = "\
configuration  precision  kv   experts      NLL  perplexity  seconds
reference      exact      f32        8  1.00000      2.7183      1.5
candidate      exact      f32        4  2.00000      7.3891      1.0

tokens                1999
mean KL, nats    1.2500e-2
standard error     5.00e-4
KL, median         2.50e-1
KL, 95 %           5.00e-1
KL, 99 %            1.00e0
KL, largest         2.00e0
top-1 agreement   93.750 %

windows of 512 tokens, 8000 ids, 192 ids of padding left out, 3.00 MiB of memory
";
        assert_eq!(report.table(), want, "the table");
    }
}
