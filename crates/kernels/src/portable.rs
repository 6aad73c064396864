//! The reference table: the operations in plain Rust, which every other table repeats bit for bit.

use crate::float::{bf16_to_f32, f16_to_f32, fp8_to_f32};
use crate::lanes::{LANES, Lanes, Num};
use crate::table::{Isa, table};

#[cfg(not(target_arch = "aarch64"))]
type BaselineDots = crate::dots::PortableDots;
#[cfg(target_arch = "aarch64")]
type BaselineDots = crate::arm::dots::NeonDots;

table!(Scalar, Portable, BaselineDots, []);

impl Num for f32 {
    const WIDTH: usize = 1;
    #[inline(always)]
    fn splat(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn read(from: &[f32]) -> f32 {
        from[0]
    }
    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        to[0] = self;
    }
    #[inline(always)]
    fn add(self, other: f32) -> f32 {
        self + other
    }
    #[inline(always)]
    fn sub(self, other: f32) -> f32 {
        self - other
    }
    #[inline(always)]
    fn mul(self, other: f32) -> f32 {
        self * other
    }
    #[inline(always)]
    fn div(self, other: f32) -> f32 {
        self / other
    }
    #[inline(always)]
    fn neg(self) -> f32 {
        -self
    }
    #[inline(always)]
    fn mul_add(self, factor: f32, addend: f32) -> f32 {
        f32::mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn max(self, other: f32) -> f32 {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn min(self, other: f32) -> f32 {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn pow2(self) -> f32 {
        f32::from_bits(((self as i32).wrapping_add(127) << 23) as u32)
    }
}

/// Sixteen elements as an array. On aarch64, whose baseline has fused multiply-add, the compiler
/// makes vector code of it.
#[derive(Clone, Copy)]
pub(crate) struct Portable(pub(crate) [f32; LANES]);

impl Portable {
    #[inline(always)]
    pub(crate) fn of_integers(low: [i32; 8], high: [i32; 8]) -> Portable {
        let mut lanes = [0.0; LANES];
        for (lane, sum) in lanes.iter_mut().zip(low.into_iter().chain(high)) {
            *lane = sum as f32;
        }
        Portable(lanes)
    }

    #[inline(always)]
    fn each(mut self, other: Portable, operation: impl Fn(f32, f32) -> f32) -> Portable {
        for l in 0..LANES {
            self.0[l] = operation(self.0[l], other.0[l]);
        }
        self
    }
}

impl Num for Portable {
    const WIDTH: usize = LANES;
    #[inline(always)]
    fn splat(value: f32) -> Portable {
        Portable([value; LANES])
    }
    #[inline(always)]
    fn read(from: &[f32]) -> Portable {
        Portable(*from.first_chunk().expect("sixteen elements are always passed"))
    }
    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&self.0);
    }
    #[inline(always)]
    fn add(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::add)
    }
    #[inline(always)]
    fn sub(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::sub)
    }
    #[inline(always)]
    fn mul(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::mul)
    }
    #[inline(always)]
    fn div(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::div)
    }
    #[inline(always)]
    fn neg(self) -> Portable {
        self.each(self, |a, _| -a)
    }
    #[inline(always)]
    fn mul_add(mut self, factor: Portable, addend: Portable) -> Portable {
        for l in 0..LANES {
            self.0[l] = f32::mul_add(self.0[l], factor.0[l], addend.0[l]);
        }
        self
    }
    #[inline(always)]
    fn max(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::max)
    }
    #[inline(always)]
    fn min(self, other: Portable) -> Portable {
        self.each(other, <f32 as Num>::min)
    }
    #[inline(always)]
    fn pow2(self) -> Portable {
        self.each(self, |a, _| Num::pow2(a))
    }
}

impl Lanes for Portable {
    /// On x86-64 this is only the reference: its multiplications are calls, and many of them.
    const SEVERAL_ROWS: bool = cfg!(not(target_arch = "x86_64"));
    const WIDE: bool = false;
    #[inline(always)]
    fn from_f32(bytes: &[u8; 64]) -> Portable {
        let mut lanes = [0.0; LANES];
        for (lane, raw) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = f32::from_le_bytes(*raw);
        }
        Portable(lanes)
    }
    #[inline(always)]
    fn from_f16(bytes: &[u8; 32]) -> Portable {
        let mut lanes = [0.0; LANES];
        for (lane, raw) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = f16_to_f32(u16::from_le_bytes(*raw));
        }
        Portable(lanes)
    }
    #[inline(always)]
    fn from_bf16(bytes: &[u8; 32]) -> Portable {
        let mut lanes = [0.0; LANES];
        for (lane, raw) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = bf16_to_f32(u16::from_le_bytes(*raw));
        }
        Portable(lanes)
    }
    #[inline(always)]
    fn from_fp8(bytes: &[u8; 16]) -> Portable {
        let mut lanes = [0.0; LANES];
        for (lane, raw) in lanes.iter_mut().zip(bytes) {
            *lane = fp8_to_f32(*raw);
        }
        Portable(lanes)
    }
    #[inline(always)]
    fn unpack<const BITS: usize>(bytes: &[u8]) -> Portable {
        let mut lanes = [0.0; LANES];
        // Eight integers are BITS bytes, so that each half fits a word.
        for (eight, raw) in lanes.chunks_exact_mut(8).zip(bytes.chunks_exact(BITS)) {
            let mut word = [0; 8];
            word[..BITS].copy_from_slice(raw);
            let word = u64::from_le_bytes(word);
            for (l, lane) in eight.iter_mut().enumerate() {
                *lane = (word >> (l * BITS) & ((1 << BITS) - 1)) as f32;
            }
        }
        Portable(lanes)
    }
    #[inline(always)]
    fn first(mut self, count: usize) -> Portable {
        for (l, lane) in self.0.iter_mut().enumerate() {
            *lane = if l < count { *lane } else { 0.0 };
        }
        self
    }
    #[inline(always)]
    fn look_up<const BITS: usize>(table: Portable, bytes: &[u8]) -> Portable {
        Portable(Portable::unpack::<BITS>(bytes).0.map(|q| table.0[q as usize % LANES]))
    }
    #[inline(always)]
    fn xor(self, other: Portable) -> Portable {
        self.each(other, |a, b| f32::from_bits(a.to_bits() ^ b.to_bits()))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let Portable(mut lanes) = self;
        for half in [8, 4, 2, 1] {
            for l in 0..half {
                lanes[l] += lanes[l + half];
            }
        }
        lanes[0]
    }
}
