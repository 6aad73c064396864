//! Tokens and turns: sessions, sampling, tokenizer and chat template, over anything that implements [`Forward`].

#![forbid(unsafe_code)]

mod forward;

pub use forward::{
    Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Spent, Step, StepOutput,
    Want,
};
