//! Tiny noise models in every published layout, so that the whole engine can run without weights.
//!
//! A [`Spec`] names the dimensions and the seed, a [`Layout`] says how a publisher would store
//! them, and [`write`] makes the directory: config, tensors, tokenizer and chat template. Every
//! layout of one `Spec` is rounded from the same f32 noise: the three F32 layouts are one model,
//! bit for bit. Those that round the noise compute something else by more than the rounding, since
//! noise routes close to ties: compare them with their own dequantised weights. The arithmetic is
//! `libm` and integer, so a seed gives the same bytes on every machine. The quantisers are the
//! plainest that give the published bits: the reference of whatever reads those bits quickly.

pub mod affine;
pub(crate) mod arrange;
pub(crate) mod config;
pub(crate) mod encode;
pub(crate) mod error;
mod files;
pub mod fp8;
mod layout;
pub(crate) mod noise;
mod spec;
pub(crate) mod tokenizer;
pub(crate) mod weights;

pub use error::TinyError;
pub use files::write;
pub use layout::{Float, Form, Layout};
pub use spec::Spec;
