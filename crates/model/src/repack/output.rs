//! The directory that a repack writes into: what it holds already, and how files get their names.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use format::{JOURNAL, Journal, MANIFEST, Manifest, RecordHeader, Stamp, WrittenFile};
use sha2::{Digest, Sha256};

use super::RepackError;
use super::hashing::Sums;
use super::source::{Layer, Source, UNKNOWN};
use super::trunk_file;
use super::work::{OpenFile, Work};

pub(super) const TRUNK: &str = "trunk.safetensors";
const LOCK: &str = ".flash-moe.lock";
/// A file under this ending is not finished.
const PART: &str = ".part";

/// The directory.
pub(super) struct Output {
    pub(super) dir: PathBuf,
}

/// What it holds.
pub(super) enum State {
    New(Vec<Stamp>),
    /// Part of a repack of the same files.
    Begun(Journal),
    /// Part of a repack of other files, and those that it is to be now.
    Foreign((Journal, Vec<Stamp>)),
    Finished(Manifest),
}

impl Output {
    /// Makes the directory if it is not there.
    pub(super) fn open(dir: &Path, source: &Path) -> Result<Output, RepackError> {
        fs::create_dir_all(dir).map_err(RepackError::io(dir, "make the directory"))?;
        let real = fs::canonicalize(dir).map_err(RepackError::io(dir, "open"))?;
        match real == source {
            true => Err(RepackError::Same { path: dir.into() }),
            false => Ok(Output { dir: dir.into() }),
        }
    }

    /// Looks what is there; `stamps` are the files of the source.
    pub(super) fn state(&self, stamps: &[Stamp]) -> Result<State, RepackError> {
        if self.dir.join(MANIFEST).exists() {
            let manifest = Manifest::read(&self.dir)?;
            return Ok(State::Finished(manifest.expect("it was there just now")));
        }
        // A journal that cannot be read is one of nothing that is known.
        match Journal::read(&self.dir) {
            Ok(None) => {}
            Ok(Some(journal)) if journal.source.iter().map(|(stamp, _)| stamp).eq(stamps) => {
                return Ok(State::Begun(journal));
            }
            Ok(Some(journal)) => return Ok(State::Foreign((journal, stamps.to_vec()))),
            Err(_) => return Ok(State::Foreign((Journal::default(), stamps.to_vec()))),
        }
        let io = || RepackError::io(&self.dir, "read the directory");
        for entry in fs::read_dir(&self.dir).map_err(io())? {
            let name = entry.map_err(io())?.file_name();
            // Cut off before its journal had its name.
            let journal = format!("{JOURNAL}{PART}");
            if name != LOCK && name != journal.as_str() {
                let found = name.to_string_lossy().into_owned();
                return Err(RepackError::NotEmpty { path: self.dir.clone(), found });
            }
        }
        Ok(State::New(stamps.to_vec()))
    }

