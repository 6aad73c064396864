//! A JSON object of strings in which a name given twice is an error and not swallowed.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::error::quoted;

/// Strings by name.
pub(super) struct Texts(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let text: String = map.next_value().map_err(|error| inside(&quoted(&name), error))?;
            if texts.contains_key(&name) {
                return Err(Error::custom(format!("{} is given twice", quoted(&name))));
            }
            texts.insert(name, text);
        }
        Ok(Texts(texts))
    }
}

/// The same error, saying in what it happened. Its line and column stand at the end of its
/// sentence, where the parser finds them again.
pub(super) fn inside<E: Error>(place: &str, error: E) -> E {
    E::custom(format!("{place}: {error}"))
}
