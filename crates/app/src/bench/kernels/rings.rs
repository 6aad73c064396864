//! Random matrices, more of them than a cache can hold, that are used one after the other.

use kernels::ladder::GROUP;
use kernels::{Cpu, Float, Matrix, Planes, Quant};
use store::{Buffer, HostMemory, SlotMemory as _};

use super::{TURN_SHARE, Turn};
use crate::fault::Fault;

/// Columns of a matrix, and its rows where memory allows.
const COLS: usize = 2048;
const ROWS_MAX: usize = 8192;
/// Rows of which there is always a whole number.
const ROWS_STEP: usize = 8;
/// A ring has at least so many matrices.
const MATRICES_MIN: usize = 16;

/// Matrices of one layout and a vector for them.
pub(super) struct Ring {
    pub(super) bits: usize,
    quant: Quant,
    rows: usize,
    /// Weights, scales and biases of each in one piece, in pages like those of the engine's slots.
    matrices: Vec<Buffer>,
    /// Results are of the size of 1.
    pub(super) x: Vec<f32>,
    next: usize,
}

/// Xorshift: the same numbers everywhere.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From -1 to 1.
    pub(super) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(super) fn floats(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.float() * size).collect()
    }
}

impl Ring {
    /// # Errors
    /// When the system does not have the memory.
    pub(super) fn new(bits: usize, bytes: u64, cpu: &Cpu) -> Result<Self, Fault> {
        let quant = Quant::Affine { bits, group: GROUP, params: Float::Bf16 };
        let row_bytes = COLS * bits / 8 + 2 * COLS / GROUP * Float::Bf16.bytes();
        let bytes = usize::try_from(bytes).map_err(Fault::failed)?;
        let rows = (bytes / MATRICES_MIN / row_bytes).clamp(ROWS_STEP, ROWS_MAX);
        let rows = rows - rows % ROWS_STEP;
        let matrix_bytes = rows * row_bytes;
        let count = bytes.div_ceil(matrix_bytes);
        let mut matrices = HostMemory.allocate(count, matrix_bytes).map_err(Fault::failed)?;
        cpu.each(&mut matrices, |index, matrix| fill(matrix, bits, rows, index as u64));
        // A sum of so many products of weights from -1 to 1 with these is of the size of 1.
        let x = Chance::new(1 << 32).floats(COLS, 3.0 / (COLS as f32).sqrt());
        Ok(Self { bits, quant, rows, matrices, x, next: 0 })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn matrix(&self, index: usize) -> Result<Matrix<'_>, Fault> {
        let bytes: &[u8] = &self.matrices[index];
        let (weights, params) = bytes.split_at(self.rows * COLS * self.bits / 8);
        let (scales, biases) = params.split_at(params.len() / 2);
        let planes = Planes { weights, scales, biases };
        Matrix::new(self.quant, self.rows, COLS, planes).map_err(Fault::failed)
    }

    /// Calls `work` with the next matrices and their bytes, for one turn.
    pub(super) fn turn(
        &mut self,
        mut work: impl FnMut(&Matrix<'_>, &[u8], &[f32]),
    ) -> Result<Turn, Fault> {
        let calls = (self.matrices.len() / TURN_SHARE).max(1);
        let begun = std::time::Instant::now();
        for _ in 0..calls {
            let at = self.next;
            self.next = (at + 1) % self.matrices.len();
            work(&self.matrix(at)?, &self.matrices[at], &self.x);
        }
        let bytes = calls * self.matrices[0].len();
        Ok(Turn { calls, bytes, seconds: begun.elapsed().as_secs_f64() })
    }

    /// The first matrix times the vector, one bit after the other in f64.
    pub(super) fn truth(&self) -> Vec<f64> {
        let bytes: &[u8] = &self.matrices[0];
        let (weights, params) = bytes.split_at(self.rows * COLS * self.bits / 8);
        let (scales, biases) = params.split_at(params.len() / 2);
        let param = |plane: &[u8], at: usize| {
            let raw = u16::from_le_bytes([plane[2 * at], plane[2 * at + 1]]);
            f64::from(f32::from_bits(u32::from(raw) << 16))
        };
        let row = |row: usize| {
            let product = |(col, x): (usize, &f32)| {
                let at = row * COLS + col;
                let bit = at * self.bits;
                let q = weights[bit / 8] >> (bit % 8) & ((1 << self.bits) - 1);
                let (scale, bias) = (param(scales, at / GROUP), param(biases, at / GROUP));
                (f64::from(q) * scale + bias) * f64::from(*x)
            };
            self.x.iter().enumerate().map(product).sum()
        };
        (0..self.rows).map(row).collect()
    }
}

/// Random weights, and parameters that make them numbers from -1 to 1.
fn fill(matrix: &mut [u8], bits: usize, rows: usize, seed: u64) {
    let mut chance = Chance::new(seed);
    let (weights, params) = matrix.split_at_mut(rows * COLS * bits / 8);
    let (words, rest) = weights.as_chunks_mut::<8>();
    words.iter_mut().for_each(|word| *word = chance.next().to_le_bytes());
    rest.fill(0x5a);
    let (scales, biases) = params.split_at_mut(params.len() / 2);
    let greatest = ((1_u32 << bits) - 1) as f32;
    let pairs = scales.as_chunks_mut::<2>().0.iter_mut().zip(biases.as_chunks_mut::<2>().0);
    for (scale, bias) in pairs {
        let size = 0.75 + 0.25 * chance.float();
        *scale = bf16(2.0 * size / greatest);
        *bias = bf16(-size);
    }
}

fn bf16(value: f32) -> [u8; 2] {
    ((value.to_bits() >> 16) as u16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use kernels::{Kernels, Precision};

    use super::*;

    #[test]
    fn a_ring_is_as_large_as_it_was_asked_for_and_all_of_it_is_used() {
        let cpu = Cpu::new(Kernels::best(), 2, Precision::Fast).expect("two threads");
        for bits in [2, 4] {
            let bytes = 3 << 20;
            let mut ring = Ring::new(bits, bytes, &cpu).expect("three mebibytes");
            let found: usize = ring.matrices.iter().map(|matrix| matrix.len()).sum();
            assert!(found as u64 >= bytes, "{bits} bits: {found} bytes");
            let count = ring.matrices.len();
            assert!(count >= MATRICES_MIN, "{bits} bits: {count} matrices");
            let mut seen = Vec::new();
            while seen.len() < count {
                let turn = ring.turn(|_, bytes, _| seen.push(bytes.as_ptr())).expect("it fits");
                assert!(turn.calls >= 1 && turn.seconds > 0.0, "{turn:?}");
            }
            seen.truncate(count);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "{bits} bits: each once before any comes again");
        }
    }

    #[test]
    fn products_are_of_the_size_of_one() {
        let cpu = Cpu::new(Kernels::best(), 1, Precision::Fast).expect("one thread");
        for bits in [2, 4] {
            let truth = Ring::new(bits, 1 << 20, &cpu).expect("a mebibyte").truth();
            let square = truth.iter().map(|y| y * y).sum::<f64>() / truth.len() as f64;
            assert!((0.3..3.0).contains(&square.sqrt()), "{bits} bits: {}", square.sqrt());
        }
    }
}
