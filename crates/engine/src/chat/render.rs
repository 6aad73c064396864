//! One conversation through one template: plainly, and again with content marked.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use minijinja::{Error, Value};
use serde_json::{Map, Value as Json};

use super::environment::{Setting, environment};
use super::marks::Marks;
use super::values::{Level, Marking};
use super::{ChatError, Conversation, Rendered};

/// Work any template may do: a hundred times what a real one does on a short conversation.
const FUEL_BASE: u64 = 500_000;
/// Work for each byte of input; a unit of fuel moves 64 bytes or runs one instruction.
const FUEL_PER_BYTE: u64 = 16;
/// A JSON value counts as so many bytes beside its text.
const VALUE_BYTES: u64 = 64;
/// A mark takes four bytes where most characters take one.
const MARKED_BYTES: u64 = 4;

/// What stays the same over the renderings of one conversation.
pub(super) struct Rendering<'a> {
    pub(super) origin: &'a str,
    pub(super) template: &'a str,
    pub(super) special: &'a Map<String, Json>,
    pub(super) literals: &'a [String],
    pub(super) control: &'a [String],
    pub(super) conversation: &'a Conversation,
    /// What `strftime_now` tells in every run.
    pub(super) clock: SystemTime,
}

/// Whether a template compiles.
pub(super) fn check(origin: &str, template: &str) -> Result<(), ChatError> {
    let clock = SystemTime::UNIX_EPOCH;
    let setting = Setting { marks: Arc::default(), raised: Arc::default(), clock };
    let compiled = environment(&setting, FUEL_BASE)
        .and_then(|environment| environment.template_from_named_str(NAME, template).map(|_| ()));
    compiled.map_err(|error| failed(origin, &error))
}

impl Rendering<'_> {
    /// Renders plainly, then with all of content marked, then with its edges marked, until a marked
    /// text is the plain one.
    pub(super) fn render(&self) -> Result<Rendered, ChatError> {
        let (conversation, literals) = (self.conversation, self.literals);
        let text = self.run(Arc::default(), Level::Full, 1)?;
        let mut input = Vec::new();
        for message in &conversation.messages {
            collect(message, &mut input);
        }
        conversation.tools.iter().flatten().for_each(|tool| collect(tool, &mut input));
        for (key, value) in &conversation.kwargs {
            input.push(key);
            collect(value, &mut input);
        }
        let texts = input.into_iter().chain([self.template, text.as_str()]);
        let marks = Arc::new(Marks::choose(literals, texts).ok_or(ChatError::Unmarkable)?);
        let mut parted_at = 0;
        for level in [Level::Full, Level::Edges] {
            let marked = self.run(Arc::clone(&marks), level, MARKED_BYTES);
            let (resolved, content) = match &marked {
                Ok(marked) => marks.resolve(marked),
                Err(_) => Default::default(),
            };
            if resolved == text {
                return Ok(Rendered { text, content });
            }
            parted_at = resolved.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        }
        Err(ChatError::Inseparable { origin: self.origin.to_owned(), at: parted_at })
    }

    fn run(&self, marks: Arc<Marks>, level: Level, fuel: u64) -> Result<String, ChatError> {
        let (conversation, literals) = (self.conversation, self.literals);
        let constants = quoted(self.template);
        let control = self.control;
        let marking = Marking { marks: Arc::clone(&marks), level, constants, literals, control };
        let mut variables: HashMap<String, Value> = HashMap::new();
        for (key, value) in self.special {
            variables.insert(key.clone(), marking.own(value, key)?);
        }
        variables.insert("documents".to_owned(), Value::from(()));
        variables.insert("add_generation_prompt".to_owned(), Value::from(false));
        for (key, value) in &conversation.kwargs {
            variables.insert(key.clone(), marking.content(value, key)?);
        }
        variables.insert("messages".to_owned(), marking.messages(&conversation.messages)?);
        let tools = match &conversation.tools {
            Some(tools) => marking.tools(tools)?,
            None => Value::from(()),
        };
        variables.insert("tools".to_owned(), tools);
        let raised = Arc::new(Mutex::new(None));
        let setting = Setting { marks, raised: Arc::clone(&raised), clock: self.clock };
        let fuel = fuel * (FUEL_BASE + FUEL_PER_BYTE * input_bytes(conversation));
        let rendered = environment(&setting, fuel).and_then(|environment| {
            environment.template_from_named_str(NAME, self.template)?.render(variables)
        });
        rendered.map_err(|error| {
            let said = raised.lock().ok().and_then(|mut raised| raised.take());
            said.map_or_else(|| failed(self.origin, &error), ChatError::Raised)
        })
    }
}

/// The name a template goes by inside the engine; messages use its origin.
const NAME: &str = "chat_template";

fn failed(origin: &str, error: &Error) -> ChatError {
    let mut what = error.kind().to_string();
    if let Some(detail) = error.detail() {
        what = format!("{what}: {detail}");
    }
    ChatError::Template { origin: origin.to_owned(), line: error.line().unwrap_or(0), what }
}

/// Every text between two quotes of the same kind with none between them: all string constants of
/// a template, and some other texts, which do no harm.
fn quoted(template: &str) -> HashSet<&str> {
    let mut found = HashSet::new();
    for quote in ['\'', '"'] {
        let mut parts = template.split(quote);
        let _before_the_first = parts.next();
        found.extend(parts);
    }
    found
}

/// All strings of a JSON value. Deep ones are refused before, when values are made of them.
fn collect<'j>(json: &'j Json, into: &mut Vec<&'j str>) {
    match json {
        Json::String(text) => into.push(text),
        Json::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Json::Object(fields) => {
            for (key, value) in fields {
                into.push(key);
                collect(value, into);
            }
        }
        _ => {}
    }
}

fn input_bytes(conversation: &Conversation) -> u64 {
    fn bytes(json: &Json) -> u64 {
        VALUE_BYTES
            + match json {
                Json::String(text) => text.len() as u64,
                Json::Array(items) => items.iter().map(bytes).sum(),
                Json::Object(fields) => {
                    fields.iter().map(|(key, value)| key.len() as u64 + bytes(value)).sum()
                }
                _ => 0,
            }
    }
    let tools = conversation.tools.iter().flatten();
    conversation.messages.iter().chain(tools).chain(conversation.kwargs.values()).map(bytes).sum()
}
