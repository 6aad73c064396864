//! Measurements for people: a table whose first columns are those of `llama-bench`, and what stands behind each row.

use engine::Phase;

use super::ceilings;
use super::figures::{deviation, median, percentile};
use super::run::Outcome;
use crate::report::{Rates, timing};
use crate::size::shown;

/// The measured phase of all repeats together.
pub(super) fn merged(outcome: &Outcome) -> Phase {
    let mut sum = Phase::default();
    for repeat in &outcome.repeats {
        let phase = outcome.test.phase(repeat);
        sum.tokens += phase.tokens;
        sum.elapsed += phase.elapsed;
        sum.spent.add(&phase.spent);
    }
    sum
}

/// Tokens a second of each repeat.
pub(super) fn each(outcome: &Outcome) -> Vec<f64> {
    let phases = outcome.repeats.iter().map(|repeat| outcome.test.phase(repeat));
    phases.filter_map(Phase::tokens_per_second).collect()
}

/// Seconds of each step of decoding, in all repeats; of a prompt, of the whole.
pub(super) fn latencies(outcome: &Outcome) -> Vec<f64> {
    if outcome.test.decode_tokens == 0 {
        let prompts = outcome.repeats.iter().map(|repeat| repeat.prompt.elapsed);
        return prompts.map(|elapsed| elapsed.as_secs_f64()).collect();
    }
    let steps = outcome.repeats.iter().flat_map(|repeat| &repeat.latencies);
    steps.map(std::time::Duration::as_secs_f64).collect()
}

/// Tokens a second of single steps; of prompts, of each.
pub(super) fn speeds(outcome: &Outcome) -> Vec<f64> {
    if outcome.test.decode_tokens == 0 {
        return each(outcome);
    }
    latencies(outcome).into_iter().map(|seconds| 1.0 / seconds.max(1e-9)).collect()
}

/// What is not as the model was published, or not as its files would be.
pub(super) fn departures(outcome: &Outcome) -> Vec<String> {
    let conditions = &outcome.conditions;
    let mut lines: Vec<String> = conditions.departures().into_iter().collect();
    if outcome.test.router != "model" {
        lines.push(format!("experts chosen by a {} router", outcome.test.router));
    }
    lines.extend(outcome.mapped.clone());
    let (layers, distinct) = (outcome.layers, outcome.distinct_layers);
    if distinct < layers {
        let shared = if is_cached(conditions.io_mode) {
            ": the page cache holds what they share once"
        } else {
            ""
        };
        lines.push(format!("{distinct} distinct of {layers} layers{shared}"));
    }
    lines
}

/// Rows of all budgets as a markdown table, then what stands behind each.
pub(crate) fn speed(outcomes: &[Outcome]) -> String {
    let heads = [
        "model",
        "size",
        "backend",
        "threads",
        "memory",
        "io",
        "test",
        "t/s",
        "p5",
        "p95",
        "hit",
        "read GB/tok",
        "disk GB/s",
        "of bound",
    ];
    let mut out = markdown(&heads, &outcomes.iter().map(row).collect::<Vec<_>>());
    for outcome in outcomes {
        out.push('\n');
        behind(outcome).iter().for_each(|line| out += &format!("{line}\n"));
    }
    out
}

fn row(outcome: &Outcome) -> Vec<String> {
    let (conditions, rates) = (&outcome.conditions, Rates::of(&merged(outcome)));
    let (each, singles) = (each(outcome), speeds(outcome));
    let speed = median(&each);
    let name = outcome.model.rsplit(['/', '\\']).find(|part| !part.is_empty());
    let digits = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let percent =
        |part: Option<f64>| part.map_or("-".to_owned(), |p| format!("{:.0} %", 100.0 * p));
    let fraction = outcome.bounds.and_then(|bounds| Some(speed? / bounds.bound));
    vec![
        name.unwrap_or(&outcome.model).to_owned(),
        shown(outcome.model_bytes),
        format!("{} {} {}", conditions.device, conditions.isa, conditions.precision),
        conditions.threads.to_string(),
        shown(conditions.budget_bytes),
        conditions.io_mode.to_owned(),
        outcome.test.name(),
        format!("{} ± {:.2}", digits(speed), deviation(&each)),
        digits(percentile(&singles, 0.05)),
        digits(percentile(&singles, 0.95)),
        percent(rates.hit_rate),
        rates.read_bytes_per_token.map_or("-".to_owned(), |bytes| format!("{:.4}", bytes / 1e9)),
        digits(rates.read_gb_per_s),
        percent(fraction),
    ]
}

