//! Sessions on a shelf: what is written comes back, whatever happened in between.

mod states;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

use super::state::Kept;
use super::text::Partial;
use super::*;

pub(super) fn shelf() -> (tempfile::TempDir, Shelf) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let shelf = Shelf::open(Some(&folder.path().join("sessions"))).expect("a directory was named");
    (folder, shelf)
}

pub(super) fn model() -> ModelMark {
    ModelMark { name: "scripted".to_owned(), fingerprint: "53".repeat(32) }
}

pub(super) fn settings() -> Settings {
    let sampling = serde_json::json!({"temp": 0.5}).as_object().cloned().unwrap_or_default();
    let (system, think) = (Some("Be brief.".to_owned()), Some("off".to_owned()));
    Settings { system, think, sampling, tools: vec!["bash".to_owned()] }
}

fn create(shelf: &Shelf) -> Saved {
    shelf.create(model(), settings()).expect("created")
}

fn text_of(shelf: &Shelf, saved: &Saved) -> PathBuf {
    shelf.directory().join(saved.name()).join("session.jsonl")
}

fn user(text: &str) -> Message {
    Message { tokens: 3, ..Message::new(Role::User, text) }
}

fn assistant(text: &str) -> Message {
    let reasoning = Some("hm".to_owned());
    Message { reasoning, tokens: 5, ..Message::new(Role::Assistant, text) }
}

fn piece(text: &str, reasoning: bool, ids: &[u32]) -> Piece {
    Piece { text: text.to_owned(), reasoning, ids: ids.to_vec() }
}

/// What another process would find if this one were killed now: the files as they lie there.
fn as_left(shelf: &Shelf, name: &str) -> (Saved, Option<String>, tempfile::TempDir) {
    let (folder, other) = self::shelf();
    copy(&shelf.directory().join(name), &other.directory().join(name));
    let (saved, note) = other.resume(name).expect("resumed");
    (saved, note, folder)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn what_is_said_comes_back() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    let call = serde_json::json!({"function": {"name": "bash", "arguments": {"command": "ls"}}});
    let calling = Message { tool_calls: vec![call], ..assistant("") };
    let result = Message { tool: Some("bash".to_owned()), ..Message::new(Role::Tool, "a\nb") };
    let said = [user("list\nthem"), calling, result, assistant("a and b")];
    for message in said.clone() {
        saved.push(message).expect("pushed");
    }
    let name = saved.name().to_owned();
    drop(saved);
    let (saved, note) = shelf.resume("last").expect("resumed");
    assert_eq!((saved.name(), note), (name.as_str(), None), "the same, whole");
    assert_eq!(saved.messages(), said, "messages");
    assert_eq!((&saved.head().model, &saved.head().settings), (&model(), &settings()), "head");
    assert_eq!(saved.head().title, "list", "title");
}

#[test]
fn a_growing_answer_survives_every_moment() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    saved.push(user("go")).expect("pushed");
    let name = saved.name().to_owned();
    let pieces =
        [piece("think", true, &[1, 2]), piece(" more", true, &[3]), piece("yes", false, &[4])];
    let mut wanted = Partial::default();
    for piece in &pieces {
        saved.grow(piece).expect("grown");
        wanted.add(piece.clone());
        let (left, note, _folder) = as_left(&shelf, &name);
        assert_eq!((left.partial(), note), (Some(&wanted), None), "after {piece:?}");
        assert_eq!(left.messages(), [user("go")], "messages before it");
    }
    saved.push(assistant("yes")).expect("pushed");
    let text = fs::read_to_string(text_of(&shelf, &saved)).expect("text");
    assert!(!text.contains("\"piece\""), "the pieces are gone: {text}");
    let (left, _, _folder) = as_left(&shelf, &name);
    assert_eq!((left.partial(), left.messages().len()), (None, 2), "the answer is whole");
}

#[test]
fn an_unfinished_answer_is_kept_through_a_rewrite() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    saved.push(user("go")).expect("pushed");
    saved.grow(&piece("hm", true, &[7])).expect("grown");
    saved.grow(&piece("ja", false, &[8, 9])).expect("grown");
    saved.entitle("other").expect("entitled");
    saved.grow(&piece("!", false, &[10])).expect("grown");
    let (left, _, _folder) = as_left(&shelf, saved.name());
    let (reasoning, content) = ("hm".to_owned(), "ja!".to_owned());
    let wanted = Partial { reasoning, content, ids: vec![7, 8, 9, 10] };
    assert_eq!((left.partial(), left.head().title.as_str()), (Some(&wanted), "other"), "both");
}

#[test]
fn messages_can_be_taken_back() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    for n in 0..4 {
        saved.push(user(&n.to_string())).expect("pushed");
    }
    saved.grow(&piece("x", false, &[])).expect("grown");
    saved.truncate(2).expect("truncated");
    saved.push(user("new")).expect("pushed");
    let (left, _, _folder) = as_left(&shelf, saved.name());
    assert_eq!(left.messages(), [user("0"), user("1"), user("new")], "two and a new one");
    assert_eq!(left.partial(), None, "no answer grows");
}

