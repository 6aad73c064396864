//! The safetensors container: which files of a directory make up a model, and what they hold.

mod entries;
mod header;
mod index;
mod shards;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use header::count;
pub use header::{MAX_DIMS, MAX_HEADER_BYTES, parse_header};
pub(crate) use index::is_plain_name;
pub use index::{Index, parse_index};
pub(crate) use shards::from_files;

use crate::{Catalog, FormatError, json};

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// An index lists every tensor once; the largest published ones have some 100,000 lines.
const MAX_INDEX_BYTES: u64 = 100_000_000;

const EXPECTED: &str = "expected a directory with model.safetensors.index.json, model.safetensors or other *.safetensors files";

pub(crate) fn open(dir: &Path) -> Result<Catalog, FormatError> {
    let paths = list(dir)?;
    let named = |name: &str| paths.iter().find(|path| path.file_name() == Some(name.as_ref()));
    if let Some(path) = named(INDEX) {
        let index = parse_index(path, &json::read_small(path, MAX_INDEX_BYTES)?)?;
        return shards::from_index(dir, path, &index);
    }
    if let Some(path) = named(SINGLE) {
        return shards::from_files(dir, std::slice::from_ref(path));
    }
    let all: Vec<PathBuf> = paths.into_iter().filter(|path| is_safetensors(path)).collect();
    if all.is_empty() {
        let found = "no *.safetensors file in the directory";
        return Err(FormatError::NotAModel { path: dir.into(), found, expected: EXPECTED });
    }
    shards::from_files(dir, &all)
}

/// What lies in `dir`, in ascending order, so that the catalog does not depend on the file system.
fn list(dir: &Path) -> Result<Vec<PathBuf>, FormatError> {
    let io = |error| FormatError::Io { path: dir.into(), action: "read the directory", error };
    if !fs::metadata(dir).map_err(io)?.is_dir() {
        let (found, expected) = match is_safetensors(dir) {
            true => ("a single safetensors file", "name the directory that holds it"),
            false => ("a file", EXPECTED),
        };
        return Err(FormatError::NotAModel { path: dir.into(), found, expected });
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        paths.push(entry.map_err(io)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Hidden files do not count: some systems put a `._` companion beside every file they copy.
fn is_safetensors(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "safetensors")
}
