//! Packed matrices times vectors of integers: row by row for few vectors, in tiles of rows for many.

use std::marker::PhantomData;

use crate::activations::{GROUPS, Quantised, Vector};
use crate::dots::{Dots, TILE};
use crate::float::{Bf16, F16, F32, Storage};
use crate::lanes::{LANES, Lanes, Num};
use crate::rows::Part;
use crate::scratch::grow;
use crate::{Float, Matrix, Quant};

/// What is done with a matrix once bits and group are numbers of the code.
trait Visit {
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>);
}

#[inline(always)]
fn visit(m: &Matrix<'_>, visitor: impl Visit) {
    let Quant::Affine { bits, group, .. } = m.quant() else {
        unreachable!("only packed integers have an order")
    };
    macro_rules! forms {
        ($($bits:literal)*) => {
            match (bits, group) {
                $(
                    ($bits, 32) => visitor.visit::<$bits, 32>(m),
                    ($bits, 64) => visitor.visit::<$bits, 64>(m),
                    ($bits, 128) => visitor.visit::<$bits, 128>(m),
                )*
                _ => unreachable!("bits and group were checked when the matrix was made"),
            }
        };
    }
    forms!(2 3 4 5 6 8);
}

/// One row of packed integers.
#[derive(Clone, Copy)]
struct Packed<'a> {
    weights: &'a [u8],
    /// From this row's on to the end of the plane.
    scales: &'a [u8],
    biases: &'a [u8],
    params: Float,
}

impl<'a> Packed<'a> {
    #[inline(always)]
    fn of(m: &Matrix<'a>, row: usize) -> Packed<'a> {
        let Quant::Affine { bits, group, params } = m.quant() else {
            unreachable!("only packed integers have an order")
        };
        let planes = m.planes();
        let (bytes, shared) = (m.cols() / 8 * bits, m.cols() / group * params.bytes());
        Packed {
            weights: &planes.weights[row * bytes..][..bytes],
            scales: &planes.scales[row * shared..],
            biases: &planes.biases[row * shared..],
            params,
        }
    }
}

/// `count` scales or biases from number `first` on, up to sixteen; zeros behind them.
#[inline(always)]
fn sixteen<L: Lanes>(params: Float, bytes: &[u8], first: usize, count: usize) -> L {
    let bytes = &bytes[first * params.bytes()..];
    let mut padded = [0; 4 * LANES];
    // What follows in the plane belongs to other rows and is cut off below.
    let bytes = if bytes.len() < LANES * params.bytes() {
        padded[..bytes.len()].copy_from_slice(bytes);
        &padded[..]
    } else {
        bytes
    };
    let lanes = match params {
        Float::F32 => F32::lanes::<L>(bytes),
        Float::F16 => F16::lanes::<L>(bytes),
        Float::Bf16 => Bf16::lanes::<L>(bytes),
    };
    if count < LANES { lanes.first(count) } else { lanes }
}

/// sum + scale · (step · dots) + bias · (step · Σ integers), in this order.
#[inline(always)]
fn add_groups<T: Num>(dots: T, scale: T, bias: T, step: T, x_sum: T, sum: T) -> T {
    bias.mul_add(x_sum, scale.mul_add(dots.mul(step), sum))
}

/// The rows of `part`, each times every vector.
#[inline(always)]
pub(crate) fn few_vectors<D: Dots>(m: &Matrix<'_>, x: &Quantised<'_>, part: &mut Part<'_>) {
    visit(m, Few::<D> { x, part, dots: PhantomData });
}

struct Few<'o, 'p, D> {
    x: &'o Quantised<'o>,
    part: &'o mut Part<'p>,
    dots: PhantomData<D>,
}

impl<D: Dots> Visit for Few<'_, '_, D> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>) {
        for r in self.part.rows() {
            let row = Packed::of(m, r);
            for v in 0..self.x.n {
                let sum = row_dot::<D, BITS, GROUP>(&row, &self.x.vector(v));
                self.part.put(self.x.first + v, r, sum);
            }
        }
    }
}

