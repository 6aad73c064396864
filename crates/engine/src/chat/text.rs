//! A string under marks: its characters as they stand and as they mean.

use minijinja::{Error, State};

use super::marks::Marks;

/// Characters and their plain forms, index by index.
pub(super) struct Text<'m> {
    marks: &'m Marks,
    marked: Vec<char>,
    plain: Vec<char>,
}

impl<'m> Text<'m> {
    /// Takes a text apart. That takes eight times its size for a while: the template pays before.
    pub(super) fn paid(marks: &'m Marks, state: &State, text: &str) -> Result<Self, Error> {
        state.consume_fuel(text.len() as u64 / 8)?;
        Ok(Self::new(marks, text))
    }

    fn new(marks: &'m Marks, text: &str) -> Self {
        let marked: Vec<char> = text.chars().collect();
        let plain = marked.iter().map(|c| marks.plain(*c)).collect();
        Self { marks, marked, plain }
    }

    pub(super) fn plain(&self) -> &[char] {
        &self.plain
    }

    /// A part, marks kept.
    pub(super) fn slice(&self, range: std::ops::Range<usize>) -> String {
        self.marked[range].iter().collect()
    }

    /// Where the text is when white space (as Python has it) or `chars` are taken off its ends.
    pub(super) fn stripped(
        &self,
        chars: Option<&[char]>,
        left: bool,
        right: bool,
    ) -> std::ops::Range<usize> {
        let off = |c: &char| chars.map_or_else(|| is_space(*c), |chars| chars.contains(c));
        let kept = |c: &char| !off(c);
        let len = self.plain.len();
        let start = if left { self.plain.iter().position(kept).unwrap_or(len) } else { 0 };
        let end =
            if right { self.plain.iter().rposition(kept).map_or(0, |last| last + 1) } else { len };
        start..end.max(start)
    }

    /// Every place where `needle` stands, without overlaps: those of a walk from the left, or from
    /// the right, in ascending order. An empty needle stands nowhere.
    pub(super) fn find_all(&self, needle: &[char], from_right: bool) -> Vec<usize> {
        if needle.is_empty() {
            return Vec::new();
        }
        let (plain, needle): (String, String) =
            (self.plain.iter().collect(), needle.iter().collect());
        let mut bytes: Vec<usize> = if from_right {
            plain.rmatch_indices(&needle).map(|(at, _)| at).collect()
        } else {
            plain.match_indices(&needle).map(|(at, _)| at).collect()
        };
        bytes.sort_unstable();
        let (mut walked, mut count) = (0, 0);
        let index = |at: usize| {
            count += plain[walked..at].chars().count();
            walked = at;
            count
        };
        bytes.into_iter().map(index).collect()
    }

    /// The text with each character's case changed; what a marked character becomes is marked.
    pub(super) fn cased(&self, case: impl Fn(usize, char) -> Case) -> String {
        let mut out = String::with_capacity(self.marked.len());
        for (i, (c, marked)) in self.plain.iter().zip(&self.marked).enumerate() {
            let mut push = |new: char| {
                out.push(if new == *c {
                    *marked
                } else if c == marked {
                    new
                } else {
                    self.marks.marked(new)
                });
            };
            match case(i, *c) {
                Case::Upper => c.to_uppercase().for_each(&mut push),
                Case::Lower => c.to_lowercase().for_each(&mut push),
            }
        }
        out
    }
}

/// What becomes of a character.
pub(super) enum Case {
    Upper,
    Lower,
}

/// White space as Python's `str.isspace` has it: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Where `str.splitlines` ends a line.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}
