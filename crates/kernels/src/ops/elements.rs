//! Operations in which every element is for itself: sixteen at a time, the remainder one by one.

use crate::lanes::{LANES, Num};
use crate::math::{exp, sigmoid, sigmoid_num, silu_num, softplus};

/// A formula of two elements. A type rather than a closure, so that it is sure to be inlined into
/// code with the target features of its table.
trait Formula {
    fn apply<T: Num>(&self, x: T, y: T) -> T;
}

#[inline(always)]
fn pairs<L: Num>(x: &mut [f32], y: &[f32], formula: &impl Formula) {
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    let (other_blocks, other_rest) = y.as_chunks::<LANES>();
    for (x, y) in blocks.iter_mut().zip(other_blocks) {
        formula.apply(L::read(x), L::read(y)).write(x);
    }
    for (x, y) in rest.iter_mut().zip(other_rest) {
        *x = formula.apply(*x, *y);
    }
}

struct SiluMul;
impl Formula for SiluMul {
    #[inline(always)]
    fn apply<T: Num>(&self, gate: T, up: T) -> T {
        silu_num(gate).mul(up)
    }
}

struct SigmoidMul;
impl Formula for SigmoidMul {
    #[inline(always)]
    fn apply<T: Num>(&self, x: T, gate: T) -> T {
        x.mul(sigmoid_num(gate))
    }
}

struct Add;
impl Formula for Add {
    #[inline(always)]
    fn apply<T: Num>(&self, x: T, y: T) -> T {
        x.add(y)
    }
}

struct AddScaled(f32);
impl Formula for AddScaled {
    #[inline(always)]
    fn apply<T: Num>(&self, x: T, y: T) -> T {
        y.mul_add(T::splat(self.0), x)
    }
}

/// x · r · weight, the factor of a norm first.
pub(super) struct Scale(pub(super) f32);
impl Formula for Scale {
    #[inline(always)]
    fn apply<T: Num>(&self, x: T, weight: T) -> T {
        x.mul(T::splat(self.0)).mul(weight)
    }
}

#[inline(always)]
pub(crate) fn silu_mul<L: Num>(gate: &mut [f32], up: &[f32]) {
    pairs::<L>(gate, up, &SiluMul);
}

#[inline(always)]
pub(crate) fn sigmoid_mul<L: Num>(x: &mut [f32], gate: &[f32]) {
    pairs::<L>(x, gate, &SigmoidMul);
}

#[inline(always)]
pub(crate) fn add<L: Num>(x: &mut [f32], y: &[f32]) {
    pairs::<L>(x, y, &Add);
}

#[inline(always)]
pub(crate) fn add_scaled<L: Num>(x: &mut [f32], scale: f32, y: &[f32]) {
    pairs::<L>(x, y, &AddScaled(scale));
}

#[inline(always)]
pub(super) fn scale_by<L: Num>(x: &mut [f32], factor: f32, weight: &[f32]) {
    pairs::<L>(x, weight, &Scale(factor));
}

#[inline(always)]
pub(crate) fn silu<L: Num>(x: &mut [f32]) {
    let (blocks, rest) = x.as_chunks_mut::<LANES>();
    for x in blocks {
        silu_num(L::read(x)).write(x);
    }
    for x in rest {
        *x = silu_num(*x);
    }
}

/// There are a few of them a row: with the table's own multiplications that is enough.
#[inline(always)]
pub(crate) fn delta_gates(betas: &mut [f32], decays: &mut [f32], biases: &[f32], rates: &[f32]) {
    for beta in betas {
        *beta = sigmoid(*beta);
    }
    for (decay, (bias, rate)) in decays.iter_mut().zip(biases.iter().zip(rates)) {
        *decay = exp(rate * softplus(*decay + bias));
    }
}

#[inline(always)]
pub(crate) fn rope<L: Num>(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    let mut i = 0;
    while i + LANES <= cos.len() {
        rotate::<L>(&mut low[i..], &mut high[i..], &cos[i..], &sin[i..]);
        i += LANES;
    }
    while i < cos.len() {
        rotate::<f32>(&mut low[i..], &mut high[i..], &cos[i..], &sin[i..]);
        i += 1;
    }
}

#[inline(always)]
fn rotate<T: Num>(low: &mut [f32], high: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (a, b) = (T::read(low), T::read(high));
    let (cos, sin) = (T::read(cos), T::read(sin));
    a.mul_add(cos, b.mul(sin).neg()).write(low);
    b.mul_add(cos, a.mul(sin)).write(high);
}

#[inline(always)]
pub(crate) fn conv_silu<L: Num>(taps: &[f32], window: &[&[f32]], out: &mut [f32]) {
    let mut i = 0;
    while i + LANES <= out.len() {
        convolve::<L>(taps, window, out, i);
        i += LANES;
    }
    while i < out.len() {
        convolve::<f32>(taps, window, out, i);
        i += 1;
    }
}

#[inline(always)]
fn convolve<T: Num>(taps: &[f32], window: &[&[f32]], out: &mut [f32], first: usize) {
    let channels = out.len();
    let mut sum = T::splat(0.0);
    for (tap, column) in taps.chunks_exact(channels).zip(window) {
        sum = T::read(&tap[first..]).mul_add(T::read(&column[first..]), sum);
    }
    silu_num(sum).write(&mut out[first..]);
}
