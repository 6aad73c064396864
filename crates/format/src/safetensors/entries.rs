//! The JSON of a header as it is written: one entry a tensor, duplicates kept, nothing trusted yet.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::header::MAX_DIMS;
use super::texts::{Texts, inside};
use crate::error::quoted;

/// The key that holds texts about the file; no tensor can be called so.
const METADATA: &str = "__metadata__";

/// A whole header in the order of the file.
pub(super) struct Entries {
    pub(super) tensors: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// One tensor as declared.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) fields: Fields,
}

/// What is declared of a tensor.
pub(super) struct Fields {
    pub(super) dtype: String,
    pub(super) shape: Numbers,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// A list of numbers that takes no more memory than the longest accepted one.
pub(super) struct Numbers {
    /// The first numbers of the list, at most `MAX_DIMS`.
    pub(super) kept: Vec<u64>,
    /// How many the file gave.
    pub(super) count: usize,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut tensors = Vec::new();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                let texts: Texts = map.next_value().map_err(|error| inside(METADATA, error))?;
                set(&mut metadata, METADATA, texts.0)?;
            } else {
                let fields = map.next_value();
                let fields =
                    fields.map_err(|error| inside(&format!("tensor {}", quoted(&name)), error))?;
                tensors.push(Entry { name, fields });
            }
        }
        Ok(Entries { tensors, metadata: metadata.unwrap_or_default() })
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let wrong = |error| inside(&key, error);
            match key.as_str() {
                "dtype" => set(&mut dtype, &key, map.next_value().map_err(wrong)?)?,
                "shape" => set(&mut shape, &key, map.next_value().map_err(wrong)?)?,
                "data_offsets" => set(&mut offsets, &key, map.next_value().map_err(wrong)?)?,
                // A later version of the format may say more than we need to know.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let offsets: Numbers = offsets.ok_or_else(|| Error::missing_field("data_offsets"))?;
        let [begin, end] = offsets.kept[..] else {
            let count = offsets.count;
            return Err(Error::custom(format!(
                "data_offsets: a list of {count}, expected 2 numbers"
            )));
        };
        Ok(Fields {
            dtype: dtype.ok_or_else(|| Error::missing_field("dtype"))?,
            shape: shape.ok_or_else(|| Error::missing_field("shape"))?,
            begin,
            end,
        })
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        deserializer.deserialize_seq(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of whole numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
        let mut numbers = Numbers { kept: Vec::new(), count: 0 };
        while let Some(number) = list.next_element()? {
            numbers.count += 1;
            if numbers.count <= MAX_DIMS {
                numbers.kept.push(number);
            }
        }
        Ok(numbers)
    }
}

/// Keeps a value that may come once.
fn set<T, E: Error>(place: &mut Option<T>, key: &str, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format!("{key} is given twice"))),
    }
}
