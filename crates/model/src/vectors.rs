//! The short vectors of a model, read all together and decoded to f32.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use store::{Disk, Extent, Trunk};

use crate::error::ModelError;
use crate::weights::{VectorSource, Weights};

/// Vectors by the name of their tensor, as they multiply: one for each layer that uses it.
pub(crate) struct Vectors(HashMap<String, Vec<Vec<f32>>>);

impl Vectors {
    /// Reads every vector of `weights`.
    ///
    /// # Errors
    /// What the disk says, and [`ModelError::NotFinite`].
    pub(crate) fn read(
        disk: &dyn Disk,
        weights: &Weights,
        path: &Path,
        cancel: &AtomicBool,
    ) -> Result<Vectors, ModelError> {
        let sources: Vec<&VectorSource> = weights.vectors().collect();
        let extents: Vec<Extent> = sources.iter().map(|source| source.extent).collect();
        // They are few and small: one reader, and nothing to tell.
        let raw = Trunk::load(disk, &extents, 1, &|_, _| (), cancel)?;
        let mut vectors: HashMap<String, Vec<Vec<f32>>> = HashMap::with_capacity(sources.len());
        for (n, source) in sources.into_iter().enumerate() {
            let mut floats = format::decode_floats(source.dtype, raw.bytes(n))?;
            if floats.iter().any(|value| !value.is_finite()) {
                let (path, tensor) = (path.to_path_buf(), source.name.clone());
                return Err(ModelError::NotFinite { path, tensor });
            }
            if source.plus_one {
                floats.iter_mut().for_each(|value| *value += 1.0);
            }
            vectors.entry(source.name.clone()).or_default().push(floats);
        }
        Ok(Vectors(vectors))
    }

    /// Hands out a vector; each is asked for once by every layer that uses it.
    pub(crate) fn take(&mut self, source: &VectorSource) -> Vec<f32> {
        self.0.get_mut(&source.name).and_then(Vec::pop).unwrap_or_default()
    }
}
