//! Files of the real disk, in every mode.

use std::fs::File;
use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, ReadQueue, direct};
use crate::{Extent, IoMode, ShortRead, StoreError};

/// Files of the real disk.
#[derive(Debug)]
pub struct Files {
    mode: IoMode,
    files: Vec<OpenFile>,
    /// The largest alignment that one of them asks for.
    align: usize,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// Through the page cache.
    handle: File,
    /// When it was opened; a file that shrinks afterwards gives short reads.
    bytes: u64,
    /// Past the page cache, in the modes that read so.
    direct: Option<File>,
    #[cfg(unix)]
    map: Option<super::mapped::Mapped>,
}

impl Files {
    /// Opens the files for reading; they are numbered in this order.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::NotAFile`], for the first that cannot be used;
    /// [`StoreError::Mode`] where the system or a file refuses the mode.
    pub fn open(paths: &[PathBuf], mode: IoMode) -> Result<Files, StoreError> {
        Files::numbered(paths.iter().map(PathBuf::as_path), mode)
    }

    /// Opens the files of a catalog, so that its file numbers are those of the disk.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn of(catalog: &format::Catalog, mode: IoMode) -> Result<Files, StoreError> {
        Files::numbered(catalog.files.iter().map(|file| file.path.as_path()), mode)
    }

    /// As [`Files::of`]; where `mode` is refused in the next one that works, with a line that
    /// says why.
    ///
    /// # Errors
    /// As [`Files::open`], but for the modes.
    pub fn settle(
        catalog: &format::Catalog,
        mode: IoMode,
    ) -> Result<(Files, Option<String>), StoreError> {
        let (mut trying, mut why) = (mode, None);
        loop {
            match (Files::of(catalog, trying), trying.next()) {
                (Err(refused @ StoreError::Mode { .. }), Some(next)) => {
                    // The first says what stands against the mode that was asked for.
                    why.get_or_insert(refused);
                    trying = next;
                }
                (files, _) => {
                    let note = |why| format!("{why}; reading {trying} instead");
                    return Ok((files?, why.map(note)));
                }
            }
        }
    }

    fn numbered<'a>(
        paths: impl Iterator<Item = &'a Path>,
        mode: IoMode,
    ) -> Result<Files, StoreError> {
        let mut files = Files { mode, files: Vec::new(), align: 1 };
        for path in paths {
            let (file, align) = open(path, mode)?;
            files.align = files.align.max(align);
            files.files.push(file);
        }
        if mode == IoMode::Uring {
            // Containers often forbid what the kernel has.
            ring(&files, 1).map_err(|error| StoreError::Mode {
                place: "io_uring".to_owned(),
                mode,
                error: Arc::new(error),
            })?;
        }
        Ok(files)
    }

    /// Throws these bytes out of the page cache, so that whoever reads them next gets them from
    /// the disk. Whether this system can; others may have brought them back.
    pub fn forget<'a>(&self, extents: impl Iterator<Item = &'a Extent>) -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Advice, fadvise, fdatasync};
            // What was written a moment ago stays until it is on disk.
            self.files.iter().for_each(|file| {
                let _ = fdatasync(&file.handle);
            });
            extents.fold(true, |all, extent| {
                let (file, bytes) = (&self.files[extent.file].handle, extent.bytes as u64);
                all & fadvise(file, extent.offset, NonZero::new(bytes), Advice::DontNeed).is_ok()
            })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = extents;
            false
        }
    }

    /// How they are read.
    pub fn mode(&self) -> IoMode {
        self.mode
    }
}

/// The file, and the alignment of its reads.
fn open(path: &Path, mode: IoMode) -> Result<(OpenFile, usize), StoreError> {
    let failed = |error| StoreError::Open { path: path.into(), error: Arc::new(error) };
    let handle = File::open(path).map_err(failed)?;
    let about = handle.metadata().map_err(failed)?;
    if !about.is_file() {
        let found = if about.is_dir() { "a directory" } else { "a device or pipe" };
        return Err(StoreError::NotAFile { path: path.into(), found });
    }
    let refused = |error| StoreError::Mode {
        place: path.display().to_string(),
        mode,
        error: Arc::new(error),
    };
    let bytes = about.len();
    let (direct, align) = if mode.is_direct() {
        let (file, align) = direct::open(path).map_err(refused)?;
        (Some(file), align)
    } else {
        (None, 1)
    };
    let file = OpenFile {
        path: path.into(),
        bytes,
        direct,
        #[cfg(unix)]
        map: match mode {
            IoMode::Mmap => super::mapped::Mapped::of(&handle, bytes).map_err(refused)?,
            _ => None,
        },
        handle,
    };
    if cfg!(not(unix)) && mode == IoMode::Mmap {
        return Err(refused(io::Error::new(
            ErrorKind::Unsupported,
            "not to be had on this system",
        )));
    }
    Ok((file, align))
}

impl Disk for Files {
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let file = &self.files[file];
        #[cfg(unix)]
        if let Some(map) = &file.map {
            return map.copy(&file.handle, offset, into);
        }
        let Some(direct) = &file.direct else { return fill(&file.handle, offset, into, 1) };
        // The last bytes of a file are no whole block; they come through the page cache.
        let whole = into.len() & !(self.align - 1);
        let (blocks, tail) = into.split_at_mut(whole);
        fill(direct, offset, blocks, self.align)?;
        fill(&file.handle, offset + whole as u64, tail, 1).map_err(|error| further(error, whole))
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

    fn align(&self) -> usize {
        self.align
    }

    fn queue(&self, depth: usize) -> io::Result<Option<Box<dyn ReadQueue>>> {
        if self.mode != IoMode::Uring {
            return Ok(None);
        }
        ring(self, depth).map(Some)
    }
}

#[cfg(target_os = "linux")]
fn ring(files: &Files, depth: usize) -> io::Result<Box<dyn ReadQueue>> {
    let handles = files.files.iter().map(|file| file.direct.as_ref().unwrap_or(&file.handle));
    Ok(Box::new(super::ring::Ring::new(handles, depth, files.align)?))
}

#[cfg(not(target_os = "linux"))]
fn ring(_files: &Files, _depth: usize) -> io::Result<Box<dyn ReadQueue>> {
    Err(io::Error::new(ErrorKind::Unsupported, "not to be had on this system"))
}

/// Reads until `into` is full. A read that ends inside of a block of `align` bytes has met the end
/// of the file, and could not go on there.
fn fill(file: &File, offset: u64, into: &mut [u8], align: usize) -> io::Result<()> {
    let mut found = 0;
    while found < into.len() {
        match read_some(file, offset + found as u64, &mut into[found..]) {
            Ok(0) => return Err(ShortRead::error(found)),
            Ok(bytes) => found += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if found < into.len() && !found.is_multiple_of(align) {
            return Err(ShortRead::error(found));
        }
    }
    Ok(())
}

/// The error of a read whose first `before` bytes were found.
fn further(error: io::Error, before: usize) -> io::Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<ShortRead>()) {
        Some(short) => ShortRead::error(before + short.found),
        None => error,
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
