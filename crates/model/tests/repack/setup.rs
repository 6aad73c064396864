//! Small checkpoints, and repacks of them that are cut off after so many steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::repack::{Done, RepackError, Verified, repack, verify};
use model::tiny::{self, Float, Layout, Spec};
use tempfile::TempDir;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub(crate) fn spec() -> Spec {
    Spec { layers: 4, ..Spec::wide() }
}

/// A small MLX checkpoint of another noise for each seed.
pub(crate) fn checkpoint(seed: u64) -> TempDir {
    let dir = folder();
    let layout = Layout::Mlx { bits: 4, group: 64, router_bits: Some(8), dtype: Float::Bf16 };
    tiny::write(dir.path(), &Spec { seed, ..spec() }, layout).expect("it is written");
    fs::write(dir.path().join("LICENSE"), "free").expect("it can be written");
    dir
}

pub(crate) fn whole(from: &Path, to: &Path) -> Result<Done, RepackError> {
    repack(from, to, &|_, _| (), &AtomicBool::new(false))
}

/// Cut off when it has told of its progress so many times.
pub(crate) fn cut(from: &Path, to: &Path, steps: usize) -> Result<Done, RepackError> {
    let (cancel, told) = (AtomicBool::new(steps == 0), AtomicUsize::new(0));
    let tell = |_, _| {
        if told.fetch_add(1, Ordering::Relaxed) + 1 >= steps {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    repack(from, to, &tell, &cancel)
}

/// Cut off as soon as the file is there.
pub(crate) fn cut_behind(from: &Path, to: &Path, file: &str) {
    let (cancel, file) = (AtomicBool::new(false), to.join(file));
    let tell = |_, _| cancel.store(file.exists(), Ordering::Relaxed);
    let error = repack(from, to, &tell, &cancel).expect_err("cut off");
    assert!(matches!(error, RepackError::Cancelled), "{error}");
    assert!(file.exists(), "{}", file.display());
}

pub(crate) fn check(dir: &Path, source: Option<&Path>) -> Result<Verified, RepackError> {
    verify(dir, source, &|_, _| (), &AtomicBool::new(false))
}

/// Every file of a directory.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        (name, fs::read(entry.path()).expect("it can be read"))
    };
    fs::read_dir(dir).expect("the directory is there").map(entry).collect()
}

/// Checks that an error is one line with all these parts.
pub(crate) fn says(error: &RepackError, parts: &[&str]) {
    let line = error.to_string();
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    assert!(!line.contains('\n'), "one line: {line:?}");
}

/// Changes one bit of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}
