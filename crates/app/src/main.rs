//! The one binary, `flash-moe`: the command line and everything a person or a script sees.

#![forbid(unsafe_code)]

fn main() {}
