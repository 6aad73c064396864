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

/// A share of something, above 0 and up to all of it: `12.5%` is 0.125.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "accepted: above 0%, up to 100%".to_owned())
}

/// Layers, experts of each, and how many of them a token uses: `60x512x10`.
pub(super) fn sizes(text: &str) -> Result<[usize; 3], String> {
    let numbers: Option<Vec<usize>> = text.split('x').map(|part| part.parse().ok()).collect();
    let sizes: Option<[usize; 3]> = numbers.and_then(|numbers| numbers.try_into().ok());
    let fits = |[layers, experts, chosen]: &[usize; 3]| {
        (1..=1024).contains(layers)
            && (1..=4096).contains(experts)
            && (1..=*experts.min(&1024)).contains(chosen)
    };
    sizes.filter(fits).ok_or_else(|| {
        "accepted: LAYERSxEXPERTSxCHOSEN such as 60x512x10, up to 1024x4096x1024".to_owned()
    })
}
