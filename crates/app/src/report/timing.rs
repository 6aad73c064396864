//! Where the time of decoding went: one more line for people.

use std::time::Duration;

use engine::Phase;

/// The parts of a phase, in milliseconds a token. What is left of the wall time is `other`.
pub(crate) fn timing(phase: &Phase) -> String {
    if phase.tokens == 0 {
        return "time: nothing was decoded".to_owned();
    }
    let per_token = |part: Duration| 1000.0 * part.as_secs_f64() / phase.tokens as f64;
    let parts: Vec<String> = parts(phase)
        .iter()
        .map(|(name, part)| format!("{name} {}", digits(per_token(*part))))
        .collect();
    format!("time: {} ms/tok = {}", digits(per_token(phase.elapsed)), parts.join(" + "))
}

/// Each part of a phase with its name.
pub(crate) fn parts(phase: &Phase) -> [(&'static str, Duration); 5] {
    let spent = &phase.spent;
    let named = spent.wait + spent.multiplying + spent.mixing + spent.answering;
    [
        ("wait", spent.wait),
        ("experts", spent.multiplying),
        ("attention", spent.mixing),
        ("head", spent.answering),
        ("other", phase.elapsed.saturating_sub(named)),
    ]
}

fn digits(milliseconds: f64) -> String {
    let decimals = if milliseconds < 9.95 { 2 } else { 1 };
    format!("{milliseconds:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let (generated, _) = example();
        let sum: Duration = parts(&generated.decode).iter().map(|(_, part)| *part).sum();
        assert_eq!(sum, generated.decode.elapsed, "other is the rest");
        let want = "time: 84.0 ms/tok = wait 31.5 + experts 23.6 + attention 15.7 + head 7.87 + \
                    other 5.29";
        assert_eq!(timing(&generated.decode), want, "one line");
        let want = "time: nothing was decoded";
        assert_eq!(timing(&Phase::default()), want, "one id needs no decoding");
    }
}
