//! Attention of one query by online softmax over blocks of keys at fixed positions.

use crate::lanes::{LANES, Lanes, Num};
use crate::math::exp_num;
use crate::ops::matmul::tile;
use crate::ops::sums::{dot, exp_less, largest};

/// Keys of one block. Blocks begin at multiples of it, counted from the first key.
const BLOCK: usize = 64;
/// Blocks of columns whose sums are held in registers together.
const WIDE: usize = 4;

#[inline(always)]
pub(crate) fn attend<L: Lanes>(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    scale: f32,
    out: &mut [f32],
) {
    let dim = q.len();
    let mut greatest = f32::NEG_INFINITY;
    let mut total = 0.0;
    let mut scores = [0.0; BLOCK];
    out.fill(0.0);
    for (keys, values) in keys.chunks(BLOCK * dim).zip(values.chunks(BLOCK * dim)) {
        let scores = &mut scores[..keys.len() / dim];
        score::<L>(q, keys, scale, scores);
        let before = greatest;
        greatest = Num::max(greatest, largest::<L>(scores));
        let keep = exp_num(before - greatest);
        let sum = exp_less::<L>(scores, greatest);
        total = f32::mul_add(total, keep, sum);
        gather::<L>(scores, values, keep, out);
    }
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    for o in blocks {
        L::read(o).div(L::splat(total)).write(o);
    }
    for o in rest {
        *o /= total;
    }
}

/// Dot products with the keys, four at a time, times `scale`.
#[inline(always)]
fn score<L: Lanes>(q: &[f32], keys: &[f32], scale: f32, scores: &mut [f32]) {
    let dim = q.len();
    let (fours, rest) = scores.as_chunks_mut::<4>();
    let (four_keys, rest_keys) = keys.split_at(4 * fours.len() * dim);
    for (scores, keys) in fours.iter_mut().zip(four_keys.chunks_exact(4 * dim)) {
        let key = [&keys[..dim], &keys[dim..2 * dim], &keys[2 * dim..3 * dim], &keys[3 * dim..]];
        let [sums] = tile::<L, 1, 4>([q], key);
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score = sum * scale;
        }
    }
    for (score, key) in rest.iter_mut().zip(rest_keys.chunks_exact(dim)) {
        *score = dot::<L>(q, key) * scale;
    }
}

/// out = keep · out, then the values are added in order, each times its weight.
#[inline(always)]
fn gather<L: Num>(weights: &[f32], values: &[f32], keep: f32, out: &mut [f32]) {
    let mut first = 0;
    while first + WIDE * LANES <= out.len() {
        columns::<L, WIDE>(weights, values, keep, out, first);
        first += WIDE * LANES;
    }
    while first + LANES <= out.len() {
        columns::<L, 1>(weights, values, keep, out, first);
        first += LANES;
    }
    while first < out.len() {
        columns::<f32, 1>(weights, values, keep, out, first);
        first += 1;
    }
}

#[inline(always)]
fn columns<T: Num, const C: usize>(
    weights: &[f32],
    values: &[f32],
    keep: f32,
    out: &mut [f32],
    first: usize,
) {
    let dim = out.len();
    let span = first..first + C * T::WIDTH;
    let out = &mut out[span.clone()];
    let mut sums = [T::splat(0.0); C];
    for c in 0..C {
        sums[c] = T::read(&out[c * T::WIDTH..]).mul(T::splat(keep));
    }
    for (value, weight) in values.chunks_exact(dim).zip(weights) {
        let value = &value[span.clone()];
        for c in 0..C {
            sums[c] = T::splat(*weight).mul_add(T::read(&value[c * T::WIDTH..]), sums[c]);
        }
    }
    for c in 0..C {
        sums[c].write(&mut out[c * T::WIDTH..]);
    }
}
