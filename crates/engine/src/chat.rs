//! Conversations to text by the checkpoint's own template, with content kept apart from control tokens.

mod clock;
mod environment;
mod error;
mod generation;
mod json;
mod marks;
mod order;
mod python;
mod render;
mod source;
mod strings;
mod text;
mod values;

use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

pub use error::ChatError;
pub use generation::{GenerationDefaults, GenerationError};
use render::Rendering;
use serde_json::{Map, Value};
pub use source::TemplateSource;

use crate::tokenizer::Tokenizer;
use crate::tools::CallForm;

/// What a template renders.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Objects with `role` and whatever the template reads: `content` (a string or a list of
    /// parts), `reasoning_content`, `tool_calls` with arguments as objects.
    pub messages: Vec<Value>,
    /// Tool schemas; `None` and an empty list are different things to some templates.
    pub tools: Option<Vec<Value>>,
    /// Further variables: `add_generation_prompt`, `enable_thinking` and others.
    pub kwargs: Map<String, Value>,
    /// What `strftime_now` tells, as UTC; `None` asks the system's clock.
    pub now: Option<SystemTime>,
}

/// A rendered conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text, character for character what transformers renders.
    pub text: String,
    /// Bytes of `text` that came from content: sorted, without overlaps. An added token is never
    /// matched where it touches one.
    pub content: Vec<Range<usize>>,
}

/// A checkpoint's chat template, compiled once to be checked and again for each conversation.
///
/// Only what the template itself writes, and what assistant messages say (the model's own past
/// words, but not the names and arguments of its calls), may become an added token. Each character
/// of all else in messages, of tool schemas and of variables that occurs in some added token is replaced by a code point that occurs nowhere in the
/// input, the template is rendered, and the characters are turned back: where they stand is
/// content. The string methods and filters of templates see through the replacement. The template
/// is also rendered on the plain input, and both texts have to be the same.
///
/// A template's work is bounded, but for one thing: `~`, `join`, `format` and `==` of the engine
/// below pay for what they made when it is made, so that a template which puts a list into itself
/// twice, dozens of times, and then joins it to a string, does not end.
#[derive(Debug)]
pub struct ChatTemplate {
    origin: String,
    default: String,
    /// Used when a conversation has tools, if the checkpoint has such a template.
    tool_use: Option<String>,
    /// `bos_token` and its like: variables that are the template's own text.
    special: Map<String, Value>,
    /// Contents of the tokenizer's added tokens.
    literals: Vec<String>,
    /// Those of them that a tokenizer's file calls special: turns begin and end with them.
    control: Vec<String>,
}

impl ChatTemplate {
    /// Finds the template of a checkpoint directory: `chat_template.jinja`, else the
    /// `chat_template` of `tokenizer_config.json`; `None` when there is neither.
    ///
    /// # Errors
    /// A file that cannot be read or understood, a template that does not compile.
    pub fn open(directory: &Path, tokenizer: &Tokenizer) -> Result<Option<Self>, ChatError> {
        source::find(directory)?.map(|source| Self::new(source, tokenizer)).transpose()
    }

    /// Checks a template.
    ///
    /// # Errors
    /// [`ChatError::Template`] when it does not compile.
    pub fn new(source: TemplateSource, tokenizer: &Tokenizer) -> Result<Self, ChatError> {
        let TemplateSource { origin, default, tool_use, special } = source;
        let (default, tool_use) = (
            source::known_statements(&default),
            tool_use.map(|text| source::known_statements(&text)),
        );
        let added = tokenizer.added();
        let literals = added.iter().map(|token| token.content.clone()).collect();
        let control = added.iter().filter(|token| token.special);
        let control = control.map(|token| token.content.clone()).collect();
        let template = Self { origin, default, tool_use, special, literals, control };
        for text in [Some(&template.default), template.tool_use.as_ref()].into_iter().flatten() {
            render::check(&template.origin, text)?;
        }
        Ok(template)
    }

    /// How the model that this template belongs to writes calls; `None` where the template knows
    /// none.
    #[must_use]
    pub fn call_form(&self) -> Option<CallForm> {
        CallForm::of(self.tool_use.as_ref().unwrap_or(&self.default))
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// [`ChatError::Raised`] with the template's own words, [`ChatError::Template`] for all else
    /// that goes wrong inside it (running on and on included), [`ChatError::Empty`] without
    /// messages, [`ChatError::Inseparable`] when the template looks at content in a way that leaves
    /// open whether its control tokens came from there.
    pub fn render(&self, conversation: &Conversation) -> Result<Rendered, ChatError> {
        if conversation.messages.is_empty() {
            return Err(ChatError::Empty);
        }
        let tools = conversation.tools.as_ref().is_some_and(|tools| !tools.is_empty());
        let text = self.tool_use.as_ref().filter(|_| tools).unwrap_or(&self.default);
        let rendering = Rendering {
            origin: &self.origin,
            template: text,
            special: &self.special,
            literals: &self.literals,
            control: &self.control,
            conversation,
            clock: conversation.now.unwrap_or_else(SystemTime::now),
        };
        rendering.render()
    }
}
