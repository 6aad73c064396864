//! `eval kl`: what two configurations of one model expect, from the command line to the figures.

use safetensors::SafeTensors;
use serde_json::Value;

use crate::program::{copy_of, fixture, flash_moe, in_tree, read_json};

fn sample() -> String {
    in_tree("demo/eval/sample-2000.json")
}

fn kl(arguments: &[&str]) -> Value {
    flash_moe(&[&["eval", "kl", "--json"], arguments].concat()).succeeded().json()
}

const NAMES: [&str; 19] = [
    "tokens",
    "kl_mean",
    "kl_standard_error",
    "kl_p50",
    "kl_p95",
    "kl_p99",
    "kl_max",
    "top1_agreement",
    "reference",
    "candidate",
    "ctx",
    "chunk",
    "vocabulary",
    "padding_ids",
    "threads",
    "isa",
    "plan_bytes",
    "budget_bytes",
    "peak_rss_bytes",
];

#[test]
fn a_model_is_exactly_itself_and_stays_within_its_plan() {
    let exact = ["--precision", "exact", "--tokens", "300", "--memory", "64MiB"];
    let found = kl(&[&["--ids", &sample()][..], &exact].concat());
    let names: Vec<&String> = found.as_object().expect("an object").keys().collect();
    assert_eq!(names, NAMES, "stable names");
    for name in ["kl_mean", "kl_standard_error", "kl_p50", "kl_p95", "kl_p99", "kl_max"] {
        assert_eq!(found[name], 0.0, "{name}: {found}");
    }
    assert_eq!((&found["top1_agreement"], &found["tokens"]), (&1.0.into(), &299.into()), "{found}");
    assert_eq!(found["reference"]["nll_mean"], found["candidate"]["nll_mean"], "{found}");
    let bytes = |name: &str| found[name].as_u64().expect(name);
    assert!(bytes("plan_bytes") <= bytes("budget_bytes"), "{found}");
    assert!(bytes("budget_bytes") <= 64 << 20, "one budget for both: {found}");
    if let Some(peak) = found["peak_rss_bytes"].as_u64() {
        assert!(peak <= bytes("plan_bytes"), "measured: {found}");
    }
}

/// What the default costs: 3.2e-5 nats and 99.95 % over 20,000 ids were measured.
#[test]
fn the_fast_precision_says_what_the_exact_one_says() {
    let found = kl(&["--ids", &sample()]);
    assert_eq!(found["candidate"]["precision"], "fast", "{found}");
    assert_eq!(found["candidate"]["kv"], "f16", "{found}");
    let number = |name: &str| found[name].as_f64().expect(name);
    assert!(number("kl_mean") > 0.0 && number("kl_mean") <= 1e-3, "{found}");
    assert!(number("top1_agreement") >= 0.99, "{found}");
}

#[test]
fn fewer_experts_diverge_by_the_same_bits_however_the_text_is_cut() {
    let (sample, few) = (sample(), "experts-per-token=4");
    let flags = ["--ids", &sample, "--tokens", "400", "--ctx", "150", "--precision", "exact"];
    let mut found = kl(&[&flags[..], &["--with", few]].concat());
    assert!(found["kl_mean"].as_f64().is_some_and(|kl| kl > 1e-3), "{found}");
    assert!(found["top1_agreement"].as_f64().is_some_and(|share| share < 1.0), "{found}");
    assert_eq!(found["reference"]["experts_per_token"], 8, "the model's own: {found}");
    assert_eq!(found["candidate"]["experts_per_token"], 4, "as --with says: {found}");
    // The same two as reference and flag, a few tokens at a time.
    let other = ["--experts-per-token", "4", "--against", "precision=exact", "--chunk", "7"];
    let mut again = kl(&[&flags[..], &other].concat());
    for found in [&mut found, &mut again] {
        for name in ["chunk", "plan_bytes", "budget_bytes", "peak_rss_bytes"] {
            found.as_object_mut().expect("an object").remove(name);
        }
        for side in ["reference", "candidate"] {
            found[side]["seconds"] = Value::Null;
        }
    }
    assert_eq!(found, again, "bit for bit");
    let swapped = kl(&[&flags[..], &["--against", few]].concat());
    assert_eq!(swapped["candidate"]["nll_mean"], found["reference"]["nll_mean"], "changed places");
    assert_ne!(swapped["kl_mean"], found["kl_mean"], "KL is not symmetric");
}

