//! A matrix over borrowed bytes: the layout, the shape and the planes that were checked against it.

use crate::{KernelError, Quant};

/// The bytes of a matrix; a plane that the layout does not have is empty. Any alignment will do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planes<'a> {
    pub weights: &'a [u8],
    pub scales: &'a [u8],
    pub biases: &'a [u8],
}

/// A matrix [rows, cols] whose planes have exactly the lengths that its layout needs.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    quant: Quant,
    rows: usize,
    cols: usize,
    planes: Planes<'a>,
}

impl<'a> Matrix<'a> {
    /// # Errors
    /// When [`Quant::check`] refuses the shape or a plane has another length than it needs.
    pub fn new(
        quant: Quant,
        rows: usize,
        cols: usize,
        planes: Planes<'a>,
    ) -> Result<Matrix<'a>, KernelError> {
        quant.check(rows, cols)?;
        let lengths = [
            ("weights", planes.weights, quant.weight_bytes(rows, cols)),
            ("scales", planes.scales, quant.scale_bytes(rows, cols)),
            ("biases", planes.biases, quant.bias_bytes(rows, cols)),
        ];
        for (plane, bytes, expected) in lengths {
            let expected = expected.ok_or(KernelError::TooLarge { rows, cols, quant })?;
            let found = bytes.len();
            if found != expected {
                return Err(KernelError::Plane { plane, found, expected, rows, cols, quant });
            }
        }
        Ok(Matrix { quant, rows, cols, planes })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    pub fn quant(&self) -> Quant {
        self.quant
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> usize {
        self.planes.weights.len() + self.planes.scales.len() + self.planes.biases.len()
    }

    pub(crate) fn planes(&self) -> Planes<'a> {
        self.planes
    }
}
