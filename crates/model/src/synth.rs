//! Synthetic checkpoints: random weights in the shapes of real models, so that speed can be known before a download.
//!
//! An [`Order`] says which shape, how many bits and how many layers really lie on the disk;
//! [`write`] makes the directory in MLX's layout. The weights are random bits, their scales are
//! such that states stay finite and logits spread as those of a trained model do: what is computed
//! means nothing, but costs what the real model costs. The same order gives the same bytes.

mod content;
mod error;
mod like;
mod shards;
mod space;
mod stored;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};

pub use error::SynthError;
pub use like::Like;
pub use space::refuse_full;

use crate::config::Config;
use crate::tiny::config::config;
use crate::tiny::encode::module;
use crate::tiny::tokenizer::{CHAT_TEMPLATE, Ids, tokenizer, tokenizer_config};
use crate::tiny::weights::Kind;
use crate::tiny::{Float, Form, Layout, Spec};
use content::Tensor;
use shards::Shard;
use writer::Writer;

/// Changes whenever the same order gives other bytes.
const VERSION: u32 = 1;

/// Weights that share a scale and a bias.
const GROUP: usize = 64;
/// The router and the gate of the shared expert, as MLX's converter stores them.
const GATE_BITS: u32 = 8;

/// A file holds tensors up to so many bytes together, as published checkpoints have it.
const SHARD_BYTES: u64 = 4 << 30;

const CONFIG: &str = "config.json";
const INDEX: &str = "model.safetensors.index.json";

/// A synthetic checkpoint that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// How config.json calls the shape.
    pub name: String,
    /// Dimensions and seed. Rows are whole groups of 64.
    pub spec: Spec,
    /// Of a weight: 2, 4 or 8.
    pub bits: u32,
    /// Layers that get tensors of their own; all others use the tensors of one of these. `None`
    /// for all layers.
    pub distinct_layers: Option<usize>,
    /// A file takes tensors up to so many bytes; a larger tensor has a file for itself.
    pub shard_bytes: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Files of tensors, those from an earlier time counted too.
    pub files: usize,
    /// Bytes of these files.
    pub total_bytes: u64,
    /// Bytes that were written now; the rest was there and whole.
    pub written_bytes: u64,
    /// Layers that have tensors of their own.
    pub distinct_layers: usize,
    /// Whether the page cache was passed by. Where the file system does not let us, what was
    /// written last may still be in memory when it is read.
    pub direct: bool,
}

impl Order {
    /// A checkpoint shaped like a real model, whole and with 4 bits.
    pub fn like(like: Like) -> Order {
        Order {
            name: like.name().to_owned(),
            spec: like.spec(),
            bits: 4,
            distinct_layers: None,
            shard_bytes: SHARD_BYTES,
        }
    }

    fn layout(&self) -> Layout {
        let (bits, group) = (self.bits, GROUP);
        Layout::Mlx { bits, group, router_bits: Some(GATE_BITS), dtype: Float::Bf16 }
    }

    fn form(&self) -> Form {
        Form { layout: self.layout(), multimodal: true, shards: 1 }
    }

    fn check(&self) -> Result<(), SynthError> {
        self.spec.check()?;
        let spec = &self.spec;
        let refuse =
            |field, found, accepted: String| Err(SynthError::Order { field, found, accepted });
        if ![2, 4, 8].contains(&self.bits) {
            return refuse("bits", self.bits as usize, "2, 4, 8".to_owned());
        }
        for (field, cols) in [
            ("hidden_size", spec.hidden_size),
            ("heads * head_dim", spec.heads * spec.head_dim),
            ("linear_value_heads * linear_value_dim", spec.value_rows()),
            ("moe_intermediate_size", spec.moe_intermediate_size),
            ("shared_intermediate_size", spec.shared_intermediate_size),
        ] {
            if !cols.is_multiple_of(GROUP) {
                return refuse(field, cols, format!("multiples of {GROUP}"));
            }
        }
        Ok(())
    }
}

