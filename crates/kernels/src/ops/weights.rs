//! One row of stored weights, read sixteen columns at a time, for every layout.

use std::marker::PhantomData;

use crate::float::{Bf16, F16, F32, Storage};
use crate::lanes::{LANES, Lanes};
use crate::{Float, Matrix, Quant};

/// A row of a matrix in one layout.
pub(super) trait Row<'a>: Copy {
    /// Bytes of the weights of sixteen columns.
    const BLOCK_BYTES: usize;
    /// What the weights of a group share, in every lane.
    type Shared<L: Lanes>: Copy;
    fn of(m: &Matrix<'a>, row: usize) -> Self;
    /// The bytes of the weights.
    fn weights(&self) -> &'a [u8];
    /// Columns of a group, a multiple of sixteen. The last group may be cut.
    fn group_cols(&self) -> usize;
    fn shared<L: Lanes>(&self, group: usize) -> Self::Shared<L>;
    /// The weights in `BLOCK_BYTES` bytes.
    fn decode<L: Lanes>(bytes: &[u8], shared: Self::Shared<L>) -> L;
}

/// What is done with a matrix once its layout is a type.
pub(super) trait Visit<'a> {
    fn visit<R: Row<'a>>(self, m: &Matrix<'a>);
}

#[inline(always)]
pub(super) fn visit<'a>(m: &Matrix<'a>, visitor: impl Visit<'a>) {
    match m.quant() {
        Quant::Plain(Float::F32) => visitor.visit::<Plain<'_, F32>>(m),
        Quant::Plain(Float::F16) => visitor.visit::<Plain<'_, F16>>(m),
        Quant::Plain(Float::Bf16) => visitor.visit::<Plain<'_, Bf16>>(m),
        Quant::Affine { bits: 2, .. } => visitor.visit::<Affine<'_, 2>>(m),
        Quant::Affine { bits: 3, .. } => visitor.visit::<Affine<'_, 3>>(m),
        Quant::Affine { bits: 4, .. } => visitor.visit::<Affine<'_, 4>>(m),
        Quant::Affine { bits: 5, .. } => visitor.visit::<Affine<'_, 5>>(m),
        Quant::Affine { bits: 6, .. } => visitor.visit::<Affine<'_, 6>>(m),
        Quant::Affine { bits: 8, .. } => visitor.visit::<Affine<'_, 8>>(m),
        Quant::Affine { .. } => unreachable!("the bits were checked when the matrix was made"),
        Quant::Fp8Block { .. } => visitor.visit::<Fp8<'_>>(m),
    }
}

/// The bytes of row `row` in a plane of `row_bytes` bytes a row.
#[inline(always)]
fn row_of(plane: &[u8], row: usize, row_bytes: usize) -> &[u8] {
    &plane[row * row_bytes..][..row_bytes]
}

#[derive(Clone, Copy)]
pub(super) struct Plain<'a, S> {
    weights: &'a [u8],
    storage: PhantomData<S>,
}

impl<'a, S: Storage> Row<'a> for Plain<'a, S> {
    const BLOCK_BYTES: usize = LANES * S::BYTES;
    type Shared<L: Lanes> = ();

    #[inline(always)]
    fn of(m: &Matrix<'a>, row: usize) -> Self {
        let weights = row_of(m.planes().weights, row, m.cols() * S::BYTES);
        Plain { weights, storage: PhantomData }
    }
    #[inline(always)]
    fn weights(&self) -> &'a [u8] {
        self.weights
    }
    /// Nothing is shared: as many columns as keep several rows in flight.
    #[inline(always)]
    fn group_cols(&self) -> usize {
        4 * LANES
    }
    #[inline(always)]
    fn shared<L: Lanes>(&self, _group: usize) {}
    #[inline(always)]
    fn decode<L: Lanes>(bytes: &[u8], (): ()) -> L {
        S::lanes(bytes)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Affine<'a, const BITS: usize> {
    weights: &'a [u8],
    scales: &'a [u8],
    biases: &'a [u8],
    group: usize,
    params: Float,
}

impl<'a, const BITS: usize> Row<'a> for Affine<'a, BITS> {
    const BLOCK_BYTES: usize = 2 * BITS;
    /// Scale and bias.
    type Shared<L: Lanes> = (L, L);

    #[inline(always)]
    fn of(m: &Matrix<'a>, row: usize) -> Self {
        let Quant::Affine { group, params, .. } = m.quant() else {
            unreachable!("the visitor chose this row by the layout")
        };
        let planes = m.planes();
        let shared_bytes = m.cols() / group * params.bytes();
        Affine {
            weights: row_of(planes.weights, row, m.cols() / 8 * BITS),
            scales: row_of(planes.scales, row, shared_bytes),
            biases: row_of(planes.biases, row, shared_bytes),
            group,
            params,
        }
    }
    #[inline(always)]
    fn weights(&self) -> &'a [u8] {
        self.weights
    }
    #[inline(always)]
    fn group_cols(&self) -> usize {
        self.group
    }
    #[inline(always)]
    fn shared<L: Lanes>(&self, group: usize) -> (L, L) {
        (L::splat(self.params.at(self.scales, group)), L::splat(self.params.at(self.biases, group)))
    }
    #[inline(always)]
    fn decode<L: Lanes>(bytes: &[u8], (scale, bias): (L, L)) -> L {
        L::unpack::<BITS>(bytes).mul_add(scale, bias)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Fp8<'a> {
    weights: &'a [u8],
    scales: &'a [u8],
    block_cols: usize,
    params: Float,
}

impl<'a> Row<'a> for Fp8<'a> {
    const BLOCK_BYTES: usize = LANES;
    /// The scale.
    type Shared<L: Lanes> = L;

    #[inline(always)]
    fn of(m: &Matrix<'a>, row: usize) -> Self {
        let Quant::Fp8Block { block_rows, block_cols, params } = m.quant() else {
            unreachable!("the visitor chose this row by the layout")
        };
        let planes = m.planes();
        let shared_bytes = m.cols().div_ceil(block_cols) * params.bytes();
        Fp8 {
            weights: row_of(planes.weights, row, m.cols()),
            scales: row_of(planes.scales, row / block_rows, shared_bytes),
            block_cols,
            params,
        }
    }
    #[inline(always)]
    fn weights(&self) -> &'a [u8] {
        self.weights
    }
    #[inline(always)]
    fn group_cols(&self) -> usize {
        self.block_cols
    }
    #[inline(always)]
    fn shared<L: Lanes>(&self, group: usize) -> L {
        L::splat(self.params.at(self.scales, group))
    }
    #[inline(always)]
    fn decode<L: Lanes>(bytes: &[u8], scale: L) -> L {
        L::from_fp8(bytes.first_chunk().expect("sixteen weights are always passed")).mul(scale)
    }
}
