//! From JSON to a schema, keyword by keyword.

use serde_json::Value;

use super::super::declare::is_name;
use super::super::tagged::ends_early;
use super::{Additional, Bound, Schema, SchemaError, Type};
use crate::brief::brief;

/// Deeper declarations are nobody's.
const DEPTH_MAX: usize = 16;
/// Entries of any one list.
const LIST_MAX: usize = 1000;
/// Bounds of lengths and counts: each costs states of the automaton that holds a call to them.
const COUNT_MAX: u64 = 1000;
/// Bounds of numbers: up to here every whole one is exact.
pub(in super::super) const BOUND_MAX: f64 = 9_007_199_254_740_991.0;

/// Keywords that say something to the reader only.
const NOTES: [&str; 9] = [
    "title",
    "description",
    "default",
    "examples",
    "format",
    "deprecated",
    "$schema",
    "$id",
    "$comment",
];

impl Schema {
    /// Reads the schema of a tool's arguments: an object that takes nothing but its properties.
    pub(in super::super) fn arguments(json: &Value) -> Result<Self, SchemaError> {
        let at = "parameters";
        if json.is_null() {
            let types = vec![Type::Object];
            return Ok(Self { types, additional: Additional::None, ..Self::default() });
        }
        let mut schema = Self::read(json, at, 0)?;
        if schema.types.is_empty() && schema.any_of.is_empty() {
            schema.types.push(Type::Object);
        }
        if schema.types != [Type::Object] || schema.allowed.is_some() {
            return Err(wrong(at, "arguments have to be of type object"));
        }
        if json.get("additionalProperties").is_some_and(|value| *value != Value::Bool(false)) {
            let what = "additionalProperties: only false is supported here";
            return Err(wrong(at, what));
        }
        schema.additional = Additional::None;
        for (name, property) in &schema.properties {
            let at = format!("{at}.properties.{}", brief(name));
            if !is_name(name) {
                let what = "an argument's name has 1 to 64 letters, digits, '_', '-' and '.'";
                return Err(wrong(&at, what));
            }
            if property.strings().iter().any(|text| ends_early(text)) {
                return Err(wrong(&at, "a value holds the line </parameter>, which ends a value"));
            }
        }
        Ok(schema)
    }

    /// Every string that `enum` or `const` accepts.
    fn strings(&self) -> Vec<&str> {
        let own = self.allowed.iter().flatten().filter_map(Value::as_str);
        own.chain(self.any_of.iter().flat_map(Self::strings)).collect()
    }

    fn read(json: &Value, at: &str, depth: usize) -> Result<Self, SchemaError> {
        if depth > DEPTH_MAX {
            return Err(wrong(at, format!("schemas are nested more than {DEPTH_MAX} deep")));
        }
        let fields = match json {
            Value::Bool(true) => return Ok(Self::default()),
            Value::Object(fields) => fields,
            _ => return Err(wrong(at, "a schema has to be an object")),
        };
        let mut schema = Self::default();
        for (key, value) in fields {
            let here = format!("{at}.{}", brief(key));
            let known =
                schema.plain(key, value, &here)? || schema.nested(key, value, &here, depth)?;
            if !known && !NOTES.contains(&key.as_str()) {
                let what = format!("the schema keyword {:?} is not supported", brief(key));
                return Err(wrong(at, what));
            }
        }
        schema.settle(at)?;
        Ok(schema)
    }

