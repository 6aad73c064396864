//! The delta rule as plain loops, one sum after the other: what nobody has made fast.

use crate::DeltaStep;

/// [`Kernels::delta_step`](crate::Kernels::delta_step) on a transposed state [dv, dk], so that each
/// sum walks through memory in order. The compiler may not reorder the sums, so it adds one number
/// at a time.
///
/// # Panics
/// When lengths do not fit.
pub fn delta_loop(state: &mut [f32], step: &DeltaStep<'_>, u: &mut [f32], out: &mut [f32]) {
    let DeltaStep { q, k, v, decay, beta } = *step;
    assert!(state.len() == k.len() * v.len(), "state: {} elements", state.len());
    let same = q.len() == k.len() && u.len() == v.len() && out.len() == v.len();
    assert!(same, "q: {} elements, u: {}, out: {}", q.len(), u.len(), out.len());
    for (j, row) in state.chunks_exact_mut(k.len()).enumerate() {
        let mut kv = 0.0;
        for (s, k) in row.iter_mut().zip(k) {
            *s *= decay;
            kv += k * *s;
        }
        u[j] = beta * (v[j] - kv);
        let mut sum = 0.0;
        for ((s, k), q) in row.iter_mut().zip(k).zip(q) {
            *s += k * u[j];
            sum += q * *s;
        }
        out[j] = sum;
    }
}