/// Mean of -ln p of each next id, from the logits that `eval logits` writes for each window.
fn nll_of_logits(directory: &str, ids: &[u64], window: usize, real: usize) -> f64 {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut sum = 0.0;
    for (n, inputs) in ids[..ids.len() - 1].chunks(window).enumerate() {
        std::fs::write(path("ids"), format!("{inputs:?}")).expect("write");
        let files = ["--ids", &path("ids"), "--out", &path("out")];
        flash_moe(&[&["eval", "logits", "-m", directory][..], &files].concat()).succeeded();
        let bytes = std::fs::read(path("out")).expect("it was written");
        let out = SafeTensors::deserialize(&bytes).expect("safetensors");
        let logits = out.tensor("logits").expect("logits");
        let width = logits.shape()[1];
        let values = logits.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw));
        let values: Vec<f64> = values.map(f64::from).collect();
        for (at, row) in values.chunks(width).enumerate() {
            let total: f64 = row[..real].iter().map(|logit| logit.exp()).sum();
            sum += total.ln() - row[ids[n * window + at + 1] as usize];
        }
    }
    sum / (ids.len() - 1) as f64
}

#[test]
fn windows_begin_anew_and_padding_counts_for_nothing() {
    // A tokenizer that lacks the last ids of the matrix, as those of real checkpoints do.
    let model = copy_of(&fixture("tiny-qwen35moe-hf"));
    let directory = model.path().display().to_string();
    let mut tokenizer = read_json("tests/fixtures/tiny-qwen35moe-hf/tokenizer.json");
    let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
    added.retain(|token| token["id"].as_u64().is_some_and(|id| id < 500));
    std::fs::write(model.path().join("tokenizer.json"), tokenizer.to_string()).expect("write");
    let reference = read_json("tests/fixtures/tiny-qwen35moe-hf/reference.json");
    let ids: Vec<u64> = serde_json::from_value(reference["input_ids"].clone()).expect("ids");
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("ids.json").display().to_string();
    std::fs::write(&path, format!("{ids:?}")).expect("write");
    for window in [5, ids.len()] {
        let ctx = window.to_string();
        let flags = ["-m", &directory, "--ids", &path, "--ctx", &ctx, "--chunk", "2"];
        let found = kl(&[&flags[..], &["--precision", "exact"]].concat());
        assert_eq!(found["vocabulary"], 500, "what the tokenizer has: {found}");
        assert_eq!(found["padding_ids"], 12, "what it has not: {found}");
        let want = nll_of_logits(&directory, &ids, window, 500);
        for side in ["reference", "candidate"] {
            let nll = found[side]["nll_mean"].as_f64().expect("a number");
            assert!((nll - want).abs() < 1e-9, "windows of {window}: {nll}, {want} expected");
        }
    }
}

#[test]
fn a_text_is_read_and_the_figures_are_a_table() {
    let text = in_tree("README.md");
    let flags = ["eval", "kl", "-f", &text, "--tokens", "20", "--with", "experts-per-token=2"];
    let done = flash_moe(&flags).succeeded();
    for part in ["reference", "candidate", "top-1 agreement", "tokens                 19"] {
        assert!(done.stdout.contains(part), "{part:?} in {done:?}");
    }
    let named = done.stderr.matches("no model named").count();
    assert_eq!(named, 1, "the demo model is said once: {done:?}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let sample = sample();
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name).display().to_string();
        std::fs::write(&path, text).expect("write");
        path
    };
    let (high, single) = (file("high.json", "[1, 2, 8192]"), file("single.json", "[1]"));
    let (empty, nowhere) = (file("empty.txt", ""), "/no/such/file".to_owned());
    for (arguments, code, parts) in [
        (&[][..], 2, &["-f", "--ids"][..]),
        (&["-f", &empty, "--ids", &sample], 2, &["-f", "--ids"]),
        (&["--ids", &sample, "--with", "experts=4"], 2, &["--with", "experts", "precision=..."]),
        (&["--ids", &sample, "--against", "kv"], 2, &["--against", "\"kv\"", "kv=..."]),
        (&["--ids", &sample, "--with", "precision=rough"], 2, &["precision=exact"]),
        (&["--ids", &sample, "--with", "experts-per-token=129"], 2, &["129", "128"]),
        (&["--ids", &sample, "--chunk", "0"], 2, &["--chunk", "from 1"]),
        (&["--ids", &sample, "--tokens", "1"], 1, &["sample-2000.json", "at least two"]),
        (&["--ids", &single], 1, &["single.json", "at least two"]),
        (&["-f", &empty], 1, &["empty.txt", "at least two"]),
        (&["--ids", &high], 1, &["high.json", "element 2 is 8192", "below 8192"]),
        (&["--ids", &nowhere], 1, &["/no/such/file"]),
        (&["-f", &nowhere], 1, &["/no/such/file"]),
        (&["--ids", &sample, "--memory", "20MiB"], 3, &["--memory", "each of 2 models"]),
        (&["--ids", &sample, "--ctx", "5000"], 3, &["--ctx", "4096"]),
    ] {
        let done = flash_moe(&[&["eval", "kl"], arguments].concat());
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{arguments:?}: {done:?}");
        for part in parts {
            assert!(done.error().contains(part), "{arguments:?}: {part:?} in {done:?}");
        }
    }
}
