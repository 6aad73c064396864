//! Where a checkpoint keeps its chat template and the special strings that the template may name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ChatError;

/// A template's text and its variables.
#[derive(Clone, Debug, Default)]
pub struct TemplateSource {
    /// What messages call it: a path, mostly.
    pub origin: String,
    /// The template.
    pub default: String,
    /// The template for conversations with tools, where the checkpoint has another one for them.
    pub tool_use: Option<String>,
    /// Special strings of the tokenizer's configuration, `bos_token` and its like.
    pub special: Map<String, Value>,
}

const SPECIAL_KEYS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Looks into a checkpoint directory.
pub(super) fn find(directory: &Path) -> Result<Option<TemplateSource>, ChatError> {
    let jinja = directory.join("chat_template.jinja");
    let config_path = directory.join("tokenizer_config.json");
    let config = read(&config_path)?
        .map(|text| {
            let parsed: Result<Value, _> = serde_json::from_str(&text);
            parsed.map_err(|error| wrong(&config_path, error.to_string()))
        })
        .transpose()?
        .unwrap_or(Value::Null);
    let special = special_of(&config);
    if let Some(default) = read(&jinja)? {
        let origin = jinja.display().to_string();
        return Ok(Some(TemplateSource { origin, default, tool_use: None, special }));
    }
    let origin = config_path.display().to_string();
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let default = text.clone();
            Ok(Some(TemplateSource { origin, default, tool_use: None, special }))
        }
        Some(Value::Array(list)) => {
            let default = named(list, "default").ok_or_else(|| {
                wrong(&config_path, "chat_template is a list without one named default".to_owned())
            })?;
            let tool_use = named(list, "tool_use");
            Ok(Some(TemplateSource { origin, default, tool_use, special }))
        }
        Some(_) => {
            let what = "chat_template is neither text nor a list of named templates";
            Err(wrong(&config_path, what.to_owned()))
        }
    }
}

/// The file's text; `None` when there is no file.
fn read(path: &Path) -> Result<Option<String>, ChatError> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| {
            wrong(path, format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ChatError::Read { path: path.to_owned(), source }),
    }
}

fn wrong(path: &Path, what: String) -> ChatError {
    ChatError::Config { path: PathBuf::from(path), what }
}

fn named(list: &[Value], name: &str) -> Option<String> {
    let entry = list.iter().find(|entry| entry.get("name").is_some_and(|found| found == name))?;
    entry.get("template")?.as_str().map(str::to_owned)
}

/// The special strings that are set, each as text or as an object with `content`.
fn special_of(config: &Value) -> Map<String, Value> {
    let text = |key: &str| {
        let value = config.get(key)?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    };
    SPECIAL_KEYS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), Value::from(text(key)?))))
        .collect()
}

/// A template without `generation` statements: training marks by them what the model said, and
/// rendering passes through them. Each becomes an `if` that holds, so that white space and lines
/// stay as they are.
pub(super) fn known_statements(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let inside = tag.trim_start_matches(['-', '+']).trim_start();
        let statement = [("generation", "if true"), ("endgeneration", "endif")]
            .into_iter()
            .find_map(|(name, known)| Some((known, inside.strip_prefix(name)?)))
            .filter(|(_, end)| end.trim_start().trim_start_matches(['-', '+']).starts_with("%}"));
        rest = match statement {
            Some((known, end)) => {
                out.push_str(&tag[..tag.len() - inside.len()]);
                out.push_str(known);
                end
            }
            None => tag,
        };
    }
    out + rest
}
