//! `bench` from outside: the names, what must be plausible on any machine, and what departs from the model.

use serde_json::Value;

use crate::program::{fixture, flash_moe};

/// The names that every command shares, in their order.
const NAMES: [&str; 23] = [
    "tok_per_s",
    "p5",
    "p95",
    "read_bytes_per_token",
    "touched_bytes_per_token",
    "hit_rate",
    "read_gb_per_s",
    "disk_ceiling_gb_per_s",
    "ram_ceiling_gb_per_s",
    "bound_tok_per_s",
    "ideal_bound_tok_per_s",
    "fraction_of_bound",
    "plan_bytes",
    "budget_bytes",
    "peak_rss_bytes",
    "experts_per_token",
    "router",
    "distinct_layers",
    "precision",
    "isa",
    "threads",
    "io_mode",
    "ttft_seconds",
];

/// A small model and how much memory a run of it is given.
fn checkpoints() -> Vec<(&'static str, Vec<String>)> {
    let tiny = vec!["-m".to_owned(), fixture("tiny-qwen35moe-mlx4")];
    match cfg!(feature = "demo") {
        true => vec![("demo", Vec::new()), ("tiny", tiny)],
        false => vec![("tiny", tiny)],
    }
}

fn bench(model: &[String], more: &[&str]) -> Value {
    let mut arguments = vec!["bench"];
    arguments.extend(more);
    arguments.extend(model.iter().map(String::as_str));
    flash_moe(&arguments).succeeded().json()
}

fn number(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name} in {object}"))
}

/// What holds of every measurement, however slow the machine is.
fn plausible(found: &Value) {
    for name in NAMES {
        assert!(found.get(name).is_some(), "{name} in {found}");
    }
    for name in ["tok_per_s", "p5", "p95", "ram_ceiling_gb_per_s", "bound_tok_per_s", "plan_bytes"]
    {
        assert!(number(found, name) > 0.0, "{name}: {found}");
    }
    assert!(number(found, "p5") <= number(found, "p95"), "{found}");
    let fraction = number(found, "fraction_of_bound");
    assert!(fraction > 0.0 && fraction < 1.5, "{found}");
    let ideal = number(found, "ideal_bound_tok_per_s") / number(found, "bound_tok_per_s");
    assert!(ideal > 1.0 - 1e-9, "overlapping everything is never slower: {found}");
    let hit_rate = number(found, "hit_rate");
    assert!((0.0..=1.0).contains(&hit_rate), "{found}");
    let missed = number(found, "touched_bytes_per_token") * (1.0 - hit_rate);
    let told = number(found, "missed_bytes_per_token");
    assert!((told - missed).abs() <= 1e-6 * missed + 1.0, "{found}");
    let parts = ["wait", "multiplying", "mixing", "answering", "other"];
    let sum: f64 = parts.iter().map(|part| number(found, &format!("{part}_seconds"))).sum();
    assert!((sum / number(found, "seconds") - 1.0).abs() < 1e-6, "parts add up: {found}");
    if cfg!(target_os = "linux") {
        assert!(number(found, "peak_rss_bytes") <= number(found, "budget_bytes"), "{found}");
    }
}

#[test]
fn decoding_has_all_names_and_keeps_to_its_memory() {
    let flags = ["decode", "-n", "8", "-p", "5", "--repeat", "2", "--memory", "128MiB", "--json"];
    for (name, model) in checkpoints() {
        let found = bench(&model, &flags);
        plausible(&found);
        assert_eq!(found["test"], "tg8", "{name}: {found}");
        assert_eq!(found["tokens"], 16, "{name}: two repeats: {found}");
        assert_eq!(found["router"], "model", "{name}: {found}");
        assert_eq!(found["distinct_layers"], found["layers"], "{name}: {found}");
        assert_eq!(found["repeats"], 2, "{name}: {found}");
        assert_eq!(found["stalls"].as_u64().map(|stalls| stalls <= 16), Some(true), "{name}");
    }
}

#[test]
fn prompts_are_cold_warm_or_others_each_time() {
    let (_, model) = checkpoints().remove(0);
    let of = |prompts: &str| {
        let flags = ["decode", "-n", "4", "-p", "20", "--repeat", "2", "--prompts", prompts];
        let found = bench(&model, &[&flags[..], &["--json", "--memory", "128MiB"]].concat());
        plausible(&found);
        found
    };
    let (cold, warm, rotating) = (of("cold"), of("warm"), of("rotating"));
    assert_eq!(number(&warm, "hit_rate"), 1.0, "all of it was used before: {warm}");
    assert!(number(&cold, "hit_rate") < 1.0, "the cache was empty: {cold}");
    // Warm repeats are all the first prompt; the last cold prompt is the second, the last rotating
    // one comes after a warm-up and is the third.
    assert_ne!(warm["logits_hash"], cold["logits_hash"], "another prompt");
    assert_ne!(rotating["logits_hash"], cold["logits_hash"], "another prompt");
    let again = of("cold");
    assert_eq!(again["logits_hash"], cold["logits_hash"], "a seed decides");
}

