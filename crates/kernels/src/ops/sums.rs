//! Operations with a sum over all elements: dot product, norms and softmax.

use crate::lanes::{LANES, Lanes, padded};
use crate::math::exp_num;
use crate::ops::elements::scale_by;

#[inline(always)]
pub(crate) fn dot<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let (blocks, rest) = a.as_chunks::<LANES>();
    let (other_blocks, other_rest) = b.as_chunks::<LANES>();
    let mut sum = L::splat(0.0);
    for (a, b) in blocks.iter().zip(other_blocks) {
        sum = L::read(a).mul_add(L::read(b), sum);
    }
    if !rest.is_empty() {
        sum = L::read(&padded(rest, 0.0)).mul_add(L::read(&padded(other_rest, 0.0)), sum);
    }
    sum.sum()
}

#[inline(always)]
pub(crate) fn rms_norm<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = dot::<L>(x, x) / x.len() as f32;
    out.copy_from_slice(x);
    scale_by::<L>(out, 1.0 / (mean + eps).sqrt(), weight);
}

#[inline(always)]
pub(crate) fn l2_norm<L: Lanes>(x: &mut [f32], eps: f32, scale: f32) {
    let factor = 1.0 / (dot::<L>(x, x) + eps).sqrt();
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    for x in blocks {
        L::read(x).mul(L::splat(factor)).mul(L::splat(scale)).write(x);
    }
    for x in rest {
        *x = *x * factor * scale;
    }
}

#[inline(always)]
pub(crate) fn softmax<L: Lanes>(x: &mut [f32]) {
    let greatest = largest::<L>(x);
    let sum = exp_less::<L>(x, greatest);
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    for x in blocks {
        L::read(x).div(L::splat(sum)).write(x);
    }
    for x in rest {
        *x /= sum;
    }
}

/// The greatest element, in the order of lanes; -∞ of nothing.
#[inline(always)]
pub(super) fn largest<L: Lanes>(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut greatest = L::splat(f32::NEG_INFINITY);
    for x in blocks {
        greatest = greatest.max(L::read(x));
    }
    greatest.max(L::read(&padded(rest, f32::NEG_INFINITY))).largest()
}

/// Every x becomes e^(x - `less`); their sum.
#[inline(always)]
pub(super) fn exp_less<L: Lanes>(x: &mut [f32], less: f32) -> f32 {
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    let mut sum = L::splat(0.0);
    for x in blocks {
        let e = exp_num(L::read(x).sub(L::splat(less)));
        e.write(x);
        sum = sum.add(e);
    }
    for x in &mut *rest {
        *x = exp_num(*x - less);
    }
    sum.add(L::read(&padded(rest, 0.0))).sum()
}
