//! From the ids of a turn to reasoning, text and calls.

use std::sync::Arc;

use super::{
    CALL_BYTES_DEFAULT, CLOSE, CallEvent, CallForm, CallParser, Ended, OPEN, Piece, Tools,
};
use crate::generate::StopReason;
use crate::stop::StopStrings;
use crate::think::{Said, ThinkSplit};
use crate::tokenizer::Tokenizer;

/// What a turn said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Reasoning, whole characters. A call inside it is text like any other.
    Reasoning(String),
    /// The answer and its calls.
    Answer(CallEvent),
}

/// Reads a turn that may hold calls. It takes the place of [`crate::Event::Text`]: feed it the id of
/// every [`crate::Event::Id`].
///
/// Where the tokenizer has tokens for the marks of a call only these open and close one, so text that
/// spells a mark is text.
#[derive(Debug)]
pub struct CallReader<'t> {
    split: ThinkSplit<'t>,
    stops: StopStrings,
    parser: CallParser,
    /// Ids of the marks, where the tokenizer has both.
    marks: Option<(u32, u32)>,
}

impl<'t> CallReader<'t> {
    /// A reader for the turn after `prompt`, with the stop strings of its
    /// [`crate::Settings::stop`]. A prompt that ends in the opening mark has begun a call.
    #[must_use]
    pub fn new(
        tokenizer: &'t Tokenizer,
        prompt: &[u32],
        stop: &[String],
        tools: Arc<Tools>,
        form: CallForm,
    ) -> Self {
        let marks = call_marks(tokenizer);
        let mut parser = CallParser::new(tools, form, marks.is_some(), CALL_BYTES_DEFAULT);
        if marks.is_some_and(|(open, _)| prompt.last() == Some(&open)) {
            parser.push(Piece::Open);
        }
        let split = ThinkSplit::new(tokenizer, prompt);
        Self { split, stops: StopStrings::new(stop), parser, marks }
    }

    /// Takes one more id of the output.
    pub fn push(&mut self, id: u32) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mark = match self.marks {
            Some((open, _)) if id == open => Some(Piece::Open),
            Some((_, close)) if id == close => Some(Piece::Close),
            _ => None,
        };
        match mark.filter(|_| !self.split.inside()) {
            Some(mark) => {
                let said = self.split.other_mark();
                self.say(said, &mut heard);
                let text = self.stops.finish();
                self.parse(Piece::Text(&text), &mut heard);
                self.parse(mark, &mut heard);
            }
            None => {
                let said = self.split.push(id);
                self.say(said, &mut heard);
            }
        }
        heard
    }

    /// Ends the turn.
    pub fn finish(mut self, stop: &StopReason) -> Vec<Heard> {
        let mut heard = Vec::new();
        let said = self.split.finish();
        self.say(said, &mut heard);
        let text = self.stops.finish();
        self.parse(Piece::Text(&text), &mut heard);
        let ended = if matches!(stop, StopReason::Eos(_)) { Ended::Whole } else { Ended::Cut };
        heard.extend(self.parser.finish(ended).into_iter().map(Heard::Answer));
        heard
    }

    fn say(&mut self, said: Vec<Said>, heard: &mut Vec<Heard>) {
        for said in said {
            if said.reasoning {
                heard.push(Heard::Reasoning(said.text));
            } else {
                let (text, _) = self.stops.push(&said.text);
                self.parse(Piece::Text(&text), heard);
            }
        }
    }

    fn parse(&mut self, piece: Piece<'_>, heard: &mut Vec<Heard>) {
        heard.extend(self.parser.push(piece).into_iter().map(Heard::Answer));
    }
}

/// The ids of the marks of a call, where the tokenizer has both as added tokens.
pub(super) fn call_marks(tokenizer: &Tokenizer) -> Option<(u32, u32)> {
    let id = |mark: &str| tokenizer.added().iter().find(|t| t.content == mark).map(|t| t.id);
    Some((id(OPEN)?, id(CLOSE)?))
}
