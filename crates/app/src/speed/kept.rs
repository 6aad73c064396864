//! The speed of memory, measured once and kept in the user's cache, so that `plan` answers at once.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::ceilings;
use crate::fault::Fault;
use crate::place;

/// Changes when a figure of before would mean something else.
const VERSION: u64 = 2;

/// Bytes a second that so many threads read. A cache that cannot be used costs a measurement each
/// time, nothing else.
pub(crate) fn ram(threads: usize, budget_bytes: u64) -> Result<f64, Fault> {
    let path = place::cache().map(|cache| cache.join(format!("memory-{threads}.json")));
    if let Some(speed) = path.as_deref().and_then(read) {
        return Ok(speed);
    }
    let speed = 1e9 * ceilings::ram(threads, budget_bytes)?.gb_per_s;
    if let Some(path) = path {
        // Whoever has no cache measures again.
        let _ = write(&path, speed);
    }
    Ok(speed)
}

/// `None` for anything that is not a figure of this version.
fn read(path: &Path) -> Option<f64> {
    let kept: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let speed = kept["bytes_per_s"].as_f64().filter(|speed| *speed > 0.0 && speed.is_finite());
    (kept["version"] == VERSION).then_some(speed)?
}

/// The file appears whole or not at all.
fn write(path: &Path, speed: f64) -> std::io::Result<()> {
    let folder = path.parent().ok_or(std::io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", json!({ "version": VERSION, "bytes_per_s": speed }))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_kept_and_anything_else_is_measured_again() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("below").join("memory-2.json");
        assert_eq!(read(&path), None, "nothing was kept");
        write(&path, 12.5e9).expect("the folder can be written");
        assert_eq!(read(&path), Some(12.5e9), "kept");
        for text in ["", "{", "[]", r#"{"version":1}"#, r#"{"version":0,"bytes_per_s":1.0}"#] {
            fs::write(&path, text).expect("write");
            assert_eq!(read(&path), None, "{text}");
        }
        fs::write(&path, r#"{"version":1,"bytes_per_s":-1.0}"#).expect("write");
        assert_eq!(read(&path), None, "no speed");
    }
}
