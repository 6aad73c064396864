//! The last lines of the screen: what the model does now, what it costs, how full everything is.

use std::time::{Duration, Instant};

use crate::chat::gauge::{Dial, Reading};
use crate::report::Rates;
use crate::size;

/// Places of the bar.
const BAR: usize = 24;

/// Model, speed, hits, disk, context, memory: as many as there is room for.
pub(super) fn line(name: &str, dial: &Dial, rss_bytes: Option<u64>, width: usize) -> String {
    let spent = &dial.decode;
    let phase = engine::Phase {
        tokens: usize::try_from(spent.tokens).unwrap_or(usize::MAX),
        spent: *spent,
        elapsed: spent.elapsed,
    };
    let rates = Rates::of(&phase);
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let memory = rss_bytes.map_or("-".to_owned(), size::shown);
    let parts = [
        format!("{} tok/s", or_dash(rates.tok_per_s.map(|speed| format!("{speed:.1}")))),
        format!("ctx {}/{}", grouped(dial.used), grouped(dial.ctx)),
        format!("hit {} %", or_dash(rates.hit_rate.map(|rate| format!("{:.0}", rate * 100.0)))),
        format!("disk {}", or_dash(rates.read_gb_per_s.map(|speed| format!("{speed:.1} GB/s")))),
        format!("mem {memory} of {}", size::shown(dial.plan_bytes)),
        name.to_owned(),
    ];
    let mut line = String::new();
    for part in parts {
        let more = part.chars().count() + if line.is_empty() { 0 } else { 3 };
        if line.chars().count() + more > width {
            break;
        }
        if !line.is_empty() {
            line.push_str(" · ");
        }
        line.push_str(&part);
    }
    line
}

/// A prompt that is being read: a bar, counts, the time that is left.
pub(super) fn reading(reading: &Reading, now: Instant, width: usize) -> String {
    let full = (reading.share.clamp(0.0, 1.0) * BAR as f64) as usize;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let (done, total) = (grouped(reading.done), grouped(reading.total));
    let left = reading.left(now).map_or(String::new(), |left| format!(" · {} left", time(left)));
    let line = format!("reading {bar} {done} of {total} tokens{left}");
    line.chars().take(width).collect()
}

fn time(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Digits in threes.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use engine::Spent;

    use super::*;

    fn dial() -> Dial {
        let decode = Spent {
            tokens: 20,
            hits: 3,
            misses: 1,
            read_bytes: 4_000_000_000,
            reading: Duration::from_secs(2),
            elapsed: Duration::from_secs(4),
            ..Spent::default()
        };
        Dial { decode, used: 1234, ctx: 32_768, plan_bytes: 3 << 30, ..Dial::default() }
    }

    #[test]
    fn what_fits_is_told() {
        let all = "5.0 tok/s · ctx 1,234/32,768 · hit 75 % · disk 2.0 GB/s · \
                   mem 1.00 GiB of 3.00 GiB · demo";
        assert_eq!(line("demo", &dial(), Some(1 << 30), 120), all, "all of it");
        assert_eq!(line("demo", &dial(), None, 30), "5.0 tok/s · ctx 1,234/32,768", "what matters");
        let nothing = line("demo", &Dial::default(), None, 60);
        assert_eq!(nothing, "- tok/s · ctx 0/0 · hit - % · disk - · mem - of 0 B · demo", "dashes");
    }

    #[test]
    fn a_bar_and_the_time_that_is_left() {
        let since = Instant::now();
        let told = Reading { done: 5000, total: 20_000, share: 0.25, since };
        let want = "reading ██████░░░░░░░░░░░░░░░░░░ 5,000 of 20,000 tokens · 1 min 30 s left";
        assert_eq!(reading(&told, since + Duration::from_secs(30), 100), want, "with a time");
        assert_eq!(reading(&told, since, 12), "reading ████", "a narrow screen");
        assert_eq!(time(Duration::from_secs(7300)), "2 h 1 min", "hours");
    }
}
