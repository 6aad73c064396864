//! The catalog: every tensor's name, dtype, shape and byte range, whatever container it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{DType, FormatError, Repacked, records, safetensors};

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    pub path: PathBuf,
    /// Length of the whole file.
    pub bytes: u64,
    /// What the file says about itself, such as `format` = `pt`. Nothing here relies on it.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor: what it is and where its bytes lie. The length was checked against shape and dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: DType,
    /// Outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Index into [`Catalog::files`].
    pub file: usize,
    /// Where the data begins, counted from the start of the file.
    pub offset: u64,
    pub bytes: u64,
}

/// What the files of one model hold.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The directory that was opened.
    pub path: PathBuf,
    /// In ascending order of their names; of a repacked checkpoint the trunk, then the record files.
    pub files: Vec<FileInfo>,
    /// The record files of a repacked checkpoint: what they hold is no tensor of the catalog.
    pub repacked: Option<Repacked>,
    /// Tensors that lie in a file but that the model's index does not assign to that file. They
    /// cannot be looked up; in the order of the files, then of their offsets.
    pub unlisted: Vec<TensorInfo>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Catalog {
    pub(crate) fn new(
        path: PathBuf,
        files: Vec<FileInfo>,
        tensors: BTreeMap<String, TensorInfo>,
        unlisted: Vec<TensorInfo>,
    ) -> Catalog {
        Catalog { path, files, repacked: None, unlisted, tensors }
    }

    /// Reads the headers of the files in `dir`. Where `flash-moe.json` is, they are those that it
    /// names. Else the shards that `model.safetensors.index.json` names if it is there, else
    /// `model.safetensors`, else every `*.safetensors`. No tensor data is read.
    ///
    /// # Errors
    /// When the directory or a file cannot be read, or anything a header or the index says
    /// does not hold; the error names the file and, where there is one, the tensor.
    pub fn open(dir: &Path) -> Result<Catalog, FormatError> {
        match records::open(dir)? {
            Some(repacked) => Ok(repacked),
            None => safetensors::open(dir),
        }
    }

    /// The tensor of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// [`FormatError::MissingTensor`].
    pub fn require(&self, name: &str) -> Result<&TensorInfo, FormatError> {
        self.get(name).ok_or_else(|| FormatError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            tensors: self.tensors.len(),
            files: self.files.len(),
        })
    }

    /// Every tensor, in ascending order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.values()
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Bytes of all tensors together.
    pub fn total_bytes(&self) -> u64 {
        // Sparse files can claim more than a u64 counts; no sum of real ones gets near it.
        self.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.bytes))
    }

    /// The path of the file that holds `tensor`, which came from this catalog.
    pub fn path_of(&self, tensor: &TensorInfo) -> &Path {
        &self.files[tensor.file].path
    }
}
