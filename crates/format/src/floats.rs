//! Small float tensors as f32: what norms, scales and other short vectors are read through.

use crate::{DType, FormatError};

/// The little-endian floats in `bytes` as f32, in order. F32, F16 and BF16 are exact; F64 is
/// rounded to the nearest f32.
///
/// # Errors
/// [`FormatError::NotFloats`] when `dtype` is none of these four or `bytes` is no whole number of
/// elements.
pub fn decode_floats(dtype: DType, bytes: &[u8]) -> Result<Vec<f32>, FormatError> {
    let floats = match dtype {
        DType::F32 => decode(bytes, f32::from_le_bytes),
        DType::F16 => decode(bytes, |raw| f16_to_f32(u16::from_le_bytes(raw))),
        DType::BF16 => {
            decode(bytes, |raw| f32::from_bits(u32::from(u16::from_le_bytes(raw)) << 16))
        }
        DType::F64 => decode(bytes, |raw| f64::from_le_bytes(raw) as f32),
        _ => None,
    };
    floats.ok_or(FormatError::NotFloats { dtype, bytes: bytes.len() })
}

/// `None` when a part of an element is left over.
fn decode<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
    let (elements, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| elements.iter().map(|raw| element(*raw)).collect())
}

/// Exact for every half: f32 holds all of them.
fn f16_to_f32(half: u16) -> f32 {
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
