//! What was said, on the screen: items in order, each laid out once for a width.

use serde_json::{Map, Value};

use crate::chat::markdown::{Document, Face, Ink, Row, Span, wrapped};
use crate::tool::{escaped, shown};

/// Of a long message, or of what a call gave, this many lines are shown.
const LINES_MAX: usize = 20;
/// And of a line without end this many letters for each of its columns.
const LETTERS_PER_COLUMN: usize = 24;

const FAINT: Face = Face::ink(Ink::Faint);

/// Something that was said or done.
#[derive(Debug)]
pub(super) enum Item {
    User(String),
    Reasoning {
        text: String,
        over: bool,
    },
    Answer(Box<Document>),
    /// What a command told, or what a turn cost.
    Note(String),
    Wrong(String),
    Call(String),
    Result {
        tool: String,
        shown: String,
        failed: bool,
    },
}

#[derive(Debug)]
struct Entry {
    item: Item,
    /// The width it was laid out for, and its rows.
    laid: Option<(usize, Vec<Row>)>,
}

/// All items, and how far back one looks.
#[derive(Debug, Default)]
pub(super) struct View {
    entries: Vec<Entry>,
    /// Whether reasoning is shown whole.
    open: bool,
    /// Rows below the screen; 0 follows what is said.
    back: usize,
    /// Rows of all items, and of the screen, when it was last drawn.
    height: usize,
    room: usize,
}

impl View {
    pub(super) fn push(&mut self, item: Item) {
        self.entries.push(Entry { item, laid: None });
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.back = 0;
    }

    /// Another conversation in the place of this one: its messages as templates read them.
    pub(super) fn show(&mut self, messages: &[Value]) {
        self.clear();
        let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
        for message in messages {
            let content = text(&message["content"]);
            match message["role"].as_str() {
                Some("user") => self.push(Item::User(content)),
                Some("assistant") => {
                    let reasoning = text(&message["reasoning_content"]);
                    if !reasoning.is_empty() {
                        self.push(Item::Reasoning { text: reasoning, over: true });
                    }
                    if !content.is_empty() {
                        let mut document = Document::default();
                        document.push(&content);
                        self.push(Item::Answer(Box::new(document)));
                    }
                    for call in message["tool_calls"].as_array().into_iter().flatten() {
                        let function = &call["function"];
                        let name = function["name"].as_str().unwrap_or_default();
                        let none = Map::new();
                        let arguments = function["arguments"].as_object().unwrap_or(&none);
                        self.push(Item::Call(shown(name, arguments)));
                    }
                }
                Some("tool") => {
                    let tool = text(&message["name"]);
                    self.push(Item::Result { tool, shown: content, failed: false });
                }
                _ => {}
            }
        }
    }

    /// A piece of what the model says.
    pub(super) fn said(&mut self, text: &str, reasoning: bool) {
        let text = escaped(text);
        let last = self.entries.last_mut();
        match last.map(|entry| (&mut entry.item, &mut entry.laid)) {
            Some((Item::Reasoning { text: before, over: false }, laid)) if reasoning => {
                before.push_str(&text);
                *laid = None;
                return;
            }
            Some((Item::Answer(document), laid)) if !reasoning => {
                document.push(&text);
                *laid = None;
                return;
            }
            _ => {}
        }
        self.thought();
        if reasoning {
            return self.push(Item::Reasoning { text, over: false });
        }
        let mut document = Document::default();
        document.push(&text);
        self.push(Item::Answer(Box::new(document)));
    }

    /// Reasoning that was going on is over.
    pub(super) fn thought(&mut self) {
        if let Some(Entry { item: Item::Reasoning { over, .. }, laid }) = self.entries.last_mut() {
            *over = true;
            *laid = None;
        }
    }

    /// Takes away the last message and what follows it, or only what follows.
    pub(super) fn back_to_question(&mut self, question_stays: bool) {
        let at = self.entries.iter().rposition(|entry| matches!(entry.item, Item::User(_)));
        if let Some(at) = at {
            self.entries.truncate(at + usize::from(question_stays));
        }
        self.back = 0;
    }

    /// Opens or folds all reasoning.
    pub(super) fn fold(&mut self) {
        self.open = !self.open;
        for entry in &mut self.entries {
            if matches!(entry.item, Item::Reasoning { .. }) {
                entry.laid = None;
            }
        }
    }

    /// Moves by rows, upwards where they are positive.
    pub(super) fn scroll(&mut self, rows: isize) {
        let most = self.height.saturating_sub(self.room);
        self.back = self.back.saturating_add_signed(rows).min(most);
    }

    /// The height of the screen, of which a scroll takes most.
    pub(super) fn page(&self) -> isize {
        isize::try_from(self.room.saturating_sub(2).max(1)).unwrap_or(1)
    }

    pub(super) fn follow(&mut self) {
        self.back = 0;
    }

    /// How many rows are below the screen.
    pub(super) fn below(&self) -> usize {
        self.back
    }

