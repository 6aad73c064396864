//! Checkpoints to bind: written ones, and headers without data that a test may change at will.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use format::{Catalog, DType};
use model::tiny::{self, Float, Form, Layout, Spec};
use model::{Config, ModelError, Weights};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub(crate) const HF: Layout = Layout::HfStacked { dtype: Float::Bf16 };
pub(crate) const EACH: Layout = Layout::HfPerExpert { dtype: Float::Bf16 };
pub(crate) const NEXT: Layout = Layout::Qwen3Next { dtype: Float::Bf16 };
pub(crate) const MLX: Layout =
    Layout::Mlx { bits: 4, group: 64, router_bits: Some(8), dtype: Float::Bf16 };

/// A bound model.
pub(crate) struct Bound {
    pub(crate) config: Config,
    pub(crate) catalog: Catalog,
    pub(crate) weights: Weights,
}

pub(crate) fn open(dir: &Path) -> Result<Bound, ModelError> {
    let config = Config::open(dir)?;
    let catalog = Catalog::open(dir)?;
    let weights = Weights::bind(&config, &catalog)?;
    Ok(Bound { config, catalog, weights })
}

/// A tiny model, bound.
pub(crate) fn tiny(spec: &Spec, form: impl Into<Form>) -> (TempDir, Bound) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tiny::write(dir.path(), spec, form).expect("a model can be written");
    let bound = open(dir.path()).expect("a tiny model binds");
    (dir, bound)
}

/// A file or directory of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A config and the headers of one file: enough to bind.
#[derive(Clone)]
pub(crate) struct Headers {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, (DType, Vec<usize>)>,
}

impl Headers {
    /// What a tiny model has.
    pub(crate) fn tiny(spec: &Spec, form: impl Into<Form>) -> Headers {
        let (dir, bound) = tiny(spec, form);
        let config = fs::read(dir.path().join("config.json")).expect("a config");
        let config = serde_json::from_slice(&config).expect("JSON");
        let all = bound.catalog.iter();
        let tensors = all.map(|t| (t.name.clone(), (t.dtype, t.shape.clone()))).collect();
        Headers { config, tensors }
    }

    /// Writes them, the data as a hole in the file, and binds.
    pub(crate) fn bind(&self) -> Result<Bound, ModelError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        self.write(dir.path()).expect("a file can be written");
        open(dir.path())
    }

    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        fs::write(dir.join("config.json"), self.config.to_string())?;
        let mut header = Map::new();
        let mut end = 0_u64;
        for (name, (dtype, shape)) in &self.tensors {
            let begin = end;
            end += shape.iter().product::<usize>() as u64 * dtype.bytes() as u64;
            let offsets = [begin, end];
            let entry = json!({"dtype": dtype.name(), "shape": shape, "data_offsets": offsets});
            header.insert(name.clone(), entry);
        }
        let header = Value::Object(header).to_string();
        let mut file = File::create(dir.join("model.safetensors"))?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.set_len(8 + header.len() as u64 + end)
    }

    /// The text part of the config.
    pub(crate) fn text(&mut self) -> &mut Map<String, Value> {
        let flat = self.config.get("text_config").is_none();
        let text = if flat { &mut self.config } else { &mut self.config["text_config"] };
        text.as_object_mut().expect("an object")
    }

    /// The one tensor whose name ends so, which then has another name, or none.
    pub(crate) fn rename(&mut self, ending: &str, to: Option<&str>) -> String {
        let name = self.named(ending);
        let tensor = self.tensors.remove(&name).expect("it was just found");
        if let Some(to) = to {
            self.tensors.insert(to.to_owned(), tensor);
        }
        name
    }

    /// The full name of the first tensor that ends so, outside the `mtp` block.
    pub(crate) fn named(&self, ending: &str) -> String {
        let mut names = self.tensors.keys().filter(|name| !name.starts_with("mtp."));
        let Some(name) = names.find(|name| name.ends_with(ending)) else {
            panic!("no tensor ends in {ending}")
        };
        name.clone()
    }
}
