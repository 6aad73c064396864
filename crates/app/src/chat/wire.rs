//! What goes between the conversation's own thread and the front that shows it.

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use crate::tool::Decision;

/// What a front asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// A message, as it was typed.
    Say(String),
    Command(Command),
    /// What becomes of the call that was asked about.
    Decide(Decision),
}

/// A command after its slash was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    New,
    /// `None` tells the present one, an empty text takes it away.
    System(Option<String>),
    /// A flag of generation without its dashes, and its value; `None` tells the present one.
    Set(&'static str, Option<String>),
    Model(Option<PathBuf>),
    Tools,
    Save(Option<String>),
    Load(String),
    Sessions,
    Title(String),
    /// A saved session goes.
    Delete(String),
    Retry,
    Continue,
    Undo,
    Edit(Option<String>),
    Tokens,
    Stats,
    Export(Form, Option<PathBuf>),
    Quit,
}

/// How a conversation is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Markdown,
    Json,
}

/// What a front hears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// A message was taken in, as it was typed.
    User(String),
    /// The model says something.
    Piece { text: String, reasoning: bool },
    /// One round of the model is over: why it ended early, if it did, and what it cost.
    Answered { note: Option<String>, cost: String },
    /// The model begins to write a call.
    Calling,
    /// A call of a tool, all of it escaped, and whether somebody has to decide.
    Call { tool: String, shown: String, ask: bool },
    /// What came of a call, escaped.
    Result { tool: String, shown: String, failed: bool },
    /// Lines that a command asked for, or that say what was done.
    Note(String),
    /// Something did not work; the conversation goes on.
    Wrong(String),
    /// The conversation is another one now: all its messages, in the form of the template.
    Talk(Vec<Value>),
    /// The last message of the user was taken back, with all that followed it; or, where the
    /// question stays, only what followed. A text is there to be typed over.
    Back { question_stays: bool, text: Option<String> },
    /// Another model answers from now on.
    Model(String),
    /// The next order may come.
    Ready,
}
