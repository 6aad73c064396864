//! The forms of a product of packed weights with one vector, two rows at a time like the product's own.

use crate::float::bf16_to_f32;
use crate::ladder::GROUP;
use crate::lanes::{LANES, Lanes};
use crate::{Matrix, Quant};

/// Rows that are worked on together.
const TOGETHER: usize = 2;
/// Bytes of a scale or a bias.
const PARAM: usize = 2;

/// What is done with the sixteen columns of a block, and with the blocks of a group.
pub(crate) trait Form {
    /// What the columns of a group share.
    type Shared<L: Lanes>: Copy;
    fn shared<L: Lanes, const BITS: usize>(scale: L, bias: L) -> Self::Shared<L>;
    /// `sum` and the products of one block.
    fn block<L: Lanes, const BITS: usize>(bytes: &[u8], shared: Self::Shared<L>, x: L, sum: L)
    -> L;
    /// Where the sum of a group begins.
    #[inline(always)]
    fn begin<L: Lanes>(sum: L) -> L {
        sum
    }
    /// What the sum of a group makes of the sum before it.
    #[inline(always)]
    fn end<L: Lanes>(_shared: Self::Shared<L>, group: L, _sum: L) -> L {
        group
    }
    /// What the biases of a row add to it by themselves.
    #[inline(always)]
    fn biases<L: Lanes>(_biases: &[u8], _sums: &[f32]) -> f32 {
        0.0
    }
}

pub(crate) struct Naive;
impl Form for Naive {
    type Shared<L: Lanes> = (L, L);
    #[inline(always)]
    fn shared<L: Lanes, const BITS: usize>(scale: L, bias: L) -> (L, L) {
        (scale, bias)
    }
    #[inline(always)]
    fn block<L: Lanes, const BITS: usize>(bytes: &[u8], (scale, bias): (L, L), x: L, sum: L) -> L {
        sum.add(L::unpack::<BITS>(bytes).mul(scale).add(bias).mul(x))
    }
}

pub(crate) struct Fma;
impl Form for Fma {
    type Shared<L: Lanes> = (L, L);
    #[inline(always)]
    fn shared<L: Lanes, const BITS: usize>(scale: L, bias: L) -> (L, L) {
        (scale, bias)
    }
    #[inline(always)]
    fn block<L: Lanes, const BITS: usize>(bytes: &[u8], (scale, bias): (L, L), x: L, sum: L) -> L {
        sum.add(L::unpack::<BITS>(bytes).mul_add(scale.mul(x), bias.mul(x)))
    }
}

pub(crate) struct Algebraic;
impl Form for Algebraic {
    type Shared<L: Lanes> = L;
    #[inline(always)]
    fn shared<L: Lanes, const BITS: usize>(scale: L, _bias: L) -> L {
        scale
    }
    #[inline(always)]
    fn block<L: Lanes, const BITS: usize>(bytes: &[u8], _scale: L, x: L, sum: L) -> L {
        L::unpack::<BITS>(bytes).mul_add(x, sum)
    }
    #[inline(always)]
    fn begin<L: Lanes>(_sum: L) -> L {
        L::splat(0.0)
    }
    #[inline(always)]
    fn end<L: Lanes>(scale: L, group: L, sum: L) -> L {
        group.mul_add(scale, sum)
    }
    /// Sixteen groups at a time, the remainder one by one.
    #[inline(always)]
    fn biases<L: Lanes>(biases: &[u8], sums: &[f32]) -> f32 {
        let (blocks, rest) = biases.as_chunks::<{ PARAM * LANES }>();
        let (sum_blocks, rest_of_sums) = sums.as_chunks::<LANES>();
        let mut total = L::splat(0.0);
        for (biases, sums) in blocks.iter().zip(sum_blocks) {
            total = L::from_bf16(biases).mul_add(L::read(sums), total);
        }
        let rest = rest.chunks_exact(PARAM).zip(rest_of_sums);
        rest.fold(total.sum(), |total, (bias, sum)| total + bf16(bias, 0) * sum)
    }
}