#[test]
fn two_processes_do_not_write_one_session() {
    let (_folder, shelf) = shelf();
    let saved = create(&shelf);
    let fault = shelf.resume(saved.name()).map(|_| ()).expect_err("held");
    assert!(fault.line().is_some_and(|line| line.contains("another flash-moe")), "{fault:?}");
    let fault = shelf.delete(saved.name()).expect_err("held");
    assert!(fault.line().is_some_and(|line| line.contains("another flash-moe")), "{fault:?}");
    let name = saved.name().to_owned();
    drop(saved);
    shelf.resume(&name).expect("free again");
}

#[test]
fn sessions_are_found_listed_and_deleted() {
    let (_folder, shelf) = shelf();
    assert_eq!(shelf.list(), Ok(Vec::new()), "no directory yet");
    assert!(shelf.resume("last").is_err(), "none");
    let mut first = create(&shelf);
    let mut second = create(&shelf);
    assert_ne!(first.name(), second.name(), "made in one second");
    first.rename(&shelf, "apple.1").expect("renamed");
    second.rename(&shelf, "apple.2").expect("renamed");
    second.push(user("hello there")).expect("pushed");
    second.push(assistant("hi")).expect("pushed");
    for bad in ["", "last", "../x", "a/b", ".a", "a b", "é", &"x".repeat(65), "-rf"] {
        assert!(first.rename(&shelf, bad).is_err(), "{bad:?}");
    }
    let taken = first.rename(&shelf, "apple.2").expect_err("taken");
    assert!(taken.line().is_some_and(|line| line.contains("is there already")), "{taken:?}");
    drop((first, second));
    let listed: Vec<Entry> = shelf.list().expect("listed");
    let second = listed.iter().find(|entry| entry.name == "apple.2").expect("listed");
    assert_eq!((listed.len(), second.messages, second.tokens), (2, 2, 8), "{listed:?}");
    assert_eq!(
        (second.title.clone(), second.state_bytes),
        (Ok("hello there".to_owned()), 0),
        "{second:?}"
    );
    for (wished, found) in [("apple.1", Some("apple.1")), ("apple", None), ("b", None), ("", None)]
    {
        assert_eq!(shelf.find(wished).ok().as_deref(), found, "{wished:?}");
    }
    assert_eq!(shelf.delete("apple.1"), Ok("apple.1".to_owned()), "deleted");
    assert_eq!(shelf.find("app"), Ok("apple.2".to_owned()), "now it is one alone");
    assert_eq!(
        fs::read_dir(shelf.directory()).expect("listed").count(),
        1,
        "nothing is left of it"
    );
}

#[test]
fn the_last_session_is_the_one_used_last() {
    let (_folder, shelf) = shelf();
    let mut first = create(&shelf);
    first.rename(&shelf, "first").expect("renamed");
    let mut second = create(&shelf);
    second.rename(&shelf, "second").expect("renamed");
    // Clocks of file systems are coarse.
    std::thread::sleep(std::time::Duration::from_millis(30));
    first.push(user("again")).expect("pushed");
    assert_eq!(shelf.find("last"), Ok("first".to_owned()), "by use, not by name");
    assert_eq!(shelf.list().expect("listed")[0].name, "first", "first in the list");
}

#[test]
fn settings_change_in_one_step() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    let before = saved.bytes_written();
    saved.set(&model(), &settings()).expect("set");
    assert_eq!(saved.bytes_written(), before, "nothing changed, nothing written");
    let other = Settings { system: None, ..settings() };
    saved.set(&model(), &other).expect("set");
    let (left, _, _folder) = as_left(&shelf, saved.name());
    assert_eq!(left.head().settings, other, "settings");
}

#[test]
fn exports_hold_what_was_said() {
    let (_folder, shelf) = shelf();
    let mut saved = create(&shelf);
    saved.push(user("why?")).expect("pushed");
    let result = Message { tool: Some("bash".to_owned()), ..Message::new(Role::Tool, "```\nx") };
    saved.push(result).expect("pushed");
    let stopped = Message { stopped: Some("length".to_owned()), ..assistant("because") };
    saved.push(stopped).expect("pushed");
    let document = json(saved.head(), saved.messages());
    let roles: Vec<&str> = document["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|message| message["role"].as_str())
        .collect();
    assert_eq!(roles, ["system", "user", "tool", "assistant"], "{document}");
    assert_eq!(document["messages"][3]["reasoning_content"], "hm", "{document}");
    let page = markdown(saved.head(), saved.messages());
    for part in
        ["# why?", "## User\n\nwhy?", "````\n```\nx\n````", "because", "hm", "*Stopped: length*"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}
