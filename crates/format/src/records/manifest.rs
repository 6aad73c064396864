//! The manifest of a repacked checkpoint: the files that make it up, and those that it was made from.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fields::{hex, refuse, unhex};
use crate::error::quoted;
use crate::safetensors::is_plain_name;
use crate::{FormatError, json};

/// The manifest's name; where it is, a directory is a repacked checkpoint.
pub const MANIFEST: &str = "flash-moe.json";

const FORMAT: &str = "flash-moe repacked checkpoint";
const VERSION: u64 = 1;
/// Files of each kind; a record file has one layer.
const MAX_FILES: usize = 4096;
const MAX_TEXT_BYTES: usize = 256;

/// What the manifest says, all of it checked but for the files themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Who wrote it.
    pub tool: String,
    pub layout: SourceLayout,
    /// The files that it was made from, in ascending order of their names.
    pub source: Vec<SourceFile>,
    /// Every tensor that is no routed expert's.
    pub trunk: WrittenFile,
    /// One a layer, the first layer first. The hash is that of the header; what follows it has
    /// checksums there.
    pub records: Vec<WrittenFile>,
    /// Config, tokenizer and whatever else was taken along as it was.
    pub copies: Vec<WrittenFile>,
}

/// What the names and numbers of the trunk mean, which the experts' names show otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceLayout {
    /// MLX: norms hold `1 + w`, convolutions are `[channels, taps, 1]`.
    Mlx,
    /// Norms hold `w`, convolutions are `[channels, 1, taps]`.
    Hf,
}

