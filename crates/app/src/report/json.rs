//! A report for machines: one object, bytes and seconds, `null` where nothing was measured.

use engine::{Generated, Phase};
use serde_json::{Value, json};

use super::{Conditions, Rates};

/// The object that `--stats json` prints.
pub(crate) fn json(generated: &Generated, conditions: &Conditions) -> Value {
    json!({
        "prompt": phase(&generated.prompt),
        "decode": phase(&generated.decode),
        "ttft_seconds": generated.first_id.map(|first| first.as_secs_f64()),
        "start_seconds": conditions.start_seconds,
        "peak_rss_bytes": conditions.peak_rss_bytes,
        "plan_bytes": conditions.plan_bytes,
        "budget_bytes": conditions.budget_bytes,
        "experts_per_token": conditions.experts_per_token,
        "precision": conditions.precision,
        "threads": conditions.threads,
        "device": conditions.device,
        "isa": conditions.isa,
        "io_mode": conditions.io_mode,
        "logits_hash": generated.logits_hash,
        "stop_reason": generated.stop.name(),
    })
}

fn phase(phase: &Phase) -> Value {
    let rates = Rates::of(phase);
    json!({
        "tokens": phase.tokens,
        "seconds": phase.elapsed.as_secs_f64(),
        "tok_per_s": rates.tok_per_s,
        "read_bytes_per_token": rates.read_bytes_per_token,
        "touched_bytes_per_token": rates.touched_bytes_per_token,
        "hit_rate": rates.hit_rate,
        "read_gb_per_s": rates.read_gb_per_s,
        "wait_seconds": phase.spent.wait.as_secs_f64(),
        "multiplying_seconds": phase.spent.multiplying.as_secs_f64(),
        "mixing_seconds": phase.spent.mixing.as_secs_f64(),
        "answering_seconds": phase.spent.answering.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::json;

    const NAMES: [&str; 15] = [
        "prompt",
        "decode",
        "ttft_seconds",
        "start_seconds",
        "peak_rss_bytes",
        "plan_bytes",
        "budget_bytes",
        "experts_per_token",
        "precision",
        "threads",
        "device",
        "isa",
        "io_mode",
        "logits_hash",
        "stop_reason",
    ];
    const PHASE_NAMES: [&str; 11] = [
        "tokens",
        "seconds",
        "tok_per_s",
        "read_bytes_per_token",
        "touched_bytes_per_token",
        "hit_rate",
        "read_gb_per_s",
        "wait_seconds",
        "multiplying_seconds",
        "mixing_seconds",
        "answering_seconds",
    ];

    #[test]
    fn the_names_are_those_of_every_command() {
        let (generated, conditions) = example();
        let report = json(&generated, &conditions);
        let names = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().expect("an object").keys().cloned().collect()
        };
        assert_eq!(names(&report), NAMES, "the report");
        assert_eq!(names(&report["prompt"]), PHASE_NAMES, "the prompt");
        assert_eq!(names(&report["decode"]), PHASE_NAMES, "decoding");
        assert!(!report.to_string().contains('\n'), "one line");
    }

    #[test]
    fn rates_are_what_was_counted() {
        let (generated, conditions) = example();
        let report = json(&generated, &conditions);
        let decode = &report["decode"];
        for (name, want) in [
            ("tok_per_s", 11.9),
            ("read_bytes_per_token", 430e6),
            ("touched_bytes_per_token", 1210e6),
            ("hit_rate", 0.61),
            ("read_gb_per_s", 2.1),
        ] {
            let found = decode[name].as_f64().expect(name);
            assert!((found / want - 1.0).abs() < 1e-6, "{name}: {found}, {want} expected");
        }
        assert!(report["prompt"]["hit_rate"].is_null(), "nothing was looked for");
        assert!(report["prompt"]["read_gb_per_s"].is_null(), "nothing was read");
        assert_eq!(report["prompt"]["read_bytes_per_token"], 0.0, "20 ids read nothing");
        assert_eq!(report["stop_reason"], "length", "why it ended");
    }
}
