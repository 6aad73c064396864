//! Exponential, sigmoid, SiLU and softplus in operations that every table repeats exactly.

use crate::lanes::Num;

/// Adding and subtracting 1.5·2^23 rounds to an integer, ties to even.
const ROUND: f32 = 12_582_912.0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two pieces, of which the second is what f32 leaves over.
const LN_2_HIGH: f32 = std::f32::consts::LN_2;
const LN_2_LOW: f32 = -1.904_654_2e-9;
/// Beyond these e^x is 0 or infinite in f32, and the power of two in two steps still fits.
const LEAST: f32 = -105.0;
const GREATEST: f32 = 90.0;
/// (e^r - 1 - r) / r² for |r| ≤ ln 2 / 2, highest power first (Cephes expf).
const EXP: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// e^x = 2^n · e^r with n = round(x / ln 2). Subnormal results are rounded once more.
#[inline(always)]
pub(crate) fn exp_num<T: Num>(x: T) -> T {
    // A NaN stays: both take the second operand then.
    let x = T::splat(GREATEST).min(T::splat(LEAST).max(x));
    let round = T::splat(ROUND);
    let n = x.mul_add(T::splat(LOG2_E), round).sub(round);
    let r = n.mul_add(T::splat(-LN_2_HIGH), x);
    let r = n.mul_add(T::splat(-LN_2_LOW), r);
    let mut p = T::splat(EXP[0]);
    for coefficient in &EXP[1..] {
        p = p.mul_add(r, T::splat(*coefficient));
    }
    let e = p.mul_add(r.mul(r), r).add(T::splat(1.0));
    // 2^n may be beyond f32 where the product is not.
    let half = n.mul_add(T::splat(0.5), round).sub(round);
    e.mul(half.pow2()).mul(n.sub(half).pow2())
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid_num<T: Num>(x: T) -> T {
    let one = T::splat(1.0);
    one.div(one.add(exp_num(x.neg())))
}

/// x · sigmoid(x).
#[inline(always)]
pub(crate) fn silu_num<T: Num>(x: T) -> T {
    x.mul(sigmoid_num(x))
}

/// e^x, within 2 units in the last place where the result is normal.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_num(x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    sigmoid_num(x)
}

/// ln(1 + e^x); above 20 it is x.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    if x > 20.0 {
        return x;
    }
    // ln(1 + y) = 2 artanh(z) with z = y / (2 + y), which is at most 1/3 here.
    let y = exp(-x.abs());
    let z = y / (2.0 + y);
    let square = z * z;
    let mut series = 1.0 / 17.0;
    for odd in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        series = f32::mul_add(series, square, 1.0 / odd);
    }
    let log = f32::mul_add(series * square, z, z) * 2.0;
    Num::max(0.0, x) + log
}
