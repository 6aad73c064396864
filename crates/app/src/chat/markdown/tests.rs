//! Texts, how they look on a screen, and that it does not matter in how many pieces they come.

use super::*;

fn lines(rows: &[Row]) -> Vec<String> {
    let line = |row: &Row| row.iter().map(|span| span.text.as_str()).collect::<String>();
    rows.iter().map(line).collect()
}

fn shown(text: &str, width: usize) -> Vec<String> {
    let mut document = Document::default();
    document.push(text);
    lines(&document.rows(width))
}

const ALL: &str = "# Title\n\nSome *words* with `code`, **bold** and a [link](http://x.y).\nNext \
                   line.\n\n1. one\n2. two\n   - inner\n   - [x] done\n\n> quoted\n> more\n\n\
                   ```rust\nfn main() {\n    // note\n}\n```\n\n| a | bb |\n|---|---:|\n| 1 | 2 |\n\
                   | long | x |\n\n---\n\nEnd\n";

#[test]
fn every_kind_of_block_is_shown() {
    let want = [
        "Title",
        "",
        "Some words with code, bold and a link (http://x.y).",
        "Next line.",
        "",
        "1. one",
        "2. two",
        "   • inner",
        "   • [x] done",
        "",
        "▎ quoted more",
        "",
        "╭ rust",
        "│ fn main() {",
        "│     // note",
        "│ }",
        "",
        "a    │ bb",
        "─────┼───",
        "1    │  2",
        "long │  x",
        "",
        "────────────────────────────────────────",
        "",
        "End",
    ];
    assert_eq!(shown(ALL, 52), want, "at 52 columns");
}

#[test]
fn pieces_give_what_the_whole_gives() {
    let whole = shown(ALL, 40);
    for size in 1..=7 {
        let mut document = Document::default();
        let letters: Vec<char> = ALL.chars().collect();
        for piece in letters.chunks(size) {
            document.push(&piece.iter().collect::<String>());
            document.rows(40);
        }
        assert_eq!(lines(&document.rows(40)), whole, "pieces of {size}");
        let mut fresh = Document::default();
        fresh.push(ALL);
        assert_eq!(document.rows(40), fresh.rows(40), "looks too, in pieces of {size}");
    }
}

#[test]
fn settled_blocks_are_not_parsed_again() {
    let mut document = Document::default();
    document.push("one\n\ntwo\n\nthree\nmore");
    document.rows(20);
    assert_eq!((document.settled.len(), document.settled_bytes), (2, 10), "all but the last");
    document.push("\n\n    code\n\nx");
    let rows = lines(&document.rows(20));
    assert_eq!(rows, ["one", "", "two", "", "three more", "", "│ code", "", "x"], "and go on");
}

#[test]
fn lines_fit_whatever_the_width() {
    use unicode_width::UnicodeWidthStr as _;
    let text = format!("{ALL}\n漢字漢字漢字 👩‍👩‍👧 é {}\n", "x".repeat(100));
    for width in [14, 20, 37, 80, 200] {
        let mut document = Document::default();
        document.push(&text);
        for line in lines(&document.rows(width)) {
            assert!(line.width() <= width, "{width}: {line:?}");
        }
    }
    assert_eq!(shown("aa bb cc", 5), ["aa bb", "cc"], "at spaces");
    assert_eq!(shown("漢字漢字", 5), ["漢字", "漢字"], "never half a letter");
    assert_eq!(shown("aaaaaaa", 5), ["aaaaa", "aa"], "anywhere if need be");
}

#[test]
fn tables_give_way() {
    let table = "|name|what it is|\n|-|-|\n|a|a long text that needs two lines|\n";
    let want = [
        "name │ what it is",
        "─────┼─────────────────────",
        "a    │ a long text that",
        "     │ needs two lines",
    ];
    assert_eq!(shown(table, 27), want, "the widest first");
    let want = ["name: a", "what it", "is: a", "long", "text", "that", "needs", "two", "lines"];
    assert_eq!(shown(table, 8), want, "a list in the end");
}

#[test]
fn code_is_painted_by_its_language() {
    let mut document = Document::default();
    document.push("```python\ndef f():  # why\n    return \"x\"\n```\n\n```nolanguage\ndef\n```\n");
    let rows = document.rows(60);
    let ink = |text: &str| {
        let span = rows.iter().flatten().find(|span| span.text.trim() == text);
        span.map(|span| span.face.ink)
    };
    assert_eq!(ink("def"), Some(Ink::Keyword), "{rows:?}");
    assert_eq!(ink("f"), Some(Ink::Name), "{rows:?}");
    assert_eq!(ink("return"), Some(Ink::Keyword), "{rows:?}");
    let last = rows.last().and_then(|row| row.last()).map(|span| span.face.ink);
    assert_eq!(last, Some(Ink::Plain), "unknown languages are plain");
}

#[test]
fn hostile_texts_are_shown_as_well_as_can_be() {
    let deep = ">".repeat(20_000) + " x";
    assert!(!shown(&deep, 40).is_empty(), "quotes in quotes");
    let lists: String = (0..2000).map(|n| " ".repeat(2 * n % 400) + "- a\n").collect();
    assert!(!shown(&lists, 40).is_empty(), "lists in lists");
    let wide = format!("|{}\n|{}\n", "a|".repeat(3000), "-|".repeat(3000));
    assert!(!shown(&wide, 40).is_empty(), "a table of 3000 columns");
    let line = format!("```rust\n{}\n```", "x".repeat(1 << 20));
    assert_eq!(shown(&line, 42).len(), 1 + (1_usize << 20).div_ceil(40), "a line of a megabyte");
    assert_eq!(shown("", 40), Vec::<String>::new(), "nothing");
    assert_eq!(shown("```", 40), Vec::<String>::new(), "the beginning of code");
    assert_eq!(shown("[a](", 40), ["[a]("], "the beginning of a link");
}
