//! Tools that a model may call: what there is, and what a call gives back.
//!
//! Nothing here asks anybody: who calls [`Toolbox::call`] has asked [`Policy`] and the user before.
//! Whatever a call does, its outcome is a text for the model: a tool that fails, hangs or dies is an
//! outcome too. Texts for a person pass through [`escaped`].

mod builtin;
mod capture;
mod environment;
mod escape;
mod policy;
mod shown;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

pub(crate) use escape::{escaped, escaped_line, shortened};
pub(crate) use policy::{Decision, Policy};
pub(crate) use shown::shown;

use crate::fault::Fault;

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

/// The tools of a session.
pub(crate) struct Toolbox {
    bounds: Bounds,
    tools: Vec<Tool>,
}

struct Tool {
    declaration: Declaration,
    kind: Kind,
}

/// What does the work.
enum Kind {
    BuiltIn(builtin::BuiltIn),
}

impl Toolbox {
    /// Opens what `--tools` names: built-in tools by name, and files that end in `.toml`.
    ///
    /// # Errors
    /// A name that is unknown or there twice, a directory or a file that cannot be read.
    pub(crate) fn open(wished: &[String], bounds: Bounds) -> Result<Self, Fault> {
        let mut toolbox = Self { bounds, tools: Vec::new() };
        for name in wished {
            toolbox.add(builtin::find(name)?)?;
        }
        Ok(toolbox)
    }

    pub(crate) fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.tools.iter().map(|tool| &tool.declaration)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Declaration> {
        self.declarations().find(|tool| tool.name == name)
    }

    /// Does what was asked for and allowed. It ends early when `cancel` is set.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: &Map<String, Value>,
        cancel: &AtomicBool,
    ) -> Outcome {
        let begun = Instant::now();
        let done = match self.tools.iter_mut().find(|tool| tool.declaration.name == name) {
            None => {
                let names: Vec<&str> = self.declarations().map(|tool| tool.name.as_str()).collect();
                Err(format!("there is no tool {name:?}; there are: {}", names.join(", ")))
            }
            Some(tool) => match &mut tool.kind {
                Kind::BuiltIn(built_in) => built_in.call(arguments, &self.bounds, cancel),
            },
        };
        let failed = done.is_err();
        let text = done.unwrap_or_else(|why| format!("error: {why}"));
        let text = capture::bounded(&text, self.bounds.result_bytes);
        Outcome { text, failed, took: begun.elapsed() }
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
