//! The tools that come with the program.

use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};

use super::{Bounds, Declaration, Kind, Tool};
use crate::fault::Fault;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltIn {
    Bash,
    ReadFile,
    WriteFile,
    ListDir,
    HttpGet,
}

const ALL: [(&str, BuiltIn); 5] = [
    ("bash", BuiltIn::Bash),
    ("read_file", BuiltIn::ReadFile),
    ("write_file", BuiltIn::WriteFile),
    ("list_dir", BuiltIn::ListDir),
    ("http_get", BuiltIn::HttpGet),
];

/// The one with this name.
pub(super) fn find(name: &str) -> Result<Tool, Fault> {
    let Some((_, built_in)) = ALL.into_iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = ALL.into_iter().map(|(known, _)| known).collect();
        let known = known.join(", ");
        return Err(Fault::command_line(format!(
            "--tools: {name:?} is no tool; accepted: {known}, or a file that ends in .toml"
        )));
    };
    let (description, properties, required, read_only) = built_in.told();
    let declaration = Declaration {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
        read_only,
        origin: "built in".to_owned(),
    };
    Ok(Tool { declaration, kind: Kind::BuiltIn(built_in) })
}

impl BuiltIn {
    /// What the model is told, which arguments must be there, and whether it changes nothing.
    fn told(self) -> (&'static str, Value, Value, bool) {
        let text = |what: &str| json!({"type": "string", "description": what});
        let number = |what: &str| json!({"type": "integer", "minimum": 1, "description": what});
        match self {
            Self::Bash => (
                "Run a command with bash in the working directory. Output and exit status come \
                 back; background processes end with the call.",
                json!({
                    "command": text("The command line"),
                    "timeout_seconds": number("End it after this long (default 60)"),
                }),
                json!(["command"]),
                false,
            ),
            Self::ReadFile => (
                "Read a text file below the working directory.",
                json!({
                    "path": text("Path of the file, relative to the working directory"),
                    "first_line": number("Begin with this line (from 1)"),
                    "lines": number("Read so many lines"),
                }),
                json!(["path"]),
                true,
            ),
            Self::WriteFile => (
                "Write a text file below the working directory, in place of one that is there.",
                json!({
                    "path": text("Path of the file, relative to the working directory"),
                    "content": text("The whole new content"),
                }),
                json!(["path", "content"]),
                false,
            ),
            Self::ListDir => (
                "List a directory below the working directory: names, kinds and sizes.",
                json!({"path": text("Path of the directory (default the working directory)")}),
                json!([]),
                true,
            ),
            Self::HttpGet => (
                "Fetch a text from an http or https address with GET.",
                json!({"url": text("The address")}),
                json!(["url"]),
                // It changes nothing here, but an address can carry away what the model has read.
                false,
            ),
        }
    }

    pub(super) fn call(
        self,
        _arguments: &Map<String, Value>,
        _bounds: &Bounds,
        _cancel: &AtomicBool,
    ) -> Result<String, String> {
        Err(format!("{self:?} is not there yet"))
    }
}
