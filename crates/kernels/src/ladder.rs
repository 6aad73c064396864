//! Other ways to write a product of packed weights and the delta rule: what the product's own way is measured against.
//!
//! None of them takes part in "One arithmetic": each rounds in its own order, near the others.

mod forms;
mod passes;
mod plain;
mod stream;

pub use plain::delta_loop;

use crate::cpu::PART;
use crate::table::types::{Bytes, D, In, M, Out};
use crate::{Cpu, DeltaStep, Float, Kernels, Matrix, Quant};

pub(crate) use forms::{Algebraic, Fma, LookUp, Naive, rows};
pub(crate) use passes::delta_passes as passes;
pub(crate) use stream::read as stream;

/// Columns that share a scale and a bias in the matrices of the ladder.
pub const GROUP: usize = 64;
/// Bytes of one part of a read.
const READ_BYTES: usize = 1 << 18;

/// A form of Σ (scale · q + bias) · x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rung {
    /// (q · scale + bias) · x, each operation for itself.
    Naive,
    /// fma(q, scale · x, bias · x).
    Fma,
    /// A group at a time: scale · Σ q · x + bias · Σ x. The sums of x serve all rows.
    Algebraic,
    /// The weights of a group are at most sixteen numbers: a table in a register, looked up by q.
    LookUp,
}

impl Rung {
    pub const ALL: [Rung; 4] = [Rung::Naive, Rung::Fma, Rung::Algebraic, Rung::LookUp];

    pub const fn name(self) -> &'static str {
        match self {
            Rung::Naive => "naive",
            Rung::Fma => "fma",
            Rung::Algebraic => "algebraic",
            Rung::LookUp => "lut",
        }
    }
}

/// Rows of a matrix from the given one on, times a vector whose sums of groups are known.
type Rows = fn(M<'_>, usize, In<'_>, In<'_>, Out<'_>);
type Delta = fn(Out<'_>, D<'_>, Out<'_>, Out<'_>);

/// The part of a table of functions that belongs to this module.
pub(crate) struct Ladder {
    pub(crate) naive: Rows,
    pub(crate) fma: Rows,
    pub(crate) algebraic: Rows,
    pub(crate) look_up: Rows,
    pub(crate) delta_passes: Delta,
    pub(crate) stream: fn(Bytes<'_>) -> u32,
}

/// out[r] = Σ (scale · q + bias) · x of every row r, in the form of this rung, on all threads.
///
/// # Panics
/// When the matrix is not packed in 2 or 4 bits with groups of [`GROUP`] and parameters in BF16,
/// or a length does not fit it.
pub fn product(cpu: &Cpu, rung: Rung, m: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    let packed =
        matches!(m.quant(), Quant::Affine { bits: 2 | 4, group: GROUP, params: Float::Bf16 });
    assert!(packed, "{}: accepted are 2 and 4 bits in groups of {GROUP} with bf16", m.quant());
    assert!(x.len() == m.cols(), "x: {} elements of {} columns", x.len(), m.cols());
    assert!(out.len() == m.rows(), "out: {} elements of {} rows", out.len(), m.rows());
    let ladder = &cpu.kernels().ladder;
    let (rows, sums) = match rung {
        Rung::Naive => (ladder.naive, vec![]),
        Rung::Fma => (ladder.fma, vec![]),
        Rung::Algebraic => (ladder.algebraic, x.chunks(GROUP).map(|x| x.iter().sum()).collect()),
        Rung::LookUp => (ladder.look_up, vec![]),
    };
    let step = (PART / m.cols()).max(1).next_multiple_of(2);
    let mut parts: Vec<&mut [f32]> = out.chunks_mut(step).collect();
    cpu.each(&mut parts, |part, out| rows(m, part * step, x, &sums, out));
}

/// Reads all of `bytes` once, on all threads, for the exclusive or of its words of 4 bytes: the ceiling of every kernel
/// that must read them. A last word that is not whole is left out.
pub fn read(cpu: &Cpu, bytes: &[u8]) -> u32 {
    let mut parts: Vec<(&[u8], u32)> = bytes.chunks(READ_BYTES).map(|part| (part, 0)).collect();
    cpu.each(&mut parts, |_, (part, sum)| *sum = (cpu.kernels().ladder.stream)(part));
    parts.iter().fold(0, |all, (_, sum)| all ^ sum)
}

/// [`Kernels::delta_step`] as calls of a library of linear algebra would do it: one pass over the
/// state to scale it, one for kv, one for the update of rank 1, one for `out`.
///
/// # Panics
/// When lengths do not fit.
pub fn delta_passes(
    kernels: &Kernels,
    state: &mut [f32],
    step: &DeltaStep<'_>,
    u: &mut [f32],
    out: &mut [f32],
) {
    let DeltaStep { q, k, v, .. } = *step;
    assert!(state.len() == k.len() * v.len(), "state: {} elements", state.len());
    let same = q.len() == k.len() && u.len() == v.len() && out.len() == v.len();
    assert!(same && v.len().is_multiple_of(16), "v: {} elements, accepted are 16n", v.len());
    (kernels.ladder.delta_passes)(state, step, u, out);
}
