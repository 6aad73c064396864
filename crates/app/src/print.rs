//! A turn as it is shown: the answer to stdout as it is made, reasoning and log-probabilities to stderr.

use std::io::{self, Write};
use std::ops::ControlFlow;

use engine::{Event, LogProbs, Tokenizer};
use serde_json::{Value, json};

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// What becomes of reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    Hidden,
    Plain,
    Dimmed,
}

impl Thinking {
    /// On a terminal it is shown, dimmed where that can be; elsewhere only when it is asked for.
    pub(crate) fn choose(asked_for: bool, terminal: bool, rich: bool) -> Self {
        match (asked_for, terminal, rich) {
            (_, true, true) => Self::Dimmed,
            (_, true, false) | (true, false, _) => Self::Plain,
            (false, false, _) => Self::Hidden,
        }
    }
}

/// Shows the events of one turn.
pub(crate) struct Printer<'a, O, E> {
    out: O,
    err: E,
    tokenizer: &'a Tokenizer,
    thinking: Thinking,
    /// Whether stdout is a terminal.
    terminal: bool,
    /// Whether the last thing on stderr was reasoning, and whether it ended its line.
    reasoning: Option<bool>,
    /// Whether the last line of the answer is not ended yet.
    open_line: bool,
    /// Why stdout takes no more.
    pub(crate) failure: Option<io::Error>,
}

impl<'a, O: Write, E: Write> Printer<'a, O, E> {
    pub(crate) fn new(
        out: O,
        err: E,
        tokenizer: &'a Tokenizer,
        thinking: Thinking,
        terminal: bool,
    ) -> Self {
        let (reasoning, open_line, failure) = (None, false, None);
        Self { out, err, tokenizer, thinking, terminal, reasoning, open_line, failure }
    }

    /// Shows one event at once, and ends the turn when stdout takes no more.
    pub(crate) fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Prompt(_) => {}
            Event::Id { logprobs: None, .. } => {}
            Event::Id { id, logprobs: Some(logprobs), forced } => {
                self.end_reasoning("\n");
                let line = logprobs_line(self.tokenizer, id, &logprobs, forced);
                // The answer does not depend on whether somebody reads what goes to stderr.
                let _ = writeln!(self.err, "{line}");
            }
            Event::Text { text, reasoning: true } => self.reasoning(&text),
            Event::Text { text, reasoning: false } => {
                self.end_reasoning("\n\n");
                self.open_line = !text.ends_with('\n');
                let shown = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
                if let Err(error) = shown {
                    self.failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn reasoning(&mut self, text: &str) {
        let shown = match self.thinking {
            Thinking::Hidden => return,
            Thinking::Plain => write!(self.err, "{text}"),
            // Each piece is closed, so that whatever ends the program leaves no dim terminal.
            Thinking::Dimmed => write!(self.err, "{DIM}{text}{RESET}"),
        };
        let _ = shown.and_then(|()| self.err.flush());
        self.reasoning = Some(text.ends_with('\n'));
    }

    fn end_reasoning(&mut self, gap: &str) {
        if let Some(ended) = self.reasoning.take() {
            let gap = if ended { &gap[1..] } else { gap };
            let _ = write!(self.err, "{gap}").and_then(|()| self.err.flush());
        }
    }

    /// Says why the turn failed, on a line of its own.
    pub(crate) fn error(&mut self, line: &str) {
        let _ = writeln!(self.err, "error: {line}");
    }

    /// Ends a line that is open, so that what follows begins its own. On stdout only a terminal gets
    /// more than the answer; else stderr gets the line end, since both may lead to one place.
    pub(crate) fn finish(&mut self) {
        self.end_reasoning("\n");
        if std::mem::take(&mut self.open_line) && self.failure.is_none() {
            let _ = if self.terminal {
                writeln!(self.out).and_then(|()| self.out.flush())
            } else {
                writeln!(self.err)
            };
        }
    }
}

/// One token as JSON: natural logarithms of probabilities in the model's own distribution.
fn logprobs_line(tokenizer: &Tokenizer, id: u32, logprobs: &LogProbs, forced: bool) -> Value {
    let text = |id: u32| tokenizer.decode(&[id], false);
    let top = logprobs
        .top
        .iter()
        .map(|(id, logprob)| json!({"id": id, "text": text(*id), "logprob": logprob}));
    json!({
        "id": id,
        "text": text(id),
        "logprob": logprobs.chosen,
        "top": top.collect::<Vec<Value>>(),
        "forced": forced,
    })
}

#[cfg(test)]
mod tests;
