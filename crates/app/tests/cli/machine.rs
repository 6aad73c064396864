//! Memory, threads and context: planned, kept to, reported under the known names, without effect on the answer.

use serde_json::Value;

use crate::program::{Done, fixture, flash_moe, in_tree};

const PLAN_NAMES: [&str; 17] = [
    "floor_bytes",
    "cycle_bytes",
    "trunk_bytes",
    "state_bytes",
    "kv_bytes",
    "scratch_bytes",
    "io_bytes",
    "process_bytes",
    "slot_bytes",
    "slot_count",
    "record_bytes",
    "record_extents",
    "plan_bytes",
    "budget_bytes",
    "ctx",
    "io_mode",
    "predicted_tok_per_s",
];

fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn run(more: &[&str]) -> Done {
    let flags = ["run", "--temp", "0", "--think", "off", "--stats", "json", "-n", "24"];
    flash_moe(&[&flags[..], more, &["Explain quantum computing."]].concat()).succeeded()
}

fn bytes(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn a_plan_adds_up_and_has_all_names() {
    let plan = flash_moe(&["plan", "--memory", "256MiB", "--json"]).succeeded().json();
    assert_eq!(names(&plan), PLAN_NAMES, "names");
    let parts = ["trunk", "state", "kv", "scratch", "io", "process"];
    let sum: u64 = parts.iter().map(|part| bytes(&plan, &format!("{part}_bytes"))).sum();
    let slots = bytes(&plan, "slot_bytes") * bytes(&plan, "slot_count");
    assert_eq!(sum + slots, bytes(&plan, "plan_bytes"), "{plan}");
    assert_eq!(bytes(&plan, "budget_bytes"), 256 << 20, "{plan}");
    assert!(bytes(&plan, "plan_bytes") <= 256 << 20, "{plan}");
    assert_eq!(bytes(&plan, "slot_count"), 1024, "all experts fit: {plan}");
    assert_eq!(bytes(&plan, "cycle_bytes"), 8 * 8 * 27_648, "8 experts in 8 layers: {plan}");
    let predicted = plan["predicted_tok_per_s"].as_f64();
    assert!(predicted.is_some_and(|speed| speed > 0.0), "without reads memory is enough: {plan}");
}

#[test]
fn a_plan_for_people_names_every_part() {
    let table = flash_moe(&["plan", "--memory", "256MiB", "--ctx", "1000"]).succeeded().stdout;
    for part in ["trunk", "state", "kv", "scratch", "io", "process", "slots", "plan", "budget"] {
        assert!(table.lines().any(|line| line.starts_with(part)), "{part}: {table}");
    }
    for part in ["floor", "cycle", "tok/s predicted", "1000 tokens", "It runs"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn statistics_have_all_names_and_memory_stays_below_the_plan() {
    let done = run(&["--memory", "128MiB"]);
    let stats = done.stats();
    let all = [
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
    assert_eq!(names(&stats), all, "names");
    let phase = [
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
    assert_eq!(names(&stats["prompt"]), phase, "names");
    assert_eq!(names(&stats["decode"]), phase, "names");
    assert_eq!(stats["stop_reason"], "length", "{stats}");
    assert_eq!(stats["experts_per_token"], 8, "{stats}");
    assert_eq!(bytes(&stats["decode"], "tokens"), 23, "a step for each token but the last");
    let touched = stats["decode"]["touched_bytes_per_token"].as_f64();
    assert_eq!(touched, Some(f64::from(8 * 8 * 27_648)), "8 experts in 8 layers: {stats}");
    if cfg!(target_os = "linux") {
        assert!(bytes(&stats, "peak_rss_bytes") <= bytes(&stats, "plan_bytes"), "{stats}");
    }
}

#[test]
fn memory_and_threads_change_nothing_but_the_cost() {
    let refused = flash_moe(&["plan", "--memory", "1MiB", "--ctx", "200", "--json"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let floor = flash_moe(&["plan", "--memory", "1GiB", "--ctx", "200", "--json"]).json();
    let floor = bytes(&floor, "floor_bytes");
    let (floor, between) = (floor.to_string(), (floor + (1 << 20)).to_string());
    let want = run(&["--memory", "1GiB"]);
    for flags in [
        &["--memory", &floor, "--ctx", "200"][..],
        &["--memory", &between, "--ctx", "200"],
        &["--threads", "1"],
        &["--threads", "3"],
    ] {
        let done = run(flags);
        assert_eq!(done.stdout, want.stdout, "{flags:?}");
        let (stats, wanted) = (done.stats(), want.stats());
        assert_eq!(stats["logits_hash"], wanted["logits_hash"], "{flags:?}");
        if cfg!(target_os = "linux") {
            assert!(bytes(&stats, "peak_rss_bytes") <= bytes(&stats, "budget_bytes"), "{stats}");
        }
    }
}

#[test]
fn the_type_of_keys_and_values_is_planned_and_answers() {
    let plan = |kv: &[&str]| {
        let flags = ["plan", "--json", "--memory", "256MiB", "--ctx", "1000"];
        bytes(&flash_moe(&[&flags[..], kv].concat()).succeeded().json(), "kv_bytes")
    };
    let exact = plan(&["--precision", "exact"]);
    assert_eq!(plan(&["--kv", "f32"]), exact, "f32 is usual in the exact precision");
    assert_eq!(2 * plan(&["--kv", "f16"]), exact, "half of it");
    assert_eq!(plan(&[]), plan(&["--kv", "f16"]), "f16 is usual in the fast precision");
    // 64 elements are 64 bytes and 2 scales.
    assert_eq!(plan(&["--kv", "q8"]) * 64 * 4, exact * 68, "a little more than a quarter");
    let answer = |kv: &str, threads: &str| {
        let done = run(&["--kv", kv, "--threads", threads, "--memory", "256MiB"]);
        (done.stdout.clone(), done.stats()["logits_hash"].clone())
    };
    let [f32, f16, q8] = ["f32", "f16", "q8"].map(|kv| answer(kv, "1"));
    assert!(f32.1 != f16.1 && f16.1 != q8.1 && q8.1 != f32.1, "each rounds otherwise");
    assert_eq!((answer("f16", "2"), answer("q8", "3")), (f16, q8), "whatever the threads");
}

#[test]
fn slots_below_a_cycle_are_warned_of_with_the_number() {
    let plan = flash_moe(&["plan", "--memory", "1GiB", "--ctx", "200", "--json"]).json();
    let floor = bytes(&plan, "floor_bytes").to_string();
    let done = run(&["--memory", &floor, "--ctx", "200"]);
    let warning = done.stderr.lines().find(|line| line.contains("whole token"));
    let warning = warning.unwrap_or_else(|| panic!("a warning: {done:?}"));
    let advice = warning.split("--memory ").nth(1).and_then(|rest| rest.split(' ').next());
    let roomy = flash_moe(&["plan", "--memory", advice.expect("a size"), "--ctx", "200", "--json"]);
    let roomy = roomy.succeeded().json();
    let slots = bytes(&roomy, "slot_count") * bytes(&roomy, "record_bytes");
    assert!(slots >= bytes(&roomy, "cycle_bytes"), "the advice is enough: {roomy}");
}

#[test]
fn the_context_ends_a_generation() {
    let flags = ["run", "--temp", "0", "--ignore-eos", "--ctx", "40", "--stats", "json"];
    let done = flash_moe(&[&flags[..], &["Count from 1 to 50"]].concat()).succeeded();
    let stats = done.stats();
    assert_eq!(stats["stop_reason"], "length", "{stats}");
    let tokens = bytes(&stats["prompt"], "tokens") + bytes(&stats["decode"], "tokens") + 1;
    assert_eq!(tokens, 40, "prompt and answer fill it: {stats}");
}

#[test]
fn fewer_experts_are_named_in_the_last_line() {
    let flags = ["run", "--temp", "0", "-n", "4", "--experts-per-token", "4", "What is a glacier?"];
    let done = flash_moe(&flags).succeeded();
    assert!(done.last_line().contains("4 of the model's 8 experts"), "{done:?}");
    assert!(done.stderr.contains("warning: 4 experts per token"), "{done:?}");
}

#[test]
fn an_inspection_tells_sizes_and_what_is_ignored() {
    let directory = in_tree("demo/demo-4bit");
    let json = flash_moe(&["inspect", "-m", &directory, "--json"]).succeeded().json();
    for name in [
        "config",
        "classes",
        "trunk_bytes",
        "expert_bytes",
        "record_bytes",
        "record_extents",
        "touched_bytes_per_token",
        "ignored",
    ] {
        assert!(names(&json).contains(&name), "{name} in {json}");
    }
    assert_eq!(bytes(&json, "record_bytes"), 27_648, "as the demo's README has it");
    assert_eq!(bytes(&json, "expert_bytes"), 1024 * 27_648, "all of them");
    assert_eq!(bytes(&json, "record_extents"), 9, "weight, scales, biases of three matrices");
    let table = flash_moe(&["inspect", "-m", &directory]).succeeded().stdout;
    for part in ["27.0 KiB", "27.0 MiB", "128 a layer, 8 a token", "mtp", "4096 tokens", "embed"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    for name in ["hf", "fp8", "mlx4", "mlx4-uniform"] {
        let directory = fixture(&format!("tiny-qwen35moe-{name}"));
        let done = flash_moe(&["inspect", "-m", &directory]).succeeded();
        assert!(done.stdout.contains("trunk"), "{name}: {done:?}");
    }
}
