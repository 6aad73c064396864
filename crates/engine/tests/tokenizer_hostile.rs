//! Tokenizer files that lie and texts that are out to break something: one clear error or the right ids, never a panic.

mod text_fixtures;

use std::collections::HashSet;

use engine::{Tokenizer, TokenizerError, TokenizerSource, stop_ids};
use serde_json::{Value, json};
use text_fixtures::{json as fixture, library_plain, mini, path};

fn load(file: &Value) -> Result<Tokenizer, TokenizerError> {
    load_bytes(file.to_string().into_bytes())
}

fn load_bytes(bytes: Vec<u8>) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::load(TokenizerSource::Json { origin: "t.json".to_owned(), bytes })
}

fn tiny() -> Value {
    fixture("tiny-qwen35moe-hf/tokenizer.json")
}

/// Loads the tiny tokenizer with one thing changed and returns the message, which has to be one
/// line that names the file.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut file = tiny();
    change(&mut file);
    let message = load(&file).expect_err("it lies").to_string();
    assert!(message.starts_with("t.json: ") && !message.contains('\n'), "{message}");
    message
}

#[test]
fn the_unchanged_file_is_accepted() {
    assert_eq!(load(&tiny()).expect("a good file").size(), 512, "base and added");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (pointer, value, words) in [
        ("/model/type", json!("WordPiece"), ["model.type", "WordPiece"]),
        ("/model/type", json!("Unigram"), ["model.type", "Unigram"]),
        ("/model/dropout", json!(0.1), ["model.dropout", "0.1"]),
        ("/model/unk_token", json!("<unk>"), ["model.unk_token", "<unk>"]),
        ("/model/continuing_subword_prefix", json!("##"), ["continuing_subword_prefix", "##"]),
        ("/model/end_of_word_suffix", json!("</w>"), ["end_of_word_suffix", "</w>"]),
        ("/model/byte_fallback", json!(true), ["byte_fallback", "true"]),
        ("/decoder/type", json!("Metaspace"), ["decoder.type", "Metaspace"]),
        ("/decoder", json!(null), ["decoder.type", "null"]),
        ("/normalizer/type", json!("Lowercase"), ["normalizer.type", "Lowercase"]),
        ("/pre_tokenizer/type", json!("Metaspace"), ["pre_tokenizer.type", "Metaspace"]),
        ("/pre_tokenizer", json!(null), ["pre_tokenizer.type", "null"]),
        ("/pre_tokenizer/pretokenizers", json!([]), ["pre_tokenizer", "ByteLevel"]),
        ("/pre_tokenizer/pretokenizers/0/pattern", json!({"Regex": "("}), ["pattern", "("]),
        ("/pre_tokenizer/pretokenizers/0/pattern", json!({}), ["pattern of a Split", "{}"]),
        ("/pre_tokenizer/pretokenizers/0/behavior", json!("Odd"), ["behavior", "Odd"]),
        ("/added_tokens/3/lstrip", json!(true), ["lstrip", "object_ref_start"]),
        ("/added_tokens/3/rstrip", json!(true), ["rstrip", "object_ref_start"]),
        ("/added_tokens/3/single_word", json!(true), ["single_word", "object_ref_start"]),
        ("/added_tokens/3/normalized", json!(true), ["normalized", "object_ref_start"]),
    ] {
        let message = refused(|file| {
            *file.pointer_mut(pointer).expect(pointer) = value;
        });
        for word in words {
            assert!(message.contains(word), "{pointer}: {message} says {word}");
        }
    }
}

