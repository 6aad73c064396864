//! Penalties for what was said already.

use super::Sampling;

/// What was said already.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'a> {
    /// Ids before this turn's output: the repeat penalty sees them.
    pub prompt: &'a [u32],
    /// Ids of this turn's output: both penalties see them.
    pub generated: &'a [u32],
}

/// Changes the logits of ids that were said, each once however often it was: the repeat penalty
/// first, then the presence penalty. `seen` is memory to be used again; all of it is false before
/// and after.
pub(super) fn apply(
    sampling: &Sampling,
    history: History<'_>,
    row: &mut [f32],
    seen: &mut Vec<bool>,
) {
    let (repeat, presence) = (sampling.repeat_penalty, sampling.presence_penalty);
    seen.resize(row.len(), false);
    if repeat != 1.0 {
        let all = || history.prompt.iter().chain(history.generated);
        each_once(
            all,
            row,
            seen,
            |logit| if logit > 0.0 { logit / repeat } else { logit * repeat },
        );
    }
    if presence != 0.0 {
        each_once(|| history.generated.iter(), row, seen, |logit| logit - presence);
    }
}

fn each_once<'a, I: Iterator<Item = &'a u32>>(
    ids: impl Fn() -> I,
    row: &mut [f32],
    seen: &mut [bool],
    change: impl Fn(f32) -> f32,
) {
    for id in ids() {
        let at = *id as usize;
        // Ids beyond the tokenizer are in no row.
        if seen.get(at) == Some(&false) {
            seen[at] = true;
            row[at] = change(row[at]);
        }
    }
    for id in ids() {
        if let Some(seen) = seen.get_mut(*id as usize) {
            *seen = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalised(repeat: f32, presence: f32, history: History<'_>) -> Vec<f32> {
        let sampling =
            Sampling { repeat_penalty: repeat, presence_penalty: presence, ..Sampling::default() };
        let mut row = vec![2.0, -2.0, 0.0, 4.0, f32::NEG_INFINITY];
        let mut seen = Vec::new();
        apply(&sampling, history, &mut row, &mut seen);
        assert_eq!(seen, [false; 5], "clean for the next row");
        row
    }

    const NO: f32 = f32::NEG_INFINITY;

    #[test]
    fn by_hand() {
        let history = History { prompt: &[0, 1, 0, 9], generated: &[3, 1, 3, 4] };
        assert_eq!(penalised(1.0, 0.0, history), [2.0, -2.0, 0.0, 4.0, NO], "both off");
        assert_eq!(penalised(2.0, 0.0, history), [1.0, -4.0, 0.0, 2.0, NO], "prompt and generated");
        assert_eq!(penalised(1.0, 1.5, history), [2.0, -3.5, 0.0, 2.5, NO], "generated only, once");
        assert_eq!(penalised(2.0, 1.5, history), [1.0, -5.5, 0.0, 0.5, NO], "repeat comes first");
        assert_eq!(penalised(0.5, -1.0, history), [4.0, 0.0, 0.0, 9.0, NO], "rewards");
        assert_eq!(penalised(2.0, 1.5, History::default()), [2.0, -2.0, 0.0, 4.0, NO], "silence");
    }
}
