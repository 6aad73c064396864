//! The files that tidy looks at: what people write, without builds, checkpoints and fixtures.

use std::fs;
use std::io;
use std::path::Path;

use super::source::code_only;

/// Folders whose contents were produced, not written; relative to the root.
const SKIPPED: [&str; 4] = [".git", "target", "demo", "tests/fixtures"];

/// Endings of text that people write. A file without an ending is read when it is named below.
const ENDINGS: [&str; 9] = ["rs", "toml", "md", "py", "sh", "txt", "yml", "wgsl", "json"];
const NAMED: [&str; 2] = [".ci/run", ".gitignore"];

/// One text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, `/` between the parts on every system.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Rust only, empty otherwise: the text with comments and literals blanked.
    pub(crate) code: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_only(text) } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs"))
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// The crate folder and the path inside its `src`: `("store", "trunk.rs")`.
    pub(crate) fn in_src(&self) -> Option<(&str, &str)> {
        let (room, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        Some((room, rest.strip_prefix("src/")?))
    }
}

/// Every file below `root` that tidy looks at, in the order of their paths.
///
/// # Errors
/// The path and what the system said, when a folder or a file cannot be read.
pub(crate) fn read(root: &Path) -> Result<Vec<File>, (String, io::Error)> {
    let mut files = Vec::new();
    walk(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(root: &Path, folder: &str, files: &mut Vec<File>) -> Result<(), (String, io::Error)> {
    let told = |error| (folder.to_owned(), error);
    for entry in fs::read_dir(root.join(folder)).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(told)?;
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            let build = name == "target" || name == "__pycache__";
            if !hidden && !build && !SKIPPED.contains(&path.as_str()) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() && is_written(&path) {
            let bytes = fs::read(entry.path()).map_err(|error| (path.clone(), error))?;
            files.push(File::new(&path, &String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(())
}

fn is_written(path: &str) -> bool {
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    NAMED.contains(&path) || ending.is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}
