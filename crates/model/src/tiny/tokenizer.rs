//! A small byte-level BPE tokenizer, its special tokens, and the template of a turn.

use serde_json::{Map, Value, json};

/// Turns in ChatML, of our own making. A file of its own, since it speaks of what this room
/// does not know.
pub(crate) const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");
/// Sampling advice as the real repositories give it; the ids are put in by [`Ids::generation`].
const GENERATION_CONFIG: &str = include_str!("generation_config.json");

/// Bytes, added tokens and at least a few merges.
pub(super) const SMALLEST_VOCAB: usize = 256 + ADDED.len() + 8;
/// Rows of the embedding that no token names, as the real models have.
const PADDING: usize = 3;

/// Content and whether a decoder that skips special tokens drops it.
const ADDED: [(&str, bool); 9] = [
    ("<|endoftext|>", true),
    ("<|im_start|>", true),
    ("<|im_end|>", true),
    ("<tool_call>", false),
    ("</tool_call>", false),
    ("<tool_response>", false),
    ("</tool_response>", false),
    ("<think>", false),
    ("</think>", false),
];

/// How the real tokenizer cuts text before it merges.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Each gives the merges that build it from the left, with a space before it.
const WORDS: &str = "the of and to in is you that it he was for on are as with his they at be \
    this have from or one had by word but not what all were we when your can said there use an \
    each which she do how their if will up other about out many then them these so some her \
    would make like him into time has look two more write go see number no way could people \
    than first water been call who oil its now find long down day did get come made may part over \
    new sound take only little work know place year live me back give most very after thing just \
    name good sentence man think say great where help through much before line right too mean \
    old any same tell boy follow came want show also around form three small";

/// The ids that other files have to name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) end_of_text: usize,
    end_of_turn: usize,
}

impl Ids {
    /// `generation_config.json`: both ends, and the sampling that the real models advise.
    pub(crate) fn generation(self) -> Value {
        let mut config: Value =
            serde_json::from_str(GENERATION_CONFIG).expect("the file is in the tree and tested");
        config["bos_token_id"] = json!(self.end_of_text);
        config["eos_token_id"] = json!([self.end_of_turn, self.end_of_text]);
        config["pad_token_id"] = json!(self.end_of_text);
        config
    }
}

/// `tokenizer.json` for `vocab` rows, which must be [`SMALLEST_VOCAB`] or more.
pub(crate) fn tokenizer(vocab: usize) -> (Value, Ids) {
    let mut tokens: Vec<String> = alphabet().iter().map(char::to_string).collect();
    let room = vocab - tokens.len() - ADDED.len();
    let merges = merges(room.saturating_sub(PADDING));
    tokens.extend(merges.iter().map(|[left, right]| format!("{left}{right}")));
    let first_added = tokens.len();
    let vocabulary: Map<String, Value> =
        tokens.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    let split = json!({
        "type": "Split", "pattern": { "Regex": PATTERN }, "behavior": "Isolated", "invert": false,
    });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(first_added),
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [split, byte_level] },
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    (tokenizer, Ids { end_of_text: first_added, end_of_turn: first_added + 2 })
}

/// `tokenizer_config.json`, as far as anybody reads it.
pub(crate) fn tokenizer_config(max_positions: usize) -> Value {
    json!({
        "add_bos_token": false,
        "add_prefix_space": false,
        "bos_token": null,
        "clean_up_tokenization_spaces": false,
        "eos_token": "<|im_end|>",
        "model_max_length": max_positions,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": null,
    })
}

fn added(first: usize) -> Vec<Value> {
    let token = |(n, &(content, special)): (usize, &(&str, bool))| {
        json!({
            "id": first + n, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": special,
        })
    };
    ADDED.iter().enumerate().map(token).collect()
}

/// The 256 bytes as printable characters, in the order of their ids: those that print as they
/// are, then the others as the characters from U+0100.
fn alphabet() -> Vec<char> {
    let prints = |byte: &u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..);
    let others = (0..=u8::MAX).filter(|byte| !prints(byte)).count() as u32;
    let printed = (0..=u8::MAX).filter(prints).map(char::from);
    printed.chain((0..others).filter_map(|n| char::from_u32(0x100 + n))).collect()
}

/// At most `most` merges, each of a token that is there before it.
fn merges(most: usize) -> Vec<[String; 2]> {
    let mut merges: Vec<[String; 2]> = Vec::new();
    for word in WORDS.split_whitespace() {
        // The byte of a space prints as this.
        let mut built = "\u{120}".to_owned();
        for letter in word.chars() {
            let merge = [built.clone(), letter.to_string()];
            built.push(letter);
            if merges.len() < most && !merges.contains(&merge) {
                merges.push(merge);
            }
        }
    }
    merges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_named_once_and_fits() {
        for vocab in [SMALLEST_VOCAB, 400, 500, 512, 1000] {
            let (tokenizer, ids) = tokenizer(vocab);
            let named = tokenizer["model"]["vocab"].as_object().expect("a map");
            let mut all: Vec<u64> = named.values().filter_map(Value::as_u64).collect();
            let added = tokenizer["added_tokens"].as_array().expect("a list");
            all.extend(added.iter().filter_map(|token| token["id"].as_u64()));
            assert!(all.iter().copied().eq(0..all.len() as u64), "ids of {vocab}: {all:?}");
            assert!(all.len() <= vocab, "{} ids in {vocab} rows", all.len());
            assert_eq!(added[0]["id"], ids.end_of_text, "end of text");
            assert_eq!(added[2]["content"], "<|im_end|>", "end of turn");
            assert_eq!(added[2]["id"], ids.end_of_turn, "end of turn");
            for merge in tokenizer["model"]["merges"].as_array().expect("a list") {
                let part = |n: usize| merge[n].as_str().expect("text");
                let whole = format!("{}{}", part(0), part(1));
                for token in [part(0), part(1), &whole] {
                    assert!(named.contains_key(token), "{token} of merge {merge}");
                }
            }
        }
    }

    #[test]
    fn alphabet_is_the_byte_level_one() {
        let alphabet = alphabet();
        assert_eq!(alphabet.len(), 256, "bytes");
        assert_eq!(alphabet[0], '!', "first");
        // Byte 0x20 is the 33rd that does not print.
        assert_eq!(alphabet[188 + 32], '\u{120}', "space");
        assert_eq!(alphabet[188 + 10], '\u{10A}', "line feed");
    }

    #[test]
    fn generation_config_has_both_ends() {
        let config = Ids { end_of_text: 300, end_of_turn: 302 }.generation();
        assert_eq!(config["eos_token_id"], json!([302, 300]), "ends");
        assert_eq!(config["top_k"], 20, "advice is kept");
    }
}
