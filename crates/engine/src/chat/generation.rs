//! What a checkpoint's generation_config.json advises for sampling.

use serde_json::Value;

use crate::brief::brief;

/// Sampling as the checkpoint's makers advise it. What the file does not say is neutral.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GenerationDefaults {
    /// 0 is greedy; also when `do_sample` is false.
    pub temperature: f32,
    /// 0 is off.
    pub top_k: u32,
    /// 1 is off.
    pub top_p: f32,
    /// 0 is off.
    pub min_p: f32,
    /// 0 is off.
    pub presence_penalty: f32,
    /// 1 is off.
    pub repetition_penalty: f32,
    /// Whether to sample at all; true where the file is silent.
    pub do_sample: bool,
}

impl Default for GenerationDefaults {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            repetition_penalty: 1.0,
            do_sample: true,
        }
    }
}

/// A setting of generation_config.json that no sampler can use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("generation_config.json: {key} is {}; accepted: {accepted}", brief(.found))]
pub struct GenerationError {
    /// The setting.
    pub key: &'static str,
    /// Its value in the file.
    pub found: String,
    /// What it may be.
    pub accepted: &'static str,
}

impl GenerationDefaults {
    /// Reads a parsed generation_config.json. Missing keys and `null` leave the neutral value.
    ///
    /// # Errors
    /// [`GenerationError`] for a value out of bounds or of another type.
    pub fn read(config: &Value) -> Result<Self, GenerationError> {
        let mut read = Self::default();
        let number = |key, into: &mut f32, accepted, fits: fn(f64) -> bool| {
            let Some(found) = present(config, key) else { return Ok(()) };
            let value = found.as_f64().filter(|value| fits(*value));
            *into = value.ok_or_else(|| refused(key, found, accepted))? as f32;
            Ok(())
        };
        number("temperature", &mut read.temperature, "0 to 100", |t| (0.0..=100.0).contains(&t))?;
        number("top_p", &mut read.top_p, "above 0, up to 1", |p| p > 0.0 && p <= 1.0)?;
        number("min_p", &mut read.min_p, "0 to 1", |p| (0.0..=1.0).contains(&p))?;
        let presence = &mut read.presence_penalty;
        number("presence_penalty", presence, "-2 to 2", |p| (-2.0..=2.0).contains(&p))?;
        let repetition = &mut read.repetition_penalty;
        number("repetition_penalty", repetition, "above 0, up to 100", |p| p > 0.0 && p <= 100.0)?;
        if let Some(found) = present(config, "top_k") {
            let value = found.as_u64().and_then(|k| u32::try_from(k).ok());
            read.top_k = value.ok_or_else(|| refused("top_k", found, "a whole number from 0"))?;
        }
        if let Some(found) = present(config, "do_sample") {
            let value = found.as_bool();
            read.do_sample = value.ok_or_else(|| refused("do_sample", found, "true or false"))?;
        }
        if !read.do_sample {
            read.temperature = 0.0;
        }
        Ok(read)
    }
}

fn present<'a>(config: &'a Value, key: &str) -> Option<&'a Value> {
    config.get(key).filter(|value| !value.is_null())
}

fn refused(key: &'static str, found: &Value, accepted: &'static str) -> GenerationError {
    GenerationError { key, found: found.to_string(), accepted }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_read_and_the_rest_is_neutral() {
        let config = json!({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95});
        let want =
            GenerationDefaults { temperature: 0.6, top_k: 20, top_p: 0.95, ..Default::default() };
        assert_eq!(GenerationDefaults::read(&config), Ok(want), "as the 397B has it");
        let nothing = GenerationDefaults::read(&json!({"top_k": null}));
        assert_eq!(nothing, Ok(GenerationDefaults::default()), "null is silence");
        let greedy = GenerationDefaults::read(&json!({"do_sample": false, "temperature": 0.6}));
        assert_eq!(greedy.map(|read| read.temperature), Ok(0.0), "no sampling is temperature 0");
    }

    #[test]
    fn values_out_of_bounds_are_refused_by_name() {
        for (key, values) in [
            ("temperature", json!([-0.1, 101, "hot", true])),
            ("top_p", json!([0, 1.1, "x", []])),
            ("min_p", json!([-0.1, 1.5])),
            ("top_k", json!([-1, 1.5, 5_000_000_000_u64, "k"])),
            ("presence_penalty", json!([-2.1, 3])),
            ("repetition_penalty", json!([0, -1, 101])),
            ("do_sample", json!([0, "yes"])),
        ] {
            for value in values.as_array().into_iter().flatten() {
                let error = GenerationDefaults::read(&json!({ key: value })).expect_err(key);
                let message = error.to_string();
                assert!(
                    message.contains(key) && message.contains(&value.to_string()),
                    "{message} names {key} and {value}"
                );
            }
        }
    }
}
