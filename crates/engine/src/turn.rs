//! What a turn begins with: the ids of its prompt, and where to come back to for the next one.

use serde_json::Value;

use crate::chat::{ChatError, ChatTemplate, Conversation};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// The beginning of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Everything before the turn's output, from the first id on.
    pub prompt: Vec<u32>,
    /// Ids of the prompt at which a checkpoint is worth its memory: those before the generation
    /// prompt. The next turn of the conversation departs from this one there at the earliest, since
    /// templates drop the reasoning of earlier turns.
    pub checkpoint_at: Option<usize>,
}

/// Why a turn cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The conversation cannot be rendered.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The text has no ids.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl Turn {
    /// Renders a conversation with the generation prompt (whatever its variables say of
    /// `add_generation_prompt`) and finds where that begins: where the ids without it end, or
    /// before, where a template writes more than that differently.
    ///
    /// # Errors
    /// Those of the template and of the tokenizer. A template that refuses to leave the generation
    /// prompt out is no error: there is no checkpoint then.
    pub fn from_chat(
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
        conversation: &Conversation,
    ) -> Result<Self, TurnError> {
        let ids = |generation_prompt: bool| -> Result<Vec<u32>, TurnError> {
            let mut conversation = conversation.clone();
            let flag = Value::Bool(generation_prompt);
            conversation.kwargs.insert("add_generation_prompt".to_owned(), flag);
            Ok(tokenizer.encode(&template.render(&conversation)?)?)
        };
        let prompt = ids(true)?;
        let before = ids(false).unwrap_or_default();
        let shared = prompt.iter().zip(&before).take_while(|(a, b)| a == b).count();
        Ok(Self { prompt, checkpoint_at: Some(shared).filter(|at| *at > 0) })
    }

    /// The user's text is the model's input, as it is: every added token in it is matched.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn raw(tokenizer: &Tokenizer, text: &str) -> Result<Self, TurnError> {
        Ok(Self { prompt: tokenizer.encode_markup(text)?, checkpoint_at: None })
    }
}
