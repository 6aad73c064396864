//! Qwen3.5 MoE: config, weights, state and the walk of a pass, behind the engine's socket.

#![forbid(unsafe_code)]

pub mod tiny;
