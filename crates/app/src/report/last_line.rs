//! A report for people: one line, always of the same parts, with a dash where nothing was measured.

use engine::Generated;

use super::{Conditions, Rates};

const BYTES_PER_GB: f64 = 1e9;

/// The last line of a turn. Speed is that of decoding alone; what departs from the model as it was
/// published is named before the hash.
pub(crate) fn last_line(generated: &Generated, conditions: &Conditions) -> String {
    let rates = Rates::of(&generated.decode);
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let gigabytes =
        |bytes: Option<f64>| or_dash(bytes.map(|bytes| digits(bytes / BYTES_PER_GB, 2)));
    let mut parts = vec![
        format!("{} tok", generated.ids.len()),
        format!("{} tok/s", or_dash(rates.tok_per_s.map(|speed| digits(speed, 1)))),
        format!("{} ms/tok", or_dash(rates.tok_per_s.map(|speed| digits(1000.0 / speed, 0)))),
        format!(
            "{} GB/tok read ({} touched)",
            gigabytes(rates.read_bytes_per_token),
            gigabytes(rates.touched_bytes_per_token)
        ),
        format!("hit {} %", or_dash(rates.hit_rate.map(|rate| format!("{:.0}", 100.0 * rate)))),
        match rates.read_gb_per_s {
            Some(speed) => format!("disk {} GB/s", digits(speed, 1)),
            None => "disk -".to_owned(),
        },
        format!("{} {} {}", conditions.device, conditions.isa, conditions.precision),
    ];
    parts.extend(conditions.departures());
    parts.push(format!("#{}", generated.logits_hash.as_deref().unwrap_or("-")));
    parts.join(" · ")
}

/// So many decimals, and more where less than two digits would be left of a small number.
fn digits(value: f64, decimals: usize) -> String {
    let mut decimals = decimals;
    while value > 0.0 && value * 10_f64.powi(decimals as i32) < 9.5 && decimals < 9 {
        decimals += 1;
    }
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use engine::Phase;

    use super::super::example;
    use super::{digits, last_line};

    #[test]
    fn the_line_is_the_documented_one() {
        let (generated, conditions) = example();
        let want = "128 tok · 11.9 tok/s · 84 ms/tok · 0.43 GB/tok read (1.21 touched) · hit 61 % \
                    · disk 2.1 GB/s · cpu avx2 exact · #a1b2c3d4";
        assert_eq!(last_line(&generated, &conditions), want, "as in the documentation");
    }

    #[test]
    fn departures_are_named() {
        let (generated, mut conditions) = example();
        conditions.experts_per_token = 4;
        let line = last_line(&generated, &conditions);
        assert!(line.contains("exact · 4 of the model's 10 experts · #a1b2c3d4"), "{line}");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let (mut generated, conditions) = example();
        generated.decode.spent.read_bytes = 0;
        let line = last_line(&generated, &conditions);
        assert!(line.contains("0.00 GB/tok read (1.21 touched)"), "{line}");
        assert!(line.contains("· disk - ·"), "nothing was read: {line}");
        generated.decode = Phase::default();
        generated.ids.truncate(1);
        generated.logits_hash = None;
        let want = "1 tok · - tok/s · - ms/tok · - GB/tok read (- touched) · hit - % · disk - \
                    · cpu avx2 exact · #-";
        assert_eq!(last_line(&generated, &conditions), want, "one id needs no decoding");
    }

    #[test]
    fn small_numbers_keep_two_digits() {
        for (value, decimals, want) in [
            (0.43, 2, "0.43"),
            (1.21, 2, "1.21"),
            (0.00177, 2, "0.0018"),
            (0.0, 2, "0.00"),
            (84.03, 0, "84"),
            (3.21, 0, "3.2"),
            (0.094, 1, "0.094"),
            (1234.6, 1, "1234.6"),
        ] {
            assert_eq!(digits(value, decimals), want, "{value}");
        }
    }
}
