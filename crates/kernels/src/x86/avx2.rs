//! Sixteen lanes as two registers of AVX2.

// Intrinsics are called from generic code that the compiler does not know to be AVX2 code.
#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::asm;
use std::arch::x86_64::*;

use super::bits::{last_eight, places, shifts, word32, word64};
use super::dots::{Avx2Dots, x86};
use super::tiles::words;
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes, Num};
use crate::pairs::{Pairs, Sixteen};
use crate::table::{Isa, table};

table!(Avx2, Avx2, Avx2Dots, ["avx2,fma,f16c"]);

pub(crate) mod vnni {
    //! The same with AVX-VNNI.
    use crate::table::{Isa, integers};
    use crate::x86::dots::VnniDots;

    integers!(AvxVnni, VnniDots, super::AvxVnniPairs, ["avx2,fma,f16c,avxvnni"], super::KERNELS);
}

/// Lanes 0 to 7, then 8 to 15. Private to the code of `TABLE`: whoever calls one of its methods
/// runs inside a function that has the target features.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub(super) __m256, pub(super) __m256);

/// Evaluates intrinsics of AVX2, FMA and F16C.
macro_rules! avx2 {
    ($body:expr) => {{
        // SAFETY: only functions of `TABLE` use this type, and they are compiled with, and called
        // only where the processor has, AVX2, FMA and F16C. Pointers come from references to as
        // many bytes as the intrinsic touches; it takes any alignment.
        unsafe { $body }
    }};
}

/// The same intrinsic on both halves.
macro_rules! halves {
    ($intrinsic:ident, $($operand:expr),+) => {
        avx2!(Avx2($intrinsic($($operand.0),+), $intrinsic($($operand.1),+)))
    };
}

impl Num for Avx2 {
    const WIDTH: usize = LANES;
    #[inline(always)]
    fn splat(value: f32) -> Avx2 {
        let lanes = avx2!(_mm256_set1_ps(value));
        Avx2(lanes, lanes)
    }
    #[inline(always)]
    fn read(from: &[f32]) -> Avx2 {
        let from = &from[..LANES];
        avx2!(Avx2(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from[8..].as_ptr())))
    }
    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        let (low, high) = to[..LANES].split_at_mut(8);
        avx2!({
            _mm256_storeu_ps(low.as_mut_ptr(), self.0);
            _mm256_storeu_ps(high.as_mut_ptr(), self.1);
        });
    }
    #[inline(always)]
    fn add(self, other: Avx2) -> Avx2 {
        halves!(_mm256_add_ps, self, other)
    }
    #[inline(always)]
    fn sub(self, other: Avx2) -> Avx2 {
        halves!(_mm256_sub_ps, self, other)
    }
    #[inline(always)]
    fn mul(self, other: Avx2) -> Avx2 {
        halves!(_mm256_mul_ps, self, other)
    }
    #[inline(always)]
    fn div(self, other: Avx2) -> Avx2 {
        halves!(_mm256_div_ps, self, other)
    }
    #[inline(always)]
    fn neg(self) -> Avx2 {
        halves!(_mm256_xor_ps, self, Avx2::splat(-0.0))
    }
    #[inline(always)]
    fn mul_add(self, factor: Avx2, addend: Avx2) -> Avx2 {
        halves!(_mm256_fmadd_ps, self, factor, addend)
    }
    #[inline(always)]
    fn max(self, other: Avx2) -> Avx2 {
        halves!(_mm256_max_ps, self, other)
    }
    #[inline(always)]
    fn min(self, other: Avx2) -> Avx2 {
        halves!(_mm256_min_ps, self, other)
    }
    #[inline(always)]
    fn pow2(self) -> Avx2 {
        Avx2(pow2(self.0), pow2(self.1))
    }
}

#[inline(always)]
fn pow2(n: __m256) -> __m256 {
    avx2!({
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))
    })
}