/// Group i in lane i mod 16, then the lanes as every sum.
#[inline(always)]
fn row_dot<D: Dots, const BITS: usize, const GROUP: usize>(
    row: &Packed<'_>,
    x: &Vector<'_>,
) -> f32 {
    let eight = GROUP * BITS;
    let mut sum = D::L::splat(0.0);
    let mut weights = row.weights.chunks_exact(2 * eight);
    let mut ints = x.ints.chunks_exact(GROUPS * 2 * GROUP);
    let mut first = 0;
    for (w, x_ints) in (&mut weights).zip(&mut ints) {
        let dots = D::join(
            D::eight::<BITS, GROUP>(&w[..eight], &x_ints[..16 * GROUP], 8),
            D::eight::<BITS, GROUP>(&w[eight..], &x_ints[16 * GROUP..], 8),
        );
        sum = add_sixteen(row, x, first, GROUPS, dots, sum);
        first += GROUPS;
    }
    let mut rest = weights.remainder();
    if !rest.is_empty() {
        let mut halves = [D::none(); 2];
        let mut count = 0;
        for (half, ints) in halves.iter_mut().zip(x.ints[first * 2 * GROUP..].chunks(16 * GROUP)) {
            let (weights, after) = rest.split_at(eight.min(rest.len()));
            let groups = ints.len() / (2 * GROUP);
            // So that the usual number is known when this is compiled.
            *half = match groups {
                8 => D::eight::<BITS, GROUP>(weights, ints, 8),
                fewer => D::eight::<BITS, GROUP>(weights, ints, fewer),
            };
            (rest, count) = (after, count + groups);
        }
        sum = add_sixteen(row, x, first, count, D::join(halves[0], halves[1]), sum);
    }
    sum.sum()
}

#[inline(always)]
fn add_sixteen<L: Lanes>(
    row: &Packed<'_>,
    x: &Vector<'_>,
    first: usize,
    count: usize,
    dots: L,
    sum: L,
) -> L {
    let scale = sixteen::<L>(row.params, row.scales, first, count);
    let bias = sixteen::<L>(row.params, row.biases, first, count);
    let (step, x_sum) = (L::read(&x.steps[first..]), L::read(&x.sums[first..]));
    add_groups(dots, scale, bias, step, x_sum, sum)
}

/// What a thread needs for tiles; it grows to the widest matrix so far.
#[derive(Default)]
pub(crate) struct TileScratch {
    /// Unpacked weights: [cols / 4, 16 rows, 4].
    weights: Vec<u8>,
    /// [groups, 16 rows]
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl TileScratch {
    pub(crate) const fn bytes(cols: usize) -> usize {
        TILE * cols + 2 * size_of::<f32>() * TILE * cols.div_ceil(32)
    }
}

/// The rows of `part`, sixteen at a time, each times every vector.
#[inline(always)]
pub(crate) fn many_vectors<D: Dots>(
    m: &Matrix<'_>,
    x: &Quantised<'_>,
    part: &mut Part<'_>,
    scratch: &mut TileScratch,
) {
    visit(m, Many::<D> { x, part, scratch, dots: PhantomData });
}

struct Many<'o, 'p, D> {
    x: &'o Quantised<'o>,
    part: &'o mut Part<'p>,
    scratch: &'o mut TileScratch,
    dots: PhantomData<D>,
}

/// Vectors from which [`many_vectors`] is faster than [`few_vectors`]: unpacking pays.
const MANY: usize = 7;
/// Vectors that meet a tile together: their sums lie in registers.
const TOGETHER: usize = 4;

/// Of `n` vectors, how many are for [`many_vectors`]: none or all, but for a rest that would leave
/// half of a tile's sums unused.
pub(crate) fn tiled(n: usize) -> usize {
    match n % TOGETHER {
        _ if n < MANY => 0,
        rest if rest <= TOGETHER / 2 => n - rest,
        _ => n,
    }
}

impl<D: Dots> Visit for Many<'_, '_, D> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>) {
        let (rows, groups) = (self.part.rows(), m.cols() / GROUP);
        for first in rows.clone().step_by(TILE) {
            let count = TILE.min(rows.end - first);
            unpack_tile::<D, BITS, GROUP>(m, first, count, self.scratch);
            for v in (0..self.x.n).step_by(TOGETHER) {
                // Where less is left, the last vector is taken again, and nobody looks at it.
                let used = TOGETHER.min(self.x.n - v);
                let sums = tile::<D, BITS, GROUP, TOGETHER>(self.scratch, groups, self.x, v);
                put(self.part, first, count, self.x.first + v, &sums[..used]);
            }
        }
    }
}

