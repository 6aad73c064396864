//! What a checkpoint is made of when it is to be repacked: layers, trunk, and files that go along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use format::{Catalog, DType, RecordHeader, RecordMatrix, SourceLayout, Stamp, TensorInfo};
use kernels::{Float, Quant};

use super::RepackError;
use super::work::OpenFile;
use crate::opened::Opened;
use crate::weights::{ExpertSource, Piece};

/// Endings of files that go along: config, tokenizer, template, and what says who made it.
const COPIED: [&str; 6] = ["json", "jinja", "txt", "md", "model", "tiktoken"];
/// Names that go along whatever they end with.
const COPIED_NAMES: [&str; 3] = ["LICENSE", "LICENCE", "NOTICE"];

/// When a file was last written, where the system does not tell.
pub(super) const UNKNOWN: &str = "unknown";

/// A published checkpoint, ready to be read.
pub(super) struct Source {
    pub(super) dir: PathBuf,
    pub(super) catalog: Catalog,
    /// The files of the catalog, in its order.
    pub(super) files: Vec<OpenFile>,
    /// The layers that have tensors of their own.
    pub(super) layers: Vec<Layer>,
    /// Every tensor that is no routed expert's, in the order in which they lie in the files.
    pub(super) trunk: Vec<TensorInfo>,
    /// Names of the small files that go along.
    pub(super) copies: Vec<String>,
    /// Every file that is read, by ascending name.
    pub(super) stamps: Vec<Stamp>,
    pub(super) layout: SourceLayout,
}

/// The experts of one layer.
pub(super) struct Layer {
    /// Without checksums.
    pub(super) header: RecordHeader,
    pub(super) experts: ExpertSource,
}

impl Layer {
    pub(super) fn file_name(&self) -> String {
        format!("experts-{:05}.records", self.header.layer)
    }
}

impl Source {
    /// Reads the headers and opens the files.
    pub(super) fn open(dir: &Path) -> Result<Source, RepackError> {
        let dir = fs::canonicalize(dir).map_err(RepackError::io(dir, "open"))?;
        let Opened { catalog, weights, .. } = Opened::open(&dir, None)?;
        if catalog.repacked.is_some() {
            return Err(RepackError::Repacked { path: dir });
        }
        let mut layers = BTreeMap::new();
        let mut experts = BTreeSet::new();
        let mut layout = SourceLayout::Hf;
        for layer in weights.layers {
            let source = layer.experts;
            experts.extend(source.extents.iter().map(|extent| (extent.file, extent.offset)));
            let first = source.extents[0];
            // Layers that share the tensors of another one share its record file as well.
            let here = |tensor: &&TensorInfo| {
                tensor.bytes > 0 && (tensor.file, tensor.offset) == (first.file, first.offset)
            };
            let name = catalog.iter().find(here).map_or("", |tensor| &tensor.name);
            if name.contains(".mlp.switch_mlp.") {
                layout = SourceLayout::Mlx;
            }
            let (number, module) = module(name).expect("experts are found by a layer's name");
            layers.entry(number).or_insert_with(|| {
                let header = header(number, module, &source);
                Layer { header, experts: source }
            });
        }
        let is_trunk = |tensor: &&TensorInfo| {
            tensor.bytes == 0 || !experts.contains(&(tensor.file, tensor.offset))
        };
        let mut trunk: Vec<TensorInfo> = catalog.iter().filter(is_trunk).cloned().collect();
        trunk.sort_by(|a, b| (a.file, a.offset, &a.name).cmp(&(b.file, b.offset, &b.name)));
        let files = catalog.files.iter().map(|file| OpenFile::open(&file.path));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let (copies, stamps) = beside(&dir, &catalog)?;
        let layers = layers.into_values().collect();
        Ok(Source { dir, catalog, files, layers, trunk, copies, stamps, layout })
    }

    /// Bytes of all files that are read.
    pub(super) fn bytes(&self) -> u64 {
        self.stamps.iter().map(|stamp| stamp.bytes).sum()
    }

    /// Bytes that are still to be written where these layers are kept.
    pub(super) fn missing_bytes(&self, kept: &[bool], trunk_is_kept: bool) -> u64 {
        let layers = self.layers.iter().zip(kept).filter(|(_, kept)| !**kept);
        let layers: u64 = layers.map(|(layer, _)| layer.header.file_bytes()).sum();
        let trunk = if trunk_is_kept { 0 } else { super::trunk_file::bytes(self) };
        let copied = |stamp: &&Stamp| self.copies.contains(&stamp.name);
        let copies: u64 = self.stamps.iter().filter(copied).map(|stamp| stamp.bytes).sum();
        layers + trunk + copies
    }

