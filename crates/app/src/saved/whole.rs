//! Files that are there whole or not at all: written beside, flushed, and moved into place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Snapshots come in small pieces.
const BUFFER_BYTES: usize = 1 << 20;

/// Puts a new file at `path`, or leaves what was there as it was. Returns the bytes written.
///
/// Only one process may do this to a path at a time: what a killed one left behind is taken over.
///
/// # Errors
/// Those of the disk and those of `write`.
pub(super) fn write(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<u64> {
    let beside = path.with_extension("new");
    let written = fill(&beside, write).and_then(|bytes| {
        fs::rename(&beside, path)?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
        Ok(bytes)
    });
    if written.is_err() {
        // What is left of it is of no use; the error is that of the writing.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn fill(beside: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let mut out = Counted { out: create(beside)?, bytes: 0 };
    let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, &mut out);
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    out.out.sync_all()?;
    Ok(out.bytes)
}

/// What people say to a model is nobody else's business.
#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    File::create(path)
}

/// A name is only safe when its directory is.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// There a directory cannot be opened, and names are journaled.
#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

struct Counted {
    out: File,
    bytes: u64,
}

impl Write for &mut Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
