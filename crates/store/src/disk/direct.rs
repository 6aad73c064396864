//! Opening a file so that its reads go past the page cache, and what they must be aligned to.

use std::fs::File;
use std::io;
use std::path::Path;

/// Where the system does not say: what every disk of today takes.
#[cfg(unix)]
const ALIGN_BYTES: usize = 4096;

/// The file, and the alignment of its reads in bytes: a power of two.
///
/// # Errors
/// What the system says, also where only reading fails: some file systems let a file be opened
/// this way and then refuse every read.
#[cfg(target_os = "linux")]
pub(super) fn open(path: &Path) -> io::Result<(File, usize)> {
    use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let align = align(&file);
    let mut block = crate::Buffer::anonymous(align)?;
    file.read_at(&mut block, 0)?;
    Ok((file, align))
}

/// What the kernel tells (since 6.1), else [`ALIGN_BYTES`].
#[cfg(target_os = "linux")]
fn align(file: &File) -> usize {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    let told = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok();
    told.filter(|told| told.stx_mask & StatxFlags::DIOALIGN.bits() != 0)
        .map(|told| told.stx_dio_mem_align.max(told.stx_dio_offset_align) as usize)
        .filter(|align| align.is_power_of_two() && *align <= 1 << 16)
        .unwrap_or(ALIGN_BYTES)
}

/// As on Linux; the system takes reads at any alignment, but serves others from its cache.
#[cfg(target_vendor = "apple")]
pub(super) fn open(path: &Path) -> io::Result<(File, usize)> {
    let file = File::open(path)?;
    rustix::fs::fcntl_nocache(&file, true)?;
    Ok((file, ALIGN_BYTES))
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(super) fn open(_path: &Path) -> io::Result<(File, usize)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))
}
