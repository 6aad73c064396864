//! Rust source seen as code alone: comments and literals blanked, functions and tests found.

/// `text` with every comment, string and character literal replaced by spaces. Length and line
/// breaks stay, so that an offset means the same place in both.
#[must_use]
pub(crate) fn code_only(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_or_comment(bytes, at) {
            Some(end) => end,
            None if is_word(bytes[at]) => {
                at = word_end(bytes, at);
                continue;
            }
            None => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Blanking writes whole literals, so a character is either kept or replaced in full.
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of the comment or literal that begins at `at`, if one does.
fn literal_or_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(rest.iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n));
    }
    if rest.starts_with(b"/*") {
        return Some(block_comment_end(bytes, at));
    }
    match rest[0] {
        b'"' => Some(string_end(bytes, at + 1)),
        b'\'' => char_end(bytes, at),
        b'r' | b'b' | b'c' => prefixed_end(bytes, at),
        _ => None,
    }
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of a string whose opening quote lies just before `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal; `None` for a lifetime, whose quote is never closed.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    let next = *bytes.get(at + 1)?;
    if next == b'\\' {
        let close = bytes.iter().skip(at + 3).position(|&b| b == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    let wide = match next {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    (bytes.get(at + 1 + wide) == Some(&b'\'')).then_some(at + 2 + wide)
}

/// `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br#"…"#`, `c"…"`; `None` for a word that begins like one.
fn prefixed_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut open = at + 1;
    let raw = match (bytes[at], bytes.get(open)) {
        (b'r', _) => true,
        (_, Some(b'r')) => {
            open += 1;
            true
        }
        (b'b', Some(b'\'')) => return char_end(bytes, open),
        _ => false,
    };
    if !raw {
        return (bytes.get(open) == Some(&b'"')).then(|| string_end(bytes, open + 1));
    }
    let hashes = bytes[open..].iter().take_while(|&&b| b == b'#').count();
    if bytes.get(open + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = open + hashes + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close);
    Some(found.map_or(bytes.len(), |n| body + n + close.len()))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| !is_word(b)).map_or(bytes.len(), |n| at + n)
}

/// The identifiers and keywords of blanked code, each with its byte offset.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes[at..].iter().position(|&b| is_word(b))?;
        let (start, end) = (at, word_end(bytes, at));
        at = end;
        Some((start, &code[start..end]))
    })
}

/// The line (from 1) of a byte offset.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1
}

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of `fn`.
    pub(crate) line: usize,
    /// From the line of `fn` to the line of its closing brace.
    pub(crate) lines: usize,
    /// Whether it is compiled for tests only.
    pub(crate) test: bool,
}

/// Every function of blanked code, nested ones too.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let tests = test_ranges(code);
    let all: Vec<(usize, &str)> = words(code).collect();
    let mut found = Vec::new();
    for pair in all.windows(2) {
        let [(at, "fn"), (name_at, name)] = pair else { continue };
        // `fn(` is a pointer type: the next word belongs to something else.
        if !code[at + 2..*name_at].bytes().all(|b| b.is_ascii_whitespace()) {
            continue;
        }
        let Some((_, close)) = body(code, *name_at) else { continue };
        let (line, last) = (line_of(code, *at), line_of(code, close));
        found.push(Function {
            name: (*name).to_owned(),
            line,
            lines: last - line + 1,
            test: tests.iter().any(|range| range.contains(at)),
        });
    }
    found
}

/// The braces of the first body after `from`; `None` when a `;` ends the item first.
fn body(code: &str, from: usize) -> Option<(usize, usize)> {
    let (mut nested, mut depth, mut open) = (0_i32, 0_i32, None);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match (byte, open) {
            (b'(' | b'[', None) => nested += 1,
            (b')' | b']', None) => nested -= 1,
            (b';', None) if nested == 0 => return None,
            (b'{', None) => {
                open = Some(at);
                depth = 1;
            }
            (b'{', Some(_)) => depth += 1,
            (b'}', Some(start)) => {
                depth -= 1;
                if depth == 0 {
                    return Some((start, at));
                }
            }
            _ => {}
        }
    }
    None
}

/// What `#[cfg(test)]` and `#[test]` cover: from the attribute to the end of its item.
fn test_ranges(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    for mark in ["#[cfg(test)]", "#[test]"] {
        for (at, _) in code.match_indices(mark) {
            if let Some((_, close)) = body(code, at + mark.len()) {
                ranges.push(at..close + 1);
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_literals_and_comments_and_keeps_places() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* /* b */ */ c", "a               c"),
            ("f(\"x\\\"y\", 'q')", "f(      ,    )"),
            ("r#\"un\"safe\"# x", "             x"),
            ("b\"x\" br\"y\" b'z' c\"w\" v", "                     v"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("['{', '\\'', '\\u{7f}']", "[   ,     ,         ]"),
            ("'é' x", "     x"),
            ("for r in b", "for r in b"),
            ("bar\"x\"", "bar   "),
        ];
        for (text, want) in cases {
            let got = code_only(text);
            assert_eq!(got, want, "{text}");
            assert_eq!(got.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn unfinished_source_is_no_panic() {
        for text in ["\"abc", "/* abc", "r##\"abc\"#", "'", "b'", "'\\", "\"\\", "fn f() {", "fn"] {
            let _ = functions(&code_only(text));
        }
    }

    #[test]
    fn finds_functions_and_their_lengths() {
        let text = "trait T { fn a(&self); }\nfn b(x: [u8; 3]) {\n  if x { \"}\" }\n}\n\
                    type P = fn(u8);\n#[cfg(test)]\nmod tests {\n  fn c() {}\n}\n#[test]\nfn d() {}\n";
        let found = functions(&code_only(text));
        let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.lines, f.test)).collect();
        assert_eq!(names, [("b", 3, false), ("c", 1, true), ("d", 1, true)], "{found:?}");
        assert_eq!(found[0].line, 2, "line of fn b");
    }
}
