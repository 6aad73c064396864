//! Tools that a model may call: what there is, and what a call gives back.
//!
//! Nothing here asks anybody: who calls [`Toolbox::call`] has asked [`Policy`] and the user before.
//! Whatever a call does, its outcome is a text for the model: a tool that fails, hangs or dies is an
//! outcome too. Texts for a person pass through [`escaped`].

mod builtin;
mod capture;
mod command;
mod confined;
mod declared;
mod environment;
mod escape;
mod files;
mod guard;
mod http;
mod mcp;
mod policy;
mod sandbox;
mod shown;
mod template;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use builtin::BuiltIn;
use command::Place;
use confined::Confined;
use declared::CommandTool;
use mcp::Server;
use sandbox::Applied;
use serde_json::{Map, Value};

pub(crate) use escape::{escaped, escaped_line, shortened};
pub(crate) use policy::{Decision, Policy};
pub(crate) use shown::shown;

use crate::fault::Fault;

/// Of a line that says why tools cannot be opened.
const ERROR_CHARS: usize = 500;

/// What the model is told of a tool, and what the user is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) description: String,
    /// A JSON schema of an object.
    pub(crate) parameters: Value,
    /// Whether it changes nothing.
    pub(crate) read_only: bool,
    /// Where it comes from: `built in`, a file, a server.
    pub(crate) origin: String,
}

/// What all tools go by.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Files are read and written below it, and commands run in it.
    pub(crate) directory: PathBuf,
    /// Whether commands are kept inside by the system.
    pub(crate) sandbox: Sandbox,
    /// Whether a command in a sandbox may reach the network.
    pub(crate) network: bool,
    /// Whether `http_get` may ask this machine and its neighbours.
    pub(crate) private_addresses: bool,
    /// Of a call, where its declaration has no other.
    pub(crate) timeout: Duration,
    /// Of an outcome: the middle of a longer one is left out.
    pub(crate) result_bytes: usize,
}

/// Whether commands are kept inside by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// As well as this system can.
    Auto,
    /// By bubblewrap or not at all.
    Bubblewrap,
    /// By landlock or not at all.
    Landlock,
    Off,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// For the model, not escaped.
    pub(crate) text: String,
    /// Whether the tool says that it could not do it.
    pub(crate) failed: bool,
    pub(crate) took: Duration,
}

impl Bounds {
    /// Of what a tool says, so that a line about it has room too.
    fn output_bytes(&self) -> usize {
        self.result_bytes.saturating_sub(200)
    }

    /// In a directory, with a sandbox as far as there is one, without the network in it.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            sandbox: Sandbox::Auto,
            network: false,
            private_addresses: false,
            timeout: Duration::from_secs(60),
            result_bytes: 32 << 10,
        }
    }
}

/// The tools of a session. Servers among them end with it.
pub(crate) struct Toolbox {
    bounds: Bounds,
    confined: Confined,
    place: Place,
    tools: Vec<Tool>,
    servers: Vec<Server>,
}

struct Tool {
    declaration: Declaration,
    kind: Kind,
}

/// What does the work.
enum Kind {
    BuiltIn(BuiltIn),
    Command(CommandTool),
    /// Which server, and what it calls the tool.
    Server(usize, String),
}

impl Toolbox {
    /// Opens what `--tools` names: built-in tools by name, and files that end in `.toml` (see
    /// [`declared`]), whose servers are started.
    ///
    /// # Errors
    /// A name that is unknown or there twice, a directory or a file that cannot be read, a sandbox
    /// that was asked for and is not there, a server that does not answer.
    pub(crate) fn open(wished: &[String], bounds: Bounds) -> Result<Self, Fault> {
        let confined = Confined::new(&bounds.directory)?;
        let directory = confined.root().to_owned();
        let sandbox = Applied::choose(&bounds, &directory).map_err(Fault::failed)?;
        let place = Place { directory, sandbox };
        let (tools, servers) = (Vec::new(), Vec::new());
        let mut toolbox = Self { bounds, confined, place, tools, servers };
        for name in wished {
            if Path::new(name).extension().is_some_and(|ending| ending == "toml") {
                toolbox.add_file(Path::new(name))?;
            } else {
                toolbox.add(builtin::find(name)?)?;
            }
        }
        Ok(toolbox)
    }

