//! Words from strangers' files inside an error: one line of a length that somebody reads.

use std::fmt::Display;

/// Longer than this says nothing more.
const CHARS_MAX: usize = 400;

/// The text on one line, cut where it gets too long.
pub(crate) fn brief(text: impl Display) -> String {
    let text = text.to_string();
    let mut line = String::new();
    for (n, letter) in text.chars().enumerate() {
        if n == CHARS_MAX {
            line.push('…');
            break;
        }
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_broken_texts_become_one_line() {
        assert_eq!(brief("as it is: é"), "as it is: é", "nothing to do");
        assert_eq!(brief("two\nlines\u{1b}"), "two\\nlines\\u{1b}", "control characters");
        let cut = brief("x".repeat(5000));
        assert_eq!(cut.chars().count(), CHARS_MAX + 1, "cut, with a sign that it was");
    }
}