    /// Keeps others from writing here as long as it lives.
    pub(super) fn lock(&self) -> Result<File, RepackError> {
        let path = self.dir.join(LOCK);
        let lock = File::create(&path).map_err(RepackError::io(&path, "write"))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(RepackError::Busy { path: self.dir.clone() }),
            Err(TryLockError::Error(error)) => Err(RepackError::io(&path, "lock")(error)),
        }
    }

    /// Removes what cannot be used, and writes the journal.
    pub(super) fn begin(&self, state: State) -> Result<Sums, RepackError> {
        let io = || RepackError::io(&self.dir, "read the directory");
        let fresh = |stamps: Vec<Stamp>| Journal {
            source: stamps.into_iter().map(|stamp| (stamp, None)).collect(),
        };
        let (journal, foreign) = match state {
            State::Begun(journal) => (journal, None),
            State::New(stamps) => (fresh(stamps), None),
            State::Foreign((journal, stamps)) => (fresh(stamps), Some(journal)),
            State::Finished(_) => unreachable!("what is finished is not begun again"),
        };
        for entry in fs::read_dir(&self.dir).map_err(io())? {
            let entry = entry.map_err(io())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_other = foreign.as_ref().is_some_and(|journal| is_ours(&name, journal));
            if name.ends_with(PART) || of_other {
                let path = entry.path();
                fs::remove_file(&path).map_err(RepackError::io(&path, "remove"))?;
            }
        }
        self.note(&journal)?;
        Ok(Sums(journal))
    }

    /// Writes the journal anew.
    pub(super) fn note(&self, journal: &Journal) -> Result<(), RepackError> {
        self.write_whole(JOURNAL, &journal.to_bytes())
    }

    /// Takes away what was only just begun.
    pub(super) fn give_up(&self) {
        self.remove_journal();
        // Where other files are after all, it stays.
        let _ = fs::remove_dir(&self.dir);
    }

    /// Once there is a manifest, or nothing at all, they mean nothing any more.
    pub(super) fn remove_journal(&self) {
        for name in [JOURNAL, LOCK] {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }

    /// The header of a layer's finished file, if that is the one that would be written.
    pub(super) fn kept_header(&self, layer: &Layer) -> Option<RecordHeader> {
        let (header, _) = RecordHeader::read(&self.dir.join(layer.file_name())).ok()?;
        let unsummed = RecordHeader { checksums: layer.header.checksums.clone(), ..header.clone() };
        (unsummed == layer.header).then_some(header)
    }

    pub(super) fn kept_layers(&self, source: &Source) -> Vec<bool> {
        source.layers.iter().map(|layer| self.kept_header(layer).is_some()).collect()
    }

    /// Whether the trunk is there: it has the length and the header that it would be given.
    pub(super) fn trunk_is_kept(&self, source: &Source) -> bool {
        let header = trunk_file::header(source);
        let Ok(file) = OpenFile::open(&self.dir.join(TRUNK)) else { return false };
        let mut found = vec![0; header.len()];
        file.bytes == trunk_file::bytes(source)
            && file.read_at(0, &mut found).is_ok()
            && found == header
    }

    /// A file that does not have its name yet, and how it is called meanwhile.
    pub(super) fn begin_file(&self, name: &str) -> Result<(File, PathBuf), RepackError> {
        let path = self.dir.join(format!("{name}{PART}"));
        let file = File::create(&path).map_err(RepackError::io(&path, "write"))?;
        Ok((file, path))
    }

    /// Gives a file its name once all of it is on the disk.
    pub(super) fn end_file(&self, file: &File, name: &str) -> Result<(), RepackError> {
        let path = self.dir.join(format!("{name}{PART}"));
        file.sync_all().map_err(RepackError::io(&path, "write"))?;
        fs::rename(&path, self.dir.join(name)).map_err(RepackError::io(&path, "rename"))
    }

    fn write_whole(&self, name: &str, bytes: &[u8]) -> Result<(), RepackError> {
        let (mut file, path) = self.begin_file(name)?;
        file.write_all(bytes).map_err(RepackError::io(&path, "write"))?;
        self.end_file(&file, name)?;
        sync(&self.dir)
    }

    /// Copies a small file as it is.
    pub(super) fn copy(
        &self,
        source: &Source,
        name: &str,
        work: &Work<'_>,
    ) -> Result<WrittenFile, RepackError> {
        let from = OpenFile::open(&source.dir.join(name))?;
        let (mut file, path) = self.begin_file(name)?;
        let mut sum = Sha256::new();
        work.read(&from, 0, from.bytes, |piece| {
            sum.update(piece);
            file.write_all(piece).map_err(RepackError::io(&path, "write"))
        })?;
        self.end_file(&file, name)?;
        Ok(WrittenFile { name: name.to_owned(), bytes: from.bytes, sha256: sum.finalize().into() })
    }

    /// Writes the manifest: from then on it is a model.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), RepackError> {
        // What it names has its name on the disk before it does.
        sync(&self.dir)?;
        self.write_whole(MANIFEST, &manifest.to_bytes())?;
        self.remove_journal();
        Ok(())
    }

    /// Whether the finished checkpoint was made from these very files: those that were written at
    /// another time are read whole.
    pub(super) fn check_same(
        &self,
        source: &Source,
        manifest: &Manifest,
        work: &Work<'_>,
    ) -> Result<(), RepackError> {
        let other = |what: String| RepackError::Other { path: self.dir.clone(), what };
        let (found, made_from) = (source.stamps.len(), manifest.source.len());
        if found != made_from {
            return Err(other(format!(
                "it was made from {made_from} files, the source has {found}"
            )));
        }
        for (stamp, made_from) in source.stamps.iter().zip(&manifest.source) {
            let name = &stamp.name;
            if (name, stamp.bytes) != (&made_from.stamp.name, made_from.stamp.bytes) {
                return Err(other(format!("it was not made from the source's {name:?}")));
            }
            let modified = &stamp.modified;
            let changed = *modified != made_from.stamp.modified || modified == UNKNOWN;
            if changed && work.sha256(&source.dir.join(name))?.0 != made_from.sha256 {
                return Err(other(format!("it was made from another {name:?}")));
            }
        }
        format::Catalog::open(&self.dir)?;
        Ok(())
    }
}

/// Whether a repack that began with such a source wrote the file.
fn is_ours(name: &str, journal: &Journal) -> bool {
    let record = name.strip_prefix("experts-").and_then(|rest| rest.strip_suffix(".records"));
    let copied = journal.source.iter().any(|(stamp, _)| stamp.name == name);
    record.is_some_and(|number| number.parse::<u16>().is_ok()) || copied || name == TRUNK
}

/// Puts the names of a directory on the disk.
#[cfg(unix)]
fn sync(dir: &Path) -> Result<(), RepackError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    match synced {
        // Some network file systems have nothing to do here and say so.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced.map_err(RepackError::io(dir, "write")),
    }
}

#[cfg(not(unix))]
fn sync(_dir: &Path) -> Result<(), RepackError> {
    Ok(())
}
