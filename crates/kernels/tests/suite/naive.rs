//! The naive twin: plain loops, one number at a time, straight from the definitions.

use kernels::{DeltaStep, Float, Quant};

/// Σ a·b in sixteen lanes, without any block in it.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let whole = a.len().next_multiple_of(16);
    for i in 0..whole {
        let (a, b) = if i < a.len() { (a[i], b[i]) } else { (0.0, 0.0) };
        lanes[i % 16] = a.mul_add(b, lanes[i % 16]);
    }
    tree(lanes)
}

pub(crate) fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
    }
    lanes[0]
}

pub(crate) fn float(float: Float, bytes: &[u8], index: usize) -> f32 {
    let at = index * float.bytes();
    match float {
        Float::F32 => f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]),
        Float::F16 => half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32(),
        Float::Bf16 => half::bf16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32(),
    }
}

/// E4M3 by its definition.
pub(crate) fn fp8(raw: u8) -> f32 {
    let (exponent, fraction) = (i32::from(raw >> 3 & 15), f64::from(raw & 7));
    if raw & 0x7f == 0x7f {
        return f32::NAN;
    }
    let magnitude = match exponent {
        0 => fraction / 8.0 * 2_f64.powi(-6),
        _ => (1.0 + fraction / 8.0) * 2_f64.powi(exponent - 7),
    };
    (if raw & 0x80 == 0 { magnitude } else { -magnitude }) as f32
}

/// One bit after the other.
pub(crate) fn packed(bytes: &[u8], bits: usize, index: usize) -> u32 {
    let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
    (0..bits).map(|b| bit(index * bits + b) << b).sum()
}

/// All weights [rows, cols].
pub(crate) fn decode(quant: Quant, rows: usize, cols: usize, planes: [&[u8]; 3]) -> Vec<f32> {
    let [weights, scales, biases] = planes;
    let mut out = Vec::new();
    for row in 0..rows {
        for col in 0..cols {
            let at = row * cols + col;
            out.push(match quant {
                Quant::Plain(kind) => float(kind, weights, at),
                Quant::Affine { bits, group, params } => {
                    let q = packed(weights, bits, at) as f32;
                    q.mul_add(float(params, scales, at / group), float(params, biases, at / group))
                }
                Quant::Fp8Block { block_rows, block_cols, params } => {
                    let block = row / block_rows * cols.div_ceil(block_cols) + col / block_cols;
                    fp8(weights[at]) * float(params, scales, block)
                }
            });
        }
    }
    out
}

/// softmax(q·keys·scale)·values in f64.
pub(crate) fn attend(q: &[f32], keys: &[f32], values: &[f32], scale: f32) -> Vec<f64> {
    let dim = q.len();
    let scores: Vec<f64> = keys
        .chunks(dim)
        .map(|key| key.iter().zip(q).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>())
        .map(|sum| sum * f64::from(scale))
        .collect();
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..dim)
        .map(|d| {
            let rows = values.chunks(dim).zip(&weights);
            rows.map(|(value, weight)| f64::from(value[d]) * weight).sum::<f64>() / total
        })
        .collect()
}

/// The integers, step and sum of one group, from the definition.
pub(crate) fn quantised(x: &[f32]) -> (Vec<i32>, f32, f32) {
    if x.iter().any(|x| !x.is_finite()) {
        return (vec![0; x.len()], f32::NAN, f32::NAN);
    }
    let largest = x.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if largest < 1e-30 {
        return (vec![0; x.len()], 0.0, 0.0);
    }
    let (step, inverse) = (largest / 16256.0, 16256.0 / largest);
    let integers: Vec<i32> = x.iter().map(|x| (x * inverse).round_ties_even() as i32).collect();
    let sum = step * integers.iter().sum::<i32>() as f32;
    (integers, step, sum)
}

/// Affine rows times one vector of integers: group i in lane i mod 16.
pub(crate) fn fast(
    (bits, group, params): (usize, usize, Float),
    (rows, cols): (usize, usize),
    planes: [&[u8]; 3],
    x: &[f32],
) -> Vec<f32> {
    let [weights, scales, biases] = planes;
    let groups: Vec<_> = x.chunks(group).map(quantised).collect();
    let row_dot = |row: usize| {
        let mut lanes = [0.0_f32; 16];
        for (g, (integers, step, sum)) in groups.iter().enumerate() {
            let first = row * cols + g * group;
            let products = integers.iter().enumerate();
            let dots: i32 =
                products.map(|(i, x)| packed(weights, bits, first + i) as i32 * x).sum();
            let scale = float(params, scales, first / group);
            let bias = float(params, biases, first / group);
            let lane = &mut lanes[g % 16];
            *lane = scale.mul_add(dots as f32 * step, *lane);
            *lane = bias.mul_add(*sum, *lane);
        }
        tree(lanes)
    };
    (0..rows).map(row_dot).collect()
}

/// One step of the delta rule, column by column: the update and the output.
pub(crate) fn delta_step(state: &mut [f32], step: &DeltaStep<'_>) -> (Vec<f32>, Vec<f32>) {
    let width = step.v.len();
    let (mut u, mut out) = (Vec::new(), Vec::new());
    for j in 0..width {
        let mut held = 0.0;
        for (i, k) in step.k.iter().enumerate() {
            state[i * width + j] *= step.decay;
            held = k.mul_add(state[i * width + j], held);
        }
        let update = step.beta * (step.v[j] - held);
        let mut read = 0.0;
        for (i, (k, q)) in step.k.iter().zip(step.q).enumerate() {
            let cell = &mut state[i * width + j];
            *cell = k.mul_add(update, *cell);
            read = q.mul_add(*cell, read);
        }
        u.push(update);
        out.push(read);
    }
    (u, out)
}
