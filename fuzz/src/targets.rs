//! The parsers that read strangers' files, each with true inputs from the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::target::{Shape, Target, Verdict};

mod models;
mod repacked;
mod saved;
mod texts;
mod tools;

/// Every target, in the order in which they run.
pub(crate) const NAMES: [&str; 16] = [
    "header",
    "index",
    "json",
    "config",
    "weights",
    "records",
    "manifest",
    "journal",
    "snapshot",
    "session",
    "transcript",
    "tokenizer",
    "template",
    "generation",
    "tools",
    "calls",
];

/// The checkpoints whose files are the true inputs.
const TINY: [&str; 5] = [
    "tiny-qwen35moe-hf",
    "tiny-qwen35moe-mlx4",
    "tiny-qwen35moe-mlx4-uniform",
    "tiny-qwen35moe-fp8",
    "tiny-qwen3next-hf",
];

/// Builds a target.
///
/// # Errors
/// An unknown name, or a true input that cannot be read.
pub(crate) fn named(root: &Path, name: &str) -> Result<Target, String> {
    let tree = Tree { fixtures: root.join("tests/fixtures") };
    match name {
        "header" => header(&tree),
        "index" => index(&tree),
        "json" => json(&tree),
        "config" => models::config(&tree),
        "weights" => models::weights(&tree),
        "records" => repacked::records(),
        "manifest" => repacked::manifest(),
        "journal" => repacked::journal(),
        "snapshot" => models::snapshot(),
        "session" => saved::session(),
        "transcript" => saved::transcript(),
        "tokenizer" => texts::tokenizer(&tree),
        "template" => texts::template(&tree),
        "generation" => texts::generation(&tree),
        "tools" => tools::tools(),
        "calls" => tools::calls(),
        _ => Err(format!("unknown target {name}")),
    }
}

struct Tree {
    fixtures: PathBuf,
}

impl Tree {
    /// Every file below the tiny checkpoints whose name ends like this, in the order of paths.
    fn tiny(&self, ending: &str) -> Result<Vec<PathBuf>, String> {
        let mut found = BTreeSet::new();
        for name in TINY {
            let folder = self.fixtures.join(name);
            let told = |error| format!("{}: {error}", folder.display());
            for entry in fs::read_dir(&folder).map_err(told)? {
                let path = entry.map_err(told)?.path();
                if path.to_string_lossy().ends_with(ending) {
                    found.insert(path);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    fn bytes(&self, ending: &str) -> Result<Vec<Vec<u8>>, String> {
        self.tiny(ending)?.iter().map(|path| read(path)).collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `format::parse_header`: whatever it accepts covers its file exactly.
fn header(tree: &Tree) -> Result<Target, String> {
    let (mut seeds, mut data_sizes) = (Vec::new(), BTreeSet::new());
    for path in tree.tiny(".safetensors")? {
        let mut file = read(&path)?;
        let len = file.first_chunk().map_or(0, |len| u64::from_le_bytes(*len));
        let header = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(8);
        data_sizes.insert(file.len().saturating_sub(header) as u64);
        file.truncate(header);
        seeds.push(file);
    }
    let path = PathBuf::from("model.safetensors");
    let run = move |input: &[u8]| {
        let mut verdict = Verdict::Refused;
        // The rest of the file is as long as that of one of the true ones, or missing.
        for data in data_sizes.iter().copied().chain([0]) {
            let file_bytes = input.len() as u64 + data;
            let parsed = format::parse_header(&path, input, file_bytes);
            if let Ok(tensors) = &parsed {
                let mut at = input.len() as u64;
                let mut ranges: Vec<_> = tensors.iter().map(|t| (t.offset, t.bytes)).collect();
                ranges.sort_unstable();
                for (offset, bytes) in ranges {
                    assert_eq!(offset, at, "a tensor begins where the one before it ends");
                    at += bytes;
                }
                assert_eq!(at, file_bytes, "the tensors cover the file");
            }
            if Verdict::of(&parsed) == Verdict::Accepted {
                verdict = Verdict::Accepted;
            }
        }
        verdict
    };
    Ok(Target { name: "header", shape: Shape::Header, seeds, run: Box::new(run) })
}

/// `format::parse_index`: no name that it accepts leads out of the directory.
fn index(tree: &Tree) -> Result<Target, String> {
    let path = PathBuf::from("model.safetensors.index.json");
    let run = move |input: &[u8]| {
        let parsed = format::parse_index(&path, input);
        if let Ok(index) = &parsed {
            for shard in index.weight_map.values() {
                let parts = Path::new(shard).components().count();
                assert!(parts == 1 && !shard.contains(['/', '\\']), "{shard:?} leads elsewhere");
            }
        }
        Verdict::of(&parsed)
    };
    let seeds = tree.bytes(".index.json")?;
    Ok(Target { name: "index", shape: Shape::Json, seeds, run: Box::new(run) })
}

/// `format::json::parse_json`: it takes exactly what the JSON crate takes from bytes.
fn json(tree: &Tree) -> Result<Target, String> {
    let path = PathBuf::from("config.json");
    let run = move |input: &[u8]| {
        let parsed = format::json::parse_json(&path, input);
        let twin = serde_json::from_slice::<serde_json::Value>(input);
        assert_eq!(parsed.as_ref().ok(), twin.as_ref().ok(), "the same value or none");
        Verdict::of(&parsed)
    };
    // The generation and tokenizer configs end like this too.
    let seeds = tree.bytes("config.json")?;
    Ok(Target { name: "json", shape: Shape::Json, seeds, run: Box::new(run) })
}