/// A first look at a file, to see whether it is still the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub name: String,
    pub bytes: u64,
    /// Seconds since 1970 when it was last written, with nine digits of fraction.
    pub modified: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub stamp: Stamp,
    pub sha256: [u8; 32],
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    pub name: String,
    pub bytes: u64,
    pub sha256: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestJson {
    format: String,
    version: u64,
    tool: String,
    layout: String,
    source: Vec<SourceJson>,
    trunk: WrittenJson,
    records: Vec<RecordsJson>,
    copies: Vec<WrittenJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceJson {
    name: String,
    bytes: u64,
    modified: String,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJson {
    name: String,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsJson {
    name: String,
    bytes: u64,
    header_sha256: String,
}

impl SourceLayout {
    const ALL: [SourceLayout; 2] = [SourceLayout::Mlx, SourceLayout::Hf];

    /// As the manifest spells it.
    pub const fn name(self) -> &'static str {
        match self {
            SourceLayout::Mlx => "mlx",
            SourceLayout::Hf => "hf",
        }
    }
}

/// The manifest in `bytes`; `path` is where they came from, for errors.
///
/// # Errors
/// When it is not JSON of the expected form, of another version, names a file twice or one that is
/// not in the same directory.
pub fn parse_manifest(path: &Path, bytes: &[u8]) -> Result<Manifest, FormatError> {
    let text = json::text(path, bytes, 0)?;
    check_version(path, text)?;
    let said: ManifestJson =
        serde_json::from_str(text).map_err(|error| json::fault(path, "", &error))?;
    let layout = SourceLayout::ALL.into_iter().find(|layout| layout.name() == said.layout);
    let layout =
        layout.ok_or_else(|| refuse(path, "layout", quoted(&said.layout), "\"mlx\" or \"hf\""))?;
    if said.tool.len() > MAX_TEXT_BYTES {
        let found = format!("{} bytes", said.tool.len());
        return Err(refuse(path, "tool", found, format!("at most {MAX_TEXT_BYTES}")));
    }
    for (field, found) in [
        ("source", said.source.len()),
        ("records", said.records.len()),
        ("copies", said.copies.len()),
    ] {
        if found > MAX_FILES {
            return Err(refuse(path, field, found, format!("at most {MAX_FILES} files")));
        }
    }
    if said.records.is_empty() {
        return Err(refuse(path, "records", "none", "at least one record file"));
    }
    let source =
        said.source.into_iter().map(|file| source(path, file)).collect::<Result<_, _>>()?;
    let trunk = written(path, said.trunk, "sha256")?;
    let record = |file: RecordsJson| {
        let RecordsJson { name, bytes, header_sha256: sha256 } = file;
        written(path, WrittenJson { name, bytes, sha256 }, "header_sha256")
    };
    let records = said.records.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let copies = said.copies.into_iter().map(|file| written(path, file, "sha256"));
    let copies = copies.collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for file in [&trunk].into_iter().chain(&records).chain(&copies) {
        if file.name == MANIFEST || !names.insert(file.name.as_str()) {
            let accepted = "every file once, and not the manifest";
            return Err(refuse(path, "name", quoted(&file.name), accepted));
        }
    }
    Ok(Manifest { tool: said.tool, layout, source, trunk, records, copies })
}

/// Format and version by themselves, before anything that another version may have otherwise.
fn check_version(path: &Path, text: &str) -> Result<(), FormatError> {
    #[derive(Deserialize)]
    struct Version {
        format: String,
        version: u64,
    }
    let said: Version =
        serde_json::from_str(text).map_err(|error| json::fault(path, "", &error))?;
    if said.format != FORMAT {
        return Err(refuse(path, "format", quoted(&said.format), format!("{FORMAT:?}")));
    }
    match said.version {
        VERSION => Ok(()),
        found => Err(refuse(path, "version", found, VERSION)),
    }
}

/// A file as a manifest or a journal names one that was read.
pub(super) fn stamp(
    path: &Path,
    name: String,
    bytes: u64,
    modified: String,
) -> Result<Stamp, FormatError> {
    check_name(path, &name)?;
    if modified.is_empty() || modified.len() > MAX_TEXT_BYTES {
        let field = format!("{}.modified", quoted(&name));
        return Err(refuse(path, field, quoted(&modified), "seconds since 1970"));
    }
    Ok(Stamp { name, bytes, modified })
}

fn check_name(path: &Path, name: &str) -> Result<(), FormatError> {
    match is_plain_name(name) && name.len() <= MAX_TEXT_BYTES {
        true => Ok(()),
        false => {
            let accepted = "the plain name of a file in the same directory";
            Err(refuse(path, "name", quoted(name), accepted))
        }
    }
}

pub(super) fn sha256(
    path: &Path,
    name: &str,
    field: &str,
    text: &str,
) -> Result<[u8; 32], FormatError> {
    unhex(text).ok_or_else(|| {
        let field = format!("{}.{field}", quoted(name));
        refuse(path, field, quoted(text), "64 hexadecimal digits in lower case")
    })
}

fn source(path: &Path, said: SourceJson) -> Result<SourceFile, FormatError> {
    let SourceJson { name, bytes, modified, sha256: sum } = said;
    let sha256 = sha256(path, &name, "sha256", &sum)?;
    Ok(SourceFile { stamp: stamp(path, name, bytes, modified)?, sha256 })
}

fn written(path: &Path, said: WrittenJson, field: &str) -> Result<WrittenFile, FormatError> {
    let WrittenJson { name, bytes, sha256: sum } = said;
    check_name(path, &name)?;
    let sha256 = sha256(path, &name, field, &sum)?;
    Ok(WrittenFile { name, bytes, sha256 })
}

impl Manifest {
    /// The manifest as a file, for people to read as well.
    pub fn to_bytes(&self) -> Vec<u8> {
        let written = |file: &WrittenFile| WrittenJson {
            name: file.name.clone(),
            bytes: file.bytes,
            sha256: hex(&file.sha256),
        };
        let source = |file: &SourceFile| SourceJson {
            name: file.stamp.name.clone(),
            bytes: file.stamp.bytes,
            modified: file.stamp.modified.clone(),
            sha256: hex(&file.sha256),
        };
        let record = |file: &WrittenFile| RecordsJson {
            name: file.name.clone(),
            bytes: file.bytes,
            header_sha256: hex(&file.sha256),
        };
        let said = ManifestJson {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: self.tool.clone(),
            layout: self.layout.name().to_owned(),
            source: self.source.iter().map(source).collect(),
            trunk: written(&self.trunk),
            records: self.records.iter().map(record).collect(),
            copies: self.copies.iter().map(written).collect(),
        };
        let mut bytes =
            serde_json::to_vec_pretty(&said).expect("numbers and strings can be written");
        bytes.push(b'\n');
        bytes
    }
}