/// Writes the checkpoint into `dir`, which is made if it is not there. `progress` hears of the
/// bytes that are there and of all bytes; `cancel` is looked at every few MiB. What an earlier
/// call for the same order left behind is kept, file by file.
///
/// Takes some 24 MiB of memory.
///
/// # Errors
/// An order that no model can have, a directory that holds something else, a disk that has no
/// room or fails, [`SynthError::Cancelled`].
pub fn write(
    dir: &Path,
    order: &Order,
    progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Written, SynthError> {
    order.check()?;
    let alias = stored::alias(&order.spec.mixers(), order.distinct_layers)?;
    let layers = stored::distinct(&alias);
    let tensors = content::tensors(order, &layers);
    let (tokenizer, ids) = tokenizer(order.spec.vocab_size);
    let config = whole_config(order, &alias, &layers, ids);
    // What could not be opened afterwards is not written.
    Config::read(&config, &dir.join(CONFIG))?;
    let config = pretty(&config);
    let shards = shards::cut(tensors, order.shard_bytes);

    fs::create_dir_all(dir).map_err(|error| SynthError::Write { path: dir.into(), error })?;
    refuse_other(dir, &config)?;
    let mut missing = Vec::new();
    for shard in &shards {
        if !shard.is_whole(dir)? {
            missing.push(shard);
        }
    }
    let total_bytes: u64 = shards.iter().map(Shard::bytes).sum();
    let missing_bytes = missing.iter().map(|shard| shard.bytes()).sum();
    if let Some(free_bytes) = space::free_bytes(dir)? {
        refuse_full(dir, missing_bytes, free_bytes)?;
    }

    // First of all: from now on the directory belongs to this order.
    put(dir, CONFIG, config.as_bytes())?;
    put(dir, "generation_config.json", pretty(&ids.generation()).as_bytes())?;
    put(dir, "tokenizer.json", pretty(&tokenizer).as_bytes())?;
    let about = tokenizer_config(order.spec.max_positions);
    put(dir, "tokenizer_config.json", pretty(&about).as_bytes())?;
    put(dir, "chat_template.jinja", CHAT_TEMPLATE.as_bytes())?;
    let kept_bytes = total_bytes - missing_bytes;
    let mut writer = Writer::new(cancel, |written| progress(kept_bytes + written, total_bytes));
    for shard in missing {
        shard.write(dir, &mut writer)?;
    }
    put(dir, INDEX, pretty(&index(&shards)).as_bytes())?;
    Ok(Written {
        files: shards.len(),
        total_bytes,
        written_bytes: missing_bytes,
        distinct_layers: layers.len(),
        direct: writer.is_direct(),
    })
}

/// The config that a publisher would have written, and what only a synthetic checkpoint says.
fn whole_config(order: &Order, alias: &[usize], layers: &[usize], ids: Ids) -> Value {
    let form = order.form();
    let mut config = config(&order.spec, &form, ids.end_of_text, &[]);
    let mut quantization: Map<String, Value> = config["quantization"]
        .as_object()
        .cloned()
        .expect("an MLX config says how it is quantised");
    let own = json!({ "group_size": GROUP, "bits": GATE_BITS });
    for outline in content::outlines(order, layers) {
        if outline.kind == Kind::Gate {
            quantization.insert(module(&outline.name).to_owned(), own.clone());
        }
    }
    config["quantization"] = Value::Object(quantization.clone());
    config["quantization_config"] = Value::Object(quantization);
    let synth = json!({
        "version": VERSION,
        "like": order.name,
        "seed": order.spec.seed,
        "shard_bytes": order.shard_bytes,
    });
    config["flash_moe"] = match order.distinct_layers {
        None => json!({ "synth": synth }),
        Some(_) => json!({ "synth": synth, "layer_alias": alias }),
    };
    config
}

/// Refuses a directory that is not empty and was not begun for this very config.
fn refuse_other(dir: &Path, config: &str) -> Result<(), SynthError> {
    let path = dir.join(CONFIG);
    match fs::read(&path) {
        Ok(found) if found == config.as_bytes() => Ok(()),
        Ok(_) => Err(SynthError::Other { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let failed = |error| SynthError::Read { path: dir.into(), error };
            let found = fs::read_dir(dir).map_err(failed)?.next().transpose().map_err(failed)?;
            match found {
                None => Ok(()),
                Some(found) => Err(SynthError::Other { path: found.path() }),
            }
        }
        Err(error) => Err(SynthError::Read { path, error }),
    }
}

fn index(shards: &[Shard]) -> Value {
    let mut weight_map = BTreeMap::new();
    for shard in shards {
        for tensor in &shard.tensors {
            weight_map.insert(tensor.name.as_str(), shard.file.as_str());
        }
    }
    let tensors = shards.iter().flat_map(|shard| &shard.tensors);
    let total_size: u64 = tensors.map(Tensor::bytes).sum();
    json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Writes a small file so that it appears whole.
fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), SynthError> {
    let (path, partial) = (dir.join(name), shards::partial(dir, name));
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, &path))
        .map_err(|error| SynthError::Write { path, error })
}
