//! Gated DeltaNet: a convolution over the last few positions, then one state a head that each position decays, corrects and reads.

use std::array;

use kernels::{Cpu, DeltaStep, DeltaUpdate, Kernels, Product};

use crate::batch::Part;
use crate::config::Config;
use crate::layers::Linear;
use crate::resident::Resident;
use crate::scratch::LinearScratch;
use crate::sizes::Sizes;
use crate::state::{CUT_MAX, Recurrent};

/// Added to the sum of squares of a query or key, whatever the config's epsilon is.
const L2_EPS: f32 = 1e-6;

/// Rows that a head's state takes in one go.
const STEPS: usize = 32;

/// What stays the same over the parts of a pass.
pub(crate) struct DeltaNet<'a> {
    pub(crate) cpu: &'a Cpu,
    pub(crate) config: &'a Config,
    pub(crate) weights: &'a Resident,
    pub(crate) layer: &'a Linear,
}

impl DeltaNet<'_> {
    /// From normed rows to everything that does not depend on the positions before: columns
    /// before the convolution, output gates, betas and decays, all of `rows` positions.
    pub(crate) fn project(&self, rows: usize, normed: &[f32], s: &mut LinearScratch) {
        self.layer.project(self.cpu, self.weights, rows, normed, s);
        let heads = self.config.linear_value_heads;
        let k = self.cpu.kernels();
        let (biases, rates) = (&self.layer.time_bias, &self.layer.negative_rate);
        let betas = s.betas.chunks_exact_mut(heads);
        let mut gates: Vec<(&mut [f32], &mut [f32])> =
            betas.zip(s.decays.chunks_exact_mut(heads)).take(rows).collect();
        // Three exponentials, one by one, are worth a hundred multiplications of other work.
        self.cpu.each_of(100 * heads, &mut gates, |_, (betas, decays)| {
            k.delta_gates(betas, decays, biases, rates);
        });
    }

    /// The rows of one sequence: convolution and recurrence.
    pub(crate) fn recur(
        &self,
        part: &Part,
        pending: usize,
        r: &mut Recurrent,
        s: &mut LinearScratch,
    ) {
        let (rows, Split { apply, held, direct, window }) = (part.rows.len(), part.split(pending));
        let sizes = Sizes::of(self.config);
        let (channels, keys) = (sizes.channels, sizes.key_floats);
        let back = self.config.conv_kernel - 1;
        if apply > 0 {
            shift(&mut r.columns, &r.pending.columns[..apply * channels]);
        }
        let new = part.rows.start * channels..part.rows.end * channels;
        self.convolve(&r.columns, &r.pending.columns[..held * channels], new.clone(), s);
        self.run_heads(part, Split { apply, held, direct, window }, r, s);
        if back > 0 && direct > 0 {
            shift(&mut r.columns, &s.columns[new.start..][..direct * channels]);
        }
        for n in 0..window {
            let (from, to) = (part.rows.start + direct + n, held + n);
            r.pending.columns[to * channels..][..channels]
                .copy_from_slice(&s.columns[from * channels..][..channels]);
            r.pending.keys[to * keys..][..keys]
                .copy_from_slice(&s.mixed[from * channels + keys..][..keys]);
        }
        debug_assert!(rows == direct + window, "every row is one of the two");
    }

    /// The convolution over `back` columns before, the pending ones and the new ones; then queries
    /// and keys to length one.
    fn convolve(
        &self,
        before: &[f32],
        pending: &[f32],
        new: std::ops::Range<usize>,
        s: &mut LinearScratch,
    ) {
        let sizes = Sizes::of(self.config);
        let (channels, kernel) = (sizes.channels, self.config.conv_kernel);
        let columns: Vec<&[f32]> = [before, pending, &s.columns[new.clone()]]
            .into_iter()
            .flat_map(|columns| columns.chunks_exact(channels))
            .collect();
        let first = columns.len() - new.len() / channels + 1 - kernel;
        let dim = self.config.linear_key_dim;
        let scale = 1.0 / (dim as f32).sqrt();
        let k = self.cpu.kernels();
        let mut rows: Vec<&mut [f32]> = s.mixed[new].chunks_exact_mut(channels).collect();
        // A sigmoid is worth some twenty multiplications.
        self.cpu.each_of(channels * (kernel + 20), &mut rows, |n, row| {
            k.conv_silu(&self.layer.taps, &columns[first + n..first + n + kernel], row);
            let (queries, rest) = row.split_at_mut(sizes.key_floats);
            for query in queries.chunks_exact_mut(dim) {
                k.l2_norm(query, L2_EPS, scale);
            }
            for key in rest[..sizes.key_floats].chunks_exact_mut(dim) {
                k.l2_norm(key, L2_EPS, 1.0);
            }
        });
    }

    fn run_heads(&self, part: &Part, split: Split, r: &mut Recurrent, s: &mut LinearScratch) {
        let config = self.config;
        let (key_dim, value_dim) = (config.linear_key_dim, config.linear_value_dim);
        let rows = part.rows.len();
        let pending = &mut r.pending;
        // Heads lie one after the other in the output, each with the rows of this part.
        let outputs = s.heads[part.rows.start * config.linear_value_heads * value_dim..]
            .chunks_exact_mut(rows * value_dim);
        let mut heads: Vec<Head<'_>> = r
            .state
            .chunks_exact_mut(key_dim * value_dim)
            .zip(s.state.chunks_exact_mut(key_dim * value_dim))
            .zip(pending.updates.chunks_exact_mut(CUT_MAX * value_dim))
            .zip(pending.decays.chunks_exact_mut(CUT_MAX))
            .zip(outputs)
            .map(|((((state, copy), updates), decays), out)| Head {
                state,
                copy,
                updates,
                decays,
                out,
            })
            .collect();
        let input = Input {
            kernels: self.cpu.kernels(),
            config,
            first_row: part.rows.start,
            pending_keys: &pending.keys,
            mixed: &s.mixed,
            betas: &s.betas,
            decays: &s.decays,
        };
        self.cpu.each(&mut heads, |h, head| input.run(h, head, split, rows));
    }

    /// Norm, gate and output projection of all rows.
    pub(crate) fn finish(&self, parts: &[Part], s: &mut LinearScratch, out: &mut [f32]) {
        let config = self.config;
        let (heads, dim) = (config.linear_value_heads, config.linear_value_dim);
        let width = heads * dim;
        let rows = parts.last().map_or(0, |part| part.rows.end);
        let k = self.cpu.kernels();
        let part_of: Vec<&Part> =
            parts.iter().flat_map(|part| part.rows.clone().map(move |_| part)).collect();
        let values = &s.heads;
        let gates = s.gate.chunks_exact_mut(width);
        let mut gated: Vec<(&mut [f32], &mut [f32])> =
            gates.zip(s.normed.chunks_exact_mut(width)).take(rows).collect();
        self.cpu.each_of(25 * width, &mut gated, |row, (gate, normed)| {
            let part = part_of[row];
            let (begin, count) = (part.rows.start, part.rows.len());
            for (h, normed) in normed.chunks_exact_mut(dim).enumerate() {
                let at = begin * width + (h * count + row - begin) * dim;
                k.rms_norm(&values[at..at + dim], &self.layer.norm, config.rms_norm_eps, normed);
            }
            k.silu_mul(gate, normed);
        });
        let matrix = self.weights.matrix(&self.layer.out);
        self.cpu.matmul_each(&mut [Product { matrix, x: &s.gate[..rows * width], out }]);
    }
}