    /// The rows that a screen of this size shows.
    pub(super) fn rows(&mut self, width: usize, room: usize) -> Vec<Row> {
        let open = self.open;
        for entry in &mut self.entries {
            if entry.laid.as_ref().is_none_or(|(laid, _)| *laid != width) {
                entry.laid = Some((width, entry.item.rows(width, open)));
            }
        }
        let rows = |entry: &Entry| entry.laid.as_ref().map_or(0, |(_, rows)| taken(rows));
        let height: usize = self.entries.iter().map(rows).sum();
        // Whoever looks back keeps what he sees while more is said.
        if self.back > 0 && self.room == room {
            self.back += height.saturating_sub(self.height);
        }
        (self.height, self.room) = (height, room);
        self.back = self.back.min(height.saturating_sub(room));
        let end = height - self.back;
        let start = end.saturating_sub(room);
        let mut at = 0;
        let mut shown = Vec::with_capacity(room);
        for entry in &self.entries {
            let Some((_, rows)) = &entry.laid else { continue };
            let next = at + taken(rows);
            if rows.is_empty() {
                continue;
            }
            if next > start && at < end {
                let lines = rows.iter().chain([const { &Vec::new() }]);
                let skip = start.saturating_sub(at);
                shown.extend(lines.skip(skip).take(end - at.max(start)).cloned());
            }
            at = next;
        }
        shown
    }
}

/// Rows with the empty one behind them; what shows nothing takes nothing.
fn taken(rows: &[Row]) -> usize {
    if rows.is_empty() { 0 } else { rows.len() + 1 }
}

impl Item {
    fn rows(&mut self, width: usize, open: bool) -> Vec<Row> {
        match self {
            Self::User(text) => {
                let bold = Face { bold: true, ..Face::ink(Ink::User) };
                marked("› ", bold, text, Face::ink(Ink::User), width)
            }
            Self::Reasoning { text, over } => reasoning(text, *over, open, width),
            Self::Answer(document) => document.rows(width),
            Self::Note(text) => {
                let lines = text.lines().map(|line| Span::new(line, FAINT));
                lines.flat_map(|line| wrapped(&[line], width, true)).collect()
            }
            Self::Wrong(text) => {
                marked("✗ ", Face::ink(Ink::Bad), text, Face::ink(Ink::Bad), width)
            }
            Self::Call(shown) => call(shown, width),
            Self::Result { tool, shown, failed } => {
                let (ink, how) = if *failed { (Ink::Bad, "failed") } else { (Ink::Good, "gave") };
                let mut rows = vec![vec![Span::new(format!("⚙ {tool} {how}"), Face::ink(ink))]];
                rows.extend(marked("│ ", FAINT, shown, FAINT, width));
                rows
            }
        }
    }
}

/// All of it: nobody shall allow what is not seen.
fn call(shown: &str, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for (n, line) in shown.lines().enumerate() {
        let face = Face { bold: n == 0, ..Face::default() };
        let mark = Span::new(if n == 0 { "⚙ " } else { "  " }, Face::ink(Ink::Number));
        for row in wrapped(&[Span::new(line, face)], width.saturating_sub(2), false) {
            rows.push(std::iter::once(mark.clone()).chain(row).collect());
        }
    }
    rows
}

/// Text with a mark before its first line, and cut where it goes on for too long.
fn marked(mark: &str, mark_face: Face, text: &str, face: Face, width: usize) -> Vec<Row> {
    let inside = width.saturating_sub(2).max(2);
    let mut rows = Vec::new();
    let (mut lines, mut left) = (0, 0);
    for line in text.lines() {
        lines += 1;
        if rows.len() >= LINES_MAX {
            left += 1;
            continue;
        }
        let letters_max = inside * LETTERS_PER_COLUMN;
        let cut = line.char_indices().nth(letters_max).map(|(at, _)| at);
        let shown = &line[..cut.unwrap_or(line.len())];
        rows.extend(wrapped(&[Span::new(shown, face)], inside, true));
        if let Some(at) = cut {
            let more = format!("… {} more", crate::size::shown((line.len() - at) as u64));
            rows.push(vec![Span::new(more, FAINT)]);
        }
    }
    if left > 0 {
        rows.push(vec![Span::new(format!("… {left} more of {lines} lines"), FAINT)]);
    }
    let mut mark = Some(Span::new(mark, mark_face));
    let blank = if mark_face == FAINT { mark.clone() } else { None };
    let blank = blank.unwrap_or_else(|| Span::new("  ", FAINT));
    let begin = |row: Row| {
        let first = mark.take().unwrap_or_else(|| blank.clone());
        std::iter::once(first).chain(row).collect()
    };
    rows.into_iter().map(begin).collect()
}

fn reasoning(text: &str, over: bool, open: bool, width: usize) -> Vec<Row> {
    let words = text.split_whitespace().count();
    if words == 0 {
        return Vec::new();
    }
    let words = if words == 1 { "1 word".to_owned() } else { format!("{words} words") };
    let what = if over { "thought" } else { "thinking" };
    let sign = if open { "▾" } else { "▸" };
    let key = if open { "folds" } else { "opens" };
    let head = Span::new(format!("{sign} {what} · {words} · Ctrl-O {key}"), FAINT);
    let mut rows = wrapped(&[head], width, true);
    if open {
        let face = Face { italic: true, ..FAINT };
        for line in text.trim().lines() {
            let inside = wrapped(&[Span::new(line, face)], width.saturating_sub(2), true);
            let begin = |row: Row| std::iter::once(Span::new("  ", FAINT)).chain(row).collect();
            rows.extend(inside.into_iter().map(begin));
        }
    }
    rows
}
