//! The JSON form of a call, read as it arrives.

use serde_json::{Map, Value};

use super::Tools;
use super::parser::{Step, ToolCall, expected, first, is_space};
use crate::brief::brief;

/// As deep as the JSON parser reads.
const DEPTH_MAX: usize = 127;

/// A walk through the inside of a call: where strings are, and where the object ends.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonScan {
    /// Bytes that are behind us.
    at: usize,
    depth: usize,
    string: bool,
    escape: bool,
}

impl JsonScan {
    /// Goes on over all there is; `raw` is what was there before and more.
    pub(super) fn step(&mut self, raw: &str) -> Step {
        if self.depth == 0 {
            let rest = raw[self.at..].trim_start_matches(is_space);
            self.at = raw.len() - rest.len();
            match rest.bytes().next() {
                None => return Step::More,
                Some(b'{') => {}
                Some(_) => {
                    return Step::Wrong {
                        at: self.at,
                        what: expected(self.expects(), first(rest)),
                    };
                }
            }
        }
        while let Some(&byte) = raw.as_bytes().get(self.at) {
            if !self.byte(byte) {
                let what = if byte < b' ' {
                    "a control character inside a JSON string has to be escaped".to_owned()
                } else {
                    expected("JSON", first(&raw[self.at..]))
                };
                return Step::Wrong { at: self.at, what };
            }
            self.at += 1;
            if self.depth == 0 {
                return Step::Done(self.at);
            }
        }
        Step::More
    }

    /// Whether the byte may stand here. Multi-byte characters stand in strings alone.
    fn byte(&mut self, byte: u8) -> bool {
        if self.string {
            let escaped = std::mem::take(&mut self.escape);
            match byte {
                b'\\' if !escaped => self.escape = true,
                b'"' if !escaped => self.string = false,
                _ => {}
            }
            return byte >= b' ';
        }
        match byte {
            b'{' | b'[' if self.depth == DEPTH_MAX => return false,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            b'"' => self.string = true,
            b',' | b':' | b'+' | b'-' | b'.' => {}
            other => return other.is_ascii_alphanumeric() || is_space(char::from(other)),
        }
        true
    }

    /// Whether the next text belongs to a string.
    pub(super) fn in_string(&self) -> bool {
        self.string
    }

    pub(super) fn expects(&self) -> &'static str {
        if self.depth == 0 { "a JSON object" } else { "the rest of the JSON object" }
    }

    /// The call, once all is there.
    pub(super) fn call(&self, raw: &str, tools: &Tools) -> Result<ToolCall, String> {
        let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&raw[..self.at]);
        let mut object = parsed.map_err(|error| format!("no JSON object: {}", brief(error)))?;
        let (name, arguments) = (object.shift_remove("name"), object.shift_remove("arguments"));
        if let Some(key) = object.keys().next() {
            let key = brief(key);
            return Err(format!(
                "a call has \"name\" and \"arguments\" and nothing else, not {key:?}"
            ));
        }
        let Some(Value::String(name)) = name else {
            return Err("\"name\" has to be the name of a function".to_owned());
        };
        let Some(Value::Object(arguments)) = arguments else {
            return Err(format!("{}: \"arguments\" has to be an object", brief(name)));
        };
        tools.check(&name, &arguments)?;
        Ok(ToolCall { name, arguments })
    }
}
