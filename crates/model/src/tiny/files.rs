//! The directory of a tiny model, as somebody would have downloaded it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::arrange::arrange;
use super::config::config;
use super::encode::{Stored, encode};
use super::error::{TinyError, require};
use super::layout::{Form, Layout};
use super::spec::Spec;
use super::tokenizer::{CHAT_TEMPLATE, tokenizer, tokenizer_config};
use super::weights::draw;

/// Writes the model of `spec` into `dir`, which is made if it is not there; files of the same
/// name are replaced. `form` is a [`Form`], or a [`Layout`] for the form it is published in.
///
/// # Errors
/// [`TinyError::Spec`] where no such model can be, otherwise what the file system said.
pub fn write(dir: &Path, spec: &Spec, form: impl Into<Form>) -> Result<(), TinyError> {
    let form = form.into();
    spec.check()?;
    form.check()?;
    fs::create_dir_all(dir).map_err(|source| TinyError::Write { path: dir.into(), source })?;
    let (tokenizer, ids) = tokenizer(spec.vocab_size);
    let tensors = arrange(spec, &form, draw(spec));
    write_json(&dir.join("config.json"), &config(spec, &form, ids.end_of_text, &tensors))?;
    write_json(&dir.join("generation_config.json"), &ids.generation())?;
    write_json(&dir.join("tokenizer.json"), &tokenizer)?;
    write_json(&dir.join("tokenizer_config.json"), &tokenizer_config(spec.max_positions))?;
    write_bytes(&dir.join("chat_template.jinja"), CHAT_TEMPLATE.as_bytes())?;
    let stored: Vec<Stored> =
        tensors.iter().flat_map(|tensor| encode(form.layout, tensor)).collect();
    write_tensors(dir, &form, &stored)
}

fn write_tensors(dir: &Path, form: &Form, stored: &[Stored]) -> Result<(), TinyError> {
    let Form { layout, shards, .. } = *form;
    if shards == 1 {
        return write_shard(&dir.join("model.safetensors"), layout, stored.iter());
    }
    let most = format!("at most the {} tensors", stored.len());
    require(shards <= stored.len(), "shards", shards, most)?;
    let mut weight_map = BTreeMap::new();
    for shard in 0..shards {
        // The spelling of the real repositories.
        let file = format!("model.safetensors-{:05}-of-{shards:05}.safetensors", shard + 1);
        let part = &stored[shard * stored.len() / shards..(shard + 1) * stored.len() / shards];
        write_shard(&dir.join(&file), layout, part.iter())?;
        weight_map.extend(part.iter().map(|tensor| (tensor.name.as_str(), file.clone())));
    }
    let total_size: usize = stored.iter().map(|tensor| tensor.bytes.len()).sum();
    let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
    write_json(&dir.join("model.safetensors.index.json"), &index)
}

fn write_shard<'a>(
    path: &Path,
    layout: Layout,
    stored: impl Iterator<Item = &'a Stored>,
) -> Result<(), TinyError> {
    let maker = if layout.is_mlx() { "mlx" } else { "pt" };
    let metadata = HashMap::from([("format".to_owned(), maker.to_owned())]);
    let named = stored.map(|tensor| (tensor.name.as_str(), tensor));
    let bytes = safetensors::serialize(named, Some(metadata))
        .map_err(|source| TinyError::Serialize { path: path.into(), source })?;
    write_bytes(path, &bytes)
}

fn write_json(path: &Path, value: &Value) -> Result<(), TinyError> {
    write_bytes(path, format!("{value:#}\n").as_bytes())
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), TinyError> {
    fs::write(path, bytes).map_err(|source| TinyError::Write { path: path.into(), source })
}
