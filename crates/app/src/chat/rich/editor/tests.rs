//! Keys on a text, and the text that they leave; a bar stands for the cursor.

use super::*;

fn editor(text: &str) -> Editor {
    let mut editor = Editor::default();
    let (before, after) = text.split_once('|').expect("a cursor");
    editor.insert(before);
    editor.insert(after);
    editor.cursor = before.len();
    editor
}

fn shown(editor: &Editor) -> String {
    format!("{}|{}", editor.before(), &editor.text[editor.cursor..])
}

#[test]
fn keys_do_what_readline_does() {
    type Key = fn(&mut Editor);
    let cases: [(&str, Key, &str); 22] = [
        ("ab|c", Editor::left, "a|bc"),
        ("|a", Editor::left, "|a"),
        ("a|é漢", Editor::right, "aé|漢"),
        ("x|👩‍👩‍👧y", Editor::right, "x👩‍👩‍👧|y"),
        ("a|", Editor::right, "a|"),
        ("one two-three|", Editor::word_left, "one two-|three"),
        ("one two-|three", Editor::word_left, "one |two-three"),
        ("|one two", Editor::word_right, "one| two"),
        ("one| two", Editor::word_right, "one two|"),
        ("a\nbc|d", Editor::home, "a\n|bcd"),
        ("a|b\nc", Editor::end, "ab|\nc"),
        ("aé|b", Editor::backspace, "a|b"),
        ("|b", Editor::backspace, "|b"),
        ("a|éb", Editor::delete, "a|b"),
        ("one two-three |x", Editor::cut_word_before, "one |x"),
        ("one |two three", Editor::cut_word_after, "one | three"),
        ("a\nbc|d", Editor::cut_before, "a\n|d"),
        ("a|b\nc", Editor::cut_after, "a|\nc"),
        ("a|\nc", Editor::cut_after, "a|c"),
        ("abc\nd\nefg|", Editor::up, "abc\nd|\nefg"),
        ("abc|\nd\nefg", Editor::down, "abc\nd|\nefg"),
        ("ab|c\ndef", Editor::down, "abc\nde|f"),
    ];
    for (before, key, after) in cases {
        let mut editor = editor(before);
        key(&mut editor);
        assert_eq!(shown(&editor), after, "from {before:?}");
    }
}

#[test]
fn what_was_cut_comes_back() {
    let mut editor = editor("one two |");
    editor.cut_word_before();
    editor.home();
    editor.put_back();
    assert_eq!(shown(&editor), "two |one ", "at another place");
    editor.end();
    editor.cut_after();
    editor.put_back();
    assert_eq!(shown(&editor), "two one two |", "nothing cut forgets nothing");
}

#[test]
fn what_was_sent_is_remembered() {
    let mut editor = Editor::default();
    for text in ["first", "second\nlines", "second\nlines"] {
        editor.insert(text);
        assert_eq!(editor.take(), text, "sent");
    }
    editor.insert("draft");
    editor.up();
    assert_eq!(shown(&editor), "second\nlines|", "the last, once");
    editor.up();
    editor.up();
    assert_eq!(shown(&editor), "first|", "within it first, then the one before");
    editor.up();
    assert_eq!(shown(&editor), "first|", "there is none before");
    editor.down();
    editor.down();
    assert_eq!(shown(&editor), "draft|", "what was typed is still there");
    editor.down();
    assert_eq!(shown(&editor), "draft|", "and nothing behind it");
}

#[test]
fn long_pastes_are_marks_until_they_are_sent() {
    let mut editor = editor("see | there");
    let long = "line\n".repeat(40);
    editor.paste(&long.replace('\n', "\r\n"));
    assert_eq!(editor.text(), "see [pasted 1: 40 lines] there", "a mark");
    editor.paste(&"x".repeat(3000));
    editor.paste("\u{1b}[2Jshort\rline");
    let text = "see [pasted 1: 40 lines][pasted 2: 2.93 KiB]\u{1b}[2Jshort\nline there";
    assert_eq!(editor.text(), text, "short ones are there as they are");
    let want = format!("see {long}{}\u{1b}[2Jshort\nline there", "x".repeat(3000));
    assert_eq!(editor.take(), want, "all of it is sent");
    editor.paste(&long);
    editor.backspace();
    editor.insert("?");
    assert_eq!(editor.take(), "[pasted 1: 40 lines?", "a broken mark is text");
}

#[test]
fn a_text_is_laid_out_with_its_cursor() {
    let laid = |text: &str| {
        let laid = editor(text).laid(4);
        (laid.rows.join("/"), laid.cursor)
    };
    assert_eq!(laid("|"), (String::new(), (0, 0)), "nothing");
    assert_eq!(laid("abc|def"), ("abcd/ef".into(), (0, 3)), "in a line");
    assert_eq!(laid("abcd|ef"), ("abcd/ef".into(), (1, 0)), "where a line begins");
    assert_eq!(laid("abcd|"), ("abcd/".into(), (1, 0)), "behind a full line");
    assert_eq!(laid("漢字漢|"), ("漢字/漢".into(), (1, 2)), "wide letters");
    assert_eq!(laid("\t\u{7}|").0, "    /\\u{7}", "nothing that a terminal obeys");
    assert_eq!(laid("a\n|\nb"), ("a//b".into(), (1, 0)), "an empty line");
}
