//! Runs the binary with a cache of its own, and takes apart what it said.

// Without the demo feature only some of it is needed.
#![cfg_attr(
    not(feature = "demo"),
    allow(dead_code, reason = "few tests run without the demo model")
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What one run of the binary did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// The last line of stderr.
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// The only line that tells an error.
    pub(crate) fn error(&self) -> &str {
        let errors: Vec<&str> =
            self.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        assert_eq!(errors.len(), 1, "one line tells the error: {self:?}");
        errors[0]
    }

    /// The last line of stderr, as `--stats json` prints it.
    pub(crate) fn stats(&self) -> Value {
        serde_json::from_str(self.last_line()).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    /// All of stdout as one line of JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one line: {self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The binary, with a cache that only tests use.
pub(crate) fn command(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flash-moe"));
    command.env("XDG_CACHE_HOME", cache).env("HOME", cache).env("LOCALAPPDATA", cache);
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Where all tests of a build have the demo model.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Runs the binary to its end, without input.
pub(crate) fn flash_moe(arguments: &[&str]) -> Done {
    finish(command(&cache()).args(arguments))
}

/// Runs the binary to its end, with this input.
pub(crate) fn flash_moe_reading(input: &[u8], arguments: &[&str]) -> Done {
    let mut file = tempfile::tempfile().expect("a temporary file");
    std::io::Write::write_all(&mut file, input).expect("write");
    std::io::Seek::rewind(&mut file).expect("rewind");
    finish(command(&cache()).args(arguments).stdin(file))
}

pub(crate) fn finish(command: &mut Command) -> Done {
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A folder of the repository, as an argument.
pub(crate) fn in_tree(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(path).display().to_string()
}

pub(crate) fn fixture(name: &str) -> String {
    in_tree(&format!("tests/fixtures/{name}"))
}

/// A copy of a checkpoint that a test may damage.
pub(crate) fn copy_of(checkpoint: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary directory");
    for entry in std::fs::read_dir(checkpoint).expect("the checkpoint is there") {
        let entry = entry.expect("entry");
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copy");
    }
    folder
}

pub(crate) fn read_json(path: &str) -> Value {
    let text = std::fs::read(in_tree(path)).expect("the file is there");
    serde_json::from_slice(&text).expect("JSON")
}
