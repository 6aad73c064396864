//! An expert inside its record: which bytes of which extent are which matrix.

use std::sync::Arc;

use kernels::{Float, Matrix, Planes, Quant};
use store::{Hold, RecordView};

use crate::checksum::checksum;
use crate::weights::{ExpertSource, Piece, Plane};

/// Where the three matrices of an expert lie, the same for all records of a bank.
#[derive(Clone, Debug)]
pub(crate) struct RecordLayout {
    gate: Piece,
    up: Piece,
    down: Piece,
    /// One a record; empty where the files have none.
    checksums: Arc<[u64]>,
}

/// The three matrices of one expert.
pub(crate) struct ExpertMatrices<'a> {
    /// `[intermediate, hidden]`
    pub(crate) gate: Matrix<'a>,
    /// `[intermediate, hidden]`
    pub(crate) up: Matrix<'a>,
    /// `[hidden, intermediate]`
    pub(crate) down: Matrix<'a>,
}

impl RecordLayout {
    pub(crate) fn of(source: &ExpertSource) -> RecordLayout {
        let ExpertSource { gate, up, down, checksums, .. } = source;
        let [gate, up, down] = [gate, up, down].map(Piece::clone);
        RecordLayout { gate, up, down, checksums: Arc::clone(checksums) }
    }

    /// The matrices of the held record.
    pub(crate) fn matrices<'a>(&self, hold: &'a Hold) -> ExpertMatrices<'a> {
        let view = hold.view();
        let matrix = |piece: &Piece| {
            let plane = |plane: Option<&Plane>| plane.map_or(&[][..], |plane| bytes(view, plane));
            let planes = Planes {
                weights: bytes(view, &piece.weights),
                scales: plane(piece.scales.as_ref()),
                biases: plane(piece.biases.as_ref()),
            };
            Matrix::new(piece.quant, piece.rows, piece.cols, planes)
                .expect("the lengths were checked when the weights were bound")
        };
        ExpertMatrices { gate: matrix(&self.gate), up: matrix(&self.up), down: matrix(&self.down) }
    }

    /// Looks at a record that was just read: at its checksum, if the file has one, and at its
    /// scales and biases.
    ///
    /// # Errors
    /// Both checksums; which matrix has a scale or bias that is no finite number.
    pub(crate) fn check(&self, record: usize, view: &RecordView) -> Result<(), String> {
        if let Some(&accepted) = self.checksums.get(record) {
            // Whoever has checksums has its records in one piece.
            let found = checksum(view.extent(0));
            if found != accepted {
                return Err(format!(
                    "the checksum is {found:016x}, the file's header says {accepted:016x}"
                ));
            }
        }
        for (name, piece) in [("gate", &self.gate), ("up", &self.up), ("down", &self.down)] {
            let Some(params) = params(piece.quant) else { continue };
            for plane in [piece.scales.as_ref(), piece.biases.as_ref()].into_iter().flatten() {
                if !kernels::all_finite(params, bytes(view, plane)) {
                    return Err(format!(
                        "the {name} matrix has a scale or bias that is NaN or infinite"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn bytes<'a>(view: &'a RecordView, plane: &Plane) -> &'a [u8] {
    &view.extent(plane.extent)[plane.range.clone()]
}

fn params(quant: Quant) -> Option<Float> {
    match quant {
        Quant::Plain(_) => None,
        Quant::Affine { params, .. } | Quant::Fp8Block { params, .. } => Some(params),
    }
}
