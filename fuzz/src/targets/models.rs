//! Parsers that stand between files and a model: config, weights by name, snapshots of sequences.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, Step, Want};
use format::Catalog;
use model::tiny::{self, Float, Layout, Spec};
use model::{Config, CpuModel, Opened, Settings, Weights};

use super::Tree;
use crate::target::{Shape, Target, Verdict};

/// `model::Config::read`: every number that it accepts is in its bounds.
pub(super) fn config(tree: &Tree) -> Result<Target, String> {
    // The generation and tokenizer configs end like this too: they are refused.
    let mut seeds = Vec::new();
    for name in super::TINY {
        seeds.push(super::read(&tree.fixtures.join(name).join("config.json"))?);
    }
    let run = |input: &[u8]| {
        let path = Path::new("config.json");
        let read = format::json::parse_json(path, input).map_err(|error| error.to_string());
        let read =
            read.and_then(|value| Config::read(&value, path).map_err(|error| error.to_string()));
        if let Ok(config) = &read {
            assert!((1..=config.experts).contains(&config.experts_per_token), "experts");
            assert!(config.heads.is_multiple_of(config.kv_heads), "heads");
            assert!(config.rotary_dim <= config.head_dim, "rotary dimensions");
        }
        Verdict::of(&read)
    };
    Ok(Target { name: "config", shape: Shape::Json, seeds, run: Box::new(run) })
}

/// `model::Weights::bind` over any header: the config is that of a true checkpoint.
pub(super) fn weights(tree: &Tree) -> Result<Target, String> {
    let path = tree.fixtures.join("tiny-qwen35moe-mlx4-uniform");
    let config = Config::open(&path).map_err(|error| error.to_string())?;
    let mut file = super::read(&path.join("model.safetensors"))?;
    let length = file.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let header = usize::try_from(length).map_err(|_| "a long header".to_owned())? + 8;
    let data_bytes = (file.len() - header) as u64;
    file.truncate(header);
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let run = move |input: &[u8]| {
        let shard = dir.path().join("model.safetensors");
        let written = sparse(&shard, input, data_bytes).map_err(|error| error.to_string());
        let bound = written
            .and_then(|()| Catalog::open(dir.path()).map_err(|error| error.to_string()))
            .and_then(|catalog| {
                Weights::bind(&config, &catalog).map_err(|error| error.to_string())
            });
        if let Ok(weights) = &bound {
            let end = input.len() as u64 + data_bytes;
            let inside = |extent: &store::Extent| extent.offset + extent.bytes as u64 <= end;
            let experts = weights.layers.iter().flat_map(|layer| &layer.experts.extents);
            assert!(experts.chain(weights.matrices().map(|m| &m.weights)).all(inside), "extents");
        }
        Verdict::of(&bound)
    };
    Ok(Target { name: "weights", shape: Shape::Header, seeds: vec![file], run: Box::new(run) })
}

/// A header and as many zeros as the true file has data.
fn sparse(path: &PathBuf, header: &[u8], data_bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(header)?;
    file.set_len(header.len() as u64 + data_bytes)?;
    fs::metadata(path).map(|_| ())
}

/// `Forward::restore`: only what a model wrote comes back.
pub(super) fn snapshot() -> Result<Target, String> {
    let mut model = tiny_model().map_err(|error| error.to_string())?;
    let mut sequence = model.sequence(16).map_err(|error| error.to_string())?;
    let mut seeds = Vec::new();
    let cancel = AtomicBool::new(false);
    for id in 0..2 {
        let mut bytes = Vec::new();
        model.snapshot(&sequence, &mut bytes).map_err(|error| error.to_string())?;
        seeds.push(bytes);
        let step =
            Step { sequence: &mut sequence, tokens: &[id], logits: Want::None, hidden: false };
        model.forward(&mut [step], &Control::new(&cancel)).map_err(|error| error.to_string())?;
    }
    let known = seeds.clone();
    let model = Mutex::new(model);
    let run = move |input: &[u8]| {
        let model = model.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let restored = model.restore(&mut &input[..], 16).map(|_| ());
        if restored.is_ok() {
            // What lies behind the snapshot is not read.
            assert!(known.iter().any(|known| input.starts_with(known)), "damage was not seen");
        }
        Verdict::of(&restored)
    };
    Ok(Target { name: "snapshot", shape: Shape::Bytes, seeds, run: Box::new(run) })
}

fn tiny_model() -> Result<CpuModel, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let spec = Spec { layers: 4, mtp: false, vision: false, ..Spec::default() };
    tiny::write(dir.path(), &spec, Layout::HfStacked { dtype: Float::Bf16 })?;
    let settings = Settings {
        look_ahead: model::LookAhead::Auto,
        policy: store::PolicyKind::default(),
        threads: 1,
        kv: kernels::KvType::F32,
        kernels: kernels::Kernels::best(),
        precision: kernels::Precision::Fast,
        process_bytes: 0,
        sequences: 1,
        checkpoints: 0,
        readers: 1,
        io: store::IoMode::Buffered,
    };
    let opened = Opened::open(dir.path(), None)?;
    let wish = store::Wish { budget_bytes: 1 << 30, ctx: Some(16), chunk: Some(8) };
    let plan = store::Plan::make(&opened.needs(&settings)?, &wish)?;
    Ok(opened.load(&plan, &settings, &|_, _| (), &AtomicBool::new(false))?)
}
