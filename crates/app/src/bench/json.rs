//! Measurements for machines: one line, bytes and seconds, `null` where nothing was measured.

use serde_json::{Map, Value, json};

use super::figures::{median, percentile};
use super::report::{each, latencies, merged, speeds};
use super::run::Outcome;
use crate::report::{Rates, parts};

/// The object of one budget.
pub(crate) fn speed(outcome: &Outcome) -> Value {
    let (test, conditions) = (&outcome.test, &outcome.conditions);
    let phase = merged(outcome);
    let rates = Rates::of(&phase);
    let each = each(outcome);
    let tok_per_s = median(&each);
    let singles = speeds(outcome);
    let bound = outcome.bounds.map(|bounds| bounds.bound);
    let fraction = tok_per_s.zip(bound).map(|(found, bound)| found / bound);
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("test", test.name().into());
    put("tok_per_s", json!(tok_per_s));
    put("p5", json!(percentile(&singles, 0.05)));
    put("p95", json!(percentile(&singles, 0.95)));
    put("read_bytes_per_token", json!(rates.read_bytes_per_token));
    put("touched_bytes_per_token", json!(rates.touched_bytes_per_token));
    put("hit_rate", json!(rates.hit_rate));
    put("read_gb_per_s", json!(rates.read_gb_per_s));
    put("disk_ceiling_gb_per_s", json!(outcome.ceilings.disk()));
    put("ram_ceiling_gb_per_s", json!(outcome.ceilings.ram()));
    put("bound_tok_per_s", json!(bound));
    put("ideal_bound_tok_per_s", json!(outcome.bounds.map(|bounds| bounds.ideal)));
    put("fraction_of_bound", json!(fraction));
    put("plan_bytes", json!(conditions.plan_bytes));
    put("budget_bytes", json!(conditions.budget_bytes));
    put("peak_rss_bytes", json!(conditions.peak_rss_bytes));
    put("experts_per_token", json!(conditions.experts_per_token));
    put("router", test.router.into());
    put("guessed_records", json!(outcome.guessed));
    put("adopted_records", json!(outcome.adopted));
    put("distinct_layers", json!(outcome.distinct_layers));
    put("precision", conditions.precision.into());
    put("isa", json!(conditions.isa));
    put("threads", json!(conditions.threads));
    put("io_mode", conditions.io_mode.into());
    put("device", conditions.device.into());
    put("prompts", test.prompts.name().into());
    put("prompt_tokens", json!(test.prompt_tokens));
    put("tokens", json!(phase.tokens));
    put("repeats", json!(outcome.repeats.len()));
    put("warmup", json!(test.warmup));
    put("tok_per_s_each", json!(each));
    put("ttft_seconds", json!(median(&first_ids(outcome))));
    put("start_seconds", json!(conditions.start_seconds));
    put("seconds", json!(phase.elapsed.as_secs_f64()));
    let [wait, multiplying, mixing, answering, other] =
        parts(&phase).map(|(_, part)| part.as_secs_f64());
    put("wait_seconds", json!(wait));
    put("multiplying_seconds", json!(multiplying));
    put("mixing_seconds", json!(mixing));
    put("answering_seconds", json!(answering));
    put("other_seconds", json!(other));
    object.extend(details(outcome));
    Value::Object(object)
}

/// What goes beyond the names that all commands share.
fn details(outcome: &Outcome) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    let latencies = latencies(outcome);
    put("latency_max_seconds", json!(percentile(&latencies, 1.0)));
    put("stalls", json!(latencies.iter().filter(|seconds| **seconds > 1.0).count()));
    let work = &outcome.work;
    put("trunk_bytes_per_token", json!(work.trunk_bytes / work.tokens));
    put("state_bytes_per_token", json!(work.state_bytes / work.tokens));
    put("missed_bytes_per_token", json!(work.missed_bytes / work.tokens));
    put("ram_gb_per_s_each", json!(outcome.ceilings.ram_gb_per_s));
    put("ram_buffer_bytes", json!(outcome.ceilings.ram_buffer_bytes));
    put("disk_gb_per_s_each", json!(outcome.ceilings.disk_gb_per_s));
    put("slot_count", json!(outcome.plan.slot_count));
    let predicted = outcome.predicted.map(|predicted| predicted.tok_per_s);
    let error = predicted.zip(median(&each(outcome))).map(|(told, found)| told / found - 1.0);
    put("predicted_tok_per_s", json!(predicted));
    put("prediction_error", json!(error));
    put("layers", json!(outcome.layers));
    put("published_experts_per_token", json!(outcome.conditions.published_experts_per_token));
    let hashes: Vec<&str> = outcome.repeats.iter().map(|repeat| &*repeat.logits_hash).collect();
    put("logits_hash", json!(hashes.last()));
    object
}

fn first_ids(outcome: &Outcome) -> Vec<f64> {
    outcome.repeats.iter().map(|repeat| repeat.first_id.as_secs_f64()).collect()
}

/// The objects of all budgets.
pub(crate) fn sweep(outcomes: &[Outcome]) -> Value {
    json!({ "sweep": outcomes.iter().map(speed).collect::<Vec<Value>>() })
}
