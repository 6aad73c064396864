//! Sizes as people write and read them: binary, decimal, plain bytes, or a share of what is there.

use std::str::FromStr;

/// Names of units and what they count, the longest first so that `GiB` is not read as `B`.
const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

/// Digits behind the point that still count.
const FRACTION_DIGITS_MAX: usize = 9;

const ACCEPTED: &str = "accepted: 8GiB or 512MiB (binary), 8GB or 512MB (decimal), plain bytes, \
                        60% of what is there";

/// A size on the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    /// So many bytes, at least one.
    Bytes(u64),
    /// A share of what is there, in millionths of a percent: above 0, up to 100 percent.
    Share(u64),
}

/// One percent in the unit of [`Size::Share`].
pub(crate) const PERCENT: u64 = 1_000_000;

impl Size {
    /// The size where `whole_bytes` are there; `None` for a share of nobody knows what.
    pub(crate) fn bytes(self, whole_bytes: Option<u64>) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Share(share) => whole_bytes.map(|whole| {
                let part = u128::from(whole) * u128::from(share) / u128::from(100 * PERCENT);
                u64::try_from(part).expect("a share of a whole is not above it")
            }),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| ACCEPTED.to_owned())
    }
}

fn read(text: &str) -> Option<Size> {
    let lower = text.to_ascii_lowercase();
    if let Some(percent) = lower.strip_suffix('%') {
        let share = scaled(percent, PERCENT)?;
        return (1..=100 * PERCENT).contains(&share).then_some(Size::Share(share));
    }
    let unit = UNITS.iter().find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.unwrap_or((&lower, 1));
    let bytes = scaled(number.trim_end_matches(' '), unit)?;
    (bytes > 0).then_some(Size::Bytes(bytes))
}

/// A decimal number times `unit`, rounded down; `None` for anything that is no such number.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole: u128 = whole.parse().ok()?;
    let fraction: u128 = fraction.parse().ok()?;
    let total = whole.checked_mul(scale)?.checked_add(fraction)?.checked_mul(unit.into())?;
    u64::try_from(total / scale).ok()
}

/// Bytes for people: three digits that count, binary units.
pub(crate) fn shown(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1024 is one of the next unit.
    while value >= 1023.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", units[unit])
}

/// A size that is at least `bytes`, in a form that the command line takes: for advice.
pub(crate) fn advised(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, bytes) in [
            ("8GiB", 8 << 30),
            ("512MiB", 512 << 20),
            ("8GB", 8_000_000_000),
            ("512MB", 512_000_000),
            ("1.5GiB", 3 << 29),
            ("0.25 KiB", 256),
            ("2TB", 2_000_000_000_000),
            ("1TiB", 1 << 40),
            ("7KB", 7_000),
            ("10mb", 10_000_000),
            ("12345", 12345),
            ("12345B", 12345),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Size::Bytes(bytes)), "{text}");
        }
        assert_eq!("60%".parse(), Ok(Size::Share(60 * PERCENT)), "a share");
        assert_eq!("12.5%".parse(), Ok(Size::Share(12_500_000)), "half a percent");
    }

    #[test]
    fn everything_else_is_refused_with_what_is_accepted() {
        for text in [
            "",
            "GiB",
            "8G",
            "8M",
            "-1",
            "+8GiB",
            "8 Gi",
            "8GiBs",
            "1e9",
            "0",
            "0GiB",
            "0%",
            "101%",
            "-5%",
            "%",
            "1.2.3GiB",
            ".5GiB",
            "5.GiB",
            "0x10",
            "8,5GiB",
            "NaN",
            "inf",
            "٣GiB",
            "18446744073709551616",
            "99999999999TiB",
            "1.0000000001GiB",
            "99999999999999999999999999999999999999999999",
        ] {
            let refused = text.parse::<Size>();
            assert!(refused.as_ref().is_err_and(|why| why.contains("8GiB")), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_share_is_of_what_is_there() {
        assert_eq!(Size::Share(60 * PERCENT).bytes(Some(1000)), Some(600), "60 %");
        assert_eq!(Size::Share(100 * PERCENT).bytes(Some(u64::MAX)), Some(u64::MAX), "all");
        assert_eq!(Size::Share(PERCENT).bytes(None), None, "of nobody knows what");
        assert_eq!(Size::Bytes(5).bytes(None), Some(5), "bytes need no whole");
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (27_648, "27.0 KiB"),
            (1 << 20, "1.00 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (36 << 20, "36.0 MiB"),
            (8 << 30, "8.00 GiB"),
            (209 << 30, "209 GiB"),
            (5 << 40, "5.00 TiB"),
        ] {
            assert_eq!(shown(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn advice_is_enough_and_can_be_read_back() {
        for bytes in [1, 1 << 20, (1 << 20) + 1, 123_456_789] {
            let advice: Result<Size, String> = advised(bytes).parse();
            assert!(matches!(advice, Ok(Size::Bytes(b)) if b >= bytes), "{bytes}: {advice:?}");
        }
    }
}
