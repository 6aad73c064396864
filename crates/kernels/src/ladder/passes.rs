//! The delta rule in four passes over the state, each as fast as it can be by itself.

use crate::DeltaStep;
use crate::lanes::{LANES, Lanes};

/// Blocks of columns whose sums are held in registers together.
const WIDE: usize = 4;

/// Columns are whole blocks of sixteen.
#[inline(always)]
pub(crate) fn delta_passes<L: Lanes>(
    state: &mut [f32],
    step: &DeltaStep<'_>,
    u: &mut [f32],
    out: &mut [f32],
) {
    let DeltaStep { q, k, v, decay, beta } = *step;
    for s in state.as_chunks_mut::<LANES>().0 {
        L::splat(decay).mul(L::read(s)).write(s);
    }
    transposed::<L>(state, k, u);
    let blocks = u.as_chunks_mut::<LANES>().0.iter_mut();
    for (u, v) in blocks.zip(v.as_chunks::<LANES>().0) {
        L::splat(beta).mul(L::read(v).sub(L::read(u))).write(u);
    }
    for (row, k) in state.chunks_exact_mut(v.len()).zip(k) {
        let blocks = row.as_chunks_mut::<LANES>().0.iter_mut();
        for (s, u) in blocks.zip(u.as_chunks::<LANES>().0) {
            L::splat(*k).mul_add(L::read(u), L::read(s)).write(s);
        }
    }
    transposed::<L>(state, q, out);
}

/// out_j = Σ_i weights_i · S_ij.
#[inline(always)]
fn transposed<L: Lanes>(state: &[f32], weights: &[f32], out: &mut [f32]) {
    let mut first = 0;
    while first + WIDE * LANES <= out.len() {
        columns::<L, WIDE>(state, weights, out, first);
        first += WIDE * LANES;
    }
    while first < out.len() {
        columns::<L, 1>(state, weights, out, first);
        first += LANES;
    }
}

#[inline(always)]
fn columns<L: Lanes, const C: usize>(
    state: &[f32],
    weights: &[f32],
    out: &mut [f32],
    first: usize,
) {
    let span = first..first + C * LANES;
    let mut sums = [L::splat(0.0); C];
    for (row, weight) in state.chunks_exact(out.len()).zip(weights) {
        let row = &row[span.clone()];
        for c in 0..C {
            sums[c] = L::splat(*weight).mul_add(L::read(&row[c * LANES..]), sums[c]);
        }
    }
    for c in 0..C {
        sums[c].write(&mut out[first + c * LANES..]);
    }
}
