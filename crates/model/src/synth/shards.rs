//! Files of tensors: which tensor lies in which, and their safetensors headers.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::SynthError;
use super::content::Tensor;
use super::writer::Writer;

/// One file.
pub(super) struct Shard {
    pub(super) file: String,
    pub(super) tensors: Vec<Tensor>,
    /// Everything before the first tensor.
    header: Vec<u8>,
}

/// Deals out the tensors in their order.
pub(super) fn cut(tensors: Vec<Tensor>, shard_bytes: u64) -> Vec<Shard> {
    let mut parts: Vec<(u64, Vec<Tensor>)> = Vec::new();
    for tensor in tensors {
        let bytes = tensor.bytes();
        match parts.last_mut() {
            Some((held, part)) if *held + bytes <= shard_bytes => {
                *held += bytes;
                part.push(tensor);
            }
            _ => parts.push((bytes, vec![tensor])),
        }
    }
    let count = parts.len();
    let shard = |(n, (_, tensors)): (usize, (u64, Vec<Tensor>))| Shard {
        file: format!("model-{:05}-of-{count:05}.safetensors", n + 1),
        header: header(&tensors),
        tensors,
    };
    parts.into_iter().enumerate().map(shard).collect()
}

/// Length and JSON, padded so that the tensors begin at a multiple of 8.
fn header(tensors: &[Tensor]) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!({ "format": "mlx" }));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes();
        let entry =
            json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end] });
        entries.insert(tensor.name.clone(), entry);
        at = end;
    }
    let mut text = Value::Object(entries).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Where a file lies until it is whole.
pub(super) fn partial(dir: &Path, file: &str) -> PathBuf {
    dir.join(format!("{file}.partial"))
}

impl Shard {
    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.header.len() as u64 + self.tensors.iter().map(Tensor::bytes).sum::<u64>()
    }

    /// Whether the file is there; what is left of one that was not finished is removed.
    pub(super) fn is_whole(&self, dir: &Path) -> Result<bool, SynthError> {
        let partial = partial(dir, &self.file);
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(SynthError::Write { path: partial, error });
            }
            _ => {}
        }
        let path = dir.join(&self.file);
        match fs::metadata(&path) {
            Ok(about) => Ok(about.is_file() && about.len() == self.bytes()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(SynthError::Read { path, error }),
        }
    }

    /// Writes the file, which appears under its name when it is whole and on the disk.
    pub(super) fn write<T: FnMut(u64)>(
        &self,
        dir: &Path,
        writer: &mut Writer<'_, T>,
    ) -> Result<(), SynthError> {
        let partial = partial(dir, &self.file);
        let mut place = Place { shard: self, part: 0, done: 0 };
        let written = writer.write(&partial, self.bytes(), |into| place.fill(into));
        if let Err(error) = written {
            // What is half written is no use: it would be written anew.
            let _ = fs::remove_file(&partial);
            return Err(error);
        }
        let path = dir.join(&self.file);
        fs::rename(&partial, &path).map_err(|error| SynthError::Write { path, error })
    }
}

/// How far a file was filled.
struct Place<'a> {
    shard: &'a Shard,
    /// 0 is the header, then the tensors.
    part: usize,
    /// Bytes of this part.
    done: u64,
}

impl Place<'_> {
    /// The next bytes of the file, of which there are enough.
    fn fill(&mut self, mut into: &mut [u8]) {
        while !into.is_empty() {
            let Shard { header, tensors, .. } = self.shard;
            let tensor = self.part.checked_sub(1).map(|n| &tensors[n]);
            let left = tensor.map_or(header.len() as u64, Tensor::bytes) - self.done;
            let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
            let (now, later) = into.split_at_mut(bytes);
            match tensor {
                Some(tensor) => tensor.fill(self.done, now),
                None => {
                    let start = self.done as usize;
                    now.copy_from_slice(&header[start..start + bytes]);
                }
            }
            self.done += bytes as u64;
            if bytes as u64 == left {
                (self.part, self.done) = (self.part + 1, 0);
            }
            into = later;
        }
    }
}
