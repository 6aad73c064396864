//! How much is done, and whether to go on: what all that read and write for long have in common.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::RepackError;

/// What is copied or hashed at once.
pub(super) const COPY_BYTES: usize = 4 << 20;

/// Progress of one command, told from any thread.
pub(super) struct Work<'a> {
    total_bytes: u64,
    done_bytes: AtomicU64,
    progress: &'a (dyn Fn(u64, u64) + Sync),
    cancel: &'a AtomicBool,
    /// Another thread failed.
    stop: AtomicBool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        total_bytes: u64,
        progress: &'a (dyn Fn(u64, u64) + Sync),
        cancel: &'a AtomicBool,
    ) -> Work<'a> {
        let (done_bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        Work { total_bytes, done_bytes, progress, cancel, stop }
    }

    /// So many more bytes are done.
    ///
    /// # Errors
    /// [`RepackError::Cancelled`].
    pub(super) fn advance(&self, bytes: u64) -> Result<(), RepackError> {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.progress)(done, self.total_bytes);
        let ended = self.cancel.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
        if ended { Err(RepackError::Cancelled) } else { Ok(()) }
    }

    /// Ends the other threads with this one.
    pub(super) fn stop_on_error<T>(
        &self,
        result: Result<T, RepackError>,
    ) -> Result<T, RepackError> {
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Reads `bytes` bytes of the file from `offset` on, piece by piece.
    ///
    /// # Errors
    /// What the disk says, what `each` says, and that it was cancelled.
    pub(super) fn read(
        &self,
        file: &OpenFile,
        offset: u64,
        bytes: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), RepackError>,
    ) -> Result<(), RepackError> {
        let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(bytes).unwrap_or(COPY_BYTES))];
        let mut done = 0;
        while done < bytes {
            let piece = (bytes - done).min(buffer.len() as u64);
            let piece = &mut buffer[..piece as usize];
            file.read_at(offset + done, piece)?;
            each(piece)?;
            done += piece.len() as u64;
            self.advance(piece.len() as u64)?;
        }
        Ok(())
    }

    /// SHA-256 of the whole file, and its length.
    pub(super) fn sha256(&self, path: &Path) -> Result<([u8; 32], u64), RepackError> {
        let file = OpenFile::open(path)?;
        let mut sum = Sha256::new();
        self.read(&file, 0, file.bytes, |piece| {
            sum.update(piece);
            Ok(())
        })?;
        Ok((sum.finalize().into(), file.bytes))
    }
}

/// A file that one thread reads at any place.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    handle: File,
    pub(super) bytes: u64,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> Result<OpenFile, RepackError> {
        let handle = File::open(path).map_err(RepackError::io(path, "open"))?;
        let bytes = handle.metadata().map_err(RepackError::io(path, "open"))?.len();
        Ok(OpenFile { path: path.into(), handle, bytes })
    }

    /// Fills `into` wholly with what lies at `offset`.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), RepackError> {
        let mut handle = &self.handle;
        let read = handle.seek(SeekFrom::Start(offset)).and_then(|_| handle.read_exact(into));
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                let end = offset.saturating_add(into.len() as u64);
                let error = std::io::Error::new(error.kind(), format!("it ends before byte {end}"));
                RepackError::io(&self.path, "read")(error)
            }
            _ => RepackError::io(&self.path, "read")(error),
        })
    }
}
