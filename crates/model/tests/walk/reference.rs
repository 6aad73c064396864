//! Reading the oracle's reference.safetensors, and how near is right.

use std::path::Path;

use kernels::tolerances::Tolerance;
use safetensors::{Dtype, SafeTensors};

/// The tensors of a reference file.
pub(crate) struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    pub(crate) fn open(dir: &Path) -> Reference {
        let path = dir.join("reference.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Reference { bytes }
    }

    fn with<T>(&self, name: &str, read: impl Fn(Dtype, &[u8]) -> T) -> Option<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a good file");
        let tensor = tensors.tensor(name).ok()?;
        Some(read(tensor.dtype(), tensor.data()))
    }

    /// `None` when there is no such tensor.
    pub(crate) fn maybe_floats(&self, name: &str) -> Option<Vec<f32>> {
        self.with(name, |dtype, data| {
            assert_eq!(dtype, Dtype::F32, "{name} is f32");
            data.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect()
        })
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.maybe_floats(name).unwrap_or_else(|| panic!("{name} is in the reference"))
    }

    /// Ids and indices, whatever integer they are stored as.
    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        let read = |dtype, data: &[u8]| -> Vec<u32> {
            match dtype {
                Dtype::I64 => {
                    data.as_chunks().0.iter().map(|raw| i64::from_le_bytes(*raw) as u32).collect()
                }
                Dtype::I32 => {
                    data.as_chunks().0.iter().map(|raw| i32::from_le_bytes(*raw) as u32).collect()
                }
                other => panic!("{name} is {other:?}"),
            }
        };
        self.with(name, read).unwrap_or_else(|| panic!("{name} is in the reference"))
    }
}

/// The largest difference, which must be at most `bound`.
pub(crate) fn near(what: &str, found: &[f32], wanted: &[f32], bound: Tolerance) -> f32 {
    assert_eq!(found.len(), wanted.len(), "{what}: as many values");
    let mut worst = 0.0_f32;
    for (found, wanted) in found.iter().zip(wanted) {
        let near = bound.accepts(*found, *wanted);
        assert!(near, "{what}: {found} for {wanted}, at most {} away", bound.bound);
        worst = worst.max((found - wanted).abs());
    }
    worst
}
