//! The demo checkpoint's files with their lengths and hashes: what an unpacked copy must equal.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The checkpoint's folder and the list of its files, relative to the root.
const FOLDER: &str = "demo/demo-4bit";
const MANIFEST: &str = "demo/manifest.json";

/// The manifest of what lies in the folder now, as it is written to the file.
///
/// # Errors
/// A file that cannot be read, with its path.
pub fn make(root: &Path) -> Result<String, String> {
    let folder = root.join(FOLDER);
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| told(&folder, error))? {
        paths.push(entry.map_err(|error| told(&folder, error))?.path());
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(|error| told(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(json!({ "name": name, "bytes": bytes.len(), "sha256": hex(&bytes) }));
    }
    let manifest: Value = json!({ "folder": FOLDER, "files": files });
    Ok(format!("{manifest:#}\n"))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the manifest.
///
/// # Errors
/// A file that cannot be read or written.
pub fn write(root: &Path) -> Result<(), String> {
    let path = root.join(MANIFEST);
    fs::write(&path, make(root)?).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_in_the_tree_is_true() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let there = fs::read_to_string(root.join(MANIFEST)).expect("the manifest is in the tree");
        let made = make(root).expect("the checkpoint is in the tree");
        assert_eq!(there, made, "run `cargo xtask demo-manifest`");
    }

    #[test]
    fn a_known_hash() {
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(b"abc"), want, "FIPS 180-2, first example");
    }
}
