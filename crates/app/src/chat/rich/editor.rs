//! The line that is typed, which may be several: a cursor, a memory of what was sent, and the keys of readline.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::tool::escaped;

/// What is pasted and is longer than this is shown as a mark that stands for it.
const PASTE_CHARS_MAX: usize = 2000;
const PASTE_LINES_MAX: usize = 12;

/// A text with a cursor.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// A byte of the text, between two letters.
    cursor: usize,
    /// What was cut last.
    cut: String,
    /// Long texts that marks in the text stand for.
    pasted: Vec<String>,
    history: Vec<String>,
    /// Which of them is shown, and what was typed before.
    recalled: Option<(usize, String)>,
}

/// The text on lines of a width, and where the cursor is: row and column.
pub(super) struct Laid {
    pub(super) rows: Vec<String>,
    pub(super) cursor: (usize, usize),
}

impl Editor {
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Before the cursor.
    pub(super) fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Puts in what came from a clipboard, a long text as a mark.
    pub(super) fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if text.chars().take(PASTE_CHARS_MAX + 1).count() <= PASTE_CHARS_MAX
            && lines <= PASTE_LINES_MAX
        {
            return self.insert(&text);
        }
        let size = if lines > 1 {
            format!("{lines} lines")
        } else {
            crate::size::shown(text.len() as u64)
        };
        let mark = format!("[pasted {}: {size}]", self.pasted.len() + 1);
        self.pasted.push(text);
        self.insert(&mark);
    }

    /// The whole text, marks replaced by what they stand for; the editor is empty then.
    pub(super) fn take(&mut self) -> String {
        let mut whole = String::new();
        let mut rest = std::mem::take(&mut self.text);
        for (n, pasted) in self.pasted.drain(..).enumerate() {
            let begin = format!("[pasted {}: ", n + 1);
            // A mark that was changed is text like any other.
            let Some(at) = rest.find(&begin) else { continue };
            let Some(end) = rest[at..].find(']') else { continue };
            whole.push_str(&rest[..at]);
            whole.push_str(&pasted);
            rest.drain(..at + end + 1);
        }
        whole.push_str(&rest);
        self.cursor = 0;
        self.recalled = None;
        if !whole.trim().is_empty() && self.history.last() != Some(&whole) {
            self.history.push(whole.clone());
        }
        whole
    }

    /// Puts another text in the place of what was typed.
    pub(super) fn replace(&mut self, text: &str) {
        self.text.clear();
        self.pasted.clear();
        self.cursor = 0;
        self.paste(text);
    }

    /// Forgets what was typed.
    pub(super) fn clear(&mut self) {
        self.replace("");
        self.recalled = None;
    }

    /// Takes what is before the cursor from `from` on, and puts something in its place.
    pub(super) fn complete(&mut self, from: usize, with: &str) {
        self.text.replace_range(from..self.cursor, with);
        self.cursor = from + with.len();
    }

    pub(super) fn left(&mut self) {
        self.cursor -= self.before().graphemes(true).next_back().map_or(0, str::len);
    }

    pub(super) fn right(&mut self) {
        self.cursor += self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = word_start(self.before(), |letter| !letter.is_alphanumeric());
    }

    pub(super) fn word_right(&mut self) {
        self.cursor = self.word_end();
    }

    fn word_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        let begin = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        let end = rest[begin..].find(|letter: char| !letter.is_alphanumeric());
        self.cursor + end.map_or(rest.len(), |end| begin + end)
    }

    /// The beginning of the line.
    pub(super) fn home(&mut self) {
        self.cursor = self.before().rfind('\n').map_or(0, |at| at + 1);
    }

    /// The end of the line.
    pub(super) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    pub(super) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.replace_range(self.cursor..end, "");
    }

    pub(super) fn delete(&mut self) {
        let start = self.cursor;
        self.right();
        let end = std::mem::replace(&mut self.cursor, start);
        self.text.replace_range(start..end, "");
    }

    /// Cuts the word before the cursor, as spaces divide it.
    pub(super) fn cut_word_before(&mut self) {
        self.cut(word_start(self.before(), char::is_whitespace), self.cursor);
    }

    pub(super) fn cut_word_after(&mut self) {
        self.cut(self.cursor, self.word_end());
    }

    /// Cuts back to the beginning of the line.
    pub(super) fn cut_before(&mut self) {
        let end = self.cursor;
        self.home();
        self.cut(self.cursor, end);
    }

    /// Cuts to the end of the line; the line end itself where nothing else is left.
    pub(super) fn cut_after(&mut self) {
        let end = self.line_end();
        let end = if end == self.cursor { (end + 1).min(self.text.len()) } else { end };
        self.cut(self.cursor, end);
    }

    fn cut(&mut self, start: usize, end: usize) {
        if start < end {
            self.cut = self.text.drain(start..end).collect();
        }
        self.cursor = start;
    }

    pub(super) fn put_back(&mut self) {
        let cut = self.cut.clone();
        self.insert(&cut);
    }

    /// The line above; in the first one, what was sent before.
    pub(super) fn up(&mut self) {
        let start = self.before().rfind('\n');
        let Some(end) = start else { return self.recall(true) };
        let column = self.text[end + 1..self.cursor].graphemes(true).count();
        let start = self.text[..end].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = start + columns_in(&self.text[start..end], column);
    }

    /// The line below; in the last one, what was sent after.
    pub(super) fn down(&mut self) {
        let end = self.line_end();
        if end == self.text.len() {
            return self.recall(false);
        }
        let start = self.before().rfind('\n').map_or(0, |at| at + 1);
        let column = self.text[start..self.cursor].graphemes(true).count();
        let next = &self.text[end + 1..];
        let next = next.split('\n').next().unwrap_or_default();
        self.cursor = end + 1 + columns_in(next, column);
    }

    fn recall(&mut self, earlier: bool) {
        let at = self.recalled.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let next = if earlier { at.checked_sub(1) } else { Some(at + 1) };
        let Some(next) = next.filter(|next| *next <= self.history.len()) else { return };
        if self.recalled.is_none() && next == self.history.len() {
            return;
        }
        let draft = self.recalled.take().map_or_else(|| self.text.clone(), |(_, draft)| draft);
        let text = self.history.get(next).cloned().unwrap_or_else(|| draft.clone());
        if next < self.history.len() {
            self.recalled = Some((next, draft));
        }
        self.replace(&text);
    }

    /// Lays the text out, safe to show; a cursor behind a full line stands on the next.
    pub(super) fn laid(&self, width: usize) -> Laid {
        let width = width.max(2);
        let mut rows = vec![String::new()];
        let (mut used, mut cursor, mut at) = (0, (0, 0), 0);
        for letter in self.text.graphemes(true) {
            let shown = if letter == "\n" { String::new() } else { escaped(letter) };
            let columns = shown.width();
            if letter != "\n" && used + columns > width {
                rows.push(String::new());
                used = 0;
            }
            if at == self.cursor {
                cursor = (rows.len() - 1, used);
            }
            at += letter.len();
            if letter == "\n" {
                rows.push(String::new());
                used = 0;
            } else {
                used += columns;
                rows.last_mut().expect("there is one always").push_str(&shown);
            }
        }
        if at == self.cursor {
            if used == width {
                rows.push(String::new());
                used = 0;
            }
            cursor = (rows.len() - 1, used);
        }
        Laid { rows, cursor }
    }
}

/// Where the word that ends a text begins.
fn word_start(text: &str, between: impl Fn(char) -> bool) -> usize {
    let words = text.trim_end_matches(&between);
    let start = words.char_indices().rev().find(|(_, letter)| between(*letter));
    start.map_or(0, |(at, letter)| at + letter.len_utf8())
}

/// The byte behind so many letters, or the end.
fn columns_in(line: &str, letters: usize) -> usize {
    line.grapheme_indices(true).nth(letters).map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