/// How the rows of a part are divided: see [`Part::split`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// Pending ids of the step before, which now stand: they go into the state first.
    pub(crate) apply: usize,
    /// Pending ids of this same step: they stay pending.
    pub(crate) held: usize,
    /// Rows that go into the state at once.
    pub(crate) direct: usize,
    /// Rows that become pending.
    pub(crate) window: usize,
}

/// What one head writes.
struct Head<'a> {
    /// `[key_dim, value_dim]`
    state: &'a mut [f32],
    /// As `state`.
    copy: &'a mut [f32],
    /// `[CUT_MAX, value_dim]`
    updates: &'a mut [f32],
    /// `[CUT_MAX]`
    decays: &'a mut [f32],
    /// `[rows, value_dim]`
    out: &'a mut [f32],
}

/// What all heads read.
struct Input<'a> {
    kernels: &'static Kernels,
    config: &'a Config,
    first_row: usize,
    pending_keys: &'a [f32],
    mixed: &'a [f32],
    betas: &'a [f32],
    decays: &'a [f32],
}

impl Input<'_> {
    fn run(&self, h: usize, head: &mut Head<'_>, split: Split, rows: usize) {
        let Split { apply, held, direct, window } = split;
        if apply > 0 && rows == 1 && window == 1 {
            return self.decode(h, head, apply);
        }
        let dim = self.config.linear_value_dim;
        for n in 0..apply {
            self.kernels.delta_apply(head.state, &self.pending(h, n, head.updates, head.decays));
        }
        for first in (0..direct).step_by(STEPS) {
            let steps: [_; STEPS] = array::from_fn(|n| self.step(h, (first + n).min(direct - 1)));
            let count = STEPS.min(direct - first);
            // Nothing is pending while rows go into the state at once: the first place is free.
            let update = &mut head.updates[..dim];
            let out = &mut head.out[first * dim..][..count * dim];
            self.kernels.delta_steps(head.state, &steps[..count], update, out);
        }
        if window == 0 {
            return;
        }
        // The last row of the window is only read: nothing follows it in this pass.
        let ahead = held + window - 1;
        if ahead > 0 {
            head.copy.copy_from_slice(head.state);
        }
        for n in 0..held {
            self.kernels.delta_apply(head.copy, &self.pending(h, n, head.updates, head.decays));
        }
        for n in direct..rows {
            let place = held + n - direct;
            let (step, out) = (self.step(h, n), &mut head.out[n * dim..][..dim]);
            let update = &mut head.updates[place * dim..][..dim];
            head.decays[place] = step.decay;
            if place < ahead {
                self.kernels.delta_step(head.copy, &step, update, out);
            } else {
                let state = if ahead > 0 { &mut *head.copy } else { &mut *head.state };
                self.kernels.delta_read(state, &step, update, out);
            }
        }
    }

    /// One row that becomes pending where others were: the last of these goes into the state in the
    /// same pass over it that reads for the new row.
    fn decode(&self, h: usize, head: &mut Head<'_>, apply: usize) {
        let dim = self.config.linear_value_dim;
        for n in 0..apply - 1 {
            self.kernels.delta_apply(head.state, &self.pending(h, n, head.updates, head.decays));
        }
        // The new row takes the first place, which may be where the last one is: that moves to the
        // copy, of which nothing else is asked here.
        let last = apply - 1;
        let u = &mut head.copy[..dim];
        u.copy_from_slice(&head.updates[last * dim..][..dim]);
        let before = DeltaUpdate { k: self.pending_key(h, last), u, decay: head.decays[last] };
        let (step, update) = (self.step(h, 0), &mut head.updates[..dim]);
        self.kernels.delta_apply_read(head.state, &before, &step, update, head.out);
        head.decays[0] = step.decay;
    }

    fn step(&self, h: usize, n: usize) -> DeltaStep<'_> {
        let config = self.config;
        let (key_dim, dim) = (config.linear_key_dim, config.linear_value_dim);
        let keys = config.linear_key_heads * key_dim;
        let row =
            &self.mixed[(self.first_row + n) * (2 * keys + config.linear_value_heads * dim)..];
        let key_head = config.key_head(h);
        let at = self.at(h, n);
        DeltaStep {
            q: &row[key_head * key_dim..][..key_dim],
            k: &row[keys + key_head * key_dim..][..key_dim],
            v: &row[2 * keys + h * dim..][..dim],
            decay: self.decays[at],
            beta: self.betas[at],
        }
    }

    /// What the pending id in place `n` adds to the state.
    fn pending<'a>(
        &'a self,
        h: usize,
        n: usize,
        updates: &'a [f32],
        decays: &[f32],
    ) -> DeltaUpdate<'a> {
        let dim = self.config.linear_value_dim;
        let u = &updates[n * dim..][..dim];
        DeltaUpdate { k: self.pending_key(h, n), u, decay: decays[n] }
    }

    fn at(&self, h: usize, n: usize) -> usize {
        (self.first_row + n) * self.config.linear_value_heads + h
    }

    fn pending_key(&self, h: usize, n: usize) -> &[f32] {
        let (heads, dim) = (self.config.linear_key_heads, self.config.linear_key_dim);
        &self.pending_keys[(n * heads + self.config.key_head(h)) * dim..][..dim]
    }
}

/// Appends `new` to a window of fixed length: the oldest values fall out.
fn shift(window: &mut [f32], new: &[f32]) {
    let len = window.len();
    if new.len() >= len {
        window.copy_from_slice(&new[new.len() - len..]);
    } else {
        window.copy_within(new.len().., 0);
        window[len - new.len()..].copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::shift;

    #[test]
    fn the_oldest_fall_out() {
        let mut window = [1.0, 2.0, 3.0];
        shift(&mut window, &[4.0]);
        assert_eq!(window, [2.0, 3.0, 4.0], "one");
        shift(&mut window, &[5.0, 6.0, 7.0, 8.0]);
        assert_eq!(window, [6.0, 7.0, 8.0], "more than it holds");
        shift(&mut [], &[1.0]);
        shift(&mut window, &[]);
        assert_eq!(window, [6.0, 7.0, 8.0], "none");
    }
}
