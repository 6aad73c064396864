//! A call as a person is asked about it: all of it that matters, nothing that a terminal would obey.

use serde_json::{Map, Value};

use super::escape::{escaped, escaped_line, shortened};

/// Of a name.
const NAME_CHARS: usize = 80;
/// Of all values of a call together.
const VALUE_CHARS: usize = 4000;

/// The call in lines: its name, then each argument, a text of several lines indented below its name.
///
/// What does not fit is counted in the line that breaks off, so nobody allows unseen what looks whole.
pub(crate) fn shown(name: &str, arguments: &Map<String, Value>) -> String {
    let mut lines = vec![shortened(&escaped_line(name), NAME_CHARS)];
    let mut left = VALUE_CHARS;
    for (key, value) in arguments {
        let key = shortened(&escaped_line(key), NAME_CHARS);
        let text = match value {
            Value::String(text) => escaped(text),
            other => escaped_line(&other.to_string()),
        };
        let shown = shortened(&text, left);
        left = left.saturating_sub(text.chars().count());
        if shown.contains('\n') {
            lines.push(format!("  {key}:"));
            lines.extend(shown.split('\n').map(|line| format!("    {line}")));
        } else {
            lines.push(format!("  {key}: {shown}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_call_is_seen_whole_and_plain() {
        let call =
            arguments(json!({"command": "ls -l\necho \u{1b}[2Jx", "n": 3, "deep": {"a": [1]}}));
        let wanted =
            "bash\n  command:\n    ls -l\n    echo \\u{1b}[2Jx\n  n: 3\n  deep: {\"a\":[1]}";
        assert_eq!(shown("bash", &call), wanted, "several lines");
    }

    #[test]
    fn names_are_as_untrusted_as_values() {
        let call = arguments(json!({"a\u{202E}b\n": "\u{7}"}));
        assert_eq!(shown("x\u{1b}c", &call), "x\\u{1b}c\n  a\\u{202e}b\\n: \\u{7}", "all escaped");
    }

    #[test]
    fn ten_megabytes_become_a_screen_and_a_count() {
        let call = arguments(json!({"a": "x".repeat(10 << 20), "b": "y".repeat(50)}));
        let shown = shown("write_file", &call);
        assert!(shown.len() < 5000, "{} bytes", shown.len());
        assert!(shown.contains("10481760 more characters"), "the first");
        assert!(shown.ends_with("b:  … 50 more characters"), "the second: {shown:?}");
    }
}
