//! The layers as the walk meets them: matrices that lie in the trunk, short vectors ready to multiply.

use kernels::{Cpu, Product};

use crate::record::RecordLayout;
use crate::resident::{Placed, Resident};
use crate::scratch::LinearScratch;
use crate::weights::RowOrder;

/// One layer.
pub(crate) struct Layer {
    /// `[hidden]`, as it multiplies.
    pub(crate) input_norm: Vec<f32>,
    /// `[hidden]`, as it multiplies.
    pub(crate) post_norm: Vec<f32>,
    pub(crate) mixer: Mixer,
    pub(crate) experts: Experts,
}

/// What mixes the positions.
pub(crate) enum Mixer {
    Full(Full),
    Linear(Linear),
}

/// Gated full attention.
pub(crate) struct Full {
    /// Each head's query rows, then its gate rows: `[heads * 2 * head_dim, hidden]`.
    pub(crate) query: Placed,
    /// `[kv_heads * head_dim, hidden]`
    pub(crate) key: Placed,
    /// `[kv_heads * head_dim, hidden]`
    pub(crate) value: Placed,
    /// `[hidden, heads * head_dim]`
    pub(crate) out: Placed,
    /// `[head_dim]`, as they multiply.
    pub(crate) query_norm: Vec<f32>,
    pub(crate) key_norm: Vec<f32>,
}

/// Gated DeltaNet.
pub(crate) struct Linear {
    pub(crate) projection: Projection,
    /// `[conv_kernel, channels]`, the oldest position first.
    pub(crate) taps: Vec<f32>,
    /// `dt_bias`, `[value_heads]`.
    pub(crate) time_bias: Vec<f32>,
    /// `-exp(A_log)`, `[value_heads]`.
    pub(crate) negative_rate: Vec<f32>,
    /// `[value_dim]`, as it stands.
    pub(crate) norm: Vec<f32>,
    /// `[hidden, value_heads * value_dim]`
    pub(crate) out: Placed,
}

/// How a layer's inputs are projected.
pub(crate) enum Projection {
    Split {
        /// Queries, keys, values: `[channels, hidden]`.
        qkv: Placed,
        /// The output gate: `[value_heads * value_dim, hidden]`.
        gate: Placed,
        /// `[value_heads, hidden]`
        beta: Placed,
        /// `[value_heads, hidden]`
        decay: Placed,
    },
    /// Rows grouped by key head: what comes out is put in order.
    Fused { qkvz: Placed, qkvz_order: RowOrder, ba: Placed, ba_order: RowOrder },
}

/// The experts of a layer.
pub(crate) struct Experts {
    /// `[experts, hidden]`
    pub(crate) router: Placed,
    /// `[shared_intermediate, hidden]`
    pub(crate) shared_gate_proj: Placed,
    pub(crate) shared_up_proj: Placed,
    /// `[hidden, shared_intermediate]`
    pub(crate) shared_down_proj: Placed,
    /// `[1, hidden]`
    pub(crate) shared_gate: Placed,
    /// Where the matrices lie in a record.
    pub(crate) record: RecordLayout,
}

impl Linear {
    /// Columns before the convolution, gates, betas and decays of `rows` normed rows, the last two
    /// as the matrices give them.
    pub(crate) fn project(
        &self,
        cpu: &Cpu,
        weights: &Resident,
        rows: usize,
        normed: &[f32],
        s: &mut LinearScratch,
    ) {
        let product =
            |placed: &Placed, out| Product { matrix: weights.matrix(placed), x: normed, out };
        let heads = self.time_bias.len();
        match &self.projection {
            Projection::Split { qkv, gate, beta, decay } => {
                let [columns, gates] = [qkv.rows, gate.rows].map(|width| rows * width);
                cpu.matmul_each(&mut [
                    product(qkv, &mut s.columns[..columns]),
                    product(gate, &mut s.gate[..gates]),
                    product(beta, &mut s.betas[..rows * heads]),
                    product(decay, &mut s.decays[..rows * heads]),
                ]);
            }
            Projection::Fused { qkvz, qkvz_order, ba, ba_order } => {
                let width = rows * qkvz.rows;
                cpu.matmul(&weights.matrix(qkvz), normed, &mut s.fused[..width]);
                part_rows(qkvz_order, &s.fused[..width], &mut s.columns, &mut s.gate);
                let width = rows * ba.rows;
                cpu.matmul(&weights.matrix(ba), normed, &mut s.fused[..width]);
                part_rows(ba_order, &s.fused[..width], &mut s.betas, &mut s.decays);
            }
        }
    }
}

/// Puts every row in order; its last part goes to `second`, all before it to `first`.
fn part_rows(order: &RowOrder, fused: &[f32], first: &mut [f32], second: &mut [f32]) {
    let mut row = vec![0.0; order.rows()];
    let at = order.rows() - order.last_part();
    let (first, second) = (first.chunks_exact_mut(at), second.chunks_exact_mut(row.len() - at));
    for ((fused, first), second) in fused.chunks_exact(row.len()).zip(first).zip(second) {
        order.ungroup(fused, &mut row);
        first.copy_from_slice(&row[..at]);
        second.copy_from_slice(&row[at..]);
    }
}
