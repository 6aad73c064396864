//! Packed matrices times a few vectors, row by row: what is unpacked is multiplied with all of them.

use std::marker::PhantomData;
use std::ops::Range;

use super::integers::{Packed, Visit, add_groups, row_dot, sixteen, visit};
use crate::Matrix;
use crate::activations::{GROUPS, Quantised, Vector};
use crate::dots::{Dots, FOUR, WIDEST};
use crate::lanes::{Lanes, Num};
use crate::rows::Part;

/// Rows that stay in the first cache while all vectors go over them.
const STRIP: usize = 4;
/// Fours of groups that the lanes of a sum take.
const FOURS: usize = GROUPS / FOUR;

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

/// Whether there is code for several vectors at a time. Each form of it takes long to compile, so
/// the widest groups have none, nor have weights that straddle bytes: unpacking those takes longer
/// than all else.
pub(crate) const fn is_shared(bits: usize, group: usize) -> bool {
    matches!(bits, 2 | 4 | 8) && group <= WIDEST
}

impl<D: Dots> Visit for Few<'_, '_, D> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(mut self, m: &Matrix<'_>) {
        let (all, n) = (self.part.rows(), self.x.n);
        let step = if n == 1 { all.len().max(1) } else { STRIP };
        for first in all.clone().step_by(step) {
            let rows = first..all.end.min(first + step);
            let mut v = 0;
            while v < n {
                // Said as a constant, or else what is never called is compiled.
                if const { is_shared(BITS, GROUP) } && n - v > 1 {
                    v += self.some::<BITS, GROUP>(m, rows.clone(), v);
                    continue;
                }
                self.alone::<BITS, GROUP>(m, rows.clone(), v);
                v += 1;
            }
        }
    }
}

impl<D: Dots> Few<'_, '_, D> {
    /// These rows times the next vectors from `v` on, of which there are two at least; gives how
    /// many those were.
    #[inline(always)]
    fn some<const BITS: usize, const GROUP: usize>(
        &mut self,
        m: &Matrix<'_>,
        rows: Range<usize>,
        v: usize,
    ) -> usize {
        if const { D::ROWS_UP_TO > 3 } && self.x.n - v > 3 {
            return self.together::<BITS, GROUP, 4>(m, rows, v);
        }
        match self.x.n - v {
            2 => self.together::<BITS, GROUP, 2>(m, rows, v),
            _ => self.together::<BITS, GROUP, 3>(m, rows, v),
        }
    }

    /// These rows times vector `v`.
    #[inline(always)]
    fn alone<const BITS: usize, const GROUP: usize>(
        &mut self,
        m: &Matrix<'_>,
        rows: Range<usize>,
        v: usize,
    ) {
        let x = self.x.vector(v);
        for r in rows {
            let sum = row_dot::<D, BITS, GROUP>(&Packed::of(m, r), &x);
            self.part.put(self.x.first + v, r, sum);
        }
    }

    /// These rows times V vectors from `first` on; gives V.
    #[inline(always)]
    fn together<const BITS: usize, const GROUP: usize, const V: usize>(
        &mut self,
        m: &Matrix<'_>,
        rows: Range<usize>,
        first: usize,
    ) -> usize {
        let mut vectors = [self.x.vector(first); V];
        for (v, vector) in vectors.iter_mut().enumerate() {
            *vector = self.x.vector(first + v);
        }
        for r in rows {
            let sums = row_dots::<D, BITS, GROUP, V>(&Packed::of(m, r), &vectors);
            for (v, sum) in sums.into_iter().enumerate() {
                self.part.put(self.x.first + first + v, r, sum);
            }
        }
        V
    }
}

/// What [`row_dot`] gives with each vector.
#[inline(always)]
fn row_dots<D: Dots, const BITS: usize, const GROUP: usize, const V: usize>(
    row: &Packed<'_>,
    x: &[Vector<'_>; V],
) -> [f32; V] {
    let bytes = GROUP * BITS / 8;
    let groups = row.weights.len() / bytes;
    let mut sums = [D::L::splat(0.0); V];
    let mut fours = [[D::no_four(); V]; FOURS];
    for first in (0..groups).step_by(GROUPS) {
        let count = GROUPS.min(groups - first);
        if count < GROUPS {
            fours = [[D::no_four(); V]; FOURS];
        }
        for (k, fours) in fours.iter_mut().enumerate().take(count.div_ceil(FOUR)) {
            let start = first + FOUR * k;
            let weights = &row.weights[start * bytes..];
            if weights.len() < FOUR * bytes {
                *fours = rest::<D, BITS, GROUP, V>(weights, x, start);
                continue;
            }
            let mut ints = [&x[0].ints[start * 2 * GROUP..]; V];
            for v in 1..V {
                ints[v] = &x[v].ints[start * 2 * GROUP..];
            }
            *fours = D::four::<BITS, GROUP, V>(weights, ints);
        }
        let scale = sixteen::<D::L>(row.params, row.scales, first, count);
        let bias = sixteen::<D::L>(row.params, row.biases, first, count);
        for v in 0..V {
            let (step, x_sum) = (D::L::read(&x[v].steps[first..]), D::L::read(&x[v].sums[first..]));
            let dots = D::join_fours([fours[0][v], fours[1][v], fours[2][v], fours[3][v]]);
            sums[v] = add_groups(dots, scale, bias, step, x_sum, sums[v]);
        }
    }
    D::L::sums(sums)
}

/// The last groups, fewer than four, filled up.
#[inline(always)]
fn rest<D: Dots, const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: &[Vector<'_>; V],
    start: usize,
) -> [D::Four; V] {
    let mut padded = [0; FOUR * WIDEST];
    padded[..weights.len()].copy_from_slice(weights);
    let mut padded_ints = [[0; FOUR * 2 * WIDEST]; V];
    for v in 0..V {
        let ints = &x[v].ints[start * 2 * GROUP..];
        padded_ints[v][..ints.len()].copy_from_slice(ints);
    }
    let mut ints = [&padded_ints[0][..]; V];
    for v in 1..V {
        ints[v] = &padded_ints[v];
    }
    D::four::<BITS, GROUP, V>(&padded, ints)
}
