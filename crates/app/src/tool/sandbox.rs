//! What keeps a command inside its directory, and the line that says so.
//!
//! Commands may read what the user may. In a sandbox they write below the chosen directory and the
//! directory for temporary files alone, and have no network unless it was allowed. In landlock they
//! can neither look into nor signal processes outside (so that they cannot read our environment, or
//! end their guard); in bubblewrap they do not see them.

#[cfg(target_os = "linux")]
mod kernel;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Bounds, Sandbox};

/// The one that was chosen. What it promises is in force, or nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Applied {
    by: By,
    network: bool,
    directory: String,
    temporary: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    Bubblewrap,
    Landlock,
    Nothing,
}

impl Applied {
    /// Looks what this system has of what is wished.
    ///
    /// # Errors
    /// One line: a sandbox that was asked for by its name and is not there.
    pub(super) fn choose(bounds: &Bounds, directory: &Path) -> Result<Self, String> {
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| format!("{}: a path that is no text", path.display()))
        };
        let mut applied = Self {
            by: By::Nothing,
            network: bounds.network,
            directory: text(directory)?,
            temporary: text(&std::env::temp_dir())?,
        };
        let (bubblewrap, landlock) = match bounds.sandbox {
            Sandbox::Auto => (true, true),
            Sandbox::Bubblewrap => (true, false),
            Sandbox::Landlock => (false, true),
            Sandbox::Off => return Ok(applied),
        };
        if bubblewrap {
            applied.by = By::Bubblewrap;
            match applied.try_bubblewrap() {
                Ok(()) => return Ok(applied),
                Err(why) if !landlock => return Err(format!("bubblewrap: {why}")),
                Err(_) => {}
            }
        }
        if landlock {
            applied.by = By::Landlock;
            match can_landlock(&applied) {
                Ok(()) => return Ok(applied),
                Err(why) if !bubblewrap => return Err(format!("landlock: {why}")),
                Err(_) => {}
            }
        }
        applied.by = By::Nothing;
        Ok(applied)
    }

    /// The same place without any.
    pub(super) fn none(&self) -> Self {
        Self { by: By::Nothing, network: true, ..self.clone() }
    }

    /// One line that says what holds a command.
    pub(super) fn line(&self) -> String {
        let by = match self.by {
            By::Bubblewrap => "bubblewrap",
            By::Landlock => "landlock",
            By::Nothing => {
                return "no sandbox: commands may do what you may; network: open".to_owned();
            }
        };
        let network = match (self.network, self.by) {
            (true, _) => "open",
            (false, By::Bubblewrap) => "none",
            (false, _) => "refused by seccomp",
        };
        let (directory, temporary) = (&self.directory, &self.temporary);
        format!("{by}: writes only below {directory} and {temporary}; network: {network}")
    }

    /// The command line that runs this one inside.
    pub(super) fn command(&self, program: &str, arguments: &[String]) -> (String, Vec<String>) {
        if self.by != By::Bubblewrap {
            return (program.to_owned(), arguments.to_vec());
        }
        let mut all: Vec<&str> = vec!["--die-with-parent", "--unshare-pid", "--unshare-ipc"];
        // Root could mount what is read-only here anew.
        all.extend(["--cap-drop", "ALL"]);
        if !self.network {
            all.push("--unshare-net");
        }
        all.extend(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
        for writable in [&self.temporary, &self.directory] {
            all.extend(["--bind", writable, writable]);
        }
        all.extend(["--chdir", &self.directory, "--", program]);
        let all = all.into_iter().map(str::to_owned).chain(arguments.iter().cloned()).collect();
        ("bwrap".to_owned(), all)
    }

    /// Starts a command that [`Applied::command`] made.
    ///
    /// # Errors
    /// Outside: the sandbox cannot be put in force. Inside: the command cannot be started.
    pub(super) fn spawn(
        &self,
        command: &mut Command,
        directory: &Path,
    ) -> Result<std::io::Result<Child>, String> {
        command.current_dir(directory);
        if self.by == By::Landlock { landlocked(self, command) } else { Ok(command.spawn()) }
    }

    /// It may be there and not work, where users may not make namespaces.
    fn try_bubblewrap(&self) -> Result<(), String> {
        let (program, arguments) = self.command("true", &[]);
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let ran = command.output().map_err(|error| error.to_string())?;
        if ran.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned())
    }
}

#[cfg(target_os = "linux")]
use kernel::{can_landlock, landlocked};

#[cfg(not(target_os = "linux"))]
fn can_landlock(_: &Applied) -> Result<(), String> {
    Err("only Linux has it".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn landlocked(applied: &Applied, _: &mut Command) -> Result<std::io::Result<Child>, String> {
    can_landlock(applied).map(|()| Err(std::io::ErrorKind::Unsupported.into()))
}
