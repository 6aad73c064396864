//! The experts of a repacked checkpoint: every record in one piece, its matrices parts of it.

use format::{Catalog, RecordFile, TensorInfo};
use store::Extent;

use super::bind::Binder;
use super::experts::{MATRICES, sides};
use super::matrix::{self, Found};
use super::{ExpertSource, Piece, Plane};
use crate::error::ModelError;

/// The experts below `at`, the name of a layer's feed-forward part.
pub(super) fn bind(binder: &mut Binder<'_>, at: &str) -> Result<ExpertSource, ModelError> {
    let module = format!("{at}switch_mlp");
    let catalog = binder.catalog;
    let mut records = catalog.repacked.iter().flat_map(|repacked| &repacked.records);
    let record = records.find(|record| record.header.module == module).ok_or_else(|| {
        let what = format!("record file of {module}");
        let (found, accepted) = ("none".to_owned(), "one for each layer".to_owned());
        ModelError::Records { path: catalog.path.clone(), what, found, accepted }
    })?;
    let header = &record.header;
    if header.records != binder.config.experts {
        let accepted = format!("num_experts {}, as config.json says", binder.config.experts);
        return Err(refuse(catalog, record, "records", header.records.to_string(), accepted));
    }
    binder.used_records.insert(header.layer);
    binder.record = Some(record);
    let founds = matrices(binder, &module);
    binder.record = None;
    let founds = founds?;
    check_planes(catalog, record, &founds)?;
    let mut pieces = founds.iter().zip(sides(binder)).map(|(found, (rows, cols))| Piece {
        quant: found.quant,
        rows,
        cols,
        weights: plane_in_record(found.weights),
        scales: found.scales.map(plane_in_record),
        biases: found.biases.map(plane_in_record),
    });
    let mut piece = || pieces.next().expect("an expert has three matrices");
    let (gate, up, down) = (piece(), piece(), piece());
    let extent = |n: usize| Extent {
        file: record.file,
        offset: header.data_offset + n as u64 * header.stride_bytes,
        bytes: header.record_bytes,
    };
    Ok(ExpertSource {
        gate,
        up,
        down,
        extents_per_record: 1,
        extents: (0..header.records).map(extent).collect(),
        tensors: header.planes().count(),
        checksums: header.checksums.as_slice().into(),
    })
}

/// Record files of layers that the config does not have.
pub(super) fn check_used(binder: &Binder<'_>) -> Result<(), ModelError> {
    let catalog = binder.catalog;
    let mut records = catalog.repacked.iter().flat_map(|repacked| &repacked.records);
    match records.find(|record| !binder.used_records.contains(&record.header.layer)) {
        None => Ok(()),
        Some(record) => {
            let found = record.header.module.clone();
            let accepted = format!("{} layers, as config.json says", binder.config.layers());
            Err(refuse(catalog, record, "module", found, accepted))
        }
    }
}

/// The plane of that name, which is there.
pub(super) fn plane<'a>(
    catalog: &Catalog,
    record: &'a RecordFile,
    name: &str,
) -> Result<&'a TensorInfo, ModelError> {
    record.header.planes().find(|plane| plane.name == name).ok_or_else(|| {
        let found = "none".to_owned();
        refuse(catalog, record, &format!("plane {name}"), found, "one of that name".to_owned())
    })
}

fn matrices<'a>(binder: &mut Binder<'a>, module: &str) -> Result<Vec<Found<'a>>, ModelError> {
    let sides = sides(binder);
    let find =
        |(name, (rows, cols))| matrix::find(binder, &format!("{module}.{name}"), &[], rows, cols);
    MATRICES.into_iter().zip(sides).map(find).collect()
}

/// Nothing lies in a record that nothing reads, and the words for what does are the same.
fn check_planes(
    catalog: &Catalog,
    record: &RecordFile,
    founds: &[Found<'_>],
) -> Result<(), ModelError> {
    for (matrix, found) in record.header.matrices.iter().zip(founds) {
        let used = 1 + found.scales.iter().len() + found.biases.iter().len();
        let name = &found.weights.name;
        if matrix.planes.len() != used {
            let count = format!("{} planes", matrix.planes.len());
            let accepted = format!("{used}, for {} weights", found.weights.dtype);
            return Err(refuse(catalog, record, name, count, accepted));
        }
        let storage = found.quant.to_string();
        if matrix.storage != storage {
            let accepted = format!("{storage:?}, as its planes and config.json have it");
            return Err(refuse(catalog, record, name, format!("{:?}", matrix.storage), accepted));
        }
    }
    Ok(())
}

/// Offsets of planes count from the beginning of their record.
fn plane_in_record(plane: &TensorInfo) -> Plane {
    let begin = plane.offset as usize;
    Plane { extent: 0, range: begin..begin + plane.bytes as usize }
}

fn refuse(
    catalog: &Catalog,
    record: &RecordFile,
    what: &str,
    found: String,
    accepted: String,
) -> ModelError {
    let path = catalog.files[record.file].path.clone();
    ModelError::Records { path, what: what.to_owned(), found, accepted }
}
