//! How keys and values are kept: as they are, as halves, or as bytes with a scale for every 32.

use std::fmt;

use crate::float::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

/// Elements of a row that share a scale in [`KvType::Q8`].
pub(crate) const GROUP: usize = 32;

/// The type of keys and values. A row of them, one key or one value of a head, is a string of
/// little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvType {
    /// As they were computed.
    F32,
    /// Rounded to nearest even; beyond 65504 infinite.
    F16,
    /// x = q · scale with q from -127 to 127. The row's bytes come first, then one scale as bf16
    /// for every 32 of them: its range is that of f32, and a rounded scale costs no precision
    /// because q is chosen for the scale that is kept. What
    /// [`Cpu::attend`](crate::Cpu::attend) multiplies with q is rounded too, 250 times finer.
    Q8,
}

impl KvType {
    pub const ALL: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Q8];

    pub const fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Q8 => "q8",
        }
    }

    /// Bytes of a row of `dim` elements.
    pub const fn row_bytes(self, dim: usize) -> usize {
        match self {
            KvType::F32 => 4 * dim,
            KvType::F16 => 2 * dim,
            KvType::Q8 => dim + 2 * dim.div_ceil(GROUP),
        }
    }

    /// Keeps one row. A number that is not finite spoils its whole group in [`KvType::Q8`].
    ///
    /// # Panics
    /// When `to` is not as long as the row.
    pub fn write(self, from: &[f32], to: &mut [u8]) {
        self.check(from.len(), to.len());
        match self {
            KvType::F32 => {
                for (x, raw) in from.iter().zip(to.as_chunks_mut().0) {
                    *raw = x.to_le_bytes();
                }
            }
            KvType::F16 => {
                for (x, raw) in from.iter().zip(to.as_chunks_mut().0) {
                    *raw = f32_to_f16(*x).to_le_bytes();
                }
            }
            KvType::Q8 => {
                let (bytes, scales) = to.split_at_mut(from.len());
                let groups = from.chunks(GROUP).zip(bytes.chunks_mut(GROUP));
                for ((x, q), raw) in groups.zip(scales.as_chunks_mut().0) {
                    *raw = group(x, q).to_le_bytes();
                }
            }
        }
    }

    /// The numbers that a row stands for.
    ///
    /// # Panics
    /// When `from` is not as long as the row.
    pub fn read(self, from: &[u8], to: &mut [f32]) {
        self.check(to.len(), from.len());
        match self {
            KvType::F32 => {
                for (x, raw) in to.iter_mut().zip(from.as_chunks().0) {
                    *x = f32::from_le_bytes(*raw);
                }
            }
            KvType::F16 => {
                for (x, raw) in to.iter_mut().zip(from.as_chunks().0) {
                    *x = f16_to_f32(u16::from_le_bytes(*raw));
                }
            }
            KvType::Q8 => {
                let (bytes, scales) = from.split_at(to.len());
                let groups = to.chunks_mut(GROUP).zip(bytes.chunks(GROUP));
                for ((x, q), raw) in groups.zip(scales.as_chunks().0) {
                    let scale = bf16_to_f32(u16::from_le_bytes(*raw));
                    x.iter_mut().zip(q).for_each(|(x, q)| *x = f32::from(*q as i8) * scale);
                }
            }
        }
    }

    fn check(self, dim: usize, bytes: usize) {
        let expected = self.row_bytes(dim);
        assert!(bytes == expected, "{bytes} bytes of {dim} {self}, expected {expected}");
    }
}

/// Rounds one group to bytes and returns its scale.
fn group(x: &[f32], q: &mut [u8]) -> u16 {
    if x.iter().any(|x| !x.is_finite()) {
        q.fill(0);
        return f32_to_bf16(f32::NAN);
    }
    let greatest = x.iter().fold(0.0_f32, |greatest, x| greatest.max(x.abs()));
    let raw = f32_to_bf16(greatest / 127.0);
    let scale = bf16_to_f32(raw);
    for (x, q) in x.iter().zip(q) {
        // A scale of 0 stands for zeros: what was there is below 1e-38.
        let steps = if scale == 0.0 { 0.0 } else { (x / scale).round_ties_even() };
        // The rounded scale may be a little less than the greatest needs.
        *q = steps.clamp(-127.0, 127.0) as i8 as u8;
    }
    raw
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
