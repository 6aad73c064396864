//! Values against schemas, and text of the tagged form to values.

use serde_json::{Map, Value};

use super::read::BOUND_MAX;
use super::{Additional, Schema, Type};
use crate::brief::brief;

/// A value's own type; a number without a fraction is a whole one.
fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Boolean,
        Value::String(_) => Type::String,
        Value::Array(_) => Type::Array,
        Value::Object(_) => Type::Object,
        Value::Number(number) => {
            let exact = |number: f64| number.fract() == 0.0 && number.abs() <= BOUND_MAX;
            let whole = !number.is_f64() || number.as_f64().is_some_and(exact);
            if whole { Type::Integer } else { Type::Number }
        }
    }
}

impl Schema {
    /// Checks the arguments of a call of `function`.
    pub(in super::super) fn check_arguments(
        &self,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Result<(), String> {
        for (name, value) in arguments {
            let schema = self.property(name).ok_or_else(|| self.unknown(function, name))?;
            schema.check(value, &format!("{function}: argument {name}"))?;
        }
        self.check_required(arguments, function)
    }

    /// The value of an argument that was written as text.
    ///
    /// Where a string is accepted and nothing else, the text is the string. Else it is read as JSON
    /// (with `True`, `False` and `None` as templates write them), and as a string if that does not
    /// fit and a string does.
    pub(in super::super) fn argument(
        &self,
        function: &str,
        name: &str,
        text: &str,
    ) -> Result<Value, String> {
        let schema = self.property(name).ok_or_else(|| self.unknown(function, name))?;
        let what = format!("{function}: argument {name}");
        let string = Value::String(text.to_owned());
        let others = Type::ALL.iter().any(|(_, one)| *one != Type::String && schema.takes(*one));
        if !others {
            return schema.check(&string, &what).map(|()| string);
        }
        let read = match text.trim() {
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            "None" => Ok(Value::Null),
            json => serde_json::from_str(json),
        };
        let as_string = schema.check(&string, &what);
        match read {
            // What is a JSON string here stands in quotes that no string of this form has.
            Ok(value) if !value.is_string() => match (schema.check(&value, &what), as_string) {
                (Ok(()), _) => Ok(value),
                (Err(_), Ok(())) => Ok(string),
                (Err(error), Err(_)) => Err(error),
            },
            _ if as_string.is_ok() => Ok(string),
            _ => Err(format!("{what}: expected {}, found {:?}", schema.accepted(), brief(text))),
        }
    }

    fn unknown(&self, function: &str, name: &str) -> String {
        let known: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("{function}: there is no argument {:?}, there are: {known}", brief(name))
    }

    /// Checks any value; `what` names it in the error, which is one line.
    pub(super) fn check(&self, value: &Value, what: &str) -> Result<(), String> {
        if !self.any_of.is_empty() {
            let fits = self.any_of.iter().any(|one| one.check(value, what).is_ok());
            return if fits { Ok(()) } else { Err(self.misfit(value, what)) };
        }
        if !self.takes(type_of(value)) {
            return Err(self.misfit(value, what));
        }
        if let Some(allowed) = &self.allowed
            && !allowed.iter().any(|one| same(one, value))
        {
            return Err(self.misfit(value, what));
        }
        match value {
            Value::Number(number) => self.check_number(number.as_f64().unwrap_or(0.0), what),
            Value::String(text) => within(text.chars().count(), self.length, what, "characters"),
            Value::Array(items) => {
                within(items.len(), self.item_count, what, "items")?;
                let Some(schema) = &self.items else { return Ok(()) };
                let mut items = items.iter().enumerate();
                items.try_for_each(|(n, item)| schema.check(item, &format!("{what}[{n}]")))
            }
            Value::Object(fields) => self.check_fields(fields, what),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    fn check_number(&self, number: f64, what: &str) -> Result<(), String> {
        let bound = |bound: &super::Bound| (bound.value.as_f64().unwrap_or(0.0), bound.exclusive);
        if let Some((least, exclusive)) = self.minimum.as_ref().map(bound)
            && (number < least || (exclusive && number == least))
        {
            let words = if exclusive { "more than" } else { "at least" };
            return Err(format!("{what}: expected {words} {least}, found {number}"));
        }
        if let Some((most, exclusive)) = self.maximum.as_ref().map(bound)
            && (number > most || (exclusive && number == most))
        {
            let words = if exclusive { "less than" } else { "at most" };
            return Err(format!("{what}: expected {words} {most}, found {number}"));
        }
        Ok(())
    }

    fn check_fields(&self, fields: &Map<String, Value>, what: &str) -> Result<(), String> {
        for (name, value) in fields {
            let there = format!("{what}.{}", brief(name));
            match (self.property(name), &self.additional) {
                (Some(schema), _) => schema.check(value, &there)?,
                (None, Additional::Fit(schema)) => schema.check(value, &there)?,
                (None, Additional::Any) => {}
                (None, Additional::None) => {
                    return Err(format!("{what}: there is no property {:?}", brief(name)));
                }
            }
        }
        self.check_required(fields, what)
    }

    fn check_required(&self, fields: &Map<String, Value>, what: &str) -> Result<(), String> {
        match self.required.iter().find(|name| !fields.contains_key(*name)) {
            Some(missing) => Err(format!("{what}: {} is missing, it is required", brief(missing))),
            None => Ok(()),
        }
    }

    fn misfit(&self, value: &Value, what: &str) -> String {
        format!("{what}: expected {}, found {}", self.accepted(), brief(value))
    }

    /// What fits, in a few words.
    fn accepted(&self) -> String {
        if !self.any_of.is_empty() {
            let each: Vec<String> = self.any_of.iter().map(Self::accepted).collect();
            return each.join(" or ");
        }
        if let Some(allowed) = &self.allowed {
            let each: Vec<String> = allowed.iter().map(Value::to_string).collect();
            return format!("one of {}", brief(each.join(", ")));
        }
        let names: Vec<&str> = self.types.iter().map(|one| one.name()).collect();
        if names.is_empty() { "any value".to_owned() } else { names.join(" or ") }
    }
}

/// Equal as JSON Schema has it: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        _ => a == b,
    }
}

fn within(
    found: usize,
    (least, most): (Option<u64>, Option<u64>),
    what: &str,
    unit: &str,
) -> Result<(), String> {
    let found = found as u64;
    if let Some(least) = least.filter(|least| found < *least) {
        return Err(format!("{what}: expected at least {least} {unit}, found {found}"));
    }
    match most.filter(|most| found > *most) {
        Some(most) => Err(format!("{what}: expected at most {most} {unit}, found {found}")),
        None => Ok(()),
    }
}
