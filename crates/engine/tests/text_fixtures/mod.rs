//! Where the text fixtures lie, for the tests of tokenizer and chat template.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use engine::{ChatTemplate, TemplateSource, Tokenizer, TokenizerSource};
use serde_json::Value;

/// A path under the repository's fixtures.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).expect("a committed fixture");
    serde_json::from_str(&text).expect("fixtures are JSON")
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id");
    value.as_array().expect("a list of ids").iter().map(id).collect()
}

pub(crate) fn load(name: &str) -> Tokenizer {
    let source = TokenizerSource::json_file(&path(name)).expect("a committed fixture");
    Tokenizer::load(source).expect("a good tokenizer")
}

pub(crate) fn mini() -> Tokenizer {
    load("tokenizer/mini_tokenizer.json")
}

/// The tokenizer of the large models, which is not committed. Says so when it is missing.
pub(crate) fn full(test: &str) -> Option<Tokenizer> {
    let name = "private/qwen35_tokenizer.json";
    if path(name).exists() {
        return Some(load(name));
    }
    eprintln!("SKIP full tokenizer: {test}: tests/fixtures/{name} is not there");
    None
}

/// A template that is not a file.
pub(crate) fn template(text: &str, tokenizer: &Tokenizer) -> ChatTemplate {
    let source = TemplateSource {
        origin: "test".to_owned(),
        default: text.to_owned(),
        ..Default::default()
    };
    ChatTemplate::new(source, tokenizer).expect("a template that compiles")
}

/// The template of the models.
pub(crate) fn qwen(tokenizer: &Tokenizer) -> ChatTemplate {
    let found = ChatTemplate::open(&path("chat"), tokenizer).expect("a good template");
    found.expect("chat_template.jinja is there")
}

/// The same tokenizer as the library has it, added tokens and all: the twin of ours.
pub(crate) fn library(name: &str) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_file(path(name)).expect("a good tokenizer")
}

/// The same without its added tokens.
pub(crate) fn library_plain(name: &str) -> tokenizers::Tokenizer {
    let mut file = json(name);
    file["added_tokens"] = Value::Array(Vec::new());
    serde_json::from_value(file).expect("a good tokenizer")
}
