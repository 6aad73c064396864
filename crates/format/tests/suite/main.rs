//! What the crate promises, from outside: one binary, so that the hand-made files are shared.

mod directory;
mod floats;
mod header_cut;
mod header_lies;
mod index_lies;
mod json_files;
mod manifest_lies;
mod raw;
mod record_lies;
mod repacked;
mod twin;
