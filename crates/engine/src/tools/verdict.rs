//! What became of a turn that may have called: the one word that rates are counted in.

use super::{CallEvent, Heard};

/// What became of it. A turn with several calls is as good as its worst one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallVerdict {
    /// It calls nothing.
    NoCall,
    /// Every call is well-formed and fits its declaration.
    Valid,
    /// One ended inside, by the limit of tokens or by whoever ended the turn.
    Cut,
    /// One is malformed.
    Malformed,
}

impl CallVerdict {
    /// The verdict on all that a turn said.
    #[must_use]
    pub fn of(heard: &[Heard]) -> Self {
        let rank = |one: &Heard| match one {
            Heard::Answer(CallEvent::Malformed(_)) => 3,
            Heard::Answer(CallEvent::Cut { .. }) => 2,
            Heard::Answer(CallEvent::Call(_)) => 1,
            Heard::Answer(CallEvent::Text(_) | CallEvent::Began) | Heard::Reasoning(_) => 0,
        };
        match heard.iter().map(rank).max().unwrap_or(0) {
            0 => Self::NoCall,
            1 => Self::Valid,
            2 => Self::Cut,
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{Malformed, ToolCall};

    #[test]
    fn the_worst_call_decides() {
        let answer = Heard::Answer;
        let text = || answer(CallEvent::Text("x".to_owned()));
        let call = || answer(CallEvent::Call(ToolCall::default()));
        let cut = || answer(CallEvent::Cut { raw: String::new() });
        let wrong = || {
            let (raw, error) = (String::new(), String::new());
            answer(CallEvent::Malformed(Malformed { raw, error }))
        };
        assert_eq!(CallVerdict::of(&[]), CallVerdict::NoCall, "nothing");
        assert_eq!(CallVerdict::of(&[text()]), CallVerdict::NoCall, "text");
        assert_eq!(CallVerdict::of(&[text(), call(), text()]), CallVerdict::Valid, "a call");
        assert_eq!(CallVerdict::of(&[call(), cut()]), CallVerdict::Cut, "the second was cut");
        assert_eq!(CallVerdict::of(&[wrong(), call(), cut()]), CallVerdict::Malformed, "the first");
    }
}
