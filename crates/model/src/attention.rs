//! Gated full attention: partial rotation, keys and values that stay, and a gate on what comes out.

use kernels::{Cpu, Past, Product, Queries};

use crate::batch::Part;
use crate::config::Config;
use crate::layers::Full;
use crate::resident::Resident;
use crate::scratch::AttentionScratch;
use crate::state::KeyValues;

/// What stays the same over the parts of a pass.
pub(crate) struct Attention<'a> {
    pub(crate) cpu: &'a Cpu,
    pub(crate) config: &'a Config,
    pub(crate) weights: &'a Resident,
    pub(crate) layer: &'a Full,
}

impl Attention<'_> {
    /// From normed rows to rotated queries and keys, and values.
    pub(crate) fn project(&self, rows: usize, normed: &[f32], s: &mut AttentionScratch) {
        let Config { heads, kv_heads, head_dim: dim, rms_norm_eps: eps, .. } = *self.config;
        let (queries, kv) = (2 * heads * dim, kv_heads * dim);
        let (w, layer) = (self.weights, self.layer);
        let x = normed;
        self.cpu.matmul_each(&mut [
            Product { matrix: w.matrix(&layer.query), x, out: &mut s.queries[..rows * queries] },
            Product { matrix: w.matrix(&layer.key), x, out: &mut s.keys[..rows * kv] },
            Product { matrix: w.matrix(&layer.value), x, out: &mut s.values[..rows * kv] },
        ]);
        let pairs = self.config.rotary_dim / 2;
        let k = self.cpu.kernels();
        let (cos, sin) = (&s.cos, &s.sin);
        let rotate = |row: usize, head: &mut [f32], norm: &[f32], copy: &mut [f32]| {
            let at = row * pairs..(row + 1) * pairs;
            copy.copy_from_slice(head);
            k.rms_norm(copy, norm, eps, head);
            k.rope(head, &cos[at.clone()], &sin[at]);
        };
        let mut all: Vec<(&mut [f32], &mut [f32])> = s
            .queries
            .chunks_exact_mut(queries)
            .zip(s.keys.chunks_exact_mut(kv))
            .take(rows)
            .collect();
        self.cpu.each(&mut all, |row, (queries, keys)| {
            let mut copy = vec![0.0; dim];
            for head in queries.chunks_exact_mut(2 * dim) {
                rotate(row, &mut head[..dim], &layer.query_norm, &mut copy);
            }
            for head in keys.chunks_exact_mut(dim) {
                rotate(row, head, &layer.key_norm, &mut copy);
            }
        });
    }

    /// The rows of one sequence, which holds `position` ids before them: its keys and values are
    /// kept, then every row looks back on all up to its own.
    pub(crate) fn attend(
        &self,
        part: &Part,
        position: usize,
        cache: &mut KeyValues,
        s: &mut AttentionScratch,
    ) {
        let Config { heads, kv_heads, head_dim: dim, .. } = *self.config;
        let (rows, kind) = (part.rows.clone(), cache.kind);
        let row_bytes = kind.row_bytes(dim);
        let capacity = cache.keys.len() / (kv_heads * row_bytes);
        for (n, row) in rows.clone().enumerate() {
            for h in 0..kv_heads {
                let from = (row * kv_heads + h) * dim..(row * kv_heads + h + 1) * dim;
                let to = (h * capacity + position + n) * row_bytes;
                kind.write(&s.keys[from.clone()], &mut cache.keys[to..to + row_bytes]);
                kind.write(&s.values[from], &mut cache.values[to..to + row_bytes]);
            }
        }
        let (keys, values) = (&cache.keys[..], &cache.values[..]);
        let past = Past { kind, keys, values, heads: kv_heads, dim };
        let (width, stride) = (heads * dim, 2 * dim);
        let both = &s.queries[rows.start * heads * stride..rows.end * heads * stride];
        let scale = 1.0 / (dim as f32).sqrt();
        let queries = Queries { queries: both, stride, heads, sees: position + 1, scale };
        let out = &mut s.attended[rows.start * width..rows.end * width];
        self.cpu.attend(&past, &queries, out);
        // Each head's gate stands behind its query.
        let k = self.cpu.kernels();
        let mut gated: Vec<(&mut [f32], &[f32])> =
            out.chunks_exact_mut(width).zip(both.chunks_exact(heads * stride)).collect();
        self.cpu.each(&mut gated, |_, (out, both)| {
            for (out, both) in out.chunks_exact_mut(dim).zip(both.chunks_exact(stride)) {
                k.sigmoid_mul(out, &both[dim..]);
            }
        });
    }

    /// The output projection of all rows.
    pub(crate) fn finish(&self, rows: usize, s: &AttentionScratch, out: &mut [f32]) {
        let width = self.config.heads * self.config.head_dim;
        let matrix = self.weights.matrix(&self.layer.out);
        self.cpu.matmul_each(&mut [Product { matrix, x: &s.attended[..rows * width], out }]);
    }
}

/// How fast each pair of dimensions turns. As transformers computes it: in f32, whose rounding of
/// the exponent and of the result shows at long distances.
pub(crate) fn inverse_frequencies(config: &Config) -> Vec<f32> {
    let dim = config.rotary_dim;
    let frequency = |pair: usize| {
        let exponent = (2 * pair) as f32 / dim as f32;
        1.0 / libm::pow(config.rope_theta, f64::from(exponent)) as f32
    };
    (0..dim / 2).map(frequency).collect()
}

/// Cosines and sines of one position, one a pair: exact to the last bit of f32 or nearly, and the
/// same on every machine.
pub(crate) fn rotation(frequencies: &[f32], position: usize, cos: &mut [f32], sin: &mut [f32]) {
    for (pair, frequency) in frequencies.iter().enumerate() {
        let angle = f64::from(position as f32 * frequency);
        cos[pair] = libm::cos(angle) as f32;
        sin[pair] = libm::sin(angle) as f32;
    }
}