pub(crate) struct LookUp;
impl Form for LookUp {
    /// The weight of every q; with fewer than sixteen they repeat.
    type Shared<L: Lanes> = L;
    #[inline(always)]
    fn shared<L: Lanes, const BITS: usize>(scale: L, bias: L) -> L {
        const {
            assert!(1 << BITS <= LANES, "a table has one entry for each q");
        }
        let mut q = [0.0; LANES];
        for (l, q) in q.iter_mut().enumerate() {
            *q = (l % (1 << BITS)) as f32;
        }
        L::read(&q).mul_add(scale, bias)
    }
    #[inline(always)]
    fn block<L: Lanes, const BITS: usize>(bytes: &[u8], table: L, x: L, sum: L) -> L {
        L::look_up::<BITS>(table, bytes).mul_add(x, sum)
    }
}

/// `out` are rows of `m` from `first` on, times `x`; `sums` are those of the groups of `x`.
#[inline(always)]
pub(crate) fn rows<L: Lanes, F: Form>(
    m: &Matrix<'_>,
    first: usize,
    x: &[f32],
    sums: &[f32],
    out: &mut [f32],
) {
    match m.quant() {
        Quant::Affine { bits: 2, .. } => of_bits::<L, F, 2>(m, first, x, sums, out),
        Quant::Affine { bits: 4, .. } => of_bits::<L, F, 4>(m, first, x, sums, out),
        _ => unreachable!("the layout was checked before the work was shared out"),
    }
}

#[inline(always)]
fn of_bits<L: Lanes, F: Form, const BITS: usize>(
    m: &Matrix<'_>,
    first: usize,
    x: &[f32],
    sums: &[f32],
    out: &mut [f32],
) {
    let (pairs, rest) = out.as_chunks_mut::<TOGETHER>();
    let mut row = first;
    for pair in pairs {
        *pair = together::<L, F, BITS, TOGETHER>(m, row, x, sums);
        row += TOGETHER;
    }
    for one in rest {
        [*one] = together::<L, F, BITS, 1>(m, row, x, sums);
        row += 1;
    }
}

#[inline(always)]
fn together<L: Lanes, F: Form, const BITS: usize, const N: usize>(
    m: &Matrix<'_>,
    first: usize,
    x: &[f32],
    sums: &[f32],
) -> [f32; N] {
    let planes = m.planes();
    let (row_bytes, param_bytes) = (m.cols() / 8 * BITS, m.cols() / GROUP * PARAM);
    let mut weights: [&[u8]; N] = [&[]; N];
    let mut scales: [&[u8]; N] = [&[]; N];
    let mut biases: [&[u8]; N] = [&[]; N];
    for r in 0..N {
        weights[r] = &planes.weights[(first + r) * row_bytes..][..row_bytes];
        scales[r] = &planes.scales[(first + r) * param_bytes..][..param_bytes];
        biases[r] = &planes.biases[(first + r) * param_bytes..][..param_bytes];
    }
    let mut totals = [L::splat(0.0); N];
    let mut at = 0;
    for (group, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
        // Loops, because closures would not have the target features of the table.
        let zero = F::shared::<L, BITS>(L::splat(0.0), L::splat(0.0));
        let mut shared = [zero; N];
        for r in 0..N {
            let (scale, bias) = (bf16(scales[r], group), bf16(biases[r], group));
            shared[r] = F::shared::<L, BITS>(L::splat(scale), L::splat(bias));
        }
        let mut parts = totals;
        for r in 0..N {
            parts[r] = F::begin(totals[r]);
        }
        for x in x.as_chunks::<LANES>().0 {
            let x = L::read(x);
            for r in 0..N {
                let bytes = &weights[r][at..at + 2 * BITS];
                parts[r] = F::block::<L, BITS>(bytes, shared[r], x, parts[r]);
            }
            at += 2 * BITS;
        }
        for r in 0..N {
            totals[r] = F::end(shared[r], parts[r], totals[r]);
        }
    }
    let mut out = [0.0; N];
    for r in 0..N {
        out[r] = totals[r].sum() + F::biases::<L>(biases[r], sums);
    }
    out
}

#[inline(always)]
fn bf16(params: &[u8], index: usize) -> f32 {
    bf16_to_f32(u16::from_le_bytes([params[PARAM * index], params[PARAM * index + 1]]))
}
