//! How plain numbers are stored, and how each form becomes an f32.

use std::fmt;

use crate::lanes::Lanes;

/// Storage of plain weights, scales and biases: little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    /// Bytes of one number.
    pub const fn bytes(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    /// Number `index` of `bytes`.
    #[inline(always)]
    pub(crate) fn at(self, bytes: &[u8], index: usize) -> f32 {
        match self {
            Float::F32 => f32::from_le_bytes(raw(bytes, index)),
            Float::F16 => f16_to_f32(u16::from_le_bytes(raw(bytes, index))),
            Float::Bf16 => bf16_to_f32(u16::from_le_bytes(raw(bytes, index))),
        }
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Float::F32 => "f32",
            Float::F16 => "f16",
            Float::Bf16 => "bf16",
        })
    }
}

/// Whether no number in `bytes` is infinite or NaN. Bytes of an unfinished last number do not count.
pub fn all_finite(float: Float, bytes: &[u8]) -> bool {
    match float {
        Float::F32 => {
            let (numbers, _) = bytes.as_chunks::<4>();
            finite(numbers, |raw| u32::from_le_bytes(*raw) & 0x7f80_0000 != 0x7f80_0000)
        }
        Float::F16 => {
            let (numbers, _) = bytes.as_chunks::<2>();
            finite(numbers, |raw| u16::from_le_bytes(*raw) & 0x7c00 != 0x7c00)
        }
        Float::Bf16 => {
            let (numbers, _) = bytes.as_chunks::<2>();
            finite(numbers, |raw| u16::from_le_bytes(*raw) & 0x7f80 != 0x7f80)
        }
    }
}

/// Blocks without an early exit inside, so that the compiler may vectorise.
fn finite<T>(numbers: &[T], is_finite: impl Fn(&T) -> bool) -> bool {
    numbers.chunks(512).all(|block| block.iter().fold(true, |all, raw| all & is_finite(raw)))
}

/// [`Float`] as a type, for code that is compiled once for each form.
pub(crate) trait Storage: Copy {
    const BYTES: usize;
    /// The 16 numbers in the 16 × `BYTES` bytes.
    fn lanes<L: Lanes>(bytes: &[u8]) -> L;
}

#[derive(Clone, Copy)]
pub(crate) struct F32;
#[derive(Clone, Copy)]
pub(crate) struct F16;
#[derive(Clone, Copy)]
pub(crate) struct Bf16;

/// The `N` bytes of number `index`.
#[inline(always)]
fn raw<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    *bytes[index * N..].first_chunk().expect("the length was checked when the matrix was made")
}

/// Bytes of sixteen numbers as an array.
#[inline(always)]
fn whole<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.first_chunk().expect("sixteen numbers are always passed")
}

impl Storage for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    fn lanes<L: Lanes>(bytes: &[u8]) -> L {
        L::from_f32(whole(bytes))
    }
}

impl Storage for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn lanes<L: Lanes>(bytes: &[u8]) -> L {
        L::from_f16(whole(bytes))
    }
}

impl Storage for Bf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn lanes<L: Lanes>(bytes: &[u8]) -> L {
        L::from_bf16(whole(bytes))
    }
}

#[inline(always)]
pub(crate) fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Rounded to nearest even; NaN stays NaN.
#[inline(always)]
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded as u16 }
}

/// Rounded to nearest even; NaN stays NaN.
#[inline(always)]
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    // Half of the last place of 65504 more, and it is infinite.
    let normal =
        (magnitude.wrapping_sub((127 - 15) << 23).wrapping_add(0xfff + (magnitude >> 13 & 1)))
            >> 13;
    // One half has the last place of a subnormal half: adding it rounds.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
    let half = match magnitude {
        0x7f80_0001.. => 0x7e00,
        0x477f_f000.. => 0x7c00,
        0x3880_0000.. => normal as u16,
        _ => subnormal as u16,
    };
    sign | half
}

/// Exact for every half: f32 holds all of them.
#[inline(always)]
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // Subnormal: fraction × 2^-24; both factors and the product are exact in f32.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// E4M3: four exponent bits with bias 7, no infinities, NaN where all other bits are set. As a
/// half the same bits are 2^8 too small, subnormals included.
#[inline(always)]
pub(crate) fn fp8_to_f32(raw: u8) -> f32 {
    if raw & 0x7f == 0x7f {
        return f32::NAN;
    }
    f16_to_f32(u16::from(raw & 0x80) << 8 | u16::from(raw & 0x7f) << 7) * 256.0
}
