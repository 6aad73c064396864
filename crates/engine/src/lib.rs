//! Tokens and turns: sessions, sampling, tokenizer and chat template, over anything that implements [`Forward`].

#![forbid(unsafe_code)]

mod chat;
mod forward;
mod tokenizer;

pub use chat::{
    ChatError, ChatTemplate, Conversation, GenerationDefaults, GenerationError, Rendered,
    TemplateSource,
};
pub use forward::{
    Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Spent, Step, StepOutput,
    Want,
};
pub use tokenizer::{
    AddedToken, DecodeStream, Tokenizer, TokenizerError, TokenizerSource, starts_thinking, stop_ids,
};
