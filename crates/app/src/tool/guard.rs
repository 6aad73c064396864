//! The process between us and a command: it is the parent of everything that the command starts, and leaves nothing of it behind.
//!
//! This program starts itself as `flash-moe tool-guard`, with one line of JSON on stdin, a
//! [`Request`]. The guard becomes the leader of a session of its own, so that nothing below it has a
//! terminal, and on Linux the one to whom orphans fall, so that a process that leaves its group and
//! its session is still found. It ends all of them when the command has ended, when it is sent
//! SIGINT, and when its own parent is gone. Then it writes one line of JSON to stderr, a [`Report`].
//!
//! What is promised: on Linux no descendant outlives the call, however it was started (but one with
//! more rights than we have, which is counted in the report); elsewhere no process of the command's
//! group does.

#[cfg(unix)]
mod descendants;
#[cfg(unix)]
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
#[cfg(unix)]
pub(super) use watch::guard;

use super::sandbox::Applied;

/// The argument by which this program becomes a guard.
pub(super) const NAME: &str = "tool-guard";
/// What to run, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// Who started the guard.
    pub(super) parent: u32,
    /// Whether what follows on stdin is for the command.
    pub(super) input: bool,
    /// Whether the command's stderr joins its stdout; else it is dropped.
    pub(super) errors: bool,
    pub(super) sandbox: Applied,
    pub(super) directory: PathBuf,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    /// The exit status.
    #[serde(default)]
    pub(super) exit: Option<i32>,
    /// The signal that ended it.
    #[serde(default)]
    pub(super) signal: Option<i32>,
    /// Why it did not even start.
    #[serde(default)]
    pub(super) error: Option<String>,
    /// Descendants that could not be ended.
    #[serde(default)]
    pub(super) left: usize,
}
