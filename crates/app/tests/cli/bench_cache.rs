//! `bench cache`: hit rates that were worked out by hand, and what is said of bad input.

use std::path::Path;

use serde_json::Value;

use crate::program::{Done, flash_moe};

/// Two layers a and b of three experts, three tokens: a0 a1 b0 b1, a0 a1 b0 b2, a2 a1 b0 b1.
const TRACE: &str = "\
{\"layers\": [[0, 1], [0, 1]]}
{\"layers\": [[0, 1], [0, 2]]}
{\"layers\": [[2, 1], [0, 1]]}
";

fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("routes.jsonl");
    std::fs::write(&path, text).expect("write");
    path.to_str().expect("a name in UTF-8").to_owned()
}

/// Hits by policy, for each number of slots.
fn hits(done: &Done) -> Vec<(String, Vec<u64>)> {
    let json = done.json();
    let curve = |curve: &Value| {
        let points = curve["points"].as_array().expect("points");
        let hits = points.iter().map(|point| {
            let (hits, misses) = (&point["hits"], &point["misses"]);
            let (hits, misses) = (hits.as_u64().expect("hits"), misses.as_u64().expect("misses"));
            assert_eq!(hits + misses, 12, "all that was chosen: {point}");
            let rate = point["hit_rate"].as_f64().expect("a rate");
            assert!((rate - hits as f64 / 12.0).abs() < 1e-12, "cold misses count: {point}");
            hits
        });
        (curve["policy"].as_str().expect("a name").to_owned(), hits.collect())
    };
    json["curves"].as_array().expect("curves").iter().map(curve).collect()
}

/// A cycle is four slots. With three, one that goes by age finds every expert gone when it comes
/// round; who counts finds two of those that came twice; who knows the future keeps the right
/// ones. With four, b1 is the oldest and leaves for b2, and then is missed; who knows the future
/// lets a0 go, which is not needed again, and b2 after it. With six there is room for everything.
#[test]
fn hit_rates_are_those_worked_out_by_hand() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = written(folder.path(), TRACE);
    let run = |more: &[&str]| {
        let all = ["bench", "cache", "--trace", &file, "--json", "--slots", "3,4,6"];
        flash_moe(&[&all[..], more].concat()).succeeded()
    };
    let done = run(&["--policy", "lru,lfu,belady"]);
    let expected = [("lru", [0, 5, 6]), ("lfu", [2, 5, 6]), ("belady", [4, 6, 6])];
    let expected = expected.map(|(name, hits)| (name.to_owned(), hits.to_vec()));
    assert_eq!(hits(&done), expected, "one by one");
    // a0 and a1 together: a1 is still there and is held before a0 is read.
    let done = run(&["--policy", "lru", "--announce", "layer"]);
    assert_eq!(hits(&done), [("lru".to_owned(), vec![1, 5, 6])], "a layer at once");
    let json = done.json();
    let number = |name: &str| json[name].as_u64();
    assert_eq!(number("cycle_slots"), Some(4), "two layers of two");
    assert_eq!(
        (number("tokens"), number("layers"), number("experts")),
        (Some(3), Some(2), Some(3))
    );
    assert_eq!(json["ceiling_hit_rate"], 0.5, "six of twelve come for the first time");
}

#[test]
fn a_table_and_a_chart_for_people() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = written(folder.path(), TRACE);
    let chart = folder.path().join("hits.svg");
    let chart_name = chart.to_str().expect("a name in UTF-8");
    let all = ["bench", "cache", "--trace", &file, "--share", "50%,100%", "--plot", chart_name];
    let done = flash_moe(&all).succeeded();
    for text in ["routes.jsonl", "3 tokens", "slots", "belady", "below a cycle", "cycle  4 slots"] {
        assert!(done.stdout.contains(text), "{text} in {}", done.stdout);
    }
    let svg = std::fs::read_to_string(&chart).expect("a chart");
    assert!(svg.starts_with("<svg") && svg.contains("one cycle"), "{svg}");
}

#[test]
fn traces_are_mapped_and_made_up() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = written(folder.path(), TRACE);
    let all = ["bench", "cache", "--trace", &file, "--fit", "4x16x3", "--json"];
    let done = flash_moe(&all).succeeded();
    assert_eq!(done.json()["cycle_slots"], 12, "four layers of three");
    assert!(done.stderr.contains("mapped to 4, 16, 3"), "it is said: {done:?}");
    let all = ["bench", "cache", "--synthetic", "4x16x3", "--tokens", "20", "--json"];
    let json = flash_moe(&all).succeeded().json();
    assert_eq!((&json["tokens"], &json["experts_per_token"]), (&20.into(), &3.into()), "made up");
}

#[test]
fn bad_input_is_one_line() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = written(folder.path(), "{\"layers\": [[1]]}\n{\"layers\": [[1, 1]]}\n");
    let trace = ["bench", "cache", "--trace", &file];
    for (code, more, parts) in [
        (1, &[][..], &["routes.jsonl", "line 2", "twice"][..]),
        (2, &["--policy", "mru"], &["--policy", "mru", "lfu"]),
        (2, &["--slots", "0"], &["--slots", "from 1"]),
        (2, &["--share", "12"], &["--share", "100%"]),
        (2, &["--fit", "4x4x5"], &["--fit", "60x512x10"]),
        (2, &["--synthetic", "4x4x4"], &["--synthetic", "--trace"]),
        (2, &["--slots", "1", "--share", "5%"], &["--slots", "--share"]),
    ] {
        let done = flash_moe(&[&trace[..], more].concat());
        assert_eq!((done.code, &*done.stdout), (code, ""), "{done:?}");
        for part in parts {
            assert!(done.error().contains(part), "{part} in {done:?}");
        }
    }
    let done = flash_moe(&["bench", "cache", "--trace", "/no/such/trace"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.error().contains("/no/such/trace"), "{done:?}");
}
