//! A file that a manifest describes: whether it is as described, and how it is made so.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::own_file;
use crate::fault::Fault;

/// Files are read and written in pieces, so that memory holds no whole one.
const PIECE_BYTES: usize = 64 << 10;

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// A plain name, without folders.
    pub(super) name: String,
    bytes: u64,
    /// In lower-case hex.
    sha256: String,
}

/// The files that a manifest lists.
pub(super) fn entries(manifest: &str) -> Result<Vec<Entry>, Fault> {
    let broken = || Fault::failed("the manifest of the built-in model cannot be read");
    let manifest: Value = serde_json::from_str(manifest).map_err(|_| broken())?;
    let entry = |file: &Value| {
        Some(Entry {
            name: file.get("name")?.as_str()?.to_owned(),
            bytes: file.get("bytes")?.as_u64()?,
            sha256: file.get("sha256")?.as_str()?.to_owned(),
        })
    };
    let files = manifest.get("files").and_then(Value::as_array).ok_or_else(broken)?;
    files.iter().map(entry).collect::<Option<_>>().ok_or_else(broken)
}

impl Entry {
    /// What is wrong with the file at `path`, if anything.
    pub(super) fn fault_of(&self, path: &Path) -> Option<String> {
        let looked = File::open(path).and_then(|file| {
            let bytes = file.metadata()?.len();
            // A file of another length is not worth reading.
            let hash = if bytes == self.bytes { Some(hash_of(file)?) } else { None };
            Ok((bytes, hash))
        });
        match looked {
            Err(error) => Some(error.to_string()),
            Ok((bytes, None)) => Some(format!("{bytes} bytes, {} are expected", self.bytes)),
            Ok((_, Some(hash))) => {
                (hash != self.sha256).then(|| "damaged: its SHA-256 is another".to_owned())
            }
        }
    }

    /// Writes `bytes` under this name into `folder`; the name appears when the file is whole.
    pub(super) fn write(&self, folder: &Path, bytes: &'static [u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".unpacking-").tempfile_in(folder)?;
        let mut source = own_file::reader(bytes);
        let mut hash = copy(&mut source, &mut file)?;
        if hash != self.sha256 {
            // What the file of the binary gave is not what was compiled into it.
            file.as_file_mut().set_len(0)?;
            io::Seek::rewind(file.as_file_mut())?;
            hash = copy(&mut &*bytes, &mut file)?;
        }
        if hash != self.sha256 {
            return Err(io::Error::other(format!("{} is damaged in this binary", self.name)));
        }
        file.as_file().sync_all()?;
        file.persist(folder.join(&self.name))?;
        Ok(())
    }
}

/// The hash of all that a reader gives, in lower-case hex.
fn hash_of(mut reader: impl Read) -> io::Result<String> {
    copy(&mut reader, &mut io::sink())
}

/// Copies in pieces, and returns the hash of what was copied.
fn copy(from: &mut dyn Read, into: &mut dyn io::Write) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => {
                hash.update(&piece[..read]);
                into.write_all(&piece[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