#[test]
fn vocabularies_that_contradict_themselves_are_refused() {
    let vocab = |file: &mut Value, token: &str, id: Value| {
        file["model"]["vocab"][token] = id;
    };
    let merge = |file: &mut Value, merge: Value| {
        file["model"]["merges"].as_array_mut().expect("a list").push(merge);
    };
    let message = refused(|file| vocab(file, "new", json!(0)));
    assert!(message.contains("id 0 belongs to two tokens"), "{message}");
    let message = refused(|file| vocab(file, "new", json!(4_294_967_295_u32)));
    assert!(message.contains("4294967295"), "{message}");
    let message = refused(|file| vocab(file, "", json!(600)));
    assert!(message.contains("token 600 is empty"), "{message}");
    let message = refused(|file| vocab(file, "<think>", json!(600)));
    assert!(message.contains("<think>") && message.contains("600"), "{message}");
    let message = refused(|file| vocab(file, "new", json!(481)));
    assert!(message.contains("<|im_end|>") && message.contains("481"), "{message}");
    let message = refused(|file| {
        file["model"]["vocab"].as_object_mut().expect("a map").shift_remove("Ġ");
    });
    assert!(message.contains("byte 0x20 has no token"), "{message}");
    // The longest token of all, twice: the library would write beyond its buffer.
    let long = tiny()["model"]["vocab"]
        .as_object()
        .expect("a map")
        .keys()
        .max_by_key(|k| k.len())
        .cloned();
    let long = long.expect("there are tokens");
    let message = refused(|file| merge(file, json!([long, long])));
    assert!(message.contains("not in the vocabulary"), "{message}");
    for bad in [json!("a"), json!("a b c"), json!(["a", "nope"])] {
        let message = refused(|file| merge(file, bad.clone()));
        assert!(message.contains("merge"), "{bad}: {message}");
    }
    for (token, word) in [
        (json!({"id": 481, "content": "<x>"}), "481"),
        (json!({"id": 600, "content": "<think>"}), "twice"),
        (json!({"id": 600, "content": ""}), "no text"),
        (json!({"id": 9_999_999, "content": "<x>"}), "9999999"),
    ] {
        let add = token.clone();
        let message =
            refused(|file| file["added_tokens"].as_array_mut().expect("a list").push(add));
        assert!(message.contains(word), "{token}: {message}");
    }
}

#[test]
fn broken_bytes_are_one_clear_error() {
    let good = tiny().to_string().into_bytes();
    let mut cut = 0;
    while cut < good.len() {
        let error = load_bytes(good[..cut].to_vec()).expect_err("cut").to_string();
        assert!(error.starts_with("t.json: ") && !error.contains('\n'), "{cut}: {error}");
        cut += 97;
    }
    let mut bad = good.clone();
    bad[1000] = 0xFF;
    let error = load_bytes(bad).expect_err("not text").to_string();
    assert_eq!(error, "t.json: not UTF-8 at byte 1000", "where");
    let mut deep = format!("{{\"normalizer\": {}{}, ", "[".repeat(100_000), "]".repeat(100_000));
    deep.push_str(tiny().to_string().get(1..).expect("an object"));
    let error = load_bytes(deep.into_bytes()).expect_err("deep").to_string();
    assert!(error.contains("recursion"), "{error}");
    for other in ["", "null", "[]", "{}", "{\"model\": 3}", "\u{feff}{}"] {
        let error = load_bytes(other.as_bytes().to_vec()).expect_err(other).to_string();
        assert!(error.starts_with("t.json: "), "{other}: {error}");
    }
    let missing = TokenizerSource::json_file(&path("tokenizer/nope.json")).expect_err("missing");
    assert!(missing.to_string().contains("nope.json"), "{missing}");
    TokenizerSource::json_file(&path("tokenizer")).expect_err("a folder is no file");
}

