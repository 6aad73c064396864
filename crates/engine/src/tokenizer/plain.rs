//! The plain encoder: normalise, split, merge, with no added token anywhere.

use fancy_regex::Regex;
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NFC, NFD, NFKC, NFKD, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence as Splits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    DecoderWrapper, Model as _, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    SplitDelimiterBehavior, TokenizerImpl,
};

use super::TokenizerError;
use super::file::Model;

type Encoder = TokenizerImpl<
    BPE,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// What splits text when a `ByteLevel` is left to do it: the pattern of GPT-2.
const BYTE_LEVEL_PATTERN: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const NORMALIZERS: &str = "null, NFC, NFD, NFKC, NFKD or a Sequence of them";
const SPLITTERS: &str =
    "Split, Digits and ByteLevel, alone or in a Sequence that ends in ByteLevel";

/// An encoder without added tokens.
#[derive(Debug)]
pub(super) struct Plain {
    encoder: Encoder,
    /// The encoder's split patterns once more: it takes an engine that gives up for the end of the
    /// text, so each text is tried here first.
    patterns: Vec<Regex>,
}

impl Plain {
    pub(super) fn new(
        origin: &str,
        normalizer: Option<Value>,
        pre_tokenizer: Option<Value>,
        model: Model,
    ) -> Result<Self, TokenizerError> {
        let normalizer = normalizer.map(|json| normalizer_of(origin, &json)).transpose()?;
        let mut splitters = Vec::new();
        let mut patterns = Vec::new();
        splitters_of(origin, &pre_tokenizer.unwrap_or(Value::Null), &mut splitters, &mut patterns)?;
        if !matches!(splitters.last(), Some(PreTokenizerWrapper::ByteLevel(_))) {
            let what = "the end of pre_tokenizer";
            return Err(TokenizerError::unsupported(origin, what, "another kind", SPLITTERS));
        }
        let failed = |error: tokenizers::Error| {
            TokenizerError::vocabulary(origin, format!("the encoder refuses it: {error}"))
        };
        let mut encoder = Encoder::new(bpe(model).map_err(failed)?);
        encoder.with_normalizer(normalizer).map_err(failed)?;
        encoder.with_pre_tokenizer(Some(Splits::new(splitters)));
        Ok(Self { encoder, patterns })
    }

    /// Appends the ids of a text.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        for pattern in &self.patterns {
            let mut at = 0;
            for found in pattern.find_iter(text) {
                at = found
                    .map_err(|why| {
                        let (len, why) = (text.len(), why.to_string());
                        TokenizerError::Pattern { at, len, why }
                    })?
                    .end();
            }
        }
        let encoding = self
            .encoder
            .encode_fast(text, false)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    /// The id of a token in its printed form.
    pub(super) fn id_of(&self, printed: &str) -> Option<u32> {
        self.encoder.get_model().token_to_id(printed)
    }
}

/// The file was checked: the merges' halves and what they make are in the vocabulary.
fn bpe(model: Model) -> Result<BPE, tokenizers::Error> {
    let halves = model.merges.iter().filter_map(|merge| merge.halves());
    let merges = halves.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    BPE::builder().vocab_and_merges(model.vocab, merges).ignore_merges(model.ignore_merges).build()
}

fn kind_of(json: &Value) -> &Value {
    json.get("type").unwrap_or(&Value::Null)
}

fn list_of<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn normalizer_of(origin: &str, json: &Value) -> Result<NormalizerWrapper, TokenizerError> {
    Ok(match kind_of(json).as_str() {
        Some("NFC") => NormalizerWrapper::NFC(NFC),
        Some("NFD") => NormalizerWrapper::NFD(NFD),
        Some("NFKC") => NormalizerWrapper::NFKC(NFKC),
        Some("NFKD") => NormalizerWrapper::NFKD(NFKD),
        Some("Sequence") if json.get("normalizers").is_some_and(Value::is_array) => {
            let parts = list_of(json, "normalizers").iter();
            let parts: Result<_, _> = parts.map(|part| normalizer_of(origin, part)).collect();
            NormalizerWrapper::Sequence(Normalizers::new(parts?))
        }
        _ => {
            let what = "normalizer.type";
            return Err(TokenizerError::unsupported(origin, what, kind_of(json), NORMALIZERS));
        }
    })
}

