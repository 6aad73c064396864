//! The layouts of weights that can be multiplied, and how many bytes each needs.

use std::fmt;

use crate::{Float, KernelError};

/// How the weights of a matrix are stored, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quant {
    /// Plain numbers [rows, cols].
    Plain(Float),
    /// w = scale·q + bias. Each row of weights is a string of cols × `bits` bits, the least
    /// significant first; scales and biases are [rows, cols / `group`] of `params`.
    /// `bits` is 2, 3, 4, 5, 6 or 8; `group` is 32, 64 or 128.
    Affine { bits: usize, group: usize, params: Float },
    /// w = q·scale. Weights are E4M3 (bias 7, no infinity, 0x7f and 0xff NaN), one byte each;
    /// scales are [⌈rows / `block_rows`⌉, ⌈cols / `block_cols`⌉] of `params`. `block_cols` is a
    /// multiple of 16.
    Fp8Block { block_rows: usize, block_cols: usize, params: Float },
}

impl Quant {
    /// Bytes of the weights; `None` when that cannot be counted.
    pub fn weight_bytes(&self, rows: usize, cols: usize) -> Option<usize> {
        let row_bytes = match self {
            Quant::Plain(float) => cols.checked_mul(float.bytes())?,
            Quant::Affine { bits, .. } => cols.checked_mul(*bits)?.div_ceil(8),
            Quant::Fp8Block { .. } => cols,
        };
        rows.checked_mul(row_bytes)
    }

    /// Bytes of the scales, 0 where there are none; `None` when that cannot be counted.
    pub fn scale_bytes(&self, rows: usize, cols: usize) -> Option<usize> {
        match self {
            Quant::Plain(_) => Some(0),
            Quant::Affine { group, params, .. } => {
                rows.checked_mul(cols.checked_div(*group)?)?.checked_mul(params.bytes())
            }
            Quant::Fp8Block { block_rows, block_cols, params } => {
                if *block_rows == 0 || *block_cols == 0 {
                    return None;
                }
                let blocks = rows.div_ceil(*block_rows).checked_mul(cols.div_ceil(*block_cols))?;
                blocks.checked_mul(params.bytes())
            }
        }
    }

    /// Bytes of the biases, 0 where there are none; `None` when that cannot be counted.
    pub fn bias_bytes(&self, rows: usize, cols: usize) -> Option<usize> {
        match self {
            Quant::Affine { .. } => self.scale_bytes(rows, cols),
            Quant::Plain(_) | Quant::Fp8Block { .. } => Some(0),
        }
    }

    /// Whether a matrix of that shape can be stored so.
    ///
    /// # Errors
    /// When there is no row or no column, `bits`, `group` or the blocks are none of those
    /// accepted, the columns are no whole number of groups, or the bytes cannot be counted.
    pub fn check(&self, rows: usize, cols: usize) -> Result<(), KernelError> {
        if rows == 0 || cols == 0 {
            return Err(KernelError::Empty { rows, cols });
        }
        match *self {
            Quant::Plain(_) => {}
            Quant::Affine { bits, group, .. } => {
                if !matches!(bits, 2 | 3 | 4 | 5 | 6 | 8) {
                    return Err(KernelError::Bits { found: bits });
                }
                if !matches!(group, 32 | 64 | 128) {
                    return Err(KernelError::Group { found: group });
                }
                if !cols.is_multiple_of(group) {
                    return Err(KernelError::Ragged { cols, group });
                }
            }
            Quant::Fp8Block { block_rows, block_cols, .. } => {
                if block_rows == 0 || block_cols == 0 || !block_cols.is_multiple_of(16) {
                    return Err(KernelError::Block { block_rows, block_cols });
                }
            }
        }
        self.total_bytes(rows, cols).ok_or(KernelError::TooLarge { rows, cols, quant: *self })?;
        Ok(())
    }

    fn total_bytes(&self, rows: usize, cols: usize) -> Option<usize> {
        let parameters = self.scale_bytes(rows, cols)?.checked_add(self.bias_bytes(rows, cols)?)?;
        self.weight_bytes(rows, cols)?.checked_add(parameters)
    }
}

impl fmt::Display for Quant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quant::Plain(float) => write!(f, "{float}"),
            Quant::Affine { bits, group, params } => write!(f, "{bits}-bit g{group} {params}"),
            Quant::Fp8Block { block_rows, block_cols, params } => {
                write!(f, "fp8 {block_rows}x{block_cols} {params}")
            }
        }
    }
}
