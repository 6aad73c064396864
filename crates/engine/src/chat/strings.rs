//! Python's string methods for templates, on text whose content may be marked.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::marks::Marks;
use super::text::{Case, Text, is_line_end, is_space};

/// What a template calls on a value that has no such attribute: strings are ours, the rest is
/// minijinja-contrib's.
pub(super) fn method(
    marks: &Marks,
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(string) = value.as_str() else {
        return unknown_method_callback(state, value, name, args);
    };
    let text = Text::paid(marks, state, string)?;
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(Value::from(trimmed(&text, marks, chars, name != "rstrip", name != "lstrip")))
        }
        "upper" | "lower" | "capitalize" | "title" => {
            let () = from_args(args)?;
            Ok(Value::from(cased(&text, name)))
        }
        "split" | "rsplit" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            let limit = limit.and_then(|limit| usize::try_from(limit).ok());
            Ok(Value::from(split(&text, marks, separator, limit, name == "rsplit")?))
        }
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            Ok(Value::from(lines(&text, keep_ends.unwrap_or(false))))
        }
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            let count = count.and_then(|count| usize::try_from(count).ok());
            replace(&text, marks, state, old, new, count).map(Value::from)
        }
        "startswith" | "endswith" => {
            let (affix,): (&Value,) = from_args(args)?;
            has_affix(&text, marks, affix, name).map(Value::from)
        }
        "removeprefix" | "removesuffix" => {
            let (affix,): (&str,) = from_args(args)?;
            let affix = plain_chars(marks, affix);
            let (plain, len) = (text.plain(), text.plain().len());
            let range = match name {
                "removeprefix" if plain.starts_with(&affix) => affix.len()..len,
                "removesuffix" if plain.ends_with(&affix) => 0..len - affix.len(),
                _ => 0..len,
            };
            Ok(Value::from(text.slice(range)))
        }
        // These give or take no characters but the separator's own, which stay as they are.
        "join" | "format" => unknown_method_callback(state, value, name, args),
        // All others tell something about the text.
        _ => {
            let plain = Value::from(marks.strip(string));
            let args: Vec<Value> = args.iter().map(|arg| stripped(marks, arg)).collect();
            unknown_method_callback(state, &plain, name, &args)
        }
    }
}

fn stripped(marks: &Marks, value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| Value::from(marks.strip(text)))
}

fn plain_chars(marks: &Marks, text: &str) -> Vec<char> {
    text.chars().map(|c| marks.plain(c)).collect()
}

/// `strip`, and the `trim` filter.
pub(super) fn trimmed(
    text: &Text,
    marks: &Marks,
    chars: Option<&str>,
    left: bool,
    right: bool,
) -> String {
    let chars = chars.map(|chars| plain_chars(marks, chars));
    text.slice(text.stripped(chars.as_deref(), left, right))
}

/// `upper`, `lower`, `capitalize`, `title`, as methods and as filters.
pub(super) fn cased(text: &Text, name: &str) -> String {
    let after_letter = |i: usize| i > 0 && text.plain()[i - 1].is_alphabetic();
    text.cased(|i, _| match name {
        "upper" => Case::Upper,
        "capitalize" if i == 0 => Case::Upper,
        "title" if !after_letter(i) => Case::Upper,
        _ => Case::Lower,
    })
}

fn split(
    text: &Text,
    marks: &Marks,
    separator: Option<&str>,
    limit: Option<usize>,
    from_right: bool,
) -> Result<Vec<String>, Error> {
    let Some(separator) = separator else { return Ok(split_spaces(text, limit, from_right)) };
    let separator = plain_chars(marks, separator);
    if separator.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    let found = text.find_all(&separator, from_right);
    let kept = limit.unwrap_or(found.len()).min(found.len());
    let found = if from_right { &found[found.len() - kept..] } else { &found[..kept] };
    let mut parts = Vec::with_capacity(kept + 1);
    let mut start = 0;
    for at in found {
        parts.push(text.slice(start..*at));
        start = at + separator.len();
    }
    parts.push(text.slice(start..text.plain().len()));
    Ok(parts)
}

/// Runs of white space separate, and none is left at the ends, but what the limit leaves together
/// keeps its inner white space and that of its far end.
fn split_spaces(text: &Text, limit: Option<usize>, from_right: bool) -> Vec<String> {
    let plain = text.plain();
    let mut words: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, _) in plain.iter().enumerate().filter(|(_, c)| !is_space(**c)) {
        match words.last_mut().filter(|last| last.end == i) {
            Some(last) => last.end = i + 1,
            None => words.push(i..i + 1),
        }
    }
    if let Some(limit) = limit.filter(|limit| *limit < words.len()) {
        if from_right {
            let first = words.len() - limit;
            let rest = 0..words[first - 1].end;
            words.splice(..first, [rest]);
        } else {
            let rest = words[limit].start..plain.len();
            words.splice(limit.., [rest]);
        }
    }
    words.into_iter().map(|word| text.slice(word)).collect()
}

fn lines(text: &Text, keep_ends: bool) -> Vec<String> {
    let plain = text.plain();
    let mut lines = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < plain.len() {
        let c = plain[at];
        at += 1;
        if !is_line_end(c) {
            continue;
        }
        let end = at - 1;
        at += usize::from(c == '\r' && plain.get(at) == Some(&'\n'));
        lines.push(text.slice(start..if keep_ends { at } else { end }));
        start = at;
    }
    if start < plain.len() {
        lines.push(text.slice(start..plain.len()));
    }
    lines
}

/// `replace`, as a method and as a filter. An empty `old` stands between all characters.
pub(super) fn replace(
    text: &Text,
    marks: &Marks,
    state: &State,
    old: &str,
    new: &str,
    count: Option<usize>,
) -> Result<String, Error> {
    let old = plain_chars(marks, old);
    let len = text.plain().len();
    let mut found = if old.is_empty() { (0..=len).collect() } else { text.find_all(&old, false) };
    found.truncate(count.unwrap_or(found.len()));
    // Paid before it is made: a short text can become a very long one.
    state.consume_fuel((found.len() as u64).saturating_mul(new.len() as u64) / 64)?;
    let mut out = String::new();
    let mut start = 0;
    for at in found {
        out.push_str(&text.slice(start..at));
        out.push_str(new);
        start = at + old.len();
    }
    out.push_str(&text.slice(start..len));
    Ok(out)
}

fn has_affix(text: &Text, marks: &Marks, affix: &Value, name: &str) -> Result<bool, Error> {
    let one = |affix: &str| {
        let affix = plain_chars(marks, affix);
        let plain = text.plain();
        if name == "startswith" { plain.starts_with(&affix) } else { plain.ends_with(&affix) }
    };
    if let Some(affix) = affix.as_str() {
        return Ok(one(affix));
    }
    let wrong = |found: ValueKind| {
        let what = format!("{name} takes a string or a tuple of strings, not {found}");
        Error::new(ErrorKind::InvalidOperation, what)
    };
    if !matches!(affix.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(wrong(affix.kind()));
    }
    for affix in affix.try_iter()?.checked() {
        let affix = affix?;
        if one(affix.as_str().ok_or_else(|| wrong(affix.kind()))?) {
            return Ok(true);
        }
    }
    Ok(false)
}