    /// Looks again whether the files are those that were opened.
    pub(super) fn check_unchanged(&self) -> Result<(), RepackError> {
        for stamp in &self.stamps {
            let path = self.dir.join(&stamp.name);
            if self::stamp(&path, &stamp.name)? != *stamp {
                return Err(RepackError::Changed { path });
            }
        }
        Ok(())
    }
}

/// The layer's number, and what the names of its experts begin with in a record file.
fn module(name: &str) -> Option<(usize, String)> {
    let (at, _) = name.split_once(".mlp.")?;
    let (_, number) = at.rsplit_once("layers.")?;
    Some((number.parse().ok()?, format!("{at}.mlp.switch_mlp")))
}

fn header(layer: usize, module: String, experts: &ExpertSource) -> RecordHeader {
    let matrix = |(name, piece): (&str, &Piece)| RecordMatrix {
        storage: piece.quant.to_string(),
        planes: planes(&format!("{module}.{name}"), piece),
    };
    let pieces =
        [("gate_proj", &experts.gate), ("up_proj", &experts.up), ("down_proj", &experts.down)];
    let matrices = pieces.map(matrix);
    RecordHeader::new(layer, module, experts.records(), matrices)
}

/// The planes of a matrix as tensors, in the order of weights, scales, biases.
fn planes(matrix: &str, piece: &Piece) -> Vec<TensorInfo> {
    let Piece { rows, cols, .. } = *piece;
    let float = |float: Float| match float {
        Float::F32 => DType::F32,
        Float::F16 => DType::F16,
        Float::Bf16 => DType::BF16,
    };
    let described = match piece.quant {
        Quant::Plain(weights) => vec![("weight", float(weights), vec![rows, cols])],
        Quant::Affine { bits, group, params } => vec![
            ("weight", DType::U32, vec![rows, cols / 32 * bits]),
            ("scales", float(params), vec![rows, cols / group]),
            ("biases", float(params), vec![rows, cols / group]),
        ],
        Quant::Fp8Block { block_rows, block_cols, params } => {
            let blocks = vec![rows.div_ceil(block_rows), cols.div_ceil(block_cols)];
            vec![
                ("weight", DType::F8E4M3, vec![rows, cols]),
                ("weight_scale_inv", float(params), blocks),
            ]
        }
    };
    let places = [Some(&piece.weights), piece.scales.as_ref(), piece.biases.as_ref()];
    let plane =
        |((name, dtype, shape), place): ((&str, DType, Vec<usize>), &crate::weights::Plane)| {
            let (name, bytes) = (format!("{matrix}.{name}"), place.range.len() as u64);
            TensorInfo { name, dtype, shape, file: 0, offset: 0, bytes }
        };
    described.into_iter().zip(places.into_iter().flatten()).map(plane).collect()
}

/// Names of the files that go along, and every file that is read.
fn beside(dir: &Path, catalog: &Catalog) -> Result<(Vec<String>, Vec<Stamp>), RepackError> {
    let mut copies = Vec::new();
    let mut stamps = BTreeMap::new();
    for file in &catalog.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        stamps.insert(name.clone(), stamp(&file.path, &name)?);
    }
    for entry in fs::read_dir(dir).map_err(RepackError::io(dir, "read the directory"))? {
        let entry = entry.map_err(RepackError::io(dir, "read the directory"))?;
        // A name that is no UTF-8 is none of those that go along.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        let about = fs::metadata(&path).map_err(RepackError::io(&path, "open"))?;
        let index = name.ends_with(".safetensors.index.json");
        if about.is_file() && (index || goes_along(&name)) {
            stamps.insert(name.clone(), stamp(&path, &name)?);
            if !index {
                copies.push(name);
            }
        }
    }
    copies.sort();
    Ok((copies, stamps.into_values().collect()))
}

fn goes_along(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let own = [format::MANIFEST, format::JOURNAL].contains(&name);
    let known =
        COPIED.contains(&ending) || COPIED_NAMES.iter().any(|known| name.starts_with(known));
    known && !own && !name.starts_with('.') && !name.contains(char::is_control)
}

fn stamp(path: &Path, name: &str) -> Result<Stamp, RepackError> {
    let about = fs::metadata(path).map_err(RepackError::io(path, "open"))?;
    Ok(Stamp { name: name.to_owned(), bytes: about.len(), modified: modified(&about) })
}

fn modified(about: &Metadata) -> String {
    let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(UNKNOWN.to_owned(), |since| {
        format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
    })
}
