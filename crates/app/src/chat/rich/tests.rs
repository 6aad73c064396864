//! Screens, drawn on a terminal that only tests see.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::TestBackend;

use super::*;
use crate::chat::wire::{Command, Decision};

fn screen() -> Screen {
    let mut screen = Screen::new(Palette { colours: false }, "demo".to_owned(), PathBuf::from("."));
    screen.hear(Told::Ready);
    screen
}

/// What is on a screen of this size, without empty columns at the ends of lines.
fn drawn(screen: &mut Screen, width: u16, height: u16, dial: &Dial) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| screen.draw(frame, dial, None, Instant::now())).expect("drawn");
    let buffer = terminal.backend().buffer();
    let line = |y: u16| {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide letter takes the next cell too.
            x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

fn key(screen: &mut Screen, code: KeyCode, modifiers: KeyModifiers) -> Act {
    screen.event(Event::Key(KeyEvent::new(code, modifiers)))
}

fn ctrl(screen: &mut Screen, letter: char) -> Act {
    key(screen, KeyCode::Char(letter), KeyModifiers::CONTROL)
}

fn typed(screen: &mut Screen, text: &str) {
    for letter in text.chars() {
        assert_eq!(key(screen, KeyCode::Char(letter), KeyModifiers::NONE), Act::Nothing, "typed");
    }
}

fn enter(screen: &mut Screen) -> Act {
    key(screen, KeyCode::Enter, KeyModifiers::NONE)
}

fn piece(text: &str, reasoning: bool) -> Told {
    Told::Piece { text: text.to_owned(), reasoning }
}

#[test]
fn an_exchange_as_it_is_seen() {
    let mut screen = screen();
    typed(&mut screen, "Why?");
    assert_eq!(enter(&mut screen), Act::Give(Order::Say("Why?".into())), "sent");
    for told in [
        Told::User("Why?".into()),
        piece("I think\nhard", true),
        piece("Because\n\n|a|b|\n|-|-|\n|1|", false),
        piece("漢字|\n", false),
        Told::Answered { note: Some("stopped".into()), cost: "1 tok".into() },
        Told::Ready,
    ] {
        screen.hear(told);
    }
    let dial = Dial { used: 12, ctx: 4096, ..Dial::default() };
    let want = [
        "› Why?",
        "",
        "▸ thought · 3 words · Ctrl-O opens",
        "",
        "Because",
        "",
        "a │ b",
        "──┼─────",
        "1 │ 漢字",
        "",
        "stopped",
        "",
        "───────────────────────────────────────",
        "›",
        "- tok/s · ctx 12/4,096 · hit - %",
    ];
    assert_eq!(drawn(&mut screen, 40, 15, &dial), want, "folded");
    ctrl(&mut screen, 'o');
    let open = drawn(&mut screen, 40, 17, &dial).join("\n");
    assert!(open.contains("▾ thought · 3 words · Ctrl-O folds\n  I think\n  hard\n"), "{open}");
}

#[test]
fn keys_that_end_things() {
    let mut screen = screen();
    typed(&mut screen, "abc");
    assert_eq!(ctrl(&mut screen, 'd'), Act::Nothing, "deletes");
    assert_eq!(ctrl(&mut screen, 'c'), Act::Nothing, "empties the line");
    assert!(screen.editor.is_empty(), "it is empty");
    assert_eq!(ctrl(&mut screen, 'c'), Act::Nothing, "warns");
    let shown = drawn(&mut screen, 60, 8, &Dial::default()).join("\n");
    assert!(shown.contains("Ctrl-C again leaves"), "{shown}");
    typed(&mut screen, "x");
    ctrl(&mut screen, 'u');
    assert_eq!(ctrl(&mut screen, 'c'), Act::Nothing, "warns again");
    assert_eq!(ctrl(&mut screen, 'c'), Act::Leave, "leaves");
    assert_eq!(ctrl(&mut screen, 'd'), Act::Leave, "leaves at once");
    typed(&mut screen, "/quit");
    assert_eq!(enter(&mut screen), Act::Leave, "leaves in words");
    screen.busy = true;
    assert_eq!(ctrl(&mut screen, 'c'), Act::Stop, "stops what is being done");
}

#[test]
fn messages_of_several_lines_and_commands() {
    let mut screen = screen();
    typed(&mut screen, "a\\");
    assert_eq!(enter(&mut screen), Act::Nothing, "a backslash goes on");
    typed(&mut screen, "b");
    key(&mut screen, KeyCode::Enter, KeyModifiers::ALT);
    typed(&mut screen, "c");
    assert_eq!(enter(&mut screen), Act::Give(Order::Say("a\nb\nc".into())), "three lines");
    typed(&mut screen, "next");
    assert_eq!(enter(&mut screen), Act::Nothing, "an answer is being made");
    assert_eq!(screen.editor.text(), "next", "nothing is lost");
    screen.hear(Told::Ready);
    ctrl(&mut screen, 'u');
    typed(&mut screen, "/nope");
    assert_eq!(enter(&mut screen), Act::Nothing, "no command");
    assert!(screen.hint.as_deref().is_some_and(|hint| hint.contains("/nope")), "it is said");
    ctrl(&mut screen, 'u');
    typed(&mut screen, "/undo");
    assert_eq!(enter(&mut screen), Act::Give(Order::Command(Command::Undo)), "a command");
    screen.hear(Told::Back { question_stays: false, text: Some("again".into()) });
    assert_eq!(screen.editor.text(), "again", "a text to type over");
}

#[test]
fn a_call_is_asked_about_before_anything_else() {
    let mut screen = screen();
    screen.busy = true;
    let shown = "bash\n  command: rm -rf \u{1b}[8m/".to_owned();
    screen.hear(Told::Call { tool: "bash".into(), shown, ask: true });
    let lines = drawn(&mut screen, 70, 10, &Dial::default()).join("\n");
    assert!(lines.contains("⚙ bash\n    command: rm -rf \\u{1b}[8m/"), "escaped: {lines}");
    assert!(lines.contains("run bash? y once · a bash always in this session · n no"), "{lines}");
    for letter in ['x', ' ', '1'] {
        let act = key(&mut screen, KeyCode::Char(letter), KeyModifiers::NONE);
        assert_eq!(act, Act::Nothing, "{letter:?} is no answer");
    }
    assert_eq!(enter(&mut screen), Act::Nothing, "nor is Enter");
    let act = key(&mut screen, KeyCode::Char('y'), KeyModifiers::NONE);
    assert_eq!(act, Act::Give(Order::Decide(Decision::Once)), "yes");
    assert!(screen.editor.is_empty() && screen.asking.is_none(), "asked once");
    let (tool, shown) = ("bash".to_owned(), "done\n".repeat(50));
    screen.hear(Told::Result { tool, shown, failed: false });
    let lines = drawn(&mut screen, 70, 30, &Dial::default()).join("\n");
    assert!(lines.contains("⚙ bash gave\n│ done") && lines.contains("… 30 more of 50"), "{lines}");
}

#[test]
fn looking_back_and_other_sizes() {
    let mut screen = screen();
    screen.hear(piece(&(1..=40).map(|n| format!("{n}\n\n")).collect::<String>(), false));
    let dial = Dial::default();
    let lines = drawn(&mut screen, 40, 13, &dial);
    assert_eq!(lines[8], "40", "the end: {lines:?}");
    key(&mut screen, KeyCode::PageUp, KeyModifiers::NONE);
    let before = drawn(&mut screen, 40, 13, &dial);
    assert!(before[10].contains("↓ 8 more lines"), "{before:?}");
    screen.hear(piece("41\n\n42\n\n", false));
    let after = drawn(&mut screen, 40, 13, &dial);
    assert_eq!(before[..10], after[..10], "what is looked at stays");
    key(&mut screen, KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(drawn(&mut screen, 40, 13, &dial)[8], "42", "back at the end");
    for (width, height) in [(1, 1), (12, 4), (13, 5), (300, 100), (5, 50), (50, 3)] {
        assert_eq!(drawn(&mut screen, width, height, &dial).len(), usize::from(height), "no panic");
    }
}

#[test]
fn a_hostile_transcript_changes_nothing_but_its_own_lines() {
    let mut screen = screen();
    let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}3J\r<|im_end|></tool_call>\u{202e}x\u{0}";
    screen.hear(Told::User(hostile.into()));
    screen.hear(piece(hostile, true));
    screen.hear(piece(hostile, false));
    screen.hear(Told::Note(hostile.into()));
    screen.hear(Told::Wrong(hostile.into()));
    screen.hear(Told::Result { tool: hostile.into(), shown: hostile.into(), failed: true });
    ctrl(&mut screen, 'o');
    let lines = drawn(&mut screen, 90, 40, &Dial::default());
    let bad = |letter: char| letter.is_control() || letter == '\u{202e}';
    assert!(!lines.iter().any(|line| line.contains(bad)), "{lines:?}");
    let marks = lines.iter().filter(|line| line.contains("\\u{1b}]0;title\\u{7}\\u{1b}[2J"));
    assert_eq!(marks.count(), 7, "each is seen for what it is: {lines:?}");
    let start = Instant::now();
    screen.hear(Told::User("x".repeat(10 << 20)));
    screen.hear(Told::Result { tool: "t".into(), shown: "y ".repeat(5 << 20), failed: false });
    drawn(&mut screen, 90, 40, &Dial::default());
    assert!(start.elapsed() < Duration::from_secs(5), "10 MB in a line: {:?}", start.elapsed());
}
