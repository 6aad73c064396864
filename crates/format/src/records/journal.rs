//! The journal of a repack that is under way: which source files it began with, and the hashes that are known.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fields::hex;
use super::manifest::{Stamp, sha256, stamp};
use crate::{FormatError, json};

/// The journal's name; where it is and no manifest, a directory is not finished.
pub const JOURNAL: &str = "flash-moe.unfinished.json";

/// The source files as the repack found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// Each file, and its SHA-256 once that is known.
    pub source: Vec<(Stamp, Option<[u8; 32]>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalJson {
    source: Vec<EntryJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryJson {
    name: String,
    bytes: u64,
    modified: String,
    sha256: Option<String>,
}

/// The journal in `bytes`; `path` is where they came from, for errors.
///
/// # Errors
/// When it is not JSON of the expected form or names a file that is not in one directory.
pub fn parse_journal(path: &Path, bytes: &[u8]) -> Result<Journal, FormatError> {
    let text = json::text(path, bytes, 0)?;
    let said: JournalJson =
        serde_json::from_str(text).map_err(|error| json::fault(path, "", &error))?;
    let entry = |entry: EntryJson| {
        let EntryJson { name, bytes, modified, sha256: sum } = entry;
        let sum = sum.map(|sum| sha256(path, &name, "sha256", &sum)).transpose()?;
        Ok((stamp(path, name, bytes, modified)?, sum))
    };
    Ok(Journal { source: said.source.into_iter().map(entry).collect::<Result<_, _>>()? })
}

impl Journal {
    /// The journal as a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = |(stamp, sum): &(Stamp, Option<[u8; 32]>)| {
            let Stamp { name, bytes, modified } = stamp.clone();
            EntryJson { name, bytes, modified, sha256: sum.map(|sum| hex(&sum)) }
        };
        let said = JournalJson { source: self.source.iter().map(entry).collect() };
        let mut bytes =
            serde_json::to_vec_pretty(&said).expect("numbers and strings can be written");
        bytes.push(b'\n');
        bytes
    }
}
