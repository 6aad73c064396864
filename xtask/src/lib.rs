//! Chores of the project as a library, so that ordinary tests can run them: tidy, manifest.

#![forbid(unsafe_code)]

pub mod manifest;
pub mod tidy;
