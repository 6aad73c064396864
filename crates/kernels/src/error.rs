//! One error for what a matrix or a pool can be asked that it cannot give.

use std::io;

use crate::Quant;

/// Why a matrix or a pool of threads cannot be made. Each prints as one line.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("{found} bits a weight, accepted are 2, 3, 4, 5, 6 and 8")]
    Bits { found: usize },

    #[error("groups of {found} weights, accepted are 32, 64 and 128")]
    Group { found: usize },

    #[error(
        "blocks of {block_rows} x {block_cols} weights, accepted are at least one row and a \
         multiple of 16 columns"
    )]
    Block { block_rows: usize, block_cols: usize },

    #[error("{cols} columns are not a whole number of groups of {group}")]
    Ragged { cols: usize, group: usize },

    #[error("a matrix of {rows} x {cols}, accepted are at least one row and one column")]
    Empty { rows: usize, cols: usize },

    #[error("a matrix of {rows} x {cols} {quant} is too large to count")]
    TooLarge { rows: usize, cols: usize, quant: Quant },

    #[error("{found} bytes of {plane}, a matrix of {rows} x {cols} {quant} needs {expected}")]
    Plane {
        plane: &'static str,
        found: usize,
        expected: usize,
        rows: usize,
        cols: usize,
        quant: Quant,
    },

    #[error("{found} threads, accepted are 1 to {accepted}")]
    Threads { found: usize, accepted: usize },

    #[error("thread {index} of {threads} cannot be started: {error}")]
    Spawn { index: usize, threads: usize, error: io::Error },
}
