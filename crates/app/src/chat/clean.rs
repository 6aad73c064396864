//! Text of strangers on a terminal: what would move the cursor or hide something becomes a sign that is seen.

/// Pictures of control characters begin here.
const PICTURES: u32 = 0x2400;
const DELETE: char = '\u{2421}';
const UNKNOWN: char = '\u{fffd}';

/// A character as it may be shown: controls become their pictures, and what reorders or hides text
/// becomes the sign for something that cannot be shown.
pub(crate) fn visible(letter: char) -> char {
    match letter {
        '\u{0}'..='\u{1f}' => char::from_u32(PICTURES + u32::from(letter)).unwrap_or(UNKNOWN),
        '\u{7f}' => DELETE,
        // C1 controls; overrides and isolates of direction; marks without width that join nothing;
        // separators that some terminals take for line ends; tags.
        '\u{80}'..='\u{9f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => UNKNOWN,
        other => other,
    }
}

/// Text for a terminal; line ends stay, tabs become spaces, line ends of other systems are one.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            '\r' if letters.peek() == Some(&'\n') => {}
            other => out.push(visible(other)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_passes() {
        let hostile = "a\u{1b}[2J\u{7}\u{9b}31m\u{7f}\r\u{202e}b\u{2028}\u{200b}";
        let shown = text(hostile);
        assert_eq!(shown, "a␛[2J␇\u{fffd}31m␡␍\u{fffd}b\u{fffd}\u{fffd}", "signs instead");
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }

    #[test]
    fn ordinary_text_stays() {
        assert_eq!(text("é 漢字 👩‍👩‍👧\r\nx\ty\n"), "é 漢字 👩‍👩‍👧\nx    y\n", "and lines are lines");
    }
}
