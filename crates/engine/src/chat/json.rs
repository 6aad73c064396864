//! The `tojson` of transformers' templates: Python's `json.dumps` without ASCII escapes.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::marks::Marks;
use super::python::{float, pay};

/// `json.dumps` with what templates may ask of it.
pub(super) struct Dumps<'m, 's, 't, 'e> {
    marks: &'m Marks,
    state: &'s State<'t, 'e>,
    ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

impl<'m, 's, 't, 'e> Dumps<'m, 's, 't, 'e> {
    /// Reads `ensure_ascii`, `indent`, `separators` and `sort_keys`.
    pub(super) fn new(
        marks: &'m Marks,
        state: &'s State<'t, 'e>,
        kwargs: &Kwargs,
    ) -> Result<Self, Error> {
        let indent = kwargs.get::<Option<Value>>("indent")?.filter(|v| !v.is_none());
        let indent = match indent {
            None => None,
            Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
            Some(width) => {
                Some(" ".repeat(width.as_usize().filter(|w| *w <= 64).ok_or_else(|| {
                    Error::new(ErrorKind::InvalidOperation, "tojson: indent is not 0 to 64")
                })?))
            }
        };
        let item = if indent.is_some() { "," } else { ", " };
        let mut separators = (item.to_owned(), ": ".to_owned());
        if let Some(given) =
            kwargs.get::<Option<Value>>("separators")?.filter(|value| !value.is_none())
        {
            let parts: Vec<Value> = given.try_iter()?.collect();
            let [item, key] = parts.as_slice() else {
                let what = "tojson: separators are two strings";
                return Err(Error::new(ErrorKind::InvalidOperation, what));
            };
            separators = (item.to_string(), key.to_string());
        }
        let ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
        let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        kwargs.assert_all_used()?;
        let (item_separator, key_separator) = separators;
        Ok(Self { marks, state, ascii, indent, item_separator, key_separator, sort_keys })
    }

    pub(super) fn text(&self, value: &Value) -> Result<String, Error> {
        let mut out = String::new();
        self.value(value, 0, &mut out)?;
        Ok(out)
    }

    fn value(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        pay(self.state, value, depth)?;
        if let Some(text) = value.as_str() {
            self.string(text, out);
            return Ok(());
        }
        match value.kind() {
            ValueKind::None | ValueKind::Bool | ValueKind::Number => out.push_str(&scalar(value)?),
            ValueKind::Map => self.map(value, depth, out)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.checked().collect::<Result<_, _>>()?;
                self.block(depth, ['[', ']'], items.len(), out, |i, out| {
                    self.value(&items[i], depth + 1, out)
                })?;
            }
            kind => {
                let what = format!("Object of type {kind} is not JSON serializable");
                return Err(Error::new(ErrorKind::BadSerialization, what));
            }
        }
        Ok(())
    }

    fn map(&self, map: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut keys: Vec<Value> = map.try_iter()?.checked().collect::<Result<_, _>>()?;
        if self.sort_keys {
            keys.sort_by_cached_key(|key| self.marks.strip(&key.to_string()));
        }
        self.block(depth, ['{', '}'], keys.len(), out, |i, out| {
            match keys[i].as_str() {
                Some(key) => self.string(key, out),
                None => self.string(&scalar(&keys[i])?, out),
            }
            out.push_str(&self.key_separator);
            self.value(&map.get_item(&keys[i])?, depth + 1, out)
        })
    }

    /// Items between brackets, each on a line of its own when there is an indent.
    fn block(
        &self,
        depth: usize,
        [open, close]: [char; 2],
        len: usize,
        out: &mut String,
        mut item: impl FnMut(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let new_line = |depth: usize, out: &mut String| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        out.push(open);
        for i in 0..len {
            out.push_str(if i > 0 { &self.item_separator } else { "" });
            new_line(depth + 1, out);
            item(i, out)?;
        }
        if len > 0 {
            new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn string(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", c as u32)),
                _ if self.ascii && !self.marks.plain(c).is_ascii() => {
                    let plain = self.marks.plain(c);
                    for unit in plain.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A number, a truth value or nothing, as JSON has them.
fn scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => match float(f64::try_from(value.clone())?).as_str() {
            "nan" => "NaN".to_owned(),
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            finite => finite.to_owned(),
        },
        kind => {
            let what = format!("keys must be str, int, float, bool or None, not {kind}");
            return Err(Error::new(ErrorKind::BadSerialization, what));
        }
    })
}