/// Appends the parts of a pre-tokenizer in order, and the patterns that its parts will run.
fn splitters_of(
    origin: &str,
    json: &Value,
    parts: &mut Vec<PreTokenizerWrapper>,
    patterns: &mut Vec<Regex>,
) -> Result<(), TokenizerError> {
    let flag = |key: &str, default| json.get(key).and_then(Value::as_bool).unwrap_or(default);
    let compiled = |pattern: &str| {
        Regex::new(pattern).map_err(|error| {
            let what = format!("pre_tokenizer pattern {pattern:?}");
            TokenizerError::unsupported(origin, what, error, "a pattern that compiles")
        })
    };
    match kind_of(json).as_str() {
        Some("Sequence") => {
            for part in list_of(json, "pretokenizers") {
                splitters_of(origin, part, parts, patterns)?;
            }
        }
        Some("Split") => {
            let (pattern, behavior) = split_of(origin, json)?;
            if let SplitPattern::Regex(text) = &pattern {
                patterns.push(compiled(text)?);
            }
            let split = Split::new(pattern, behavior, flag("invert", false)).map_err(|error| {
                TokenizerError::unsupported(origin, "a Split", error, "a pattern that compiles")
            })?;
            parts.push(PreTokenizerWrapper::Split(split));
        }
        Some("Digits") => {
            let digits = Digits::new(flag("individual_digits", false));
            parts.push(PreTokenizerWrapper::Digits(digits));
        }
        Some("ByteLevel") => {
            let use_regex = flag("use_regex", true);
            if use_regex {
                patterns.push(compiled(BYTE_LEVEL_PATTERN)?);
            }
            // Offsets are never asked for, so whether they are trimmed does not matter.
            let byte_level = ByteLevel::new(flag("add_prefix_space", true), false, use_regex);
            parts.push(PreTokenizerWrapper::ByteLevel(byte_level));
        }
        _ => {
            let what = "pre_tokenizer.type";
            return Err(TokenizerError::unsupported(origin, what, kind_of(json), SPLITTERS));
        }
    }
    Ok(())
}

fn split_of(
    origin: &str,
    json: &Value,
) -> Result<(SplitPattern, SplitDelimiterBehavior), TokenizerError> {
    let unsupported = |what: &str, found: Option<&Value>, accepted| {
        let found = found.unwrap_or(&Value::Null);
        TokenizerError::unsupported(origin, format!("{what} of a Split"), found, accepted)
    };
    let field = |key: &str| json.get("pattern")?.get(key)?.as_str().map(str::to_owned);
    let pattern = field("Regex").map(SplitPattern::Regex);
    let pattern =
        pattern.or_else(|| field("String").map(SplitPattern::String)).ok_or_else(|| {
            unsupported("pattern", json.get("pattern"), "{\"Regex\": …} or {\"String\": …}")
        })?;
    let behavior = match json.get("behavior").and_then(Value::as_str) {
        Some("Removed") => SplitDelimiterBehavior::Removed,
        Some("Isolated") => SplitDelimiterBehavior::Isolated,
        Some("MergedWithPrevious") => SplitDelimiterBehavior::MergedWithPrevious,
        Some("MergedWithNext") => SplitDelimiterBehavior::MergedWithNext,
        Some("Contiguous") => SplitDelimiterBehavior::Contiguous,
        _ => {
            let accepted = "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous";
            return Err(unsupported("behavior", json.get("behavior"), accepted));
        }
    };
    Ok((pattern, behavior))
}
