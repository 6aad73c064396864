//! Tokens and turns: sessions, sampling, tokenizer and chat template, over anything that implements [`Forward`].

#![forbid(unsafe_code)]

mod brief;
mod chat;
mod forward;
mod generate;
mod sample;
mod session;
mod stop;
pub mod testing;
mod think;
mod tokenizer;
mod tools;
mod turn;

pub use chat::{
    ChatError, ChatTemplate, Conversation, GenerationDefaults, GenerationError, Rendered,
    TemplateSource,
};
pub use forward::{
    Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Spent, Step, StepOutput,
    Want,
};
pub use generate::{
    Event, GenerateError, Generated, Phase, Settings, StopReason, generate, generate_watched,
};
pub use sample::{
    Choice, History, LogProbs, Mask, SampleError, Sampler, Sampling, SamplingError,
    SamplingOverrides, log_probabilities, logits_hash,
};
pub use session::{CHECKPOINTS_DEFAULT, Session, Synced};
pub use stop::StopStrings;
pub use think::{Said, ThinkSplit};
pub use tokenizer::{
    AddedToken, DecodeStream, Tokenizer, TokenizerError, TokenizerSource, starts_thinking, stop_ids,
};
pub use tools::{
    CALL_BYTES_DEFAULT, CallConstraint, CallEvent, CallForm, CallMask, CallParser, CallReader,
    CallTokens, CallVerdict, ConstraintError, Ended, Heard, Malformed, Piece, SchemaError,
    ToolCall, ToolDeclaration, Tools, ToolsError, assistant_message, limited_result, tool_message,
};
pub use turn::{Turn, TurnError};