impl Lanes for Avx2 {
    const SEVERAL_ROWS: bool = true;
    const WIDE: bool = false;
    #[inline(always)]
    fn from_f32(bytes: &[u8; 64]) -> Avx2 {
        let (low, high) = bytes.split_at(32);
        avx2!(Avx2(_mm256_loadu_ps(low.as_ptr().cast()), _mm256_loadu_ps(high.as_ptr().cast())))
    }
    #[inline(always)]
    fn from_f16(bytes: &[u8; 32]) -> Avx2 {
        let (low, high) = bytes.split_at(16);
        avx2!(Avx2(
            _mm256_cvtph_ps(_mm_loadu_si128(low.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(high.as_ptr().cast())),
        ))
    }
    #[inline(always)]
    fn from_bf16(bytes: &[u8; 32]) -> Avx2 {
        let (low, high) = bytes.split_at(16);
        Avx2(bf16(low), bf16(high))
    }
    #[inline(always)]
    fn from_fp8(bytes: &[u8; 16]) -> Avx2 {
        let halves = avx2!(fp8_as_f16(_mm_loadu_si128(bytes.as_ptr().cast())));
        let lanes = avx2!(Avx2(
            _mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
            _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)),
        ));
        lanes.mul(Avx2::splat(256.0))
    }
    #[inline(always)]
    fn unpack<const BITS: usize>(bytes: &[u8]) -> Avx2 {
        match BITS {
            2 => from_words::<BITS>(word32(bytes, 0), word32(bytes, 0), 16),
            3 => from_words::<BITS>(word32(bytes, 0), word32(bytes, 2), 8),
            4 => from_words::<BITS>(word32(bytes, 0), word32(bytes, 4), 0),
            8 => avx2!({
                let raw = _mm_loadu_si128(bytes[..16].as_ptr().cast());
                Avx2(
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(raw)),
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(raw, 8))),
                )
            }),
            _ => straddling::<BITS>(bytes),
        }
    }
    #[inline(always)]
    fn first(self, count: usize) -> Avx2 {
        // Ones for the lanes that stay, then zeros: a window of it is the mask.
        const EDGE: [i32; 2 * LANES] = edge();
        let mask = &EDGE[LANES - count.min(LANES)..][..LANES];
        avx2!({
            let low = _mm256_loadu_si256(mask.as_ptr().cast());
            let high = _mm256_loadu_si256(mask[8..].as_ptr().cast());
            Avx2(
                _mm256_and_ps(self.0, _mm256_castsi256_ps(low)),
                _mm256_and_ps(self.1, _mm256_castsi256_ps(high)),
            )
        })
    }
    #[inline(always)]
    fn look_up<const BITS: usize>(table: Avx2, bytes: &[u8]) -> Avx2 {
        let (low, high) = match BITS {
            2 => shifted::<BITS>(word32(bytes, 0), word32(bytes, 0), 16),
            _ => shifted::<BITS>(word32(bytes, 0), word32(bytes, 4), 0),
        };
        Avx2(chosen::<BITS>(table, low), chosen::<BITS>(table, high))
    }
    #[inline(always)]
    fn xor(self, other: Avx2) -> Avx2 {
        halves!(_mm256_xor_ps, self, other)
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        avx2!({
            let eight = _mm256_add_ps(self.0, self.1);
            sum_of_eight(eight)
        })
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        avx2!(largest_of_eight(_mm256_max_ps(self.0, self.1)))
    }
    #[inline(always)]
    fn sums<const N: usize>(all: [Avx2; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        let mut n = 0;
        while n + 4 <= N {
            let four = sums_of_four([all[n], all[n + 1], all[n + 2], all[n + 3]]);
            avx2!(_mm_storeu_ps(sums[n..n + 4].as_mut_ptr(), four));
            n += 4;
        }
        while n < N {
            sums[n] = all[n].sum();
            n += 1;
        }
        sums
    }
    #[inline(always)]
    fn announce(address: *const u8) {
        avx2!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
}

/// Each one's lanes added in the order of [`Lanes::sum`], side by side.
#[inline(always)]
fn sums_of_four([a, b, c, d]: [Avx2; 4]) -> __m128 {
    avx2!({
        let (a, b) = (_mm256_add_ps(a.0, a.1), _mm256_add_ps(b.0, b.1));
        let (c, d) = (_mm256_add_ps(c.0, c.1), _mm256_add_ps(d.0, d.1));
        let (ac, bd) = (fours(a, c), fours(b, d));
        let twos = _mm256_add_ps(_mm256_shuffle_ps(ac, bd, 0x44), _mm256_shuffle_ps(ac, bd, 0xee));
        // In every second place the sums of a and b, then of c and d.
        let ones = _mm256_add_ps(twos, _mm256_movehdup_ps(twos));
        _mm_shuffle_ps(_mm256_castps256_ps128(ones), _mm256_extractf128_ps(ones, 1), 0x88)
    })
}

/// Lanes l and l+4 of both: of `a` in the low half, of `b` in the high one.
#[inline(always)]
fn fours(a: __m256, b: __m256) -> __m256 {
    avx2!(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)))
}

const fn edge() -> [i32; 2 * LANES] {
    let mut edge = [0; 2 * LANES];
    let mut l = 0;
    while l < LANES {
        edge[l] = -1;
        l += 1;
    }
    edge
}

/// Lanes l and l+4, l+2, l+1.
#[inline(always)]
pub(super) fn sum_of_eight(eight: __m256) -> f32 {
    avx2!({
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    })
}

