//! Whether a disk has room for what shall be written.

use std::path::Path;

use super::SynthError;

/// Refuses what does not fit.
///
/// # Errors
/// [`SynthError::Full`], with both numbers.
pub fn refuse_full(path: &Path, needed_bytes: u64, free_bytes: u64) -> Result<(), SynthError> {
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(SynthError::Full { path: path.into(), needed_bytes, free_bytes })
}

/// What this user may still write there; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn free_bytes(dir: &Path) -> Result<Option<u64>, SynthError> {
    let about = rustix::fs::statvfs(dir)
        .map_err(|error| SynthError::Read { path: dir.into(), error: error.into() })?;
    Ok(Some(about.f_bavail.saturating_mul(about.f_frsize)))
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_dir: &Path) -> Result<Option<u64>, SynthError> {
    Ok(None)
}
