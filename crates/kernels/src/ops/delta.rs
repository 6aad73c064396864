//! The gated delta rule on one head's state: columns are independent, rows are walked in order.

use crate::lanes::{LANES, Num};

/// Blocks of columns whose sums are held in registers together.
const WIDE: usize = 4;

/// What one step reads: keys and queries by row, values by column.
struct Step<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    decay: f32,
    beta: f32,
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "as many as the method has")]
pub(crate) fn delta_step<L: Num>(
    state: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    decay: f32,
    beta: f32,
    u: &mut [f32],
    out: &mut [f32],
) {
    let step = Step { q, k, v, decay, beta };
    let mut first = 0;
    while first + WIDE * LANES <= v.len() {
        columns::<L, WIDE>(&step, state, first, u, out);
        first += WIDE * LANES;
    }
    while first + LANES <= v.len() {
        columns::<L, 1>(&step, state, first, u, out);
        first += LANES;
    }
    while first < v.len() {
        columns::<f32, 1>(&step, state, first, u, out);
        first += 1;
    }
}

/// The columns from `first` on, `C` times the width of `T`. The decayed state is computed twice
/// rather than stored in between: the bits are the same.
#[inline(always)]
fn columns<T: Num, const C: usize>(
    step: &Step<'_>,
    state: &mut [f32],
    first: usize,
    u: &mut [f32],
    out: &mut [f32],
) {
    let width = step.v.len();
    let span = first..first + C * T::WIDTH;
    let decay = T::splat(step.decay);
    let mut sums = [T::splat(0.0); C];
    for (row, k) in state.chunks_exact(width).zip(step.k) {
        let row = &row[span.clone()];
        for c in 0..C {
            let decayed = decay.mul(T::read(&row[c * T::WIDTH..]));
            sums[c] = T::splat(*k).mul_add(decayed, sums[c]);
        }
    }
    let v = &step.v[span.clone()];
    let mut updates = [T::splat(0.0); C];
    for c in 0..C {
        updates[c] = T::splat(step.beta).mul(T::read(&v[c * T::WIDTH..]).sub(sums[c]));
        updates[c].write(&mut u[first + c * T::WIDTH..]);
        sums[c] = T::splat(0.0);
    }
    for ((row, k), q) in state.chunks_exact_mut(width).zip(step.k).zip(step.q) {
        let row = &mut row[span.clone()];
        for c in 0..C {
            let decayed = decay.mul(T::read(&row[c * T::WIDTH..]));
            let new = T::splat(*k).mul_add(updates[c], decayed);
            new.write(&mut row[c * T::WIDTH..]);
            sums[c] = T::splat(*q).mul_add(new, sums[c]);
        }
    }
    for c in 0..C {
        sums[c].write(&mut out[first + c * T::WIDTH..]);
    }
}

#[inline(always)]
pub(crate) fn delta_apply<L: Num>(state: &mut [f32], k: &[f32], u: &[f32], decay: f32) {
    let (updates, rest_of_updates) = u.as_chunks::<LANES>();
    for (row, k) in state.chunks_exact_mut(u.len()).zip(k) {
        let (blocks, rest) = row.as_chunks_mut::<LANES>();
        for (s, u) in blocks.iter_mut().zip(updates) {
            let decayed = L::splat(decay).mul(L::read(s));
            L::splat(*k).mul_add(L::read(u), decayed).write(s);
        }
        for (s, u) in rest.iter_mut().zip(rest_of_updates) {
            *s = f32::mul_add(*k, *u, decay * *s);
        }
    }
}