/// The greatest of lanes l and l+4, l+2, l+1.
#[inline(always)]
pub(super) fn largest_of_eight(eight: __m256) -> f32 {
    avx2!({
        let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
    })
}

/// Sixteen E4M3 numbers as halves, 2^8 too small.
#[inline(always)]
pub(super) fn fp8_as_f16(raw: __m128i) -> __m256i {
    avx2!({
        let wide = _mm256_cvtepu8_epi16(raw);
        let magnitude = _mm256_and_si256(wide, _mm256_set1_epi16(0x7f));
        let is_nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7f));
        let nan = _mm256_and_si256(is_nan, _mm256_set1_epi16(0x7e00));
        let sign = _mm256_slli_epi16(_mm256_sub_epi16(wide, magnitude), 8);
        let finite = _mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7));
        _mm256_or_si256(finite, nan)
    })
}

#[inline(always)]
fn bf16(bytes: &[u8]) -> __m256 {
    avx2!({
        let raw = _mm_loadu_si128(bytes[..16].as_ptr().cast());
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16))
    })
}

/// The lanes of `table` that the low bits of the integers choose; of two bits the first four
/// lanes, wherever the third bit points.
#[inline(always)]
fn chosen<const BITS: usize>(table: Avx2, integers: __m256i) -> __m256 {
    avx2!({
        let low = _mm256_permutevar8x32_ps(table.0, integers);
        if BITS < 4 {
            return low;
        }
        let high = _mm256_permutevar8x32_ps(table.1, integers);
        let fourth_bit = _mm256_castsi256_ps(_mm256_slli_epi32(integers, 28));
        _mm256_blendv_ps(low, high, fourth_bit)
    })
}

/// Eight integers from each word, those of the second from bit `skip` on, with what is above them.
#[inline(always)]
fn shifted<const BITS: usize>(first: i32, second: i32, skip: i32) -> (__m256i, __m256i) {
    let bits = BITS as i32;
    avx2!({
        let steps =
            _mm256_setr_epi32(0, bits, 2 * bits, 3 * bits, 4 * bits, 5 * bits, 6 * bits, 7 * bits);
        let skipped = _mm256_add_epi32(steps, _mm256_set1_epi32(skip));
        (
            _mm256_srlv_epi32(_mm256_set1_epi32(first), steps),
            _mm256_srlv_epi32(_mm256_set1_epi32(second), skipped),
        )
    })
}

/// As [`shifted`], without what is above the integers.
#[inline(always)]
fn from_words<const BITS: usize>(first: i32, second: i32, skip: i32) -> Avx2 {
    let (low, high) = shifted::<BITS>(first, second, skip);
    avx2!({
        let mask = _mm256_set1_epi32((1 << BITS) - 1);
        Avx2(
            _mm256_cvtepi32_ps(_mm256_and_si256(low, mask)),
            _mm256_cvtepi32_ps(_mm256_and_si256(high, mask)),
        )
    })
}

/// Integers of five or six bits: their bytes are moved to their lanes first.
#[inline(always)]
fn straddling<const BITS: usize>(bytes: &[u8]) -> Avx2 {
    let (places, shifts) = (const { places::<BITS>(0) }, const { shifts::<BITS>() });
    Avx2(
        moved::<BITS>(word64(bytes, 0), &places[..32], &shifts[..8]),
        moved::<BITS>(word64(bytes, last_eight::<BITS>()), &places[32..], &shifts[8..]),
    )
}

#[inline(always)]
fn moved<const BITS: usize>(word: i64, places: &[i8], shifts: &[i32]) -> __m256 {
    let (places, shifts) = (&places[..32], &shifts[..8]);
    avx2!({
        let places = _mm256_loadu_si256(places.as_ptr().cast());
        let shifts = _mm256_loadu_si256(shifts.as_ptr().cast());
        let pairs = _mm256_shuffle_epi8(_mm256_set1_epi64x(word), places);
        let mask = _mm256_set1_epi32((1 << BITS) - 1);
        _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(pairs, shifts), mask))
    })
}

/// AVX2 with AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnniPairs;

/// A pair in every lane.
#[inline(always)]
pub(super) fn word(by: &[i16; 2]) -> i32 {
    x86!(by.as_ptr().cast::<i32>().read_unaligned())
}

#[inline(always)]
fn add_eight(sums: __m256i, pairs: &[[i16; 2]], by: __m256i) -> __m256i {
    x86!(_mm256_add_epi32(sums, _mm256_madd_epi16(eight(pairs), by)))
}

#[inline(always)]
fn add_eight_vnni(sums: __m256i, pairs: &[[i16; 2]], by: __m256i) -> __m256i {
    x86!(dpwssd_eight(sums, eight(pairs), by))
}