fn put(part: &mut Part<'_>, row: usize, count: usize, vector: usize, sums: &[[f32; TILE]]) {
    for (v, sums) in sums.iter().enumerate() {
        for (r, sum) in sums[..count].iter().enumerate() {
            part.put(vector + v, row + r, *sum);
        }
    }
}

/// Rows that a tile has no row for stand for its first, and nobody looks at what comes out.
#[inline(always)]
fn unpack_tile<D: Dots, const BITS: usize, const GROUP: usize>(
    m: &Matrix<'_>,
    first: usize,
    count: usize,
    scratch: &mut TileScratch,
) {
    let groups = m.cols() / GROUP;
    grow(&mut scratch.weights, TILE * m.cols());
    grow(&mut scratch.scales, TILE * groups);
    grow(&mut scratch.biases, TILE * groups);
    let mut rows = [Packed::of(m, first); TILE];
    for (r, row) in rows.iter_mut().enumerate().take(count) {
        *row = Packed::of(m, first + r);
    }
    let bytes = GROUP * BITS / 8;
    for (g, out) in scratch.weights.chunks_exact_mut(TILE * GROUP).take(groups).enumerate() {
        let mut weights = [&rows[0].weights[g * bytes..][..bytes]; TILE];
        for (weights, row) in weights.iter_mut().zip(&rows) {
            *weights = &row.weights[g * bytes..][..bytes];
        }
        D::interleave::<BITS, GROUP>(&weights, out);
    }
    let params = rows[0].params;
    for (r, row) in rows.iter().enumerate() {
        for g in 0..groups {
            scratch.scales[g * TILE + r] = params.at(row.scales, g);
            scratch.biases[g * TILE + r] = params.at(row.biases, g);
        }
    }
}

/// Sixteen rows times the vectors from `first` on. A row is a lane here, so that the sixteen lanes
/// of [`row_dot`] are an array, in the same order of additions.
#[inline(always)]
fn tile<D: Dots, const BITS: usize, const GROUP: usize, const V: usize>(
    scratch: &TileScratch,
    groups: usize,
    x: &Quantised<'_>,
    first: usize,
) -> [[f32; TILE]; V] {
    let mut vectors = [x.vector(first); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        *vector = x.vector((first + v).min(x.n - 1));
    }
    let mut sums = [[D::L::splat(0.0); V]; LANES];
    let weights = scratch.weights.chunks_exact(TILE * GROUP);
    let scales = scratch.scales.chunks_exact(TILE).zip(scratch.biases.chunks_exact(TILE));
    for (g, (weights, (scale, bias))) in weights.zip(scales).enumerate().take(groups) {
        let mut ints = [&vectors[0].ints[g * 2 * GROUP..][..2 * GROUP]; V];
        for v in 1..V {
            ints[v] = &vectors[v].ints[g * 2 * GROUP..][..2 * GROUP];
        }
        let dots = D::tile::<BITS, GROUP, V>(weights, ints);
        let (scale, bias) = (D::L::read(scale), D::L::read(bias));
        let sums = &mut sums[g % LANES];
        for v in 0..V {
            let (step, x_sum) = (vectors[v].steps[g], vectors[v].sums[g]);
            let (step, x_sum) = (D::L::splat(step), D::L::splat(x_sum));
            sums[v] = add_groups(dots[v], scale, bias, step, x_sum, sums[v]);
        }
    }
    if !groups.is_multiple_of(LANES) {
        // There a row adds the zeros that fill up its last sixteen groups: +0 - 0 is +0.
        for sum in &mut sums[groups % LANES..] {
            for sum in sum {
                *sum = sum.add(D::L::splat(0.0));
            }
        }
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            let other = sums[l + half];
            for (sum, other) in sums[l].iter_mut().zip(other) {
                *sum = sum.add(other);
            }
        }
    }
    let mut out = [[0.0; TILE]; V];
    for v in 0..V {
        sums[0][v].write(&mut out[v]);
    }
    out
}
