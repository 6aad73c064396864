//! The part of JSON Schema that arguments may be declared with: read strictly, every other keyword refused.

mod check;
mod read;

pub(super) use read::BOUND_MAX as NUMBER_MAX;
use serde_json::{Map, Value, json};

/// The types of JSON, with whole numbers as one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    const ALL: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, known)| *known)
    }
}

/// Where a schema cannot be kept, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct SchemaError {
    /// A path from `parameters` on.
    pub at: String,
    /// What was found and what is accepted; an unsupported keyword by name.
    pub what: String,
}

/// One bound of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound {
    /// The number, as it was written.
    pub(super) value: Value,
    /// Whether the number itself is outside.
    pub(super) exclusive: bool,
}

/// A schema that was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Schema {
    /// Types that are accepted; empty: every one.
    pub(super) types: Vec<Type>,
    /// `enum` and `const`.
    pub(super) allowed: Option<Vec<Value>>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    /// Characters of a string.
    pub(super) length: (Option<u64>, Option<u64>),
    pub(super) items: Option<Box<Schema>>,
    pub(super) item_count: (Option<u64>, Option<u64>),
    /// In the order in which they were declared.
    pub(super) properties: Vec<(String, Schema)>,
    pub(super) required: Vec<String>,
    /// Whether and how further properties are accepted.
    pub(super) additional: Additional,
    /// If there are any, one of them has to fit, and all else here is empty.
    pub(super) any_of: Vec<Schema>,
}

/// Properties that are not declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Additional {
    #[default]
    Any,
    None,
    Fit(Box<Schema>),
}

impl Schema {
    /// Whether a value of this type may be accepted here.
    pub(super) fn takes(&self, wanted: Type) -> bool {
        if !self.any_of.is_empty() {
            return self.any_of.iter().any(|one| one.takes(wanted));
        }
        let number = wanted == Type::Integer && self.types.contains(&Type::Number);
        self.types.is_empty() || self.types.contains(&wanted) || number
    }

    /// The least and the most characters, where a value is any text of so many: a string, and
    /// whatever else is accepted as it is written.
    pub(super) fn text_length(&self) -> Option<(u64, Option<u64>)> {
        let length = (self.length.0.unwrap_or(0), self.length.1);
        let text = self.any_of.is_empty() && self.allowed.is_none() && self.takes(Type::String);
        (text && (length == (0, None) || self.types == [Type::String])).then_some(length)
    }

    /// The schema of an argument.
    pub(super) fn property(&self, name: &str) -> Option<&Self> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, schema)| schema)
    }

    /// The schema as JSON Schema, without notes.
    pub(super) fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
        if !self.any_of.is_empty() {
            put("anyOf", self.any_of.iter().map(Self::to_json).collect());
            return Value::Object(out);
        }
        match &self.types[..] {
            [] => {}
            [one] => put("type", json!(one.name())),
            several => put("type", several.iter().map(|one| one.name()).collect()),
        }
        if let Some(allowed) = &self.allowed {
            put("enum", json!(allowed));
        }
        let bounds = [
            ("minimum", "exclusiveMinimum", &self.minimum),
            ("maximum", "exclusiveMaximum", &self.maximum),
        ];
        for (key, exclusive, bound) in bounds {
            if let Some(bound) = bound {
                put(if bound.exclusive { exclusive } else { key }, bound.value.clone());
            }
        }
        let counts = [
            ("minLength", self.length.0),
            ("maxLength", self.length.1),
            ("minItems", self.item_count.0),
            ("maxItems", self.item_count.1),
        ];
        for (key, count) in counts {
            if let Some(count) = count {
                put(key, json!(count));
            }
        }
        if let Some(items) = &self.items {
            put("items", items.to_json());
        }
        if !self.properties.is_empty() {
            let fields = self.properties.iter().map(|(name, one)| (name.clone(), one.to_json()));
            put("properties", Value::Object(fields.collect()));
        }
        if !self.required.is_empty() {
            put("required", json!(self.required));
        }
        match &self.additional {
            Additional::Any => {}
            Additional::None => put("additionalProperties", Value::Bool(false)),
            Additional::Fit(schema) => put("additionalProperties", schema.to_json()),
        }
        Value::Object(out)
    }
}
