//! What became of the turns of `eval tools`, counted.

use engine::{CallEvent, CallVerdict, Heard};
use serde_json::{Map, Value, json};

use crate::table::Table;

/// What became of one turn.
pub(super) struct Outcome {
    verdict: CallVerdict,
    /// Whether it called what was expected, and nothing else.
    exact: bool,
    tokens: usize,
}

impl Outcome {
    pub(super) fn of(
        heard: &[Heard],
        expected: &[(String, Map<String, Value>)],
        tokens: usize,
    ) -> Self {
        let called: Vec<_> = heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Answer(CallEvent::Call(call)) => Some(call),
                _ => None,
            })
            .collect();
        let verdict = CallVerdict::of(heard);
        let exact = verdict == CallVerdict::Valid
            && called.len() == expected.len()
            && called.iter().zip(expected).all(|(call, (name, arguments))| {
                call.name == *name && texts(&call.arguments) == texts(arguments)
            });
        Self { verdict, exact, tokens }
    }
}

/// Arguments as text, by name: what is compared, so that 5 and "5" are the same.
fn texts(arguments: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut texts: Vec<_> =
        arguments.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    texts.sort();
    texts
}

/// Turns, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    turns: usize,
    valid: usize,
    malformed: usize,
    cut: usize,
    no_call: usize,
    exact: usize,
    tokens: usize,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.turns += 1;
        self.tokens += outcome.tokens;
        self.exact += usize::from(outcome.exact);
        *match outcome.verdict {
            CallVerdict::Valid => &mut self.valid,
            CallVerdict::Malformed => &mut self.malformed,
            CallVerdict::Cut => &mut self.cut,
            CallVerdict::NoCall => &mut self.no_call,
        } += 1;
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.turns.max(1) as f64
    }
}

/// Free and constrained, for people.
pub(super) fn table(tallies: &[Tally; 2]) -> String {
    let mut table = Table::new(&[true, false, false, false, false, false, false]);
    table.row(["calls", "turns", "valid", "malformed", "cut", "no call", "exact"]);
    for (name, tally) in ["free", "constrained"].into_iter().zip(tallies) {
        let share = |count: usize| format!("{count} ({:.1} %)", tally.percent(count));
        let counts = [tally.valid, tally.malformed, tally.cut, tally.no_call, tally.exact];
        let cells = [name.to_owned(), tally.turns.to_string()];
        table.row_of(cells.into_iter().chain(counts.map(share)).collect());
    }
    table.lines()
}

/// The same for machines, on one line.
pub(super) fn json(tallies: &[Tally; 2], force: bool, peak_rss_bytes: Option<u64>) -> Value {
    let one = |tally: &Tally| {
        json!({"turns": tally.turns, "valid": tally.valid, "malformed": tally.malformed,
            "cut": tally.cut, "no_call": tally.no_call, "exact": tally.exact,
            "valid_rate": tally.valid as f64 / tally.turns.max(1) as f64, "tokens": tally.tokens})
    };
    let [free, constrained] = tallies;
    json!({"free": one(free), "constrained": one(constrained), "force": force,
        "peak_rss_bytes": peak_rss_bytes})
}

#[cfg(test)]
mod tests {
    use engine::{Malformed, ToolCall};

    use super::*;

    #[test]
    fn turns_are_counted_by_what_became_of_them() {
        let arguments = |value: Value| value.as_object().cloned().unwrap_or_default();
        let call = |value: Value| {
            let (name, arguments) = ("f".to_owned(), arguments(value));
            Heard::Answer(CallEvent::Call(ToolCall { name, arguments }))
        };
        let expected = [("f".to_owned(), arguments(json!({"a": 1, "b": "x"})))];
        let (raw, error) = (String::new(), String::new());
        let wrong = Heard::Answer(CallEvent::Malformed(Malformed { raw, error }));
        let mut tally = Tally::default();
        for heard in [
            vec![call(json!({"b": "x", "a": "1"}))],
            vec![call(json!({"a": 1}))],
            vec![call(json!({"a": 1, "b": "x"})), wrong],
            vec![],
        ] {
            tally.add(&Outcome::of(&heard, &expected, 10));
        }
        let want =
            Tally { turns: 4, valid: 2, malformed: 1, cut: 0, no_call: 1, exact: 1, tokens: 40 };
        assert_eq!(tally, want, "the first is exact, in any order and type");
        let text = table(&[tally, tally]);
        assert!(text.contains("2 (50.0 %)") && text.lines().count() == 3, "{text}");
        assert_eq!(json(&[tally, tally], false, None)["free"]["valid_rate"], 0.5, "a share");
    }
}