/// What stands behind a row: the machine, the bounds, the parts of the time, memory, prediction.
fn behind(outcome: &Outcome) -> Vec<String> {
    let conditions = &outcome.conditions;
    let mut lines = vec![format!(
        "{}, {} of {} experts in memory: {} prompts, {} repeats after {} warm-ups",
        shown(conditions.budget_bytes),
        outcome.plan.slot_count,
        outcome.records,
        outcome.test.prompts.name(),
        outcome.repeats.len(),
        outcome.test.warmup,
    )];
    lines.extend(machine(outcome));
    lines.push(timing(&merged(outcome)));
    let latencies = latencies(outcome);
    let stalls = latencies.iter().filter(|seconds| **seconds > 1.0).count();
    let first: Vec<f64> =
        outcome.repeats.iter().map(|repeat| repeat.first_id.as_secs_f64()).collect();
    lines.push(format!(
        "first token after {:.3} s, slowest step {:.3} s, {stalls} over 1 s",
        median(&first).unwrap_or(0.0),
        percentile(&latencies, 1.0).unwrap_or(0.0),
    ));
    if outcome.guessed > 0 {
        lines.push(format!(
            "looking ahead: {} experts were read before they were chosen, {:.0} % of them rightly",
            outcome.guessed,
            100.0 * outcome.adopted as f64 / outcome.guessed as f64,
        ));
    }
    let peak = conditions.peak_rss_bytes.map_or("not told".to_owned(), shown);
    let hash = outcome.repeats.last().map_or("-", |repeat| &repeat.logits_hash);
    lines.push(format!(
        "memory: plan {}, peak {peak}; last logits #{hash}",
        shown(conditions.plan_bytes)
    ));
    if let (Some(predicted), Some(found)) = (outcome.predicted, median(&each(outcome))) {
        lines.push(format!(
            "predicted: {:.2} tok/s at a hit rate of {:.0} % ({:+.0} % of what was measured)",
            predicted.tok_per_s,
            100.0 * predicted.hit_rate,
            100.0 * (predicted.tok_per_s / found - 1.0),
        ));
    }
    lines.extend(departures(outcome).into_iter().map(|line| format!("not the model: {line}")));
    lines
}

/// What the machine gives, and what that would allow.
fn machine(outcome: &Outcome) -> Vec<String> {
    let measured = &outcome.ceilings;
    let list = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
        values.join(" and ")
    };
    let mut lines = vec![format!(
        "ceilings: memory {} GB/s ({} threads over {}), disk {} GB/s ({})",
        list(&measured.ram_gb_per_s),
        outcome.conditions.threads,
        shown(measured.ram_buffer_bytes),
        list(&measured.disk_gb_per_s),
        match is_cached(outcome.conditions.io_mode) {
            true => "whole records through the page cache, which may be warm",
            false => "whole records",
        },
    )];
    if let Some(cache_bytes) = ceilings::cache_above(measured.ram_buffer_bytes) {
        lines.push(format!(
            "the processor's cache of {} may have held the memory that was measured",
            shown(cache_bytes)
        ));
    }
    if let Some(bounds) = outcome.bounds {
        let work = &outcome.work;
        let per_token = |bytes: f64| shown((bytes / work.tokens) as u64);
        lines.push(format!(
            "bound: {:.2} tok/s, {:.2} if all reads overlapped (trunk {}, state {}, experts {}, \
             missed {} a token)",
            bounds.bound,
            bounds.ideal,
            per_token(work.trunk_bytes),
            per_token(work.state_bytes),
            per_token(work.expert_bytes),
            per_token(work.missed_bytes),
        ));
    }
    lines
}

/// Whether reads in this mode can be answered by the page cache.
pub(super) fn is_cached(io_mode: &str) -> bool {
    ["buffered", "mmap"].contains(&io_mode)
}

/// A markdown table, its columns as wide as their widest cell.
pub(super) fn markdown(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!(" {cell}{} ", " ".repeat(width - cell.chars().count())))
            .collect();
        format!("|{}|\n", padded.join("|"))
    };
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{}|\n{rows}", line(&heads), rules.join("|"))
}

#[cfg(test)]
mod tests {
    use super::markdown;

    #[test]
    fn a_table_is_markdown() {
        let rows = [vec!["a".to_owned(), "12.00 ± 0.50".to_owned()]];
        let want = "| model | t/s          |\n\
                    |-------|--------------|\n\
                    | a     | 12.00 ± 0.50 |\n";
        assert_eq!(markdown(&["model", "t/s"], &rows), want, "padded");
    }
}
