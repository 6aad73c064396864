//! What comes from a model, a tool or a file, made safe to show: nothing in it moves a cursor or hides.

/// The text with every character that a terminal might obey, or that would not be seen, written as
/// `\u{..}`. Line breaks stay; a tab becomes spaces.
///
/// Escaped are the control codes (C0 but for the line break, DEL, C1), what turns or isolates the
/// direction of writing, and characters without a width that carry no letter.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push_str("    "),
            c if c != '\n' && is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The same in one line: line breaks are written as `\n`.
pub(crate) fn escaped_line(text: &str) -> String {
    escaped(text).replace('\n', "\\n")
}

/// The first `chars` characters of a text, with the number of those that are left out behind.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{} … {} more characters", &text[..end], text[end..].chars().count())
        }
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{FEFF}'
            | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_code_of_any_kind_passes() {
        for code in (0..=0x1F).chain(0x7F..=0x9F) {
            let c = char::from_u32(code).expect("these are characters");
            let shown = escaped(&format!("a{c}b"));
            let left: Vec<char> = shown.chars().filter(|c| c.is_control() && *c != '\n').collect();
            assert!(left.is_empty(), "{code:x}: {shown:?}");
            assert!(!escaped_line(&c.to_string()).contains(char::is_control), "{code:x} in a line");
        }
        assert_eq!(escaped("\u{1b}]0;x\u{7}"), "\\u{1b}]0;x\\u{7}", "a title of a window");
        assert_eq!(escaped("\u{9b}2J\r"), "\\u{9b}2J\\u{d}", "one byte of C1, and a return");
    }

    #[test]
    fn what_turns_or_hides_text_is_seen() {
        for c in "\u{202E}\u{2066}\u{2069}\u{200B}\u{200F}\u{FEFF}\u{E0041}\u{2028}\u{AD}".chars() {
            assert_eq!(escaped(&c.to_string()), c.escape_unicode().to_string(), "{c:?}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        let text = "Zażółć 漢字 👩\u{200D}👩 a\u{301} \\ \"x\"\nline";
        assert_eq!(escaped(text), text, "letters, joined signs, line breaks");
        assert_eq!(escaped("a\tb"), "a    b", "a tab has no width that one could count on");
        assert_eq!(escaped_line("a\nb"), "a\\nb", "in one line");
    }

    #[test]
    fn a_long_text_says_how_much_is_missing() {
        assert_eq!(shortened("żółw", 4), "żółw", "whole");
        assert_eq!(shortened("żółwie", 4), "żółw … 2 more characters", "cut");
    }
}
