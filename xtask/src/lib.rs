//! Chores of the project as a library, so that ordinary tests can run them: tidy, manifest, the ARM build.

#![forbid(unsafe_code)]

pub mod aarch64;
pub mod manifest;
pub mod tidy;
