//! `bench kernels`: every form is there under its name, held against f64, and refused if it is unknown.

use serde_json::Value;

use crate::program::flash_moe;

const PRODUCTS: [&str; 6] = ["naive", "fma", "algebraic", "lut", "exact", "int_dot"];
const DELTAS: [&str; 3] = ["deltanet_scalar", "deltanet_blas", "deltanet_fused"];

fn measure(more: &[&str]) -> Value {
    let all = ["bench", "kernels", "--bytes", "1MiB", "--json"];
    flash_moe(&[&all[..], more].concat()).succeeded().json()
}

fn number(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name} in {object}"))
}

/// Kernel, bits and threads of every row.
fn rows(found: &Value) -> Vec<(&str, u64, u64)> {
    let rows = found["kernels"].as_array().expect("a list").iter();
    let integer = |row: &Value, name: &str| row[name].as_u64().expect("an integer");
    rows.map(|row| {
        let name = row["kernel"].as_str().expect("a name");
        (name, integer(row, "bits"), integer(row, "threads"))
    })
    .collect()
}

#[test]
fn every_form_is_measured_and_near_the_truth() {
    let found = measure(&["--threads", "2"]);
    let mut expected = Vec::new();
    for bits in [4, 2] {
        for threads in [1, 2] {
            expected.extend(PRODUCTS.map(|name| (name, bits, threads)));
        }
    }
    for threads in [1, 2] {
        expected.extend(DELTAS.map(|name| (name, 32, threads)));
    }
    assert_eq!(rows(&found), expected, "kernels, bits, threads");
    for row in found["kernels"].as_array().expect("a list") {
        let error = number(row, "max_abs_err");
        // The result of f32 sums is never that of f64 in all of a hundred rows and more.
        let bound = if row["kernel"] == "int_dot" { 4e-4 } else { 2e-5 };
        assert!(error > 0.0 && error < bound, "{row}");
        for name in ["gb_per_s", "fraction_of_ceiling", "seconds"] {
            assert!(number(row, name) > 0.0, "{name}: {row}");
        }
        let threads = if row["threads"] == 1 { "1" } else { "all" };
        let share = number(row, "gb_per_s") / number(&found, &format!("ram_gb_per_s_{threads}"));
        let told = number(row, "fraction_of_ceiling");
        assert!((share / told - 1.0).abs() < 1e-9, "{share} is told as {told}: {row}");
        let is_delta = row["bits"] == 32;
        assert_eq!(row["times_scalar"].is_number(), is_delta, "for forms of the rule: {row}");
    }
    assert!(found["isa"].is_string(), "{found}");
    let tasks = found["fork_join"].as_array().expect("a list");
    let threads: Vec<u64> = tasks.iter().filter_map(|task| task["threads"].as_u64()).collect();
    assert_eq!(threads, [1, 2], "tasks on every number of threads: {found}");
    for name in ["seconds", "p95", "rested_seconds"] {
        assert!(tasks.iter().all(|task| number(task, name) > 0.0), "{name}: {found}");
    }
}

#[test]
fn parts_can_be_measured_alone_and_with_other_instructions() {
    let portable = if cfg!(target_arch = "aarch64") { "neon" } else { "scalar" };
    let found = measure(&["--only", "lut", "--threads", "1", "--isa", portable]);
    assert_eq!(rows(&found), [("lut", 4, 1), ("lut", 2, 1)], "one form, one thread: {found}");
    assert_eq!(found["isa"], portable, "as asked for: {found}");
    assert_eq!(found["fork_join"], Value::Array(vec![]), "not asked for: {found}");
    let found = measure(&["--only", "fork_join", "--threads", "1"]);
    assert_eq!(rows(&found), [], "tasks alone: {found}");
    assert!(found["ram_gb_per_s_1"].is_null(), "no row needs it: {found}");
}

#[test]
fn a_table_for_people_says_what_stands_behind_it() {
    let all = ["bench", "kernels", "--bytes", "1MiB", "--threads", "1", "--only", "deltanet"];
    let done = flash_moe(&all).succeeded();
    for part in ["| kernel", "| deltanet_fused ", "reading alone, 1 threads: ", "9 rounds"] {
        assert!(done.stdout.contains(part), "{part}: {done:?}");
    }
}

#[test]
fn what_is_unknown_is_refused_with_what_is_not() {
    for (arguments, part) in [
        (["--only", "abacus"], "deltanet_fused, fork_join"),
        (["--isa", "abacus"], if cfg!(target_arch = "aarch64") { "neon" } else { "scalar" }),
        (["--bytes", "1000"], "from 1MiB"),
        (["--bytes", "50%"], "from 1MiB"),
        (["--threads", "0"], "1..=1024"),
    ] {
        let done = flash_moe(&[&["bench", "kernels"], &arguments[..]].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {done:?}");
        assert!(done.error().contains(part), "{part}: {done:?}");
    }
}
