//! Stand-ins for a model, a tokenizer and a template, so that front ends can be tested without weights.

mod scripted;
mod text;

pub use scripted::{Failure, Script, ScriptedFailure, ScriptedForward, ScriptedSequence};
pub use text::{BYTE_TOKENS, byte_tokenizer, chat_template, plain_byte_tokenizer};
