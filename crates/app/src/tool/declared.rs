//! Files in which a user declares tools: commands of the user's own, and MCP servers.
//!
//! ```toml
//! [[tool]]
//! name = "weather"
//! description = "The weather in a city"
//! command = ["./weather.sh", "--days={days}", "--", "{city}"]
//! timeout_seconds = 10
//! read_only = true
//! parameters = { type = "object", properties = { city = { type = "string" }, days = { type = "integer" } }, required = ["city"] }
//!
//! [[mcp]]
//! name = "files"
//! command = "mcp-server-files"
//! args = ["--root", "."]
//! ```
//!
//! `{name}` in a part of `command` is replaced by that argument, `{{` and `}}` are braces. No shell
//! reads the command, so a value is always one part or within one; a part that is nothing but an
//! argument which was not given is left out. With `input = "json"` all arguments go to the command's
//! stdin as one JSON object. Commands run in the chosen directory, in the sandbox unless
//! `sandbox = false`; servers are outside of it unless `sandbox = true`. Both see the variables of
//! the environment that `variables` names besides the few that every command sees.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::command::{Job, Place};
use super::template::Part;
use crate::fault::Fault;

const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longer than this nobody waits.
const TIMEOUT_SECONDS_MAX: u64 = 24 * 3600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) tool: Vec<DeclaredTool>,
    #[serde(default)]
    pub(super) mcp: Vec<DeclaredServer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredTool {
    pub(super) name: String,
    pub(super) description: String,
    command: Vec<String>,
    #[serde(default = "no_parameters")]
    pub(super) parameters: Value,
    input: Option<Input>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    variables: Vec<String>,
    #[serde(default = "yes")]
    pub(super) sandbox: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Input {
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredServer {
    pub(super) name: String,
    pub(super) command: String,
    #[serde(default)]
    pub(super) args: Vec<String>,
    pub(super) timeout_seconds: Option<u64>,
    #[serde(default)]
    pub(super) variables: Vec<String>,
    #[serde(default)]
    pub(super) sandbox: bool,
}

/// A declared command, ready to be called.
#[derive(Debug)]
pub(super) struct CommandTool {
    program: String,
    parts: Vec<Part>,
    input: bool,
    timeout: Option<Duration>,
    variables: Vec<String>,
    sandbox: bool,
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

fn yes() -> bool {
    true
}

/// Reads a file and holds all that it says against itself.
///
/// # Errors
/// The file, the tool, and what is wrong with it.
pub(super) fn read(path: &Path) -> Result<File, Fault> {
    let failed = |why: String| Fault::failed(format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(failed(format!("{length} bytes; accepted: {FILE_BYTES_MAX}")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(failed)
}

pub(super) fn parse(text: &str) -> Result<File, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    for tool in &file.tool {
        check_name(&tool.name).and_then(|()| timeout(tool.timeout_seconds).map(|_| ()))?;
        CommandTool::new(tool).map_err(|why| format!("tool {}: {why}", tool.name))?;
    }
    for server in &file.mcp {
        check_name(&server.name).and_then(|()| timeout(server.timeout_seconds).map(|_| ()))?;
    }
    Ok(file)
}

/// A name that templates can write and models can repeat.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("the name {name:?}; accepted: up to 64 letters, digits, - and _"))
}

pub(super) fn timeout(seconds: Option<u64>) -> Result<Option<Duration>, String> {
    match seconds {
        Some(seconds) if !(1..=TIMEOUT_SECONDS_MAX).contains(&seconds) => {
            Err(format!("timeout_seconds: {seconds}; accepted: 1 to {TIMEOUT_SECONDS_MAX}"))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

impl CommandTool {
    pub(super) fn new(declared: &DeclaredTool) -> Result<Self, String> {
        let known = declared.parameters.get("properties").and_then(Value::as_object);
        if declared.parameters.get("type").and_then(Value::as_str) != Some("object") {
            return Err("parameters: accepted: a JSON schema of type \"object\"".to_owned());
        }
        let Some((program, rest)) = declared.command.split_first() else {
            return Err("command: accepted: a list that begins with a program".to_owned());
        };
        if Part::parse(program)?.names().next().is_some() {
            return Err(format!("command: {program:?}: the program itself cannot be an argument"));
        }
        let parts: Vec<Part> =
            rest.iter().map(|part| Part::parse(part)).collect::<Result<_, _>>()?;
        for name in parts.iter().flat_map(Part::names) {
            if known.is_none_or(|known| !known.contains_key(name)) {
                return Err(format!("command: {{{name}}} is none of the parameters"));
            }
        }
        let none = Map::new();
        Ok(Self {
            program: Part::parse(program)?.fill(&none).unwrap_or_default(),
            parts,
            input: declared.input.is_some(),
            timeout: timeout(declared.timeout_seconds)?,
            variables: declared.variables.clone(),
            sandbox: declared.sandbox,
        })
    }

    /// The command line of a call.
    fn arguments(&self, arguments: &Map<String, Value>) -> Vec<String> {
        self.parts.iter().filter_map(|part| part.fill(arguments)).collect()
    }

    pub(super) fn call(
        &self,
        arguments: &Map<String, Value>,
        place: &Place,
        bounds: &super::Bounds,
        cancel: &AtomicBool,
    ) -> Result<String, String> {
        let free = Place { directory: place.directory.clone(), sandbox: place.sandbox.none() };
        let job = Job {
            program: &self.program,
            arguments: self.arguments(arguments),
            input: self.input.then(|| Value::Object(arguments.clone()).to_string()),
            variables: &self.variables,
            place: if self.sandbox { place } else { &free },
            timeout: self.timeout.unwrap_or(bounds.timeout),
            limit_bytes: bounds.output_bytes(),
        };
        job.run(cancel)
    }
}

#[cfg(test)]
mod tests;
