//! Reasoning and answer told apart, by ids and by text.

use engine::testing::{byte_tokenizer, plain_byte_tokenizer};
use engine::{Said, ThinkSplit, Tokenizer};

const OPEN: u32 = 259;
const CLOSE: u32 = 260;
const IM_END: u32 = 258;

/// All text of a turn as (reasoning, answer), and whether it ended inside.
fn split(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> (String, String, bool) {
    let mut split = ThinkSplit::new(tokenizer, prompt);
    let mut said: Vec<Said> = ids.iter().flat_map(|id| split.push(*id)).collect();
    let inside = split.inside();
    said.extend(split.finish());
    assert!(said.iter().all(|said| !said.text.is_empty()), "never empty: {said:?}");
    let of = |reasoning| {
        said.iter().filter(|s| s.reasoning == reasoning).map(|s| s.text.as_str()).collect()
    };
    (of(true), of(false), inside)
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_markup(text).expect("any text has ids")
}

fn want(reasoning: &str, answer: &str, inside: bool) -> (String, String, bool) {
    (reasoning.to_owned(), answer.to_owned(), inside)
}

#[test]
fn by_ids() {
    let t = byte_tokenizer();
    assert_eq!(t.think_ids(), Some((OPEN, CLOSE)), "the test's own numbers");
    let cases = [
        ("<think>\n", "so\n</think>\n\nYes\n\n", want("so\n", "Yes\n\n", false)),
        ("<think>\n", "so</think>\nYes", want("so", "Yes", false)),
        ("<think>\n", "so</think>\n\n\nYes", want("so", "\nYes", false)),
        ("<think>\n", "so", want("so", "", true)),
        ("<think>\n", "\nso", want("\nso", "", true)),
        ("<think>\n\n</think>\n\n", "Yes", want("", "Yes", false)),
        ("<think>\n\n</think>\n\n", "\n\nYes", want("", "\n\nYes", false)),
        ("a", "<think>\n\nso</think>Yes", want("\nso", "Yes", false)),
        ("a", "b<think>so</think>\n\nYes<think>\nno", want("sono", "bYes", true)),
        ("a", "b</think>\n\nc", want("", "b</think>\n\nc", false)),
        ("<think>", "a<think>b</think>c", want("a<think>b", "c", false)),
        ("<think>", "a<|im_end|>b</think>c<|im_end|>", want("ab", "c", false)),
        (
            "<think>",
            "</think>\n\n<tool_call>\n{}\n</tool_call>",
            want("", "<tool_call>\n{}\n</tool_call>", false),
        ),
    ];
    for (prompt, output, want) in cases {
        let found = split(&t, &ids(&t, prompt), &ids(&t, output));
        assert_eq!(found, want, "{prompt:?} then {output:?}");
    }
    let letters = t.encode_text("a</think>b").expect("ids");
    let found = split(&t, &[OPEN], &letters);
    assert_eq!(found, want("a</think>b", "", true), "where there are ids, letters close nothing");
}

#[test]
fn half_characters_at_marks_and_ends() {
    let t = byte_tokenizer();
    let found = split(&t, &[OPEN], &[0xE6, 0x97, CLOSE, 0xE6, 0x97, 0xA5, 0xC3]);
    assert_eq!(found, want("\u{FFFD}", "日\u{FFFD}", false), "never across a mark");
    let found = split(&t, &[OPEN], &[0xE6, IM_END, 0x97, 0xA5]);
    assert_eq!(found, want("日", "", true), "special tokens are not there");
}

#[test]
fn by_text() {
    let t = plain_byte_tokenizer();
    assert_eq!(t.think_ids(), None, "no ids for the marks");
    let cases = [
        ("<think>\n", "so\n</think>\n\nYes</think>\n\n", want("so\n", "Yes</think>\n\n", false)),
        ("<think>\n", "a</thin</think>b", want("a</thin", "b", false)),
        ("<think>\n", "so </thin", want("so </thin", "", true)),
        ("<think>\n\n</think>\n\n", "Yes", want("", "Yes", false)),
        ("a", "<think>b", want("", "<think>b", false)),
    ];
    for (prompt, output, want) in cases {
        let found = split(&t, &ids(&t, prompt), &ids(&t, output));
        assert_eq!(found, want, "{prompt:?} then {output:?}");
    }
}

#[test]
fn the_closing_has_the_mark_itself() {
    let t = byte_tokenizer();
    let closing = ThinkSplit::closing(&t).expect("ids");
    assert_eq!(closing, [10, CLOSE, 10, 10], "as the models close a block");
    let plain = plain_byte_tokenizer();
    let closing = ThinkSplit::closing(&plain).expect("ids");
    assert_eq!(plain.decode(&closing, false), "\n</think>\n\n", "as text");
}
