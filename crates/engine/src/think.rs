//! Where reasoning ends and the answer begins: a turn's ids to text of two kinds.

use crate::stop::Search;
use crate::tokenizer::{DecodeStream, Tokenizer, TokenizerError, starts_thinking};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Closes a block that went on for too long, as the models themselves close it.
const CLOSING: &str = "\n</think>\n\n";

/// Text of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whole characters, at least one.
    pub text: String,
    /// Whether it is reasoning, not answer.
    pub reasoning: bool,
}

/// Decodes the ids of a turn and tells reasoning from answer.
///
/// Where the tokenizer has ids for `<think>` and `</think>` these alone open and close a block;
/// else a block that the prompt opened is closed by the text `</think>`. The marks that do so are
/// no text, nor are up to two line ends behind the closing one and one behind an opening one. A
/// mark in a place where it means nothing is text like any other. Other special tokens are left
/// out.
#[derive(Clone, Debug)]
pub struct ThinkSplit<'t> {
    stream: DecodeStream<'t>,
    marks: Marks,
    inside: bool,
    /// Line ends that are still left out before the next character.
    line_ends: usize,
}

#[derive(Clone, Debug)]
enum Marks {
    Ids { open: u32, close: u32 },
    Text(Search),
}

impl<'t> ThinkSplit<'t> {
    /// Begins inside a block if the prompt ends in one.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer, prompt: &[u32]) -> Self {
        let (marks, inside) = match tokenizer.think_ids() {
            Some((open, close)) => {
                (Marks::Ids { open, close }, starts_thinking(prompt, (open, close)))
            }
            None => {
                let text = tokenizer.decode(prompt, true);
                let close = Search::new(&[CLOSE.to_owned()]);
                (Marks::Text(close), text.rfind(OPEN) > text.rfind(CLOSE))
            }
        };
        Self { stream: tokenizer.stream(true), marks, inside, line_ends: 0 }
    }

    /// The ids that close a block, to be forced on a model that does not.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode_markup`].
    pub fn closing(tokenizer: &Tokenizer) -> Result<Vec<u32>, TokenizerError> {
        tokenizer.encode_markup(CLOSING)
    }

    /// Whether the next id belongs to reasoning.
    #[must_use]
    pub fn inside(&self) -> bool {
        self.inside
    }

    /// Takes one more id and returns the text that is now whole, in order.
    pub fn push(&mut self, id: u32) -> Vec<Said> {
        let mut said = Vec::new();
        match &self.marks {
            Marks::Ids { close, .. } if self.inside && id == *close => self.turn(false, &mut said),
            Marks::Ids { open, .. } if !self.inside && id == *open => self.turn(true, &mut said),
            Marks::Ids { .. } | Marks::Text(_) => {
                let text = self.stream.push(id);
                self.say(&text, &mut said);
            }
        }
        said
    }

    /// Ends the turn: what was held back is text.
    pub fn finish(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let text = self.stream.finish();
        self.say(&text, &mut said);
        if let Marks::Text(close) = &mut self.marks {
            let text = close.finish();
            self.show(&text, &mut said);
        }
        said
    }

    /// A mark of another kind came as an id: half a character before it will never be whole, and the
    /// line ends behind it stay.
    pub(crate) fn other_mark(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let text = self.stream.finish();
        self.say(&text, &mut said);
        if let Marks::Text(close) = &mut self.marks {
            let text = close.finish();
            self.show(&text, &mut said);
        }
        self.line_ends = 0;
        said
    }

    /// A mark came as an id: half a character before it will never be whole.
    fn turn(&mut self, inside: bool, said: &mut Vec<Said>) {
        let text = self.stream.finish();
        self.show(&text, said);
        self.inside = inside;
        self.line_ends = if inside { 1 } else { 2 };
    }

    fn say(&mut self, text: &str, said: &mut Vec<Said>) {
        let Marks::Text(close) = &mut self.marks else { return self.show(text, said) };
        if !self.inside {
            return self.show(text, said);
        }
        let found = close.push(text);
        self.show(&found.before, said);
        if let Some(hit) = found.hit {
            self.inside = false;
            self.line_ends = 2;
            self.show(&hit.rest, said);
        }
    }

    fn show(&mut self, text: &str, said: &mut Vec<Said>) {
        let mut text = text;
        while let Some(rest) = text.strip_prefix('\n').filter(|_| self.line_ends > 0) {
            self.line_ends -= 1;
            text = rest;
        }
        if !text.is_empty() {
            self.line_ends = 0;
            said.push(Said { text: text.to_owned(), reasoning: self.inside });
        }
    }
}