    pub(crate) fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.tools.iter().map(|tool| &tool.declaration)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Declaration> {
        self.declarations().find(|tool| tool.name == name)
    }

    /// What is in force, in one line: for the user, not escaped.
    pub(crate) fn in_force(&self) -> String {
        self.place.sandbox.line()
    }

    /// Does what was asked for and allowed. It ends early when `cancel` is set.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: &Map<String, Value>,
        cancel: &AtomicBool,
    ) -> Outcome {
        let begun = Instant::now();
        let done = self.done(name, arguments, cancel);
        let failed = done.is_err();
        let text = done.unwrap_or_else(|why| format!("error: {why}"));
        let text = capture::bounded(&text, self.bounds.result_bytes);
        Outcome { text, failed, took: begun.elapsed() }
    }

    fn done(
        &mut self,
        name: &str,
        arguments: &Map<String, Value>,
        cancel: &AtomicBool,
    ) -> Result<String, String> {
        let Some(tool) = self.tools.iter().find(|tool| tool.declaration.name == name) else {
            let names: Vec<&str> = self.declarations().map(|tool| tool.name.as_str()).collect();
            return Err(format!("there is no tool {name:?}; there are: {}", names.join(", ")));
        };
        match &tool.kind {
            Kind::BuiltIn(built_in) => {
                built_in.call(arguments, &self.bounds, &self.confined, &self.place, cancel)
            }
            Kind::Command(command) => command.call(arguments, &self.place, &self.bounds, cancel),
            Kind::Server(at, tool) => match self.servers.get_mut(*at) {
                Some(server) => server.call(tool, arguments, cancel),
                None => Err(format!("the server of {name} is gone")),
            },
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Fault> {
        // A server may have said part of it.
        let told = |why: String| {
            let why = shortened(&escaped_line(&why), ERROR_CHARS);
            Fault::failed(format!("{}: {why}", path.display()))
        };
        let file = declared::read(path)?;
        for tool in file.tool {
            let kind = Kind::Command(CommandTool::new(&tool).map_err(told)?);
            let (name, description) = (tool.name, tool.description);
            let (parameters, read_only) = (tool.parameters, tool.read_only);
            let origin = path.display().to_string();
            let declaration = Declaration { name, description, parameters, read_only, origin };
            self.add(Tool { declaration, kind })?;
        }
        for server in file.mcp {
            let mut place = self.place.clone();
            if !server.sandbox {
                place.sandbox = place.sandbox.none();
            }
            let (server, offered) = Server::start(&server, &place).map_err(told)?;
            let at = self.servers.len();
            self.servers.push(server);
            for (declaration, name) in offered {
                self.add(Tool { declaration, kind: Kind::Server(at, name) })?;
            }
        }
        Ok(())
    }

    fn add(&mut self, tool: Tool) -> Result<(), Fault> {
        let name = &tool.declaration.name;
        if self.find(name).is_some() {
            return Err(Fault::command_line(format!("--tools: {name} is there twice")));
        }
        self.tools.push(tool);
        Ok(())
    }
}

/// The process that this program becomes when it calls itself to run a command: see [`guard`].
/// `None` in all other cases.
#[cfg(unix)]
pub(crate) fn as_guard() -> Option<ExitCode> {
    let first = std::env::args_os().nth(1);
    (first.as_deref() == Some(guard::NAME.as_ref())).then(guard::guard)
}

#[cfg(not(unix))]
pub(crate) fn as_guard() -> Option<ExitCode> {
    None
}

#[cfg(test)]
mod tests;
