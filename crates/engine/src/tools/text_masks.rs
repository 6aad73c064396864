//! Masks inside free text, kept: walking all tokens takes milliseconds, and in a long text the same few come up again and again.

use std::collections::HashMap;
use std::sync::Arc;

use toktrie::SimpleVob;

use super::Tools;
use super::tagged::{PARAMETER_END, TaggedScan};

/// Follows a call in the tagged form. What may come next inside a text depends on how much of the
/// closing tag stands at its end, and on nothing else of it, as long as no bound of its length is
/// near.
pub(super) struct TextMasks {
    tools: Arc<Tools>,
    /// Bytes of the longest token.
    longest: usize,
    scan: TaggedScan,
    /// Whole characters of the call.
    raw: String,
    /// The beginning of a character.
    held: Vec<u8>,
    /// Where the value begins that the masks are of.
    start: usize,
    /// By the bytes of the closing tag that stand at the end.
    masks: HashMap<usize, SimpleVob>,
}

impl TextMasks {
    pub(super) fn new(tools: Arc<Tools>, longest: usize) -> Self {
        let (scan, raw, held) = (TaggedScan::default(), String::new(), Vec::new());
        Self { tools, longest, scan, raw, held, start: 0, masks: HashMap::new() }
    }

    /// Hears of the next bytes of the call.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.held) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let whole: Vec<u8> = self.held.drain(..whole).collect();
        self.raw.push_str(&String::from_utf8_lossy(&whole));
        self.scan.step(&self.raw);
    }

    /// The mask of this place, if it was kept.
    pub(super) fn get(&mut self) -> Option<&SimpleVob> {
        let place = self.place()?;
        self.masks.get(&place)
    }

    /// Keeps the mask of this place, if it is one of a text.
    pub(super) fn keep(&mut self, mask: &SimpleVob) {
        if let Some(place) = self.place() {
            self.masks.insert(place, mask.clone());
        }
    }

    /// How much of the closing tag stands at the end of the text; `None` outside of texts.
    fn place(&mut self) -> Option<usize> {
        let (function, argument, start) =
            self.scan.open_value().filter(|_| self.held.is_empty())?;
        let value = self.raw.get(start + 1..)?;
        let schema = self.tools.find(function)?.schema.property(argument)?;
        let (least, most) = schema.text_length()?;
        if (least, most) != (0, None) {
            let count = value.chars().count();
            let far = most.is_none_or(|most| count + self.longest < most as usize);
            // What stands at the end may turn out to be the tag, and no part of the text.
            if !far || count < least as usize + PARAMETER_END.len() {
                return None;
            }
        }
        if start != self.start {
            self.start = start;
            self.masks.clear();
        }
        let text = &self.raw[start..];
        (0..PARAMETER_END.len()).rev().find(|n| text.ends_with(&PARAMETER_END[..*n]))
    }
}
