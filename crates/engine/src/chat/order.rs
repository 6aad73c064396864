//! The sorting filters, which have to see content as it is: marks would put it elsewhere.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::marks::Marks;

/// `sort(reverse, case_sensitive, attribute)`.
pub(super) fn sort(
    marks: &Marks,
    state: &State,
    value: &Value,
    kwargs: &Kwargs,
) -> Result<Value, Error> {
    let reverse = kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false);
    let case_sensitive = kwargs.get::<Option<bool>>("case_sensitive")?.unwrap_or(false);
    let attribute = kwargs.get::<Option<&str>>("attribute")?;
    kwargs.assert_all_used()?;
    let mut keyed = Vec::new();
    for item in value.try_iter()?.checked() {
        let item = item?;
        let parts = attribute.iter().flat_map(|path| path.split('.'));
        let key = parts.into_iter().try_fold(item.clone(), |value, part| value.get_attr(part))?;
        keyed.push((plain_key(marks, key, case_sensitive), item));
    }
    ordered(state, keyed, reverse).map(Value::from)
}

/// `dictsort(case_sensitive, by, reverse)`: pairs of a mapping.
pub(super) fn dictsort(
    marks: &Marks,
    state: &State,
    value: &Value,
    case_sensitive: Option<bool>,
    kwargs: &Kwargs,
) -> Result<Value, Error> {
    let named = kwargs.get::<Option<bool>>("case_sensitive")?;
    let case_sensitive = case_sensitive.or(named).unwrap_or(false);
    let by = kwargs.get::<Option<&str>>("by")?.unwrap_or("key");
    let reverse = kwargs.get::<Option<bool>>("reverse")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    if value.kind() != ValueKind::Map || !matches!(by, "key" | "value") {
        let what = "dictsort sorts a mapping by key or by value";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    let mut keyed = Vec::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        let item = value.get_item(&key)?;
        let by = if by == "key" { key.clone() } else { item.clone() };
        let pair = Value::from(Tuple::from([key, item]));
        keyed.push((plain_key(marks, by, case_sensitive), pair));
    }
    ordered(state, keyed, reverse).map(Value::from)
}

fn plain_key(marks: &Marks, key: Value, case_sensitive: bool) -> Value {
    let Some(text) = key.as_str() else { return key };
    let text = marks.strip(text);
    Value::from(if case_sensitive { text } else { text.to_lowercase() })
}

/// Stable in both directions, as Python's `sorted` is.
fn ordered(
    state: &State,
    mut keyed: Vec<(Value, Value)>,
    reverse: bool,
) -> Result<Vec<Value>, Error> {
    let rounds = u64::from(keyed.len().checked_ilog2().unwrap_or(0)) + 1;
    state.consume_fuel(keyed.len() as u64 * rounds)?;
    keyed.sort_by(|(a, _), (b, _)| {
        let order: Ordering = a.cmp(b);
        if reverse { order.reverse() } else { order }
    });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}