#[test]
fn a_prompt_is_measured_whole() {
    for (name, model) in checkpoints() {
        let flags = ["prefill", "-p", "40", "--repeat", "2", "--memory", "128MiB", "--json"];
        let found = bench(&model, &flags);
        plausible(&found);
        assert_eq!(found["test"], "pp40", "{name}: {found}");
        assert_eq!(found["tokens"], 80, "{name}: two repeats: {found}");
    }
}

#[test]
fn budgets_in_turn_change_the_cost_alone() {
    let (_, model) = checkpoints().pop().expect("a small one");
    let flags = ["decode", "-n", "4", "--repeat", "1", "--json", "--sweep", "64MiB,128MiB"];
    let folder = tempfile::tempdir().expect("temporary directory");
    let picture = folder.path().join("out.svg");
    let plot = picture.display().to_string();
    let found = bench(&model, &[&flags[..], &["--plot", &plot]].concat());
    let picture = std::fs::read_to_string(&picture).expect("it was drawn");
    for text in ["<svg", "tg4: speed by memory", "hit rate", "predicted", "attention", "128 MiB"] {
        assert!(picture.contains(text), "{text} in the picture");
    }
    let rows = found["sweep"].as_array().expect("a list");
    assert_eq!(rows.len(), 2, "{found}");
    rows.iter().for_each(plausible);
    assert_eq!(rows[0]["budget_bytes"], 64 << 20, "in the given order: {found}");
    assert_eq!(rows[0]["logits_hash"], rows[1]["logits_hash"], "memory changes no bit: {found}");
}

#[test]
fn tables_name_what_departs_from_the_model() {
    let (_, model) = checkpoints().pop().expect("a small one");
    let flags = ["bench", "decode", "-n", "4", "--repeat", "1", "--experts-per-token", "1"];
    let mut arguments = flags.to_vec();
    arguments.extend(model.iter().map(String::as_str));
    let done = flash_moe(&arguments).succeeded();
    let head = done.stdout.lines().next().unwrap_or_default();
    for column in ["| model", "| size", "| test", "| t/s", "| of bound"] {
        assert!(head.contains(column), "{column}: {done:?}");
    }
    assert!(done.stdout.contains("| tg4 "), "{done:?}");
    assert!(done.stdout.contains("not the model: 1 of the model's"), "{done:?}");
    for line in ["ceilings: memory", "bound: ", "time: ", "first token after", "predicted: "] {
        assert!(done.stdout.contains(line), "{line}: {done:?}");
    }
}

#[test]
fn the_disk_is_measured_at_the_pattern_of_the_model() {
    let (_, model) = checkpoints().pop().expect("a small one");
    let found = bench(&model, &["disk", "--seconds", "0.02", "--json"]);
    let rows = found["measured"].as_array().expect("a list");
    assert!(rows.len() >= 10, "two patterns, five depths: {found}");
    for row in rows {
        assert!(number(row, "gb_per_s") > 0.0, "{row}");
        assert_eq!(row["extents"] == 1, row["pattern"] == "aligned", "MLX has nine: {row}");
    }
    assert!(number(&found, "disk_ceiling_gb_per_s") > 0.0, "{found}");
    assert!(number(&found, "record_bytes") > 0.0, "{found}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for (arguments, code, part) in [
        (&["bench", "decode", "-n", "0"][..], 2, "whole number from 1"),
        (&["bench", "decode", "--sweep", "1GiB", "--memory", "1GiB"], 2, "--sweep"),
        (&["bench", "decode", "--prompts", "hot"], 2, "rotating"),
        (&["bench", "disk", "--seconds", "0"], 2, "0.01"),
        (&["bench", "decode", "-n", "9", "-p", "9", "--ctx", "17"], 3, "--ctx 18"),
        (&["bench", "prefill", "--memory", "1MiB"], 3, "--memory"),
        (&["bench", "prefill", "-p", "2", "--repeat", "1", "--plot", "/no/x.svg"], 1, "/no/x.svg"),
    ] {
        let model = fixture("tiny-qwen35moe-mlx4");
        let done = flash_moe(&[arguments, &["-m", &model]].concat());
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(done.error().contains(part), "{part}: {done:?}");
        assert_eq!(done.stdout, "", "{done:?}");
    }
}