/// The compiler makes a multiplication and an addition of the intrinsic, as if one product waited
/// for the other.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn dpwssd_eight(mut sums: __m256i, pairs: __m256i, by: __m256i) -> __m256i {
    // SAFETY: the processor has AVX-VNNI; the instruction touches these registers alone.
    unsafe {
        asm!(
            "{{vex}} vpdpwssd {sums}, {pairs}, {by}",
            sums = inout(ymm_reg) sums, pairs = in(ymm_reg) pairs, by = in(ymm_reg) by,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

#[inline(always)]
fn eight(pairs: &[[i16; 2]]) -> __m256i {
    let pairs = &pairs[..8];
    x86!(_mm256_loadu_si256(pairs.as_ptr().cast()))
}

#[inline(always)]
fn put_eight(integers: __m256i, to: &mut [[i16; 2]]) {
    let to = &mut to[..8];
    x86!(_mm256_storeu_si256(to.as_mut_ptr().cast(), integers));
}

/// Implements [`Pairs`] for two registers of eight lanes.
macro_rules! of_eights {
    ($pairs:ty, $add:ident) => {
        impl Pairs for $pairs {
            type L = Avx2;
            type Sums = (__m256i, __m256i);

            #[inline(always)]
            fn none() -> (__m256i, __m256i) {
                x86!((_mm256_setzero_si256(), _mm256_setzero_si256()))
            }
            #[inline(always)]
            fn add(
                (low, high): (__m256i, __m256i),
                pairs: &Sixteen,
                by: &[i16; 2],
            ) -> (__m256i, __m256i) {
                let by = x86!(_mm256_set1_epi32(word(by)));
                ($add(low, pairs, by), $add(high, &pairs[8..], by))
            }
            #[inline(always)]
            fn floats((low, high): (__m256i, __m256i)) -> Avx2 {
                x86!(Avx2(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)))
            }
            #[inline(always)]
            fn low_halves(Avx2(low, high): Avx2, to: &mut [i16; LANES]) {
                x86!({
                    let mask = _mm256_set1_epi32(0xffff);
                    let low = _mm256_and_si256(_mm256_castps_si256(low), mask);
                    let high = _mm256_and_si256(_mm256_castps_si256(high), mask);
                    let both = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
                    _mm256_storeu_si256(to.as_mut_ptr().cast(), both);
                });
            }
            #[inline(always)]
            fn across(rows: &[u8], stride: usize, to: &mut [Sixteen; GROUP / 2]) {
                for (lane, half) in [(0, 0), (0, 1), (8, 0), (8, 1)] {
                    let words = words(&rows[lane * stride..], stride, 16 * half);
                    let (steps, _) = to[8 * half..][..8].as_chunks_mut::<2>();
                    for (words, [even, odd]) in words.into_iter().zip(steps) {
                        let first = x86!(_mm256_srai_epi16(_mm256_slli_epi16(words, 8), 8));
                        put_eight(first, &mut even[lane..]);
                        put_eight(x86!(_mm256_srai_epi16(words, 8)), &mut odd[lane..]);
                    }
                }
            }
            #[inline(always)]
            fn scales(rows: &[u8], stride: usize, to: &mut [f32], apart: usize) {
                for lane in [0, 8] {
                    let words = words(&rows[lane * stride..], stride, 0);
                    for (n, words) in words.into_iter().enumerate() {
                        let mask = x86!(_mm256_set1_epi32(0xffff_0000_u32 as i32));
                        let (even, odd) =
                            x86!((_mm256_slli_epi32(words, 16), _mm256_and_si256(words, mask)));
                        for (n, scales) in [(2 * n, even), (2 * n + 1, odd)] {
                            let to = &mut to[n * apart + lane..][..8];
                            x86!(_mm256_storeu_si256(to.as_mut_ptr().cast(), scales));
                        }
                    }
                }
            }
            #[inline(always)]
            fn beside(rows: &[u8], stride: usize, to: &mut [[Sixteen; GROUP / LANES]]) {
                for (n, to) in to.iter_mut().enumerate() {
                    for (c, to) in to.iter_mut().enumerate() {
                        let at = 2 * n * stride + c * LANES;
                        let (first, second) = (row(rows, at), row(rows, at + stride));
                        let (left, right) = x86!((
                            _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second)),
                            _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(first, second)),
                        ));
                        put_eight(left, to);
                        put_eight(right, &mut to[8..]);
                    }
                }
            }
        }
    };
}

of_eights!(Avx2, add_eight);
of_eights!(AvxVnniPairs, add_eight_vnni);

#[inline(always)]
fn row(rows: &[u8], at: usize) -> __m128i {
    let row = &rows[at..][..16];
    x86!(_mm_loadu_si128(row.as_ptr().cast()))
}
