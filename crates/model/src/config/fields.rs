//! One object of `config.json`, its fields read with their bounds, so that no number is taken on trust.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{ModelError, quoted};

/// An object and how errors call it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    path: &'a Path,
    /// Put before a field's name in errors: empty, or such as `text_config.`.
    place: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which is the whole file.
    pub(super) fn root(path: &'a Path, value: &'a Value) -> Result<Fields<'a>, ModelError> {
        match value {
            Value::Object(map) => Ok(Fields { path, place: "", map }),
            other => Err(ModelError::Config {
                path: path.into(),
                field: "the whole file".to_owned(),
                found: describe(Some(other)),
                accepted: "an object".to_owned(),
            }),
        }
    }

    /// The object in `field`, if it is there; `place` is what errors put before its fields.
    pub(super) fn object(
        &self,
        field: &str,
        place: &'static str,
    ) -> Result<Option<Fields<'a>>, ModelError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { path: self.path, place, map })),
            Some(_) => Err(self.refuse(field, "an object, or nothing")),
        }
    }

    /// The value of `field`; null says as much as nothing.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// All fields, null or not.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.map.iter()
    }

    /// The error about what was found in `field`.
    pub(super) fn refuse(&self, field: &str, accepted: impl Display) -> ModelError {
        self.refuse_found(field, describe(self.map.get(field)), accepted)
    }

    /// The error about `field`, where what was found needs words of its own.
    pub(super) fn refuse_found(
        &self,
        field: &str,
        found: impl Display,
        accepted: impl Display,
    ) -> ModelError {
        ModelError::Config {
            path: self.path.into(),
            field: format!("{}{field}", self.place),
            found: found.to_string(),
            accepted: accepted.to_string(),
        }
    }

    /// A whole number that has to be there.
    pub(super) fn whole(
        &self,
        field: &str,
        accepted: RangeInclusive<usize>,
    ) -> Result<usize, ModelError> {
        let number = self.get(field).and_then(Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.filter(|number| accepted.contains(number)).ok_or_else(|| {
            let (least, most) = accepted.into_inner();
            self.refuse(field, format_args!("whole numbers from {least} to {most}"))
        })
    }

    /// A whole number, or `absent` where the field is not there.
    pub(super) fn whole_or(
        &self,
        field: &str,
        accepted: RangeInclusive<usize>,
        absent: usize,
    ) -> Result<usize, ModelError> {
        match self.get(field) {
            None => Ok(absent),
            Some(_) => self.whole(field, accepted),
        }
    }

    /// A number that has to be there.
    pub(super) fn real(
        &self,
        field: &str,
        accepted: RangeInclusive<f64>,
    ) -> Result<f64, ModelError> {
        let number = self.get(field).and_then(Value::as_f64);
        number.filter(|number| accepted.contains(number)).ok_or_else(|| {
            let (least, most) = accepted.into_inner();
            self.refuse(field, format_args!("numbers from {least:?} to {most:?}"))
        })
    }

    /// A truth value, if it is there.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.refuse(field, "true, false, or nothing")),
        }
    }

    /// A field that changes the arithmetic and is run in one way only: `only`, or nothing.
    pub(super) fn only(&self, field: &str, only: Value) -> Result<(), ModelError> {
        match self.get(field) {
            Some(found) if *found != only => {
                Err(self.refuse(field, format_args!("{only}, or nothing")))
            }
            _ => Ok(()),
        }
    }
}

/// What was found, short enough for a line.
pub(super) fn describe(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => quoted(text),
        Some(Value::Array(list)) => format!("a list of {}", list.len()),
        Some(Value::Object(map)) => format!("an object of {} fields", map.len()),
        Some(plain) => plain.to_string(),
    }
}
