//! Marks: code points that stand for characters of content while a template runs, so that they can be told from the template's own.

use std::collections::HashMap;
use std::ops::Range;

/// Marks are taken from here, the highest first: the private planes, where text has no letters.
const PLANES: Range<u32> = 0xF_0000..0x11_0000;

/// How much of a string is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// Every character that occurs in an added token.
    Full,
    /// Only those that begin or end one.
    Edges,
}

/// A one-to-one map between characters of added tokens and marks. Empty: nothing is marked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: HashMap<char, Mark>,
    plain: HashMap<char, char>,
    /// All marks are at or above it.
    lowest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    mark: char,
    edge: bool,
}

impl Marks {
    /// Chooses a mark for each character of the literals, none of which occurs in `texts`; `None`
    /// when the texts leave too few.
    pub(super) fn choose<'t>(
        literals: &[String],
        texts: impl Iterator<Item = &'t str>,
    ) -> Option<Self> {
        let mut used = vec![false; PLANES.len()];
        for c in texts.flat_map(str::chars).filter(|c| PLANES.contains(&(*c as u32))) {
            used[(c as u32 - PLANES.start) as usize] = true;
        }
        let free = |code: &u32| !used[(*code - PLANES.start) as usize];
        let mut codes = PLANES.rev().filter(free);
        let mut marks = Self { lowest: PLANES.end, ..Self::default() };
        for (c, edge) in alphabet(literals) {
            let mark = char::from_u32(codes.next()?)?;
            marks.lowest = mark as u32;
            marks.marks.insert(c, Mark { mark, edge });
            marks.plain.insert(mark, c);
        }
        Some(marks)
    }

    /// The character that a mark stands for; any other character is itself.
    pub(super) fn plain(&self, c: char) -> char {
        if self.is_mark(c) { self.plain[&c] } else { c }
    }

    pub(super) fn is_mark(&self, c: char) -> bool {
        !self.plain.is_empty() && c as u32 >= self.lowest && self.plain.contains_key(&c)
    }

    /// The mark of a character that takes the place of a marked one.
    pub(super) fn marked(&self, c: char) -> char {
        self.marks.get(&c).map_or(c, |found| found.mark)
    }

    /// A string with its characters marked.
    pub(super) fn cover(&self, text: &str, cover: Cover) -> String {
        let wanted = |found: &&Mark| found.edge || cover == Cover::Full;
        text.chars().map(|c| self.marks.get(&c).filter(wanted).map_or(c, |m| m.mark)).collect()
    }

    /// A string as it was before it was marked.
    pub(super) fn strip(&self, text: &str) -> String {
        text.chars().map(|c| self.plain(c)).collect()
    }

    /// A string as it was, and the bytes in it that were marked.
    pub(super) fn resolve(&self, text: &str) -> (String, Vec<Range<usize>>) {
        let mut out = String::with_capacity(text.len());
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for c in text.chars() {
            let start = out.len();
            out.push(self.plain(c));
            if !self.is_mark(c) {
                continue;
            }
            match ranges.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = out.len(),
                None => ranges.push(start..out.len()),
            }
        }
        (out, ranges)
    }
}

/// The characters to mark, each with whether it begins or ends a literal, in a fixed order.
///
/// Left out: white space (templates trim it), quotes and backslashes (JSON escapes them), and digits
/// inside literals (templates count with them). Every control token has other characters; a token
/// of nothing else (a run of spaces, in some tokenizers) is matched in content too, as ever. Letters
/// come in both cases, for a template may change it.
fn alphabet(literals: &[String]) -> Vec<(char, bool)> {
    let mut found: Vec<(char, bool)> = Vec::new();
    let quote = |c: char| matches!(c, '"' | '\'' | '\\');
    for literal in literals {
        let last = literal.chars().count().saturating_sub(1);
        for (i, c) in literal.chars().enumerate() {
            let edge = i == 0 || i == last;
            if c.is_whitespace() || quote(c) || (c.is_ascii_digit() && !edge) {
                continue;
            }
            found.extend([c, c.to_ascii_lowercase(), c.to_ascii_uppercase()].map(|c| (c, edge)));
        }
    }
    found.sort_unstable_by_key(|(c, edge)| (*c, !edge));
    found.dedup_by_key(|(c, _)| *c);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals() -> Vec<String> {
        ["<|im_end|>", "</think>", "｜x 1｜"].map(str::to_owned).to_vec()
    }

    #[test]
    fn marks_come_back_and_are_found() {
        let marks = Marks::choose(&literals(), ["abc"].into_iter()).expect("nothing is in use");
        let text = "a <|im_end|> b>\u{FFFE}é";
        let marked = format!("x<{}>", marks.cover(text, Cover::Full));
        let (plain, ranges) = marks.resolve(&marked);
        assert_eq!(plain, format!("x<{text}>"), "the text comes back");
        assert_eq!(ranges, [4..14, 16..17], "every character of a literal, and only in content");
        let (_, edges) = marks.resolve(&marks.cover("a <|im_end|>", Cover::Edges));
        assert_eq!(edges, [2..3, 11..12], "first and last characters");
        assert_eq!(marks.cover("1 \"'\\", Cover::Full), "1 \"'\\", "left alone");
    }

    #[test]
    fn a_mark_never_occurs_in_the_input() {
        let taken: String = (0x10_FF00..0x11_0000).filter_map(char::from_u32).collect();
        let marks = Marks::choose(&literals(), [taken.as_str()].into_iter()).expect("many left");
        assert!(!taken.chars().any(|c| marks.is_mark(c)), "none of the taken");
        assert_eq!(marks.strip(&taken), taken, "the input is not changed back");
        let all: String = PLANES.filter_map(char::from_u32).collect();
        assert!(Marks::choose(&literals(), [all.as_str()].into_iter()).is_none(), "all taken");
    }
}
