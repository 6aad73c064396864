//! Sessions on disk: a folder for each, with the text that is saved as it grows and the model's state beside it.
//!
//! A folder holds `session.jsonl` (see [`text`]), `state.snapshot` (see [`state`]) and `lock`. The
//! text is what counts: the state can always be made again from it.
//!
//! A kill at any moment loses at most the piece in flight; a power cut at most the pieces of the
//! last two seconds. Whole messages are on the disk before [`Saved::push`] returns.

mod export;
mod open;
mod shelf;
mod state;
mod text;
mod whole;

pub(crate) use export::{json, markdown};
pub(crate) use open::Saved;
pub(crate) use shelf::{Entry, Shelf};
pub(crate) use state::{Restored, hex};
pub(crate) use text::{Head, Message, ModelMark, Piece, Role, Settings};

#[cfg(test)]
mod tests;
