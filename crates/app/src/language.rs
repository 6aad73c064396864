//! What a checkpoint says of its texts: tokenizer, chat template, advice for sampling, ends of turns.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use engine::{ChatTemplate, GenerationDefaults, Tokenizer, TokenizerSource, stop_ids};
use serde_json::Value;

use crate::fault::Fault;

/// Such files have some kilobytes.
const JSON_BYTES_MAX: u64 = 16 << 20;

/// Everything between text and ids.
pub(crate) struct Language {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) defaults: GenerationDefaults,
    pub(crate) stop_ids: Vec<u32>,
}

impl Language {
    /// Reads it from the directory of a checkpoint. A chat template and a generation_config.json
    /// need not be there.
    pub(crate) fn open(directory: &Path) -> Result<Self, Fault> {
        let tokenizer = tokenizer(directory)?;
        let template = ChatTemplate::open(directory, &tokenizer).map_err(Fault::failed)?;
        let config = json(&directory.join("config.json"))?.unwrap_or_default();
        let generation = json(&directory.join("generation_config.json"))?;
        let defaults = match &generation {
            Some(generation) => GenerationDefaults::read(generation)
                .map_err(|error| Fault::failed(format!("{}: {error}", directory.display())))?,
            None => GenerationDefaults::default(),
        };
        let stop_ids = stop_ids(generation.as_ref(), &config, &tokenizer);
        Ok(Self { tokenizer, template, defaults, stop_ids })
    }
}

/// The tokenizer alone.
pub(crate) fn tokenizer(directory: &Path) -> Result<Tokenizer, Fault> {
    let source = TokenizerSource::json_file(&tokenizer_file(directory));
    source.and_then(Tokenizer::load).map_err(Fault::failed)
}

/// Bytes of the tokenizer's file, for the plan; 0 when there is none.
pub(crate) fn tokenizer_file_bytes(directory: &Path) -> u64 {
    std::fs::metadata(tokenizer_file(directory)).map_or(0, |file| file.len())
}

fn tokenizer_file(directory: &Path) -> std::path::PathBuf {
    directory.join("tokenizer.json")
}

/// A small JSON file; `None` when it is not there.
pub(crate) fn json(path: &Path) -> Result<Option<Value>, Fault> {
    let failed = |why: String| Fault::failed(format!("{}: {why}", path.display()));
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed(error.to_string()))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(failed(format!("more than the {JSON_BYTES_MAX} bytes that are accepted")));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_missing_is_none_and_json_that_is_broken_is_named() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("x.json");
        assert_eq!(json(&path), Ok(None), "missing");
        std::fs::write(&path, b"[1, 2").expect("write");
        let fault = json(&path).expect_err("cut");
        assert!(fault.line().is_some_and(|line| line.contains("x.json")), "{fault:?}");
        std::fs::write(&path, b"[1, 2]").expect("write");
        assert_eq!(json(&path), Ok(Some(serde_json::json!([1, 2]))), "whole");
    }
}
