//! The tools that come with the program.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::command::{Job, Place};
use super::confined::Confined;
use super::{Bounds, Declaration, Kind, Tool, files, http};
use crate::fault::Fault;

/// However long a model wants a command to run.
const BASH_MAX: Duration = Duration::from_secs(600);

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
                    "timeout_seconds": number("End it after this long"),
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

    /// # Errors
    /// What the model may hear of what went wrong.
    pub(super) fn call(
        self,
        arguments: &Map<String, Value>,
        bounds: &Bounds,
        confined: &Confined,
        place: &Place,
        cancel: &AtomicBool,
    ) -> Result<String, String> {
        let text = |name: &str| text(arguments, name)?.ok_or_else(|| format!("{name} is missing"));
        match self {
            Self::Bash => {
                let seconds = number(arguments, "timeout_seconds")?;
                let job = Job {
                    program: "bash",
                    arguments: ["--noprofile", "--norc", "-c", text("command")?]
                        .map(str::to_owned)
                        .to_vec(),
                    input: None,
                    variables: &[],
                    place,
                    timeout: seconds
                        .map_or(bounds.timeout, |seconds| Duration::from_secs(seconds as u64))
                        .min(BASH_MAX.max(bounds.timeout)),
                    limit_bytes: bounds.output_bytes(),
                };
                job.run(cancel)
            }
            Self::ReadFile => {
                let first = number(arguments, "first_line")?.unwrap_or(1);
                let lines = number(arguments, "lines")?.unwrap_or(usize::MAX);
                files::read(confined, text("path")?, first, lines, bounds.output_bytes())
            }
            Self::WriteFile => files::write(confined, text("path")?, text("content")?),
            Self::ListDir => {
                let path = self::text(arguments, "path")?.unwrap_or(".");
                files::list(confined, if path.is_empty() { "." } else { path })
            }
            Self::HttpGet => {
                let limit_bytes = bounds.output_bytes();
                http::get(text("url")?, bounds.private_addresses, bounds.timeout, limit_bytes)
            }
        }
    }
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: accepted: a text")),
    }
}

fn number(arguments: &Map<String, Value>, name: &str) -> Result<Option<usize>, String> {
    let accepted = || format!("{name}: accepted: a whole number from 1 on");
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().filter(|number| *number > 0).ok_or_else(accepted)?;
            usize::try_from(number).map(Some).map_err(|_| accepted())
        }
    }
}
