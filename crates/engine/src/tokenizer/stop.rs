//! The ids that end a turn, and whether a turn begins inside a think block.

use serde_json::Value;

use super::Tokenizer;

/// Every id at which generation stops, ascending.
///
/// These are the `eos_token_id` of `generation_config`, else those of `config` (its `text_config`
/// and its top level), together with the tokenizer's `<|im_end|>` and `<|endoftext|>`: the config of
/// a chat model often names the second alone, which would run past the end of the turn.
#[must_use]
pub fn stop_ids(
    generation_config: Option<&Value>,
    config: &Value,
    tokenizer: &Tokenizer,
) -> Vec<u32> {
    let mut ids = generation_config.map(eos_ids).unwrap_or_default();
    if ids.is_empty() {
        ids = eos_ids(config);
        ids.extend(config.get("text_config").map(eos_ids).unwrap_or_default());
    }
    let named = ["<|im_end|>", "<|endoftext|>"];
    let added = tokenizer.added().iter().filter(|token| named.contains(&token.content.as_str()));
    ids.extend(added.map(|token| token.id));
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// `eos_token_id`: a number, a list of numbers, or missing.
fn eos_ids(config: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match config.get("eos_token_id") {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Whether the text after these ids is inside a think block: the last mark of the two opens one.
#[must_use]
pub fn starts_thinking(ids: &[u32], think: (u32, u32)) -> bool {
    ids.iter().rev().find(|id| **id == think.0 || **id == think.1) == Some(&think.0)
}

#[cfg(test)]
mod tests {
    use super::starts_thinking;

    #[test]
    fn the_last_mark_decides() {
        for (ids, inside) in [
            (&[1, 8, 2][..], true),
            (&[8, 9], false),
            (&[8, 9, 8], true),
            (&[9], false),
            (&[1, 2], false),
            (&[], false),
        ] {
            assert_eq!(starts_thinking(ids, (8, 9)), inside, "{ids:?}");
        }
    }
}