    /// Keywords that hold no other schema; whether this is one.
    fn plain(&mut self, key: &str, value: &Value, here: &str) -> Result<bool, SchemaError> {
        match key {
            "type" => self.types = types(value, here)?,
            "enum" => once(&mut self.allowed, list(value, here)?.clone(), here)?,
            "const" => once(&mut self.allowed, vec![value.clone()], here)?,
            "minimum" => once(&mut self.minimum, bound(value, false, here)?, here)?,
            "exclusiveMinimum" => once(&mut self.minimum, bound(value, true, here)?, here)?,
            "maximum" => once(&mut self.maximum, bound(value, false, here)?, here)?,
            "exclusiveMaximum" => once(&mut self.maximum, bound(value, true, here)?, here)?,
            "minLength" => self.length.0 = Some(count(value, here)?),
            "maxLength" => self.length.1 = Some(count(value, here)?),
            "minItems" => self.item_count.0 = Some(count(value, here)?),
            "maxItems" => self.item_count.1 = Some(count(value, here)?),
            "required" => {
                let name = |one: &Value| one.as_str().map(str::to_owned);
                let names: Option<Vec<_>> = list(value, here)?.iter().map(name).collect();
                self.required = names.ok_or_else(|| wrong(here, "has to be a list of names"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Keywords that hold other schemas; whether this is one.
    fn nested(
        &mut self,
        key: &str,
        value: &Value,
        here: &str,
        depth: usize,
    ) -> Result<bool, SchemaError> {
        let read = |json: &Value, at: &str| Self::read(json, at, depth + 1);
        match key {
            "items" => self.items = Some(Box::new(read(value, here)?)),
            "properties" => {
                let Value::Object(properties) = value else {
                    return Err(wrong(here, "has to be an object"));
                };
                for (name, property) in properties {
                    let property = read(property, &format!("{here}.{}", brief(name)))?;
                    self.properties.push((name.clone(), property));
                }
            }
            "additionalProperties" => {
                self.additional = match value {
                    Value::Bool(false) => Additional::None,
                    Value::Bool(true) => Additional::Any,
                    other => Additional::Fit(Box::new(read(other, here)?)),
                }
            }
            "anyOf" => {
                for (n, one) in list(value, here)?.iter().enumerate() {
                    self.any_of.push(read(one, &format!("{here}.{n}"))?);
                }
                if self.any_of.is_empty() {
                    return Err(wrong(here, "has to hold at least one schema"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Gives a schema without a type the one that its keywords belong to, and refuses what nothing
    /// could fit.
    fn settle(&mut self, at: &str) -> Result<(), SchemaError> {
        if !self.any_of.is_empty() {
            let alone = Self { any_of: self.any_of.clone(), ..Self::default() };
            let what = "anyOf is supported only without other keywords beside it";
            return if *self == alone { Ok(()) } else { Err(wrong(at, what)) };
        }
        let closed = self.additional != Additional::Any;
        let of_object = !self.properties.is_empty() || !self.required.is_empty() || closed;
        let of_array = self.items.is_some() || self.item_count != (None, None);
        let of_string = self.length != (None, None);
        let of_number = self.minimum.is_some() || self.maximum.is_some();
        let implied = [
            (of_object, Type::Object),
            (of_array, Type::Array),
            (of_string, Type::String),
            (of_number, Type::Number),
        ];
        let implied: Vec<Type> =
            implied.into_iter().filter(|(is, _)| *is).map(|(_, one)| one).collect();
        if self.types.is_empty() && self.allowed.is_none() {
            self.types = implied;
        }
        let empty = |(least, most): (Option<u64>, Option<u64>)| {
            least.zip(most).is_some_and(|(least, most)| least > most)
        };
        if empty(self.length) || empty(self.item_count) || self.range_is_empty() {
            return Err(wrong(at, "nothing fits: a lower bound lies above the upper one"));
        }
        for value in self.allowed.iter().flatten() {
            self.check(value, "the value").map_err(|what| wrong(at, what))?;
        }
        if self.allowed.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong(at, "nothing fits: enum is empty"));
        }
        let unknown = |name: &&String| self.property(name).is_none();
        match self.required.iter().find(unknown) {
            Some(name) => {
                let what = format!("required names {:?}, which is no property", brief(name));
                Err(wrong(at, what))
            }
            None => Ok(()),
        }
    }

    fn range_is_empty(&self) -> bool {
        let (Some(least), Some(most)) = (&self.minimum, &self.maximum) else { return false };
        let (low, high) = (least.value.as_f64(), most.value.as_f64());
        low > high || (low == high && (least.exclusive || most.exclusive))
    }
}

fn wrong(at: &str, what: impl Into<String>) -> SchemaError {
    SchemaError { at: at.to_owned(), what: what.into() }
}

/// Sets what may be set once.
fn once<T>(place: &mut Option<T>, value: T, here: &str) -> Result<(), SchemaError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(wrong(here, "stands beside another keyword of the same meaning")),
    }
}

fn list<'j>(value: &'j Value, here: &str) -> Result<&'j Vec<Value>, SchemaError> {
    let list = value.as_array().filter(|list| list.len() <= LIST_MAX);
    list.ok_or_else(|| wrong(here, format!("has to be a list of at most {LIST_MAX}")))
}

fn types(value: &Value, here: &str) -> Result<Vec<Type>, SchemaError> {
    let one = |value: &Value| value.as_str().and_then(Type::named);
    let types = match value {
        Value::Array(several) => several.iter().map(one).collect(),
        single => one(single).map(|one| vec![one]),
    };
    let what =
        "has to be null, boolean, integer, number, string, array or object, or a list of these";
    types.filter(|types: &Vec<Type>| !types.is_empty()).ok_or_else(|| wrong(here, what))
}

fn bound(value: &Value, exclusive: bool, here: &str) -> Result<Bound, SchemaError> {
    let finite = value.as_f64().is_some_and(|number| number.abs() <= BOUND_MAX);
    let what = || wrong(here, format!("has to be a number, at most {BOUND_MAX:e} from zero"));
    finite.then(|| Bound { value: value.clone(), exclusive }).ok_or_else(what)
}

fn count(value: &Value, here: &str) -> Result<u64, SchemaError> {
    let count = value.as_u64().filter(|count| *count <= COUNT_MAX);
    count.ok_or_else(|| wrong(here, format!("has to be a whole number from 0 to {COUNT_MAX}")))
}
