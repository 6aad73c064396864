//! Whether a disk has room for what shall be written.

use std::path::Path;

use super::RepackError;

/// Refuses what does not fit.
///
/// # Errors
/// [`RepackError::Full`], with both numbers.
pub fn refuse_full(path: &Path, needed_bytes: u64, free_bytes: u64) -> Result<(), RepackError> {
    match needed_bytes <= free_bytes {
        true => Ok(()),
        false => Err(RepackError::Full { path: path.into(), needed_bytes, free_bytes }),
    }
}

/// What this user may still write there; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn free_bytes(dir: &Path) -> Result<Option<u64>, RepackError> {
    let about = rustix::fs::statvfs(dir)
        .map_err(|error| RepackError::io(dir, "ask for free space")(error.into()))?;
    Ok(Some(about.f_bavail.saturating_mul(about.f_frsize)))
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_dir: &Path) -> Result<Option<u64>, RepackError> {
    Ok(None)
}
