//! The weights that every token needs, in the trunk, and how to get at them as matrices.

use kernels::{Matrix, Planes, Quant};
use store::{Extent, Trunk};

use crate::error::ModelError;
use crate::weights::MatrixSource;

/// A matrix in the trunk. Its lengths were checked when it was placed.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) quant: Quant,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Pieces of the trunk.
    weights: usize,
    scales: Option<usize>,
    biases: Option<usize>,
}

/// The list of pieces that a trunk is loaded from.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pub(crate) extents: Vec<Extent>,
    /// The name of each piece's matrix, and which of its float planes it is, if it is one.
    pub(crate) floats: Vec<(String, Option<kernels::Float>)>,
}

impl Pieces {
    pub(crate) fn place(&mut self, source: &MatrixSource) -> Placed {
        let (weight_floats, param_floats) = match source.quant {
            Quant::Plain(float) => (Some(float), None),
            Quant::Affine { params, .. } | Quant::Fp8Block { params, .. } => (None, Some(params)),
        };
        let mut piece = |extent: Extent, floats| {
            self.extents.push(extent);
            self.floats.push((source.name.clone(), floats));
            self.extents.len() - 1
        };
        Placed {
            quant: source.quant,
            rows: source.rows,
            cols: source.cols,
            weights: piece(source.weights, weight_floats),
            scales: source.scales.map(|extent| piece(extent, param_floats)),
            biases: source.biases.map(|extent| piece(extent, param_floats)),
        }
    }
}

/// The loaded trunk.
pub(crate) struct Resident {
    trunk: Trunk,
}

impl Resident {
    /// Takes a trunk that was loaded from `pieces`, and looks at every float in it once.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] for the first matrix with a weight, scale or bias that is not.
    pub(crate) fn new(
        trunk: Trunk,
        pieces: &Pieces,
        path: &std::path::Path,
    ) -> Result<Resident, ModelError> {
        for (n, (name, floats)) in pieces.floats.iter().enumerate() {
            if floats.is_some_and(|float| !kernels::all_finite(float, trunk.bytes(n))) {
                let (path, tensor) = (path.to_path_buf(), name.clone());
                return Err(ModelError::NotFinite { path, tensor });
            }
        }
        Ok(Resident { trunk })
    }

    /// The matrix, ready to multiply.
    pub(crate) fn matrix(&self, placed: &Placed) -> Matrix<'_> {
        let plane = |piece: Option<usize>| piece.map_or(&[][..], |piece| self.trunk.bytes(piece));
        let planes = Planes {
            weights: self.trunk.bytes(placed.weights),
            scales: plane(placed.scales),
            biases: plane(placed.biases),
        };
        Matrix::new(placed.quant, placed.rows, placed.cols, planes)
            .expect("the lengths were checked when the weights were bound")
    }
}
