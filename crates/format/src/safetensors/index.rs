//! The index of a sharded model: which shard holds which tensor, and no way out of the directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::texts::{Texts, inside};
use crate::{FormatError, json};

/// What `model.safetensors.index.json` says. Its `metadata` is not kept: tools that rewrite a
/// model often leave it as it was, and nothing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Tensor name to the plain name of the file that holds it.
    pub weight_map: BTreeMap<String, String>,
}

/// The index in `bytes`; `path` is where they came from, for errors.
///
/// # Errors
/// When `bytes` is not an object with a `weight_map` of strings, a tensor is listed twice, or a
/// shard is named by anything but the plain name of a file.
pub fn parse_index(path: &Path, bytes: &[u8]) -> Result<Index, FormatError> {
    let text = json::text(path, bytes, 0)?;
    let WeightMap(Texts(weight_map)) =
        serde_json::from_str(text).map_err(|error| json::fault(path, "", &error))?;
    if let Some((tensor, shard)) = weight_map.iter().find(|(_, shard)| !is_plain_name(shard)) {
        let (tensor, shard) = (tensor.clone(), shard.clone());
        return Err(FormatError::ShardName { path: path.into(), tensor, shard });
    }
    Ok(Index { weight_map })
}

/// A name that means a file of this directory on every system: no separator of either kind, no
/// drive or stream, nothing that would break a line of an error.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let foreign = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    !name.is_empty() && name != "." && name != ".." && !name.contains(foreign)
}

/// The one part of an index that is used.
struct WeightMap(Texts);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WeightMap, D::Error> {
        deserializer.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut found: Option<Texts> = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "weight_map" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let texts = map.next_value().map_err(|error| inside(&key, error))?;
            if found.replace(texts).is_some() {
                return Err(Error::custom("weight_map is given twice"));
            }
        }
        match found {
            Some(texts) if !texts.0.is_empty() => Ok(WeightMap(texts)),
            Some(_) => Err(Error::custom("weight_map lists no tensor")),
            None => Err(Error::missing_field("weight_map")),
        }
    }
}
