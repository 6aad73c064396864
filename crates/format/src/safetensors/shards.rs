//! Several files, one catalog: which shard counts when a tensor is named, missing or found twice.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::header;
use super::index::Index;
use crate::{Catalog, FileInfo, FormatError, TensorInfo};

/// Every tensor of every file; a name in two of them is an error, for nothing says which counts.
pub(crate) fn from_files(dir: &Path, paths: &[PathBuf]) -> Result<Catalog, FormatError> {
    let mut files = Vec::with_capacity(paths.len());
    let mut tensors = Named::default();
    for path in paths {
        let (file, held) = header::read(path, files.len())?;
        files.push(file);
        for tensor in held {
            tensors.insert(&files, tensor)?;
        }
    }
    Ok(Catalog::new(dir.into(), files, tensors.0, Vec::new()))
}

/// The tensors that the index lists, each from the shard that it names.
pub(super) fn from_index(
    dir: &Path,
    index_path: &Path,
    index: &Index,
) -> Result<Catalog, FormatError> {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for shard in index.weight_map.values() {
        *wanted.entry(shard).or_default() += 1;
    }
    let mut files = Vec::with_capacity(wanted.len());
    let mut tensors = Named::default();
    let mut others = Named::default();
    let mut unlisted = Vec::new();
    for (shard, listed) in wanted {
        let (file, held) = header::read(&dir.join(shard), files.len()).map_err(|e| match e {
            FormatError::Io { error, .. } if error.kind() == ErrorKind::NotFound => {
                let (path, shard) = (index_path.into(), shard.to_owned());
                FormatError::MissingShard { path, shard, tensors: listed }
            }
            other => other,
        })?;
        files.push(file);
        for tensor in held {
            match index.weight_map.get(&tensor.name) {
                Some(owner) if owner == shard => tensors.insert(&files, tensor)?,
                Some(_) => unlisted.push(tensor),
                None => {
                    others.insert(&files, tensor.clone())?;
                    unlisted.push(tensor);
                }
            }
        }
    }
    for (name, shard) in &index.weight_map {
        if !tensors.0.contains_key(name) {
            let (path, index) = (dir.join(shard), index_path.into());
            return Err(FormatError::NotInShard { path, tensor: name.clone(), index });
        }
    }
    Ok(Catalog::new(dir.into(), files, tensors.0, unlisted))
}

/// Tensors by name, no name twice.
#[derive(Default)]
struct Named(BTreeMap<String, TensorInfo>);

impl Named {
    fn insert(&mut self, files: &[FileInfo], tensor: TensorInfo) -> Result<(), FormatError> {
        let path = files[tensor.file].path.clone();
        let Some(first) = self.0.insert(tensor.name.clone(), tensor) else {
            return Ok(());
        };
        let other = files[first.file].path.clone();
        Err(FormatError::InTwoShards { path, tensor: first.name, other })
    }
}
