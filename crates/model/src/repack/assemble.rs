//! Puts records together from the places where a published checkpoint has their parts.

use super::source::{Layer, Source};
use super::{BATCH_BYTES, RepackError};
use crate::weights::{Piece, Plane};

/// Gathers the records of one layer, several at once: in a stack their parts lie side by side, so
/// that few large reads bring them.
pub(super) struct Assembler<'a> {
    source: &'a Source,
    layer: &'a Layer,
    /// Each plane's part of a source record, and where it goes in a written one.
    planes: Vec<(&'a Plane, usize)>,
    /// What a read brings.
    read: Vec<u8>,
}

/// Parts of consecutive records that lie side by side in a file.
struct Run {
    file: usize,
    offset: u64,
    /// The first record, and how many.
    first: usize,
    count: usize,
}

impl<'a> Assembler<'a> {
    pub(super) fn new(source: &'a Source, layer: &'a Layer) -> Assembler<'a> {
        let experts = &layer.experts;
        let parts = [&experts.gate, &experts.up, &experts.down].into_iter().flat_map(planes);
        let places = layer.header.planes().map(|plane| plane.offset as usize);
        Assembler { source, layer, planes: parts.zip(places).collect(), read: Vec::new() }
    }

    /// How many records are put together at once.
    pub(super) fn batch(&self) -> usize {
        let count = (BATCH_BYTES / self.layer.header.stride_bytes).max(1);
        usize::try_from(count).unwrap_or(1).min(self.layer.header.records)
    }

    /// Records from `first` on, as many as `into` has strides. What lies between the planes stays
    /// as it is.
    pub(super) fn fill(&mut self, first: usize, into: &mut [u8]) -> Result<(), RepackError> {
        let stride = self.layer.header.stride_bytes as usize;
        let count = into.len() / stride;
        for (plane, place) in &self.planes {
            let bytes = plane.range.len();
            for run in self.runs(plane, first, count) {
                self.read.resize(run.count * bytes, 0);
                self.source.files[run.file].read_at(run.offset, &mut self.read)?;
                for (n, part) in self.read.chunks_exact(bytes).enumerate() {
                    let at = (run.first - first + n) * stride + place;
                    into[at..at + bytes].copy_from_slice(part);
                }
            }
        }
        Ok(())
    }

    fn runs(&self, plane: &Plane, first: usize, count: usize) -> Vec<Run> {
        let experts = &self.layer.experts;
        let mut runs: Vec<Run> = Vec::new();
        for record in first..first + count {
            let extent = &experts.extents[record * experts.extents_per_record + plane.extent];
            let (file, offset) = (extent.file, extent.offset + plane.range.start as u64);
            let next = |run: &Run| run.offset + (run.count * plane.range.len()) as u64;
            match runs.last_mut() {
                Some(run) if run.file == file && next(run) == offset => run.count += 1,
                _ => runs.push(Run { file, offset, first: record, count: 1 }),
            }
        }
        runs
    }
}

/// Weights, scales, biases, as far as there are any.
fn planes(piece: &Piece) -> impl Iterator<Item = &Plane> {
    [Some(&piece.weights), piece.scales.as_ref(), piece.biases.as_ref()].into_iter().flatten()
}
