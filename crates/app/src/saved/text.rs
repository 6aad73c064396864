//! A session as text: one JSON record a line, of which a torn end costs nothing before it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Of the form of the lines.
const VERSION: u32 = 1;
/// Characters of a title.
const TITLE_CHARS: usize = 60;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(rename = "flash_moe_session")]
    version: u32,
    /// The beginning of the first user message; empty before there is one.
    pub(crate) title: String,
    /// Seconds since 1970.
    pub(crate) created_seconds: u64,
    pub(crate) model: ModelMark,
    pub(crate) settings: Settings,
}

/// Which model answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelMark {
    /// As a person would call it.
    pub(crate) name: String,
    /// [`engine::Facts::fingerprint`] in hex.
    pub(crate) fingerprint: String,
}

/// What the conversation was set to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The system prompt.
    #[serde(default)]
    pub(crate) system: Option<String>,
    /// As `--think` has it: on, off or a number.
    #[serde(default)]
    pub(crate) think: Option<String>,
    /// Flags of sampling by their names, as far as they were given.
    #[serde(default)]
    pub(crate) sampling: Map<String, Value>,
    /// Names of the tools that the model was told of, in their order.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Assistant,
    Tool,
}

/// One whole message. The system prompt is a setting, not a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: String,
    /// What the model thought before it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<String>,
    /// Calls as the chat template wants them: `{"function": {"name", "arguments": {..}}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<Value>,
    /// Which tool a result is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    /// Tokens that it took; 0 where nobody counted.
    #[serde(default)]
    pub(crate) tokens: u64,
    /// Why an answer ended where it was not the model's own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<String>,
}

/// A part of an answer that is still growing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) reasoning: bool,
    /// The ids behind the text, so that the answer can go on exactly.
    #[serde(default)]
    pub(crate) ids: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Record {
    #[serde(rename = "message")]
    Message(Message),
    #[serde(rename = "piece")]
    Piece(Piece),
}

/// An answer that was never finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) reasoning: String,
    pub(crate) content: String,
    pub(crate) ids: Vec<u32>,
}

/// A session as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transcript {
    pub(crate) head: Head,
    pub(crate) messages: Vec<Message>,
    pub(crate) partial: Option<Partial>,
    /// What was left out, if anything.
    pub(crate) note: Option<String>,
}

impl Head {
    pub(crate) fn new(model: ModelMark, settings: Settings, created_seconds: u64) -> Self {
        Self { version: VERSION, title: String::new(), created_seconds, model, settings }
    }
}

impl Message {
    pub(crate) fn new(role: Role, content: impl Into<String>) -> Self {
        let content = content.into();
        let (reasoning, tool_calls, tool, tokens, stopped) = (None, Vec::new(), None, 0, None);
        Self { role, content, reasoning, tool_calls, tool, tokens, stopped }
    }

    /// As chat templates read it.
    pub(crate) fn for_template(&self) -> Value {
        let mut message = json!({"role": self.role, "content": self.content});
        if let Some(reasoning) = &self.reasoning {
            message["reasoning_content"] = reasoning.as_str().into();
        }
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = self.tool_calls.clone().into();
        }
        if let Some(tool) = &self.tool {
            message["name"] = tool.as_str().into();
        }
        message
    }
}

impl Partial {
    pub(super) fn add(&mut self, piece: Piece) {
        let to = if piece.reasoning { &mut self.reasoning } else { &mut self.content };
        to.push_str(&piece.text);
        self.ids.extend(piece.ids);
    }
}

impl Transcript {
    /// Reads a file. Everything before the first line that cannot be read is kept.
    ///
    /// # Errors
    /// One line: the head is missing, damaged, or of another version.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = Lines { rest: bytes };
        let head = lines.next().ok_or("the first line is missing or cut off")?;
        let mut transcript =
            Self { head: read_head(head)?, messages: Vec::new(), partial: None, note: None };
        let mut number = 1;
        while let Some(line) = lines.next() {
            number += 1;
            match serde_json::from_slice(line) {
                Ok(Record::Message(message)) => {
                    transcript.partial = None;
                    transcript.messages.push(message);
                }
                Ok(Record::Piece(piece)) => {
                    transcript.partial.get_or_insert_default().add(piece);
                }
                Err(error) => {
                    let left = line.len() + 1 + lines.rest.len();
                    let why = one_line(&error.to_string());
                    let note = format!(
                        "line {number} cannot be read ({why}): {left} bytes from there on are left out"
                    );
                    transcript.note = Some(note);
                    return Ok(transcript);
                }
            }
        }
        if !lines.rest.is_empty() {
            let left = lines.rest.len();
            let note = format!("the last line was cut off: its {left} bytes are left out");
            transcript.note = Some(note);
        }
        Ok(transcript)
    }

    /// The whole file, pieces of an unfinished answer as one of each kind.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = line_of(&self.head);
        for message in &self.messages {
            bytes.extend(message_line(message));
        }
        let Some(partial) = &self.partial else { return bytes };
        // The ids stand with whichever comes last: they are those of both, in their order.
        let thought = !partial.reasoning.is_empty();
        let answered = !partial.content.is_empty() || !thought;
        if thought {
            let ids = if answered { Vec::new() } else { partial.ids.clone() };
            let text = partial.reasoning.clone();
            bytes.extend(piece_line(&Piece { text, reasoning: true, ids }));
        }
        if answered {
            let (text, ids) = (partial.content.clone(), partial.ids.clone());
            bytes.extend(piece_line(&Piece { text, reasoning: false, ids }));
        }
        bytes
    }

    /// Takes a title from the first user message, where there is none yet. `true`: it has a new one.
    pub(crate) fn name_by_first_message(&mut self) -> bool {
        if !self.head.title.is_empty() {
            return false;
        }
        let first = self.messages.iter().find(|message| message.role == Role::User);
        self.head.title = first.map(|message| title(&message.content)).unwrap_or_default();
        !self.head.title.is_empty()
    }
}

pub(crate) fn message_line(message: &Message) -> Vec<u8> {
    line_of(&Record::Message(message.clone()))
}

pub(crate) fn piece_line(piece: &Piece) -> Vec<u8> {
    line_of(&Record::Piece(piece.clone()))
}

fn line_of(record: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records have text keys and plain numbers");
    line.push(b'\n');
    line
}

fn read_head(line: &[u8]) -> Result<Head, String> {
    let told: Value = serde_json::from_slice(line)
        .map_err(|error| format!("the first line is no JSON: {}", one_line(&error.to_string())))?;
    match told.get("flash_moe_session").map(Value::as_u64) {
        Some(Some(version)) if version == u64::from(VERSION) => {}
        Some(Some(version)) => {
            return Err(format!("version {version} of the form, accepted is {VERSION}"));
        }
        _ => return Err("the first line has no number flash_moe_session".to_owned()),
    }
    serde_json::from_value(told)
        .map_err(|error| format!("the first line: {}", one_line(&error.to_string())))
}

/// Whole lines alone: what follows the last line break stays in `rest`.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(line)
    }
}

/// The first line that says something, shortened, without what a terminal would obey.
fn title(content: &str) -> String {
    let line = content.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut title: String = plain.by_ref().take(TITLE_CHARS).collect();
    if plain.next().is_some() {
        title.push('…');
    }
    title.trim().to_owned()
}

/// Messages of parsers quote what they found; a person wants to see where it is, not all of it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
