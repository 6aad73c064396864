//! The operations on vectors: what each computes, and in which order.

use crate::{DeltaStep, DeltaUpdate, Kernels, Matrix};

/// What a method panics with when two lengths do not fit together.
#[track_caller]
fn same(what: &str, found: usize, expected: usize) {
    assert!(found == expected, "{what}: {found} elements, expected {expected}");
}

/// That a state, a step and its update fit together.
#[track_caller]
fn fits(state_len: usize, step: &DeltaStep<'_>, u: &[f32]) {
    same("state", state_len, step.k.len() * step.v.len());
    same("q", step.q.len(), step.k.len());
    same("u", u.len(), step.v.len());
}

impl Kernels {
    /// Row `row` of `m` as f32 [cols]: a plain weight exactly, affine fma(q, scale, bias),
    /// fp8 q · scale.
    pub fn decode_row(&self, m: &Matrix<'_>, row: usize, out: &mut [f32]) {
        assert!(row < m.rows(), "row {row} of {} rows", m.rows());
        same("out", out.len(), m.cols());
        (self.decode_row)(m, row, out);
    }

    /// Σ a_i · b_i in lanes.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        same("b", b.len(), a.len());
        (self.dot)(a, b)
    }

    /// out_i = x_i · r · weight_i with r = 1 / √(dot(x, x) / len + eps).
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        same("weight", weight.len(), x.len());
        same("out", out.len(), x.len());
        (self.rms_norm)(x, weight, eps, out);
    }

    /// x_i = x_i · r · scale with r = 1 / √(dot(x, x) + eps).
    pub fn l2_norm(&self, x: &mut [f32], eps: f32, scale: f32) {
        (self.l2_norm)(x, eps, scale);
    }

    /// x_i = x_i · sigmoid(x_i).
    pub fn silu(&self, x: &mut [f32]) {
        (self.silu)(x);
    }

    /// gate_i = silu(gate_i) · up_i.
    pub fn silu_mul(&self, gate: &mut [f32], up: &[f32]) {
        same("up", up.len(), gate.len());
        (self.silu_mul)(gate, up);
    }

    /// x_i = x_i · sigmoid(gate_i).
    pub fn sigmoid_mul(&self, x: &mut [f32], gate: &[f32]) {
        same("gate", gate.len(), x.len());
        (self.sigmoid_mul)(x, gate);
    }

    /// x_i = x_i + y_i.
    pub fn add(&self, x: &mut [f32], y: &[f32]) {
        same("y", y.len(), x.len());
        (self.add)(x, y);
    }

    /// x_i = fma(y_i, scale, x_i).
    pub fn add_scaled(&self, x: &mut [f32], scale: f32, y: &[f32]) {
        same("y", y.len(), x.len());
        (self.add_scaled)(x, scale, y);
    }

    /// beta_i = sigmoid(beta_i) and decay_i = e^(rate_i · softplus(decay_i + bias_i)): how much a
    /// step writes to each head's state, and how much of it stays.
    pub fn delta_gates(
        &self,
        betas: &mut [f32],
        decays: &mut [f32],
        biases: &[f32],
        rates: &[f32],
    ) {
        same("decays", decays.len(), betas.len());
        same("biases", biases.len(), betas.len());
        same("rates", rates.len(), betas.len());
        (self.delta_gates)(betas, decays, biases, rates);
    }

    /// x_i = e^(x_i - max x) / Σ of these, summed in lanes. One NaN makes all NaN.
    pub fn softmax(&self, x: &mut [f32]) {
        (self.softmax)(x);
    }

    /// Turns the pairs (i, i + h) of `head` with h = cos.len() = sin.len():
    /// y_i = fma(x_i, cos_i, -(x_{i+h} · sin_i)), y_{i+h} = fma(x_{i+h}, cos_i, x_i · sin_i).
    /// Elements from 2h on stay.
    pub fn rope(&self, head: &mut [f32], cos: &[f32], sin: &[f32]) {
        same("sin", sin.len(), cos.len());
        assert!(2 * cos.len() <= head.len(), "{} pairs of {} elements", cos.len(), head.len());
        (self.rope)(head, cos, sin);
    }

    /// out_c = silu(Σ_j taps_jc · window_jc), j ascending by fused multiply-add from 0.
    /// `taps` is [window.len(), out.len()]; each column of `window` has out.len() elements, the
    /// oldest column first.
    pub fn conv_silu(&self, taps: &[f32], window: &[&[f32]], out: &mut [f32]) {
        same("taps", taps.len(), window.len() * out.len());
        for column in window {
            same("a column of the window", column.len(), out.len());
        }
        if !out.is_empty() {
            (self.conv_silu)(taps, window, out);
        }
    }

    /// One step of the gated delta rule on `state` [dk, dv], in this order for every column j:
    /// S_ij = decay · S_ij; kv_j = Σ_i k_i · S_ij; u_j = beta · (v_j - kv_j);
    /// S_ij = fma(k_i, u_j, S_ij); out_j = Σ_i q_i · S_ij. Sums run over i ascending by fused
    /// multiply-add from 0. `u` and `out` are [dv].
    pub fn delta_step(
        &self,
        state: &mut [f32],
        step: &DeltaStep<'_>,
        u: &mut [f32],
        out: &mut [f32],
    ) {
        self.delta_steps(state, std::slice::from_ref(step), u, out);
    }

    /// Steps that follow each other, bit for bit as one [`Kernels::delta_step`] after the other:
    /// `out` is [steps, dv], and `u` [dv] that of the last step.
    pub fn delta_steps(
        &self,
        state: &mut [f32],
        steps: &[DeltaStep<'_>],
        u: &mut [f32],
        out: &mut [f32],
    ) {
        same("out", out.len(), steps.len() * u.len());
        for step in steps {
            fits(state.len(), step, u);
        }
        if !u.is_empty() {
            (self.delta_steps)(state, steps, u, out);
        }
    }

    /// `u` and `out` as [`Kernels::delta_step`] gives them, bit for bit. The state stays as it is;
    /// that it is borrowed to be written is because all walks over it are one function.
    pub fn delta_read(
        &self,
        state: &mut [f32],
        step: &DeltaStep<'_>,
        u: &mut [f32],
        out: &mut [f32],
    ) {
        fits(state.len(), step, u);
        same("out", out.len(), u.len());
        if !u.is_empty() {
            (self.delta_read)(state, step, u, out);
        }
    }

    /// S_ij = fma(k_i, u_j, decay · S_ij): what [`Kernels::delta_step`] left in `state` when it
    /// wrote `u`, bit for bit.
    pub fn delta_apply(&self, state: &mut [f32], update: &DeltaUpdate<'_>) {
        same("state", state.len(), update.k.len() * update.u.len());
        if !update.u.is_empty() {
            (self.delta_apply)(state, update);
        }
    }

    /// [`Kernels::delta_apply`], then [`Kernels::delta_read`], bit for bit, in one pass over the
    /// state.
    pub fn delta_apply_read(
        &self,
        state: &mut [f32],
        before: &DeltaUpdate<'_>,
        step: &DeltaStep<'_>,
        u: &mut [f32],
        out: &mut [f32],
    ) {
        fits(state.len(), step, u);
        same("out", out.len(), u.len());
        same("k before", before.k.len(), step.k.len());
        same("u before", before.u.len(), u.len());
        if !u.is_empty() {
            (self.delta_apply_read)(state, before, step, u, out);
        }
    }

    /// Whether no element is infinite or NaN.
    pub fn finite(&self, x: &[f32]) -> bool {
        x.chunks(512).all(|block| block.iter().fold(true, |all, x| all & x.is_finite()))
    }
}
