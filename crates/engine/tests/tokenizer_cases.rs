//! Ids and text of the tokenizer, against recorded cases and against the library's own handling of added tokens.

mod text_fixtures;

use engine::Tokenizer;
use serde_json::Value;
use text_fixtures::{full, ids, json, library, library_plain, load, mini};

fn text(case: &Value, key: &str) -> Option<String> {
    case.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[test]
fn recorded_cases_of_the_small_tokenizer() {
    let tokenizer = mini();
    let cases = json("tokenizer/mini_tokenizer_cases.json");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 89, "all recorded cases");
    for case in cases {
        let text = text(case, "text").expect("text");
        let found = tokenizer.encode_markup(&text).expect("any text has ids");
        assert_eq!(found, ids(&case["ids"]), "{}", case["name"]);
    }
}

#[test]
fn recorded_cases_of_the_full_tokenizer() {
    let Some(tokenizer) = full("recorded cases") else { return };
    assert_eq!(tokenizer.size(), 248_077, "ids from here on are padding");
    assert_eq!(tokenizer.think_ids(), Some((248_068, 248_069)), "think block");
    let file = json("tokenizer/qwen35_tokenizer_cases.json");
    let cases = file["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 89, "all recorded cases");
    for case in cases {
        let (name, given) = (&case["name"], text(case, "text").expect("text"));
        let all = ids(&case["ids"]);
        assert_eq!(tokenizer.encode_markup(&given).expect("ids"), all, "{name}");
        let as_text = case.get("ids_specials_as_text").map_or_else(|| all.clone(), ids);
        assert_eq!(tokenizer.encode_text(&given).expect("ids"), as_text, "{name} as text");
        let decoded = text(case, "decoded").expect("decoded");
        assert_eq!(tokenizer.decode(&all, false), decoded, "{name} decoded");
        let without = text(case, "decoded_skip_special").unwrap_or(decoded);
        assert_eq!(tokenizer.decode(&all, true), without, "{name} decoded without specials");
    }
    for case in file["streaming"].as_array().expect("a list") {
        stream_prefixes(&tokenizer, &ids(&case["ids"]), &case["decode_prefixes"]);
    }
}

fn stream_prefixes(tokenizer: &Tokenizer, ids: &[u32], prefixes: &Value) {
    let prefixes = prefixes.as_array().expect("a list");
    assert_eq!(prefixes.len(), ids.len(), "one prefix an id");
    let mut stream = tokenizer.stream(false);
    let mut so_far = String::new();
    for (id, prefix) in ids.iter().zip(prefixes) {
        so_far.push_str(&stream.push(*id));
        let ended = so_far.clone() + &stream.clone().finish();
        assert_eq!(Some(ended.as_str()), prefix.as_str(), "as if it ended here");
    }
    assert_eq!(so_far + &stream.finish(), tokenizer.decode(ids, false), "the whole");
}

/// Texts with everything that the tokenizer may trip over.
fn texts() -> Vec<String> {
    let cases = json("tokenizer/mini_tokenizer_cases.json");
    let cases = cases.as_array().expect("a list").iter();
    let mut texts: Vec<String> = cases.filter_map(|case| text(case, "text")).collect();
    texts.extend(
        ["<think><think>", "<|im_end|", "|im_end|>", "<|im_end|>\u{338}", "e<|im_end|>\u{301}"]
            .map(str::to_owned),
    );
    texts
}

#[test]
fn equal_to_the_library_with_and_without_added_tokens() {
    for name in [
        "tokenizer/mini_tokenizer.json",
        "tiny-qwen35moe-hf/tokenizer.json",
        "../../demo/demo-4bit/tokenizer.json",
    ] {
        let (ours, theirs, plain) = (load(name), library(name), library_plain(name));
        assert_eq!(ours.size(), theirs.get_vocab_size(true), "{name}: no holes");
        for text in texts() {
            let want = theirs.encode(text.as_str(), false).expect("ids");
            let found = ours.encode_markup(&text).expect("ids");
            assert_eq!(found, want.get_ids(), "{name}: {text:?}");
            let want = plain.encode(text.as_str(), false).expect("ids");
            let as_text = ours.encode_text(&text).expect("ids");
            assert_eq!(as_text, want.get_ids(), "{name}: {text:?} as text");
            for skip in [false, true] {
                let want = theirs.decode(&found, skip).expect("text");
                assert_eq!(ours.decode(&found, skip), want, "{name}: {text:?} skip {skip}");
            }
        }
    }
}

#[test]
fn any_ids_stream_to_what_they_decode_to() {
    let (tokenizer, theirs) = (mini(), library("tokenizer/mini_tokenizer.json"));
    let mut seed = 1u64;
    let mut next = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        u32::try_from((seed >> 33) as usize % n).expect("small")
    };
    for round in 0..2000 {
        // Mostly single bytes: nearly every sequence is broken somewhere.
        let ids: Vec<u32> = (0..1 + next(12))
            .map(|_| if next(4) == 0 { next(tokenizer.size() + 9) } else { next(256) })
            .collect();
        for skip in [false, true] {
            let whole = tokenizer.decode(&ids, skip);
            assert_eq!(whole, theirs.decode(&ids, skip).expect("text"), "{round}: {ids:?}");
            let mut stream = tokenizer.stream(skip);
            let mut joined: String = ids.iter().map(|id| stream.push(*id)).collect();
            joined += &stream.finish();
            assert_eq!(joined, whole, "{round}: {ids:?} skip {skip}");
        }
    }
}

#[test]
fn half_characters_are_held_back() {
    let tokenizer = mini();
    let ids = tokenizer.encode_text("a𠮷\u{FFFD}é").expect("ids");
    let mut stream = tokenizer.stream(false);
    let mut out = String::new();
    for id in ids {
        let piece = stream.push(id);
        assert!(!piece.contains('\u{FFFD}') || piece == "\u{FFFD}", "no half of 𠮷 in {piece:?}");
        out += &piece;
    }
    assert_eq!(out + &stream.finish(), "a𠮷\u{FFFD}é", "all of it in the end");
}

#[test]
fn every_token_is_found_by_its_own_bytes() {
    let tokenizer = mini();
    let mut found = 0;
    for id in 0..u32::try_from(tokenizer.size()).expect("small") {
        let bytes = tokenizer.token_bytes(id).expect("no holes");
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        assert_eq!(tokenizer.id_of(text), Some(id), "{text:?}");
        assert_eq!(tokenizer.decode(&[id], false), text, "{id}");
        found += 1;
    }
    assert!(found > 3000, "most tokens are whole characters, {found} are");
    assert_eq!(tokenizer.token_bytes(3289), None, "beyond the end");
    assert_eq!(tokenizer.id_of("no such token"), None, "two words");
}

#[test]
fn added_tokens_tell_what_they_are() {
    let tokenizer = mini();
    let added = tokenizer.added();
    assert_eq!(added.len(), 33, "as in the file");
    let id = |text| tokenizer.id_of(text).expect("an added token");
    assert!(tokenizer.is_special(id("<|im_end|>")), "left out for people");
    for kept in ["<think>", "</think>", "<tool_call>", "<|fim_middle|>"] {
        assert!(!tokenizer.is_special(id(kept)), "{kept} is kept");
    }
    assert!(!tokenizer.is_special(0) && !tokenizer.is_special(99_999), "others are not special");
    let think = tokenizer.think_ids().expect("it has both");
    assert_eq!(think, (id("<think>"), id("</think>")), "in this order");
}
