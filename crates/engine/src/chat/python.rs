//! Values as Python prints them: what a template's author saw when the template was written.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::marks::Marks;

/// Deeper values end with an error: a template can make one that contains itself.
const DEPTH_MAX: usize = 200;

/// Pays for one value of a walk through a value: one that holds itself twice, many times over, is
/// small in memory and endless in print.
pub(super) fn pay(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        let what = format!("a value is nested more than {DEPTH_MAX} deep");
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    state.consume_fuel(1 + value.as_str().map_or(0, |text| text.len() as u64 / 64))
}

/// `str(value)`; undefined is nothing.
pub(super) fn str_of(marks: &Marks, state: &State, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    if !value.is_undefined() {
        repr(marks, state, value, 0, &mut out)?;
    }
    Ok(out)
}

fn repr(
    marks: &Marks,
    state: &State,
    value: &Value,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    pay(state, value, depth)?;
    if let Some(text) = value.as_str() {
        quote(marks, text, out);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float(f64::try_from(value.clone())?));
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                out.push_str(if i > 0 { ", " } else { "" });
                repr(marks, state, &key, depth + 1, out)?;
                out.push_str(": ");
                repr(marks, state, &value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            let mut len = 0;
            for item in value.try_iter()?.checked() {
                out.push_str(if len > 0 { ", " } else { "" });
                repr(marks, state, &item?, depth + 1, out)?;
                len += 1;
            }
            out.push_str(if value.is_tuple() && len == 1 { "," } else { "" });
            out.push(close);
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// `repr` of a string: single quotes unless it holds one and no double quote.
fn quote(marks: &Marks, text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for c in text.chars() {
        match marks.plain(c) {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            plain if plain == mark => {
                out.push('\\');
                out.push(c);
            }
            plain if is_printable(plain) => out.push(c),
            plain => {
                let code = plain as u32;
                out.push_str(&match code {
                    0..=0xFF => format!("\\x{code:02x}"),
                    0x100..=0xFFFF => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    out.push(mark);
}

/// Rust's table of characters to escape is Python's; a letter before it keeps Rust from escaping
/// combining characters as well, which Python does not.
fn is_printable(c: char) -> bool {
    let after_letter: String = ['a', c].iter().collect();
    matches!(c, '"' | '\'') || after_letter.escape_debug().count() == 2
}

/// `repr` of a float: the shortest digits that come back, with an exponent below 1e-4 and from 1e16.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let fixed = format!("{value}");
        return if fixed.contains('.') { fixed } else { fixed + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;

    use super::*;

    #[test]
    fn floats_as_python_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e20, "1e+20"),
            (1.25e-7, "1.25e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.5e300, "-1.5e+300"),
            (123456789.123, "123456789.123"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(float(value), text, "{value:?}");
        }
    }

    #[test]
    fn containers_as_python_prints_them() {
        let (environment, marks) = (Environment::new(), Marks::default());
        let state = environment.empty_state();
        let list = [Value::from(1), Value::from(2.0), Value::from(true), Value::from(())];
        let mut list = list.to_vec();
        list.push(Value::from("it's"));
        let inner = [("q", "\"'\\"), ("c", "\u{1b}\u{301}\u{200b}😀")];
        let map = [("a", Value::from(list)), ("é\n", Value::from_pairs(inner))];
        let text = str_of(&marks, &state, &Value::from_pairs(map)).expect("plain data");
        let want = r#"{'a': [1, 2.0, True, None, "it's"], 'é\n': {'q': '"\'\\', 'c': '\x1b"#;
        assert_eq!(text, format!("{want}\u{301}\\u200b😀'}}}}"), "as Python's str");
        let pair = minijinja::value::Tuple::new(vec![Value::from(1)]);
        let text = str_of(&marks, &state, &Value::from(pair)).expect("plain data");
        assert_eq!(text, "(1,)", "a tuple of one");
    }
}
