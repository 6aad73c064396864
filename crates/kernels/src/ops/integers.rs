//! Packed matrices times vectors of integers: row by row for few vectors, in tiles of rows for many.

use std::marker::PhantomData;
use std::ops::Range;

use crate::activations::{GROUPS, Quantised, Vector};
use crate::dots::{Dots, TILE};
use crate::float::{Bf16, F16, F32, Storage};
use crate::lanes::{LANES, Lanes, Num};
use crate::rows::Part;
use crate::scratch::Lines;
use crate::{Float, Matrix, Quant};

/// What is done with a matrix once bits and group are numbers of the code.
pub(crate) trait Visit {
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>);
}

#[inline(always)]
pub(crate) fn visit(m: &Matrix<'_>, visitor: impl Visit) {
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
pub(crate) struct Packed<'a> {
    pub(crate) weights: &'a [u8],
    /// From this row's on to the end of the plane.
    pub(crate) scales: &'a [u8],
    pub(crate) biases: &'a [u8],
    pub(crate) params: Float,
}

impl<'a> Packed<'a> {
    #[inline(always)]
    pub(crate) fn of(m: &Matrix<'a>, row: usize) -> Packed<'a> {
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
pub(crate) fn sixteen<L: Lanes>(params: Float, bytes: &[u8], first: usize, count: usize) -> L {
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
pub(crate) fn add_groups<T: Num>(dots: T, scale: T, bias: T, step: T, x_sum: T, sum: T) -> T {
    bias.mul_add(x_sum, scale.mul_add(dots.mul(step), sum))
}

/// Group i in lane i mod 16, then the lanes as every sum.
#[inline(always)]
pub(crate) fn row_dot<D: Dots, const BITS: usize, const GROUP: usize>(
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

/// Groups of packed integers have from 32 to 128 columns.
const MIN_GROUP: usize = 32;
pub(crate) const MAX_GROUP: usize = 128;
/// Floats of [`TileScratch::sums`].
pub(crate) const WAITING: usize = 1 << 13;

/// What a thread needs for tiles; it grows to the widest matrix so far.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "sums and rows are for AMX"))]
#[derive(Default)]
pub(crate) struct TileScratch {
    /// Unpacked weights: [columns of a panel / 4, 16 rows, 4], or row by row for AMX.
    pub(crate) weights: Lines<u8>,
    /// [groups, 16 rows], or [16 rows, groups] for AMX.
    pub(crate) scales: Lines<f32>,
    pub(crate) biases: Lines<f32>,
    /// Sums that wait for others, where a table needs them in memory.
    pub(crate) sums: Lines<f32>,
    /// A copy of the last rows, filled up to sixteen, for tables that take no fewer.
    pub(crate) rows: Lines<u8>,
}

impl TileScratch {
    /// The most that matrices of so many columns ask for, whatever their layout and the table.
    pub(crate) const fn bytes(cols: usize) -> usize {
        // Sixteen rows, or the groups of one lane of them and two more.
        let (all, lane) = (TILE * cols, TILE * (cols / LANES + 3 * MAX_GROUP));
        let weights = Lines::<u8>::bytes(if all > lane { all } else { lane });
        let scales = TILE * cols.div_ceil(MIN_GROUP).next_multiple_of(LANES);
        let scales = Lines::<f32>::bytes(scales);
        // Eight bits, and two f32 for each of the smallest groups.
        let rows = Lines::<u8>::bytes(TILE * (cols + cols.div_ceil(MIN_GROUP) * 2 * 4));
        weights + 2 * scales + Lines::<f32>::bytes(WAITING) + rows
    }
}

/// The rows of `part`, a multiple of sixteen, each times every vector.
#[inline(always)]
pub(crate) fn many_vectors<D: Dots>(
    m: &Matrix<'_>,
    x: &Quantised<'_>,
    part: &mut Part<'_>,
    scratch: &mut TileScratch,
) {
    Many::<D> { x, part, scratch, dots: PhantomData }.run(m);
}

struct Many<'o, 'p, D> {
    x: &'o Quantised<'o>,
    part: &'o mut Part<'p>,
    scratch: &'o mut TileScratch,
    dots: PhantomData<D>,
}

impl<D: Dots> Many<'_, '_, D> {
    #[inline(always)]
    fn run(self, m: &Matrix<'_>) {
        let (n, form) = (self.x.n, Form::of(m));
        let mut sums = Sums([[D::L::splat(0.0); MOST]; LANES]);
        let most = if D::EIGHT_TOGETHER { MOST } else { MOST / 2 };
        for first in self.part.rows().step_by(TILE) {
            for panel in form.panels(n <= most) {
                D::unpack(m, first, &panel, self.scratch);
                let mut v = 0;
                while v < n {
                    let (left, sums) = (n - v, &mut sums);
                    let at = (first, self.x.first + v);
                    // Where less is left, the last vector is taken again, and nobody looks at it.
                    v += if D::EIGHT_TOGETHER && left > 4 {
                        let done = tile::<D, 8>(self.scratch, &form, &panel, self.x, v, sums);
                        put(self.part, at, done, left)
                    } else if left > 2 {
                        let done = tile::<D, 4>(self.scratch, &form, &panel, self.x, v, sums);
                        put(self.part, at, done, left)
                    } else {
                        let done = tile::<D, 2>(self.scratch, &form, &panel, self.x, v, sums);
                        put(self.part, at, done, left)
                    }
                }
            }
        }
    }
}

/// Unpacks some groups of sixteen rows from `first` on.
#[inline(always)]
pub(crate) fn unpack<D: Dots>(
    m: &Matrix<'_>,
    first: usize,
    panel: &Range<usize>,
    scratch: &mut TileScratch,
) {
    visit(m, Unpack::<D> { first, panel, scratch, dots: PhantomData });
}

/// Vectors that go through a tile together.
const MOST: usize = 8;

/// Columns that are unpacked at a time for few vectors: so what is unpacked stays in the first
/// cache, and the reading of what comes next is spread over all of the work.
const PANEL: usize = 128;

/// How a packed matrix is laid out.
pub(crate) struct Form {
    bits: usize,
    pub(crate) group: usize,
    pub(crate) groups: usize,
}

impl Form {
    #[inline(always)]
    pub(crate) fn of(m: &Matrix<'_>) -> Form {
        let Quant::Affine { bits, group, .. } = m.quant() else {
            unreachable!("only packed integers have an order")
        };
        Form { bits, group, groups: m.cols() / group }
    }

    /// Groups that are unpacked at a time: all, when many vectors will want them.
    #[inline(always)]
    fn panels(&self, few: bool) -> impl Iterator<Item = Range<usize>> + use<> {
        let &Form { group, groups, .. } = self;
        let step = if few { PANEL / group } else { groups };
        (0..groups).step_by(step).map(move |first| first..groups.min(first + step))
    }
}

/// The sums of sixteen rows from `row` on, of up to `left` vectors from `vector` on, once they are
/// done; gives how many vectors those were.
#[inline(always)]
fn put<const V: usize>(
    part: &mut Part<'_>,
    (row, vector): (usize, usize),
    sums: Option<[[f32; TILE]; V]>,
    left: usize,
) -> usize {
    if let Some(sums) = sums {
        for (v, sums) in sums.iter().enumerate().take(left) {
            part.put_some(vector + v, row, sums);
        }
    }
    V.min(left)
}

/// Sixteen rows from `first` on.
struct Unpack<'s, D> {
    first: usize,
    panel: &'s Range<usize>,
    scratch: &'s mut TileScratch,
    dots: PhantomData<D>,
}

impl<D: Dots> Visit for Unpack<'_, D> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>) {
        let weights = m.planes().weights;
        let of_row = weights.len() / m.rows();
        let rows = &weights[self.first * of_row..][..TILE * of_row];
        let wanted = TILE * GROUP * self.panel.len();
        let out = &mut self.scratch.weights;
        out.grow(wanted);
        let bytes = GROUP * BITS / 8;
        let bytes = bytes * self.panel.start..bytes * self.panel.end;
        D::interleave::<BITS, GROUP>(rows, bytes, &mut out.all_mut()[..wanted]);
        if self.panel.start == 0 {
            turn_params::<D>(m, self.first, self.scratch);
        }
    }
}

/// Scales and biases of sixteen rows from `first` on.
#[inline(always)]
pub(crate) fn turn_params<D: Dots>(m: &Matrix<'_>, first: usize, scratch: &mut TileScratch) {
    let Quant::Affine { group, params, .. } = m.quant() else {
        unreachable!("only packed integers have an order")
    };
    let (planes, groups) = (m.planes(), m.cols() / group);
    let bytes = groups * params.bytes();
    for (plane, out) in [(planes.scales, &mut scratch.scales), (planes.biases, &mut scratch.biases)]
    {
        out.grow(TILE * groups);
        let rows = &plane[first * bytes..][..TILE * bytes];
        D::turn(params, rows, &mut out.all_mut()[..TILE * groups]);
    }
}

/// Sums of sixteen rows in the order of [`row_dot`]: a row is a lane here, so that its sixteen
/// lanes are an array, with a register for each of up to [`MOST`] vectors.
struct Sums<L>([[L; MOST]; LANES]);

/// A panel of sixteen rows times the vectors from `first` on; the sums, when it was the last one.
#[inline(always)]
fn tile<D: Dots, const V: usize>(
    scratch: &TileScratch,
    form: &Form,
    panel: &Range<usize>,
    x: &Quantised<'_>,
    first: usize,
    sums: &mut Sums<D::L>,
) -> Option<[[f32; TILE]; V]> {
    let &Form { bits, group, groups } = form;
    let mut vectors = [x.vector(first); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        *vector = x.vector((first + v).min(x.n - 1));
    }
    let (scales, biases) = (scratch.scales.all(), scratch.biases.all());
    let weights = scratch.weights.all().chunks_exact(TILE * group);
    for (g, weights) in panel.clone().zip(weights) {
        let mut ints = [&vectors[0].ints[g * 2 * group..][..2 * group]; V];
        for v in 1..V {
            ints[v] = &vectors[v].ints[g * 2 * group..][..2 * group];
        }
        let dots = D::tile::<V>((bits, group), weights, ints);
        let scale = D::L::read(&scales[g * TILE..]);
        let bias = D::L::read(&biases[g * TILE..]);
        for v in 0..V {
            let (step, x_sum) = (vectors[v].steps[g], vectors[v].sums[g]);
            let (step, x_sum) = (D::L::splat(step), D::L::splat(x_sum));
            let sum = sums.before(g, v);
            sums.0[g % LANES][v] = add_groups(dots[v], scale, bias, step, x_sum, sum);
        }
    }
    sums.end::<V>(panel, groups)
}

impl<L: Lanes> Sums<L> {
    /// The sum of vector `v` that group `g` goes to: nothing yet before the first sixteen.
    #[inline(always)]
    fn before(&self, g: usize, v: usize) -> L {
        if g < LANES { L::splat(0.0) } else { self.0[g % LANES][v] }
    }

    /// After the last panel the lanes added, as [`Lanes::sum`] adds those of one register.
    #[inline(always)]
    fn end<const V: usize>(
        &mut self,
        panel: &Range<usize>,
        groups: usize,
    ) -> Option<[[f32; TILE]; V]> {
        if panel.end < groups {
            return None;
        }
        for (lane, sums) in self.0.iter_mut().enumerate().skip(groups % LANES) {
            for sum in &mut sums[..V] {
                if lane >= groups {
                    *sum = L::splat(0.0);
                } else if !groups.is_multiple_of(LANES) {
                    // A row adds the zeros that fill up its last sixteen groups: +0 - 0 is +0.
                    *sum = sum.add(L::splat(0.0));
                }
            }
        }
        for half in [8, 4, 2, 1] {
            for l in 0..half {
                let other = self.0[l + half];
                for (sum, other) in self.0[l][..V].iter_mut().zip(other) {
                    *sum = sum.add(other);
                }
            }
        }
        let mut out = [[0.0; TILE]; V];
        for (sum, out) in self.0[0].iter().zip(&mut out) {
            sum.write(out);
        }
        Some(out)
    }
}
