//! The Jinja environment of one rendering: Python's meaning of filters, tests, methods and printing.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value, syntax::SyntaxConfig};

use super::json::Dumps;
use super::marks::Marks;
use super::python::str_of;
use super::text::Text;
use super::{clock, order, strings};

/// What filters and functions of one rendering share.
pub(super) struct Setting {
    pub(super) marks: Arc<Marks>,
    /// The words of `raise_exception`.
    pub(super) raised: Arc<Mutex<Option<String>>>,
    pub(super) clock: SystemTime,
}

/// A Jinja environment as transformers sets it up.
pub(super) fn environment<'s>(setting: &Setting, fuel: u64) -> Result<Environment<'s>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_debug(false);
    environment.set_fuel(Some(fuel));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let marks = Arc::clone(&setting.marks);
    environment.set_unknown_method_callback(move |state, value, name, args| {
        strings::method(&marks, state, value, name, args)
    });
    let marks = Arc::clone(&setting.marks);
    environment.set_formatter(move |out, state, value| {
        match value.as_str() {
            Some(text) => out.write_str(text)?,
            None => out.write_str(&str_of(&marks, state, value)?)?,
        }
        Ok(())
    });
    add_functions(&mut environment, setting);
    add_filters(&mut environment, &setting.marks);
    add_tests(&mut environment);
    Ok(environment)
}

fn add_functions(environment: &mut Environment<'_>, setting: &Setting) {
    let raised = Arc::clone(&setting.raised);
    let marks = Arc::clone(&setting.marks);
    let raise = move |state: &State, message: &Value| -> Result<Value, Error> {
        let message = str_of(&marks, state, message)?;
        if let Ok(mut raised) = raised.lock() {
            *raised = Some(message.clone());
        }
        Err(Error::new(ErrorKind::InvalidOperation, message))
    };
    environment.add_function("raise_exception", raise);
    let clock = setting.clock;
    environment.add_function("strftime_now", move |format: &str| -> Result<String, Error> {
        clock::strftime(format, clock).map_err(|what| Error::new(ErrorKind::InvalidOperation, what))
    });
}

fn add_filters(environment: &mut Environment<'_>, marks: &Arc<Marks>) {
    let own = Arc::clone(marks);
    environment.add_filter("tojson", move |state: &State, value: &Value, kwargs: Kwargs| {
        Dumps::new(&own, state, &kwargs)?.text(value)
    });
    let own = Arc::clone(marks);
    environment
        .add_filter("string", move |state: &State, value: &Value| str_of(&own, state, value));
    environment.add_filter("items", items);
    let own = Arc::clone(marks);
    environment.add_filter("trim", move |state: &State, value: &Value, chars: Option<&str>| {
        let text = text_of(&own, state, value)?;
        Ok::<_, Error>(strings::trimmed(&text, &own, chars, true, true))
    });
    let own = Arc::clone(marks);
    environment.add_filter(
        "replace",
        move |state: &State, value: &Value, old: &str, new: &str, count: Option<usize>| {
            let text = text_of(&own, state, value)?;
            strings::replace(&text, &own, state, old, new, count)
        },
    );
    let own = Arc::clone(marks);
    environment.add_filter("sort", move |state: &State, value: &Value, kwargs: Kwargs| {
        order::sort(&own, state, value, &kwargs)
    });
    let own = Arc::clone(marks);
    environment.add_filter(
        "dictsort",
        move |state: &State, value: &Value, case: Option<bool>, kwargs: Kwargs| {
            order::dictsort(&own, state, value, case, &kwargs)
        },
    );
    for name in ["upper", "lower", "capitalize", "title"] {
        let own = Arc::clone(marks);
        environment.add_filter(name, move |state: &State, value: &Value| {
            let text = text_of(&own, state, value)?;
            Ok::<_, Error>(strings::cased(&text, name))
        });
    }
}

/// What a string filter works on: the text itself, `str` of anything else, nothing of undefined.
fn text_of<'m>(marks: &'m Marks, state: &State, value: &Value) -> Result<Text<'m>, Error> {
    Text::paid(marks, state, &str_of(marks, state, value)?)
}

/// Jinja's `items`: pairs of a mapping, nothing of undefined, and a type error for all else.
fn items(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        ValueKind::Map => {
            let pair = |key: Result<Value, Error>| {
                let key = key?;
                let value = value.get_item(&key)?;
                Ok(Value::from(Tuple::from([key, value])))
            };
            let pairs: Result<Vec<Value>, Error> = value.try_iter()?.checked().map(pair).collect();
            pairs.map(Value::from)
        }
        _ => {
            let what = "TypeError: Can only get item pairs from a mapping.";
            Err(Error::new(ErrorKind::InvalidOperation, what))
        }
    }
}

/// Tests that mean something else in Python: there a string is a sequence, and so is a mapping.
fn add_tests(environment: &mut Environment<'_>) {
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
    });
    environment.add_test("iterable", |value: &Value| {
        let kind = value.kind();
        // Undefined can be walked over in Jinja too; None cannot.
        kind != ValueKind::None && value.try_iter().is_ok()
    });
}
