//! Published layouts through `eval logits` and `run --raw`, compared with their references.

use safetensors::{Dtype, SafeTensors};

use crate::program::{fixture, flash_moe, read_json};

const FIXTURES: [&str; 5] = [
    "tiny-qwen35moe-hf",
    "tiny-qwen35moe-fp8",
    "tiny-qwen35moe-mlx4",
    "tiny-qwen35moe-mlx4-uniform",
    "tiny-qwen3next-hf",
];

fn ints(tensors: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let tensor = tensors.tensor(name).expect("the tensor is there");
    assert_eq!(tensor.dtype(), Dtype::I32, "{name}");
    let whole = tensor.data().as_chunks().0.iter();
    whole.map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect()
}

#[test]
fn logits_of_every_layout_have_the_shapes_and_ids_of_the_reference() {
    for name in FIXTURES {
        let reference = read_json(&format!("tests/fixtures/{name}/reference.json"));
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = |file: &str| folder.path().join(file).display().to_string();
        std::fs::write(path("ids.json"), reference["input_ids"].to_string()).expect("write");
        let directory = fixture(name);
        let flags = ["eval", "logits", "-m", &directory, "--decode", "32", "--precision", "exact"];
        let files = ["--ids", &path("ids.json"), "--out", &path("out.safetensors")];
        let done = flash_moe(&[&flags[..], &files].concat()).succeeded();
        assert_eq!(done.stdout, "", "{name}: the file is the answer");
        let bytes = std::fs::read(path("out.safetensors")).expect("the file is there");
        let out = SafeTensors::deserialize(&bytes).expect("safetensors");
        let ids = reference["input_ids"].as_array().expect("ids");
        let logits = out.tensor("logits").expect("logits");
        assert_eq!((logits.dtype(), logits.shape()[0]), (Dtype::F32, ids.len()), "{name}");
        let decoded = reference["decode_ids"].as_array().expect("ids").iter();
        let decoded: Vec<i64> = decoded.filter_map(serde_json::Value::as_i64).collect();
        assert_eq!(ints(&out, "decode.ids"), decoded, "{name}: greedy ids");
        for tensor in ["hidden.layer0", "layer0.router_index"] {
            let found = out.tensor(tensor).expect(tensor);
            assert_eq!(found.shape()[0], ids.len(), "{name}: {tensor}");
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
        assert_eq!(left.len(), 2, "{name}: nothing half written is left");
    }
}

#[test]
fn every_layout_runs_raw() {
    for name in FIXTURES {
        let directory = fixture(name);
        let flags = ["run", "-m", &directory, "--raw", "--temp", "0", "-n", "8", "--ignore-eos"];
        let done = flash_moe(&[&flags[..], &["--stats", "json", "the"]].concat()).succeeded();
        let stats = done.stats();
        assert_eq!(stats["decode"]["tokens"], 7, "{name}: {stats}");
        assert!(!done.stderr.contains("no model named"), "{name}: one was: {done:?}");
    }
}

#[test]
fn without_template_raw_is_asked_for() {
    let directory = fixture("tiny-qwen3next-hf");
    let done = flash_moe(&["run", "-m", &directory, "hello"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.error().contains("--raw"), "{done:?}");
}
