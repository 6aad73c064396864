//! tokenizer.json as read: parsed into plain data and checked before anything is built from it.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::bpe::Vocab;

use super::bytes::char_of;
use super::{AddedToken, TokenizerError};

/// No vocabulary comes near; it bounds the tables that are indexed by id.
const ID_LIMIT: u32 = 1 << 22;

/// What a tokenizer is built from, checked.
#[derive(Debug)]
pub(super) struct TokenizerFile {
    pub(super) normalizer: Option<Value>,
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) model: Model,
    pub(super) added_tokens: Vec<AddedToken>,
}

/// A BPE model: ids of the printed tokens, and merges in order.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    dropout: Option<f64>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    pub(super) ignore_merges: bool,
    pub(super) vocab: Vocab,
    pub(super) merges: Vec<Merge>,
}

/// One merge, in either of the two forms that are in use.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    Pair(String, String),
    Line(String),
}

impl Merge {
    /// The two halves.
    pub(super) fn halves(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(a, b) => Some((a, b)),
            Self::Line(line) => line.split_once(' ').filter(|(_, b)| !b.contains(' ')),
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
    model: Model,
    #[serde(default)]
    added_tokens: Vec<RawAdded>,
}

/// The type of the model alone, so that another kind is refused by its name.
#[derive(Deserialize)]
struct Head {
    model: HeadModel,
}

#[derive(Deserialize)]
struct HeadModel {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct RawAdded {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

/// Parses and checks. Truncation, padding and post-processing in the file are left out: they say
/// what to do with batches, not how text becomes ids.
pub(super) fn parse(origin: &str, bytes: &[u8]) -> Result<TokenizerFile, TokenizerError> {
    let text = std::str::from_utf8(bytes).map_err(|error| TokenizerError::NotUtf8 {
        origin: origin.to_owned(),
        at: error.valid_up_to(),
    })?;
    let json = |source| TokenizerError::Json { origin: origin.to_owned(), source };
    let head: Head = serde_json::from_str(text).map_err(json)?;
    if let Some(kind) = head.model.kind.filter(|kind| kind != "BPE") {
        return Err(TokenizerError::unsupported(origin, "model.type", kind, "BPE"));
    }
    let raw: Raw = serde_json::from_str(text).map_err(json)?;
    check_decoder(origin, raw.decoder.as_ref())?;
    check_model(origin, &raw.model)?;
    check_vocabulary(origin, &raw.model)?;
    check_merges(origin, &raw.model)?;
    let added_tokens = check_added(origin, raw.added_tokens, &raw.model, raw.normalizer.is_some())?;
    let Raw { normalizer, pre_tokenizer, model, .. } = raw;
    Ok(TokenizerFile { normalizer, pre_tokenizer, model, added_tokens })
}

fn check_decoder(origin: &str, decoder: Option<&Value>) -> Result<(), TokenizerError> {
    let kind = decoder.and_then(|decoder| decoder.get("type")).unwrap_or(&Value::Null);
    if kind != "ByteLevel" {
        return Err(TokenizerError::unsupported(origin, "decoder.type", kind, "ByteLevel"));
    }
    Ok(())
}

/// Options that a byte-level model has no use for change what is encoded: refused, not ignored.
fn check_model(origin: &str, model: &Model) -> Result<(), TokenizerError> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let found = [
        ("dropout", model.dropout.filter(|p| *p != 0.0).map(|p| p.to_string())),
        ("unk_token", text(&model.unk_token)),
        ("continuing_subword_prefix", text(&model.continuing_subword_prefix)),
        ("end_of_word_suffix", text(&model.end_of_word_suffix)),
        ("byte_fallback", model.byte_fallback.then(|| "true".to_owned())),
    ];
    for (what, found) in found {
        if let Some(found) = found {
            let what = format!("model.{what}");
            return Err(TokenizerError::unsupported(origin, what, found, "none"));
        }
    }
    Ok(())
}

fn check_vocabulary(origin: &str, model: &Model) -> Result<(), TokenizerError> {
    let mut owner: HashMap<u32, &str> = HashMap::with_capacity(model.vocab.len());
    for (text, id) in &model.vocab {
        check_id(origin, text, *id)?;
        if text.is_empty() {
            return Err(TokenizerError::vocabulary(origin, format!("token {id} is empty")));
        }
        if let Some(other) = owner.insert(*id, text) {
            let what = format!("id {id} belongs to two tokens, {other:?} and {text:?}");
            return Err(TokenizerError::vocabulary(origin, what));
        }
    }
    for byte in 0..=255u8 {
        let printed = char_of(byte).to_string();
        if !model.vocab.contains_key(&printed) {
            let what = format!("byte {byte:#04x} has no token ({printed:?} is missing)");
            return Err(TokenizerError::vocabulary(origin, what));
        }
    }
    Ok(())
}

fn check_id(origin: &str, text: &str, id: u32) -> Result<(), TokenizerError> {
    if id >= ID_LIMIT {
        let what = format!("token {text:?} has id {id}; ids are below {ID_LIMIT}");
        return Err(TokenizerError::vocabulary(origin, what));
    }
    Ok(())
}

/// Both halves of a merge and what they make have to be tokens.
fn check_merges(origin: &str, model: &Model) -> Result<(), TokenizerError> {
    let mut made = String::new();
    for (n, merge) in model.merges.iter().enumerate() {
        let Some((a, b)) = merge.halves() else {
            let what = format!("merge {n} is {merge:?}; accepted: two tokens");
            return Err(TokenizerError::vocabulary(origin, what));
        };
        made.clear();
        made.push_str(a);
        made.push_str(b);
        if let Some(missing) = [a, b, &made].into_iter().find(|t| !model.vocab.contains_key(*t)) {
            let what = format!("merge {n} needs {missing:?}, which is not in the vocabulary");
            return Err(TokenizerError::vocabulary(origin, what));
        }
    }
    Ok(())
}

fn check_added(
    origin: &str,
    raw: Vec<RawAdded>,
    model: &Model,
    normalizes: bool,
) -> Result<Vec<AddedToken>, TokenizerError> {
    let base: HashSet<u32> = model.vocab.values().copied().collect();
    let (mut ids, mut contents) = (HashSet::new(), HashSet::new());
    let mut tokens = Vec::with_capacity(raw.len());
    for token in raw {
        let name = format!("added token {:?}", token.content);
        let normalized = token.normalized && normalizes;
        let flags = [
            ("single_word", token.single_word),
            ("lstrip", token.lstrip),
            ("rstrip", token.rstrip),
            ("normalized", normalized),
        ];
        if let Some((flag, _)) = flags.into_iter().find(|(_, set)| *set) {
            let what = format!("{flag} of {name}");
            return Err(TokenizerError::unsupported(origin, what, "true", "false"));
        }
        check_id(origin, &token.content, token.id)?;
        let wrong = if !contents.insert(token.content.clone()) {
            Some("is there twice".to_owned())
        } else if !ids.insert(token.id) {
            Some(format!("has id {} of another one", token.id))
        } else {
            against_base(&token, model, &base)
        };
        if let Some(wrong) = wrong {
            return Err(TokenizerError::vocabulary(origin, format!("{name} {wrong}")));
        }
        let (id, content, special) = (token.id, token.content, token.special);
        tokens.push(AddedToken { id, content, special });
    }
    Ok(tokens)
}

/// What is wrong with an added token beside this vocabulary.
fn against_base(token: &RawAdded, model: &Model, base: &HashSet<u32>) -> Option<String> {
    if token.content.is_empty() {
        return Some("has no text".to_owned());
    }
    match model.vocab.get(&token.content) {
        Some(id) if *id == token.id => None,
        Some(id) => Some(format!("has id {}, the vocabulary gives it {id}", token.id)),
        None if base.contains(&token.id) => {
            Some(format!("has id {} of a token of the vocabulary", token.id))
        }
        None => None,
    }
}
