//! Calls and results as messages of a conversation, in the shape that templates read.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::ToolCall;

/// The message of what the model said: its answer, its reasoning, its calls.
///
/// Of a malformed call, append [`super::Malformed::raw`] to the text: the model has to see what it
/// wrote to mend it.
#[must_use]
pub fn assistant_message(text: &str, reasoning: &str, calls: &[ToolCall]) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(text.trim()));
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if !calls.is_empty() {
        let one = |call: &ToolCall| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"type": "function", "function": function})
        };
        message.insert("tool_calls".to_owned(), calls.iter().map(one).collect());
    }
    Value::Object(message)
}

/// The message of one result; results stand in the order of their calls. `name` is the function's.
#[must_use]
pub fn tool_message(name: &str, result: &str) -> Value {
    json!({"role": "tool", "name": name, "content": result})
}

/// A result of at most `bytes_max` bytes and one line: a longer one is cut at a character, and the
/// line says how much was left out.
#[must_use]
pub fn limited_result(result: &str, bytes_max: usize) -> Cow<'_, str> {
    if result.len() <= bytes_max {
        return Cow::Borrowed(result);
    }
    let kept = &result[..result.floor_char_boundary(bytes_max)];
    let line_end = if kept.is_empty() || kept.ends_with('\n') { "" } else { "\n" };
    let left_out = result.len() - kept.len();
    Cow::Owned(format!("{kept}{line_end}[cut here: {left_out} of {} bytes left out]", result.len()))
}