#[test]
fn old_merges_holes_and_a_missing_type_are_accepted() {
    let mut file = tiny();
    let merges = file["model"]["merges"].as_array().expect("a list").clone();
    let line = |merge: &Value| {
        json!(format!("{} {}", merge[0].as_str().expect("half"), merge[1].as_str().expect("half")))
    };
    file["model"]["merges"] = merges.iter().map(line).collect();
    file["model"].as_object_mut().expect("a map").shift_remove("type");
    file["added_tokens"].as_array_mut().expect("a list")[32]["id"] = json!(700);
    file["truncation"] =
        json!({"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
    let (ours, before) = (load(&file).expect("good"), load(&tiny()).expect("good"));
    let text = "The quick brown fox isn't here. ééé 12345 \n\n x";
    let ids = ours.encode_markup(text).expect("ids");
    assert_eq!(ids, before.encode_markup(text).expect("ids"), "same merges, and nothing cut off");
    assert_eq!((ours.size(), ours.token_bytes(600)), (701, None), "a hole");
    assert_eq!(ours.decode(&[600, 900, ids[0]], false), before.decode(&ids[..1], false), "skipped");
}

#[test]
fn a_megabyte_of_control_tokens_is_text_or_tokens_as_asked() {
    let tokenizer = mini();
    let end = tokenizer.id_of("<|im_end|>").expect("it has one");
    let many = 100_000;
    let text = "<|im_end|>".repeat(many);
    let markup = tokenizer.encode_markup(&text).expect("ids");
    assert_eq!(markup, vec![end; many], "all matched");
    let ids = tokenizer.encode_text(&text).expect("ids");
    let added: HashSet<u32> = tokenizer.added().iter().map(|token| token.id).collect();
    assert!(ids.iter().all(|id| !added.contains(id)), "none matched");
    assert_eq!(tokenizer.decode(&ids, false), text, "and back");
    let plain = library_plain("tokenizer/mini_tokenizer.json");
    assert_eq!(ids, plain.encode(text.as_str(), false).expect("ids").get_ids(), "one piece");
}

#[test]
fn long_runs_are_encoded_or_refused_but_never_wrong() {
    let tokenizer = mini();
    for text in ["<".repeat(1 << 20), "<|im_end|".repeat(1 << 16), "\n".repeat(1 << 18)] {
        let ids = tokenizer.encode_markup(&text).expect("ids");
        assert_eq!(tokenizer.decode(&ids, false), text, "there and back");
    }
    let some = " ".repeat(100_000) + "x";
    let ids = tokenizer.encode_text(&some).expect("ids");
    assert_eq!(tokenizer.decode(&ids, false), some, "there and back");
    // The split pattern's engine runs out of stack here; unnoticed, all that follows would be
    // one piece and other ids.
    let too_many = " ".repeat(1_500_000) + "x";
    let error = tokenizer.encode_text(&too_many).expect_err("it gives up").to_string();
    assert!(error.contains("byte 0 of 1500001"), "{error}");
}

#[test]
fn noncharacters_and_nul_go_there_and_back() {
    let tokenizer = mini();
    let odd: String = (0xFDD0..=0xFDEF)
        .chain([0, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF, 0xE000])
        .filter_map(char::from_u32)
        .collect();
    let ids = tokenizer.encode_markup(&odd).expect("ids");
    assert_eq!(tokenizer.decode(&ids, true), odd, "there and back");
}

#[test]
fn generation_stops_at_every_end_that_is_named_anywhere() {
    let tokenizer = mini();
    let id = |text| tokenizer.id_of(text).expect("an added token");
    let (end, out) = (id("<|im_end|>"), id("<|endoftext|>"));
    let both = {
        let mut both = [end, out].to_vec();
        both.sort_unstable();
        both
    };
    let with = |more: &[u32]| {
        let mut all: Vec<u32> = more.iter().chain(&both).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    for (generation, config, want) in [
        (Some(json!({"eos_token_id": [7, end]})), json!({"eos_token_id": 9}), with(&[7])),
        (Some(json!({"eos_token_id": 7})), json!({}), with(&[7])),
        (Some(json!({})), json!({"eos_token_id": 9}), with(&[9])),
        (None, json!({"text_config": {"eos_token_id": out}}), with(&[])),
        (None, json!({"eos_token_id": 5, "text_config": {"eos_token_id": [6]}}), with(&[5, 6])),
        (None, json!({"eos_token_id": null}), with(&[])),
    ] {
        let found = stop_ids(generation.as_ref(), &config, &tokenizer);
        assert_eq!(found, want, "{generation:?} {config}");
    }
}
