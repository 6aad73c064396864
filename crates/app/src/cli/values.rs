//! Values of flags that clap does not know, each refused with what is accepted.

use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A text, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Given(String),
    File(PathBuf),
}

/// `@FILE` or the text itself.
pub(super) fn text_or_file(text: &str) -> Result<Text, String> {
    Ok(match text.strip_prefix('@') {
        Some("") => return Err("accepted: a text, or @ and the name of a file".to_owned()),
        Some(file) => Text::File(file.into()),
        None => Text::Given(text.to_owned()),
    })
}

/// A whole number from 1.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "accepted: a whole number from 1".to_owned())
}

/// A finite number in a range.
pub(super) fn number(text: &str, range: &RangeInclusive<f32>) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("accepted: {} to {}", range.start(), range.end()))
}

/// As [`number`], for ranges that begin just above 0.
pub(super) fn above_zero(text: &str, end: f32) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number <= end);
    number.ok_or_else(|| format!("accepted: above 0, up to {end}"))
}
