//! The built-in model: embedded in the binary, unpacked once into the user's cache, verified whenever it is used.

mod checked;
mod files;
mod own_file;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use checked::Entry;
use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::say;

/// A folder of the cache names the manifest by so many bytes of its hash.
const NAME_BYTES: usize = 8;

/// The directory that holds the built-in model, whole.
///
/// # Errors
/// A cache directory that cannot be written, by name.
pub(crate) fn directory() -> Result<PathBuf, Fault> {
    let strategy = choose_native_strategy().map_err(|error| {
        Fault::failed(format!(
            "no cache directory for the built-in model: {error}; name a model with -m"
        ))
    })?;
    unpacked(&strategy.cache_dir().join("flash-moe"), files::MANIFEST, &files::ALL, &say::note)
}

/// As [`directory`], for any files below any cache directory.
///
/// Every file appears under its name only when it is whole, and one process at a time unpacks: a
/// process that finds all files whole needs no lock, whatever others do.
fn unpacked(
    cache: &Path,
    manifest: &str,
    files: &[(&str, &'static [u8])],
    note: &dyn Fn(String),
) -> Result<PathBuf, Fault> {
    let entries = checked::entries(manifest)?;
    let hash = checked::hex(&Sha256::digest(manifest.as_bytes())[..NAME_BYTES]);
    let folder = cache.join(format!("demo-{hash}"));
    let broken = broken(&folder, &entries);
    if broken.is_empty() {
        return Ok(folder);
    }
    fill(cache, &folder, &entries, files, note).map_err(|error| {
        Fault::failed(format!(
            "{}: the built-in model cannot be unpacked here: {error}; accepted: a cache directory \
             that can be written, or a model named with -m",
            folder.display()
        ))
    })?;
    Ok(folder)
}

/// Entries that are missing or not as the manifest has them, with what is wrong.
fn broken<'e>(folder: &Path, entries: &'e [Entry]) -> Vec<(&'e Entry, String)> {
    let check = |entry: &'e Entry| Some((entry, entry.fault_of(&folder.join(&entry.name))?));
    entries.iter().filter_map(check).collect()
}

fn fill(
    cache: &Path,
    folder: &Path,
    entries: &[Entry],
    files: &[(&str, &'static [u8])],
    note: &dyn Fn(String),
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = File::create(cache.join("demo.lock"))?;
    // Where a file system knows no locks two processes do the same work; the result is the same.
    let _unlocked = lock.lock();
    let broken = broken(folder, entries);
    if broken.is_empty() {
        return Ok(());
    }
    if broken.len() == entries.len() {
        note(format!("unpacking the built-in demo model into {}", folder.display()));
    }
    remove_strangers(folder, entries)?;
    for (entry, fault) in &broken {
        if broken.len() < entries.len() {
            let path = folder.join(&entry.name);
            note(format!("{}: {fault}; unpacked anew", path.display()));
        }
        let bytes = files.iter().find(|(name, _)| *name == entry.name).map(|(_, bytes)| *bytes);
        let missing = || io::Error::other(format!("{} is not in this binary", entry.name));
        entry.write(folder, bytes.ok_or_else(missing)?)?;
    }
    Ok(())
}

/// What an unpacking that was killed left behind.
fn remove_strangers(folder: &Path, entries: &[Entry]) -> io::Result<()> {
    for found in fs::read_dir(folder)? {
        let found = found?;
        let known = entries.iter().any(|entry| found.file_name() == entry.name.as_str());
        if !known && found.file_type()?.is_file() {
            fs::remove_file(found.path())?;
        }
    }
    Ok(())
}
