//! The text of a session cut anywhere, broken anywhere, and as hostile as it comes.

use super::super::text::{Transcript, message_line, piece_line};
use super::*;

fn transcript() -> Transcript {
    let head = Head::new(model(), settings(), 1_700_000_000);
    let messages = vec![user("zażółć\n\"x\"\u{1b}[2J"), assistant("ja")];
    let (reasoning, content) = ("r".to_owned(), "c".to_owned());
    let partial = Some(Partial { reasoning, content, ids: vec![1, 2] });
    Transcript { head, messages, partial, note: None }
}

/// Where each line ends, the head first.
fn ends(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect()
}

#[test]
fn a_transcript_comes_back() {
    let told = transcript();
    assert_eq!(Transcript::parse(&told.bytes()), Ok(told.clone()), "with an answer that grows");
    for (reasoning, content) in [("", ""), ("r", ""), ("", "c")] {
        let (reasoning, content) = (reasoning.to_owned(), content.to_owned());
        let partial = Some(Partial { reasoning, content, ids: vec![9] });
        let told = Transcript { partial, ..told.clone() };
        assert_eq!(Transcript::parse(&told.bytes()), Ok(told.clone()), "{:?}", told.partial);
    }
}

/// Arguments go back into prompts: a digit less, and all that follows has to be read again.
#[test]
fn numbers_stay_what_they_were() {
    for number in
        ["1844674407372147437060", "0.1", "-0.0", "18446744073709551615", "1e-7", "5e-324"]
    {
        let call: serde_json::Value = serde_json::from_str(number).expect("a number");
        let mut told = transcript();
        told.messages.push(Message { tool_calls: vec![call], ..assistant("") });
        let once = told.bytes();
        let twice = Transcript::parse(&once).expect("good").bytes();
        assert_eq!(once, twice, "{number}");
    }
}

#[test]
fn every_cut_keeps_what_stands_before_it() {
    let whole = transcript();
    let bytes = whole.bytes();
    let ends = ends(&bytes);
    assert_eq!(ends.len(), 5, "a head, two messages, two pieces");
    for length in 0..bytes.len() {
        let lines = ends.iter().filter(|end| **end <= length).count();
        let read = Transcript::parse(&bytes[..length]);
        if lines == 0 {
            assert!(read.is_err_and(|why| why.contains("first line")), "{length}: no head");
            continue;
        }
        let read = read.expect("the head is there");
        let kept = (lines - 1).min(2);
        assert_eq!(read.messages, whole.messages[..kept], "{length} bytes");
        assert_eq!(read.partial.is_some(), lines > 3, "{length} bytes");
        assert_eq!(read.note.is_none(), ends.contains(&length), "{length}: {:?}", read.note);
    }
}

#[test]
fn every_flipped_bit_is_text_or_told_and_never_a_panic() {
    let whole = transcript();
    let bytes = whole.bytes();
    let ends = ends(&bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let Ok(read) = Transcript::parse(&bad) else {
                assert!(at < ends[0], "{at}: only a damaged head is an error");
                continue;
            };
            // What stands before the damage is as it was.
            let before = ends.iter().filter(|end| **end <= at).count().saturating_sub(1).min(2);
            assert!(read.messages.len() >= before, "{at}: {} messages", read.messages.len());
            assert_eq!(read.messages[..before], whole.messages[..before], "{at}.{bit}");
        }
    }
}

#[test]
fn other_heads_are_refused_in_one_line() {
    for (head, why) in [
        ("", "first line is missing"),
        ("{}\n", "no number flash_moe_session"),
        ("[]\n", "no number"),
        ("nonsense\n", "no JSON"),
        ("{\"flash_moe_session\":2}\n", "version 2"),
        ("{\"flash_moe_session\":1}\n", "missing field"),
        ("{\"flash_moe_session\":-1}\n", "no number"),
    ] {
        let told = Transcript::parse(head.as_bytes()).expect_err(why);
        assert!(told.contains(why) && !told.contains('\n'), "{head:?}: {told}");
    }
}

#[test]
fn hostile_lines_are_left_out_whatever_they_are() {
    let head = transcript();
    let head = Transcript { messages: Vec::new(), partial: None, ..head };
    let good = message_line(&user("kept"));
    let deep = "[".repeat(100_000);
    let long =
        format!("{{\"message\":{{\"role\":\"user\",\"content\":\"{}\"}}}}", "x".repeat(10 << 20));
    for (line, kept) in [
        ("{\"message\":{\"role\":\"system\",\"content\":\"x\"}}", false),
        ("{\"message\":1}", false),
        ("{\"other\":{}}", false),
        ("", false),
        (deep.as_str(), false),
        ("{\"piece\":{\"text\":\"a\",\"ids\":[-1]}}", false),
        (long.as_str(), true),
    ] {
        let mut bytes = head.bytes();
        bytes.extend(&good);
        bytes.extend(line.as_bytes());
        bytes.push(b'\n');
        bytes.extend(&good);
        let read = Transcript::parse(&bytes).expect("the head is good");
        let what = &line[..line.len().min(40)];
        assert_eq!(read.messages.len(), if kept { 3 } else { 1 }, "{what}");
        assert_eq!(read.note.is_none(), kept, "{what}: {:?}", read.note);
        assert!(read.note.is_none_or(|note| note.contains("line 3") && note.len() < 400), "{what}");
    }
}

/// A tear is told, the file as it was is set aside, and the session goes on.
#[test]
fn a_torn_session_goes_on() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    saved.push(user("one")).expect("pushed");
    saved.push(assistant("two")).expect("pushed");
    let path = text_of(&shelf, &saved);
    drop(saved);
    let mut bytes = fs::read(&path).expect("read");
    let line = piece_line(&piece("three", false, &[3]));
    bytes.extend(&line[..line.len() - 4]);
    fs::write(&path, &bytes).expect("written");
    let (mut saved, note) = shelf.resume("last").expect("resumed");
    let note = note.expect("told");
    assert!(note.contains("cut off") && note.contains("session.damaged"), "{note}");
    assert_eq!((saved.messages().len(), saved.partial()), (2, None), "what stands before it");
    assert_eq!(
        fs::read(path.with_file_name("session.damaged")).expect("aside"),
        bytes,
        "set aside"
    );
    saved.push(user("four")).expect("pushed");
    drop(saved);
    let (saved, note) = shelf.resume("last").expect("resumed");
    assert_eq!((saved.messages().len(), note), (3, None), "whole again");
}

#[test]
fn a_session_without_a_head_is_listed_with_the_reason() {
    let (_folder, shelf) = shelf();
    let saved = create(&shelf);
    let path = text_of(&shelf, &saved);
    drop(saved);
    fs::write(&path, b"{\"flash_moe").expect("written");
    let listed = shelf.list().expect("listed");
    assert!(listed[0].title.as_ref().is_err_and(|why| why.contains("first line")), "{listed:?}");
    assert!(shelf.resume("last").is_err(), "not opened");
    shelf.delete("last").expect("but deleted");
}

#[test]
fn titles_are_one_short_plain_line() {
    for (said, title) in [
        ("\n\n  hello \nworld", "hello"),
        ("a\u{1b}]0;x\u{7}b", "a ]0;x b"),
        (&"é".repeat(100), &format!("{}…", "é".repeat(60))),
        (" \n\t", ""),
    ] {
        let mut told = transcript();
        told.messages = vec![user(said)];
        told.name_by_first_message();
        assert_eq!(told.head.title, title, "{said:?}");
    }
}
