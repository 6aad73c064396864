//! Chores of the project as a library, so that ordinary tests can run them: tidy, fuzz, manifest.

#![forbid(unsafe_code)]

pub mod fuzz;
pub mod manifest;
pub mod tidy;
