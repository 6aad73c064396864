//! Tools: what may be called, calls as the model writes them, and how calls and results go back into the conversation.
//!
//! A model calls by writing `<tool_call>` (a token of its own), a function's name and arguments in
//! one of two [`CallForm`]s, and `</tool_call>`. [`CallReader`] finds calls in the ids of a turn;
//! [`Tools`] says which functions there are and types their arguments; [`assistant_message`] and
//! [`tool_message`] put both sides into a [`crate::Conversation`].

mod constraint;
mod declare;
mod form;
mod grammar;
mod json_form;
mod messages;
mod parser;
mod reader;
mod schema;
mod tagged;
mod text_masks;
mod verdict;

pub use constraint::{CallConstraint, CallMask, CallTokens, ConstraintError};
pub use declare::{ToolDeclaration, Tools, ToolsError};
pub use form::CallForm;
pub use messages::{assistant_message, limited_result, tool_message};
pub use parser::{CALL_BYTES_DEFAULT, CallEvent, CallParser, Ended, Malformed, Piece, ToolCall};
pub use reader::{CallReader, Heard};
pub use schema::SchemaError;
pub use verdict::CallVerdict;

/// The mark that opens a call.
const OPEN: &str = "<tool_call>";
/// The mark that closes one.
const CLOSE: &str = "</tool_call>";
