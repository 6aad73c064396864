//! Positioned reads from numbered files, as a trait so that tests can make a disk fail.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Extent, ShortRead, StoreError};

/// Numbered files that many threads may read at once.
pub trait Disk: Send + Sync {
    /// Fills `into` wholly with what lies at `offset`, or fails.
    ///
    /// # Errors
    /// Whatever the system says; a file that ends too early is an `UnexpectedEof` made by
    /// [`ShortRead::error`].
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// How messages call the file.
    fn name(&self, file: usize) -> String;

    /// Length of the file.
    fn file_bytes(&self, file: usize) -> u64;

    /// How many files there are; they are numbered from 0.
    fn files(&self) -> usize;

    /// Reads begin at multiples of this and end at one or at the end of the file; `into` then
    /// begins at such an address too. A power of two; 1 for reads through the page cache.
    fn align(&self) -> usize {
        1
    }
}

/// Files of the real disk, read through the page cache.
#[derive(Debug)]
pub struct Files {
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    handle: File,
    /// When it was opened; a file that shrinks afterwards gives short reads.
    bytes: u64,
}

impl Files {
    /// Opens the files for reading; they are numbered in this order.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::NotAFile`], for the first that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Files, StoreError> {
        let files = paths.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        Ok(Files { files })
    }

    /// Opens the files of a catalog, so that its file numbers are those of the disk.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn of(catalog: &format::Catalog) -> Result<Files, StoreError> {
        let files = catalog.files.iter().map(|file| open(&file.path)).collect::<Result<_, _>>()?;
        Ok(Files { files })
    }
}

fn open(path: &Path) -> Result<OpenFile, StoreError> {
    let failed = |error| StoreError::Open { path: path.into(), error: Arc::new(error) };
    let handle = File::open(path).map_err(failed)?;
    let about = handle.metadata().map_err(failed)?;
    if !about.is_file() {
        let found = if about.is_dir() { "a directory" } else { "a device or pipe" };
        return Err(StoreError::NotAFile { path: path.into(), found });
    }
    Ok(OpenFile { path: path.into(), handle, bytes: about.len() })
}

impl Disk for Files {
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let handle = &self.files[file].handle;
        let mut found = 0;
        while found < into.len() {
            match read_some(handle, offset + found as u64, &mut into[found..]) {
                Ok(0) => return Err(ShortRead::error(found)),
                Ok(bytes) => found += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn name(&self, file: usize) -> String {
        self.files[file].path.display().to_string()
    }

    fn file_bytes(&self, file: usize) -> u64 {
        self.files[file].bytes
    }

    fn files(&self) -> usize {
        self.files.len()
    }
}

#[cfg(unix)]
fn read_some(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(windows)]
fn read_some(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

/// What is wrong with an extent, before anything is read: no such file, or outside of it.
pub(crate) fn check(disk: &dyn Disk, extent: &Extent) -> Result<(), StoreError> {
    let Extent { file, offset, bytes } = *extent;
    if file >= disk.files() {
        return Err(StoreError::NoSuchFile { file, files: disk.files() });
    }
    let ends_at = disk.file_bytes(file);
    match offset.checked_add(bytes as u64) {
        Some(end) if end <= ends_at => Ok(()),
        _ => {
            let file = disk.name(file);
            Err(StoreError::OutsideFile { file, offset, wanted: bytes, ends_at })
        }
    }
}

/// A read with everything that a message needs; a disk that panics is a disk that fails, for
/// otherwise a record would stay under way for ever.
pub(crate) fn read(
    disk: &dyn Disk,
    file: usize,
    offset: u64,
    into: &mut [u8],
) -> Result<(), StoreError> {
    let wanted = into.len();
    catch_unwind(AssertUnwindSafe(|| disk.read_at(file, offset, into)))
        .unwrap_or_else(|_| Err(io::Error::other("the disk panicked")))
        .map_err(|error| {
            let (file, error) = (disk.name(file), Arc::new(error));
            StoreError::Read { file, offset, wanted, error }
        })
}
