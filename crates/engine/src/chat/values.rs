//! Messages, tools and variables as a template sees them, with content marked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use serde_json::Value as Json;

use super::ChatError;
use super::marks::{Cover, Marks};

/// As deep as serde_json reads; values made in memory could be deeper.
const DEPTH_MAX: usize = 128;

/// Fields of an assistant message that the model wrote itself. Its calls are not among them: the
/// template writes their marks, and a model puts into arguments what users and results told it to.
const OWN_WORDS: [&str; 2] = ["content", "reasoning_content"];

/// How strongly content is marked in one rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Every character that occurs in an added token.
    Full,
    /// First and last characters of added tokens; more of a string only where a template could
    /// make an added token by putting its own text around it.
    Edges,
}

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The template's: never marked.
    Own,
    /// The model's: it thinks and calls with control tokens, but whoever had it write down the
    /// beginning or the end of a turn wrote text.
    Answer,
    /// A role: templates build control tokens from it, but it can hold none itself.
    Role,
    /// Anybody's.
    Content,
}

/// Turns JSON into values for one rendering.
pub(super) struct Marking<'a> {
    pub(super) marks: Arc<Marks>,
    pub(super) level: Level,
    /// Texts between quotes in the template: it may compare content with them, so strings that are
    /// equal to one have to stay as they are but for their edges.
    pub(super) constants: HashSet<&'a str>,
    pub(super) literals: &'a [String],
    /// Those of them that are no part of an answer.
    pub(super) control: &'a [String],
}

impl Marking<'_> {
    pub(super) fn messages(&self, messages: &[Json]) -> Result<Value, ChatError> {
        let one = |(i, message): (usize, &Json)| {
            let Some(fields) = message.as_object() else {
                return self.value(message, Trust::Content, &format!("message {i}"), 1);
            };
            let assistant = fields.get("role").is_some_and(|role| role == "assistant");
            let trust = |key: &str| match key {
                "role" => Trust::Role,
                key if assistant && OWN_WORDS.contains(&key) => Trust::Answer,
                _ => Trust::Content,
            };
            let what = format!("message {i}");
            let entry = |(key, value): (&String, &Json)| {
                Ok((key.clone(), self.value(value, trust(key), &what, 1)?))
            };
            let entries: Result<Vec<_>, ChatError> = fields.iter().map(entry).collect();
            Ok(self.map(entries?, Trust::Content))
        };
        let all: Result<Vec<Value>, ChatError> = messages.iter().enumerate().map(one).collect();
        all.map(Value::from)
    }

    pub(super) fn tools(&self, tools: &[Json]) -> Result<Value, ChatError> {
        let one = |tool| self.value(tool, Trust::Content, "tools", 1);
        tools.iter().map(one).collect::<Result<Vec<_>, _>>().map(Value::from)
    }

    pub(super) fn content(&self, json: &Json, what: &str) -> Result<Value, ChatError> {
        self.value(json, Trust::Content, what, 0)
    }

    pub(super) fn own(&self, json: &Json, what: &str) -> Result<Value, ChatError> {
        self.value(json, Trust::Own, what, 0)
    }

    fn value(
        &self,
        json: &Json,
        trust: Trust,
        what: &str,
        depth: usize,
    ) -> Result<Value, ChatError> {
        if depth > DEPTH_MAX {
            return Err(ChatError::Deep { what: what.to_owned(), limit: DEPTH_MAX });
        }
        Ok(match json {
            Json::Null => Value::from(()),
            Json::Bool(value) => Value::from(*value),
            Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Value::from(value),
                (_, Some(value), _) => Value::from(value),
                (.., value) => Value::from(value.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::from(self.string(text, trust)),
            Json::Array(items) => {
                let item = |item| self.value(item, trust, what, depth + 1);
                Value::from(items.iter().map(item).collect::<Result<Vec<_>, _>>()?)
            }
            Json::Object(fields) => {
                let field = |(key, value): (&String, &Json)| {
                    Ok((key.clone(), self.value(value, trust, what, depth + 1)?))
                };
                self.map(fields.iter().map(field).collect::<Result<Vec<_>, ChatError>>()?, trust)
            }
        })
    }

    fn string(&self, text: &str, trust: Trust) -> String {
        match trust {
            Trust::Own => text.to_owned(),
            Trust::Answer => self.control.iter().fold(text.to_owned(), |text, token| {
                match text.contains(token) {
                    true => text.replace(token, &self.marks.cover(token, Cover::Full)),
                    false => text,
                }
            }),
            Trust::Role => self.marks.cover(text, Cover::Edges),
            Trust::Content if self.constants.contains(text) => self.marks.cover(text, Cover::Edges),
            Trust::Content if self.level == Level::Full || self.could_complete(text) => {
                self.marks.cover(text, Cover::Full)
            }
            Trust::Content => self.marks.cover(text, Cover::Edges),
        }
    }

    /// Whether the whole string lies inside an added token, so that a template that puts its own
    /// text around it could make one.
    fn could_complete(&self, text: &str) -> bool {
        let text = text.trim();
        !text.is_empty() && self.literals.iter().any(|literal| literal.contains(text))
    }

    fn map(&self, entries: Vec<(String, Value)>, trust: Trust) -> Value {
        let mut map = MarkedMap { marks: Arc::clone(&self.marks), ..MarkedMap::default() };
        for (key, value) in entries {
            map.keys.push(Value::from(self.string(&key, trust)));
            map.index.insert(key, map.values.len());
            map.values.push(value);
        }
        Value::from_object(map)
    }
}

/// A map in its own order whose keys are marked when they are listed and found either way.
#[derive(Debug, Default)]
struct MarkedMap {
    marks: Arc<Marks>,
    keys: Vec<Value>,
    values: Vec<Value>,
    index: HashMap<String, usize>,
}

impl Object for MarkedMap {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = self.index.get(key).or_else(|| self.index.get(&self.marks.strip(key)))?;
        Some(self.values[*at].clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.keys.len())
    }
}
