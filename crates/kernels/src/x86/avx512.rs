//! Sixteen lanes as one register of AVX-512.

// Intrinsics are called from generic code that the compiler does not know to be AVX-512 code.
#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::asm;
use std::arch::x86_64::*;

use super::avx2::{fp8_as_f16, largest_of_eight, sum_of_eight, word};
use super::bits::{last_eight, places, shifts, word32, word64};
use super::dots::{Avx512Dots, x86};
use super::tiles::wide_words;
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes, Num};
use crate::pairs::{Pairs, Sixteen};
use crate::table::{Isa, table};

table!(Avx512, Avx512, Avx512Dots, ["avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"]);

pub(crate) mod vnni {
    //! The same with AVX-512 VNNI.
    use crate::table::{Isa, integers};
    use crate::x86::dots::Avx512VnniDots;

    integers!(
        Avx512Vnni,
        Avx512VnniDots,
        super::Avx512VnniPairs,
        ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"],
        super::KERNELS
    );
}

/// Private to the code of `TABLE`: whoever calls one of its methods runs inside a function that
/// has the target features.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(pub(super) __m512);

/// Evaluates intrinsics of AVX-512 F, BW, DQ, VL and of AVX2.
macro_rules! avx512 {
    ($body:expr) => {{
        // SAFETY: only functions of `TABLE` use this type, and they are compiled with, and called
        // only where the processor has, AVX-512 F, BW, DQ and VL. Pointers come from references to
        // as many bytes as the intrinsic touches; it takes any alignment.
        unsafe { $body }
    }};
}

impl Num for Avx512 {
    const WIDTH: usize = LANES;
    #[inline(always)]
    fn splat(value: f32) -> Avx512 {
        avx512!(Avx512(_mm512_set1_ps(value)))
    }
    #[inline(always)]
    fn read(from: &[f32]) -> Avx512 {
        let from = &from[..LANES];
        avx512!(Avx512(_mm512_loadu_ps(from.as_ptr())))
    }
    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        let to = &mut to[..LANES];
        avx512!(_mm512_storeu_ps(to.as_mut_ptr(), self.0));
    }
    #[inline(always)]
    fn add(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_add_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn sub(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_sub_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn mul(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_mul_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn div(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_div_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn neg(self) -> Avx512 {
        avx512!(Avx512(_mm512_xor_ps(self.0, _mm512_set1_ps(-0.0))))
    }
    #[inline(always)]
    fn mul_add(self, factor: Avx512, addend: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_fmadd_ps(self.0, factor.0, addend.0)))
    }
    #[inline(always)]
    fn max(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_max_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_min_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn pow2(self) -> Avx512 {
        avx512!({
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            Avx512(_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23)))
        })
    }
}

impl Lanes for Avx512 {
    const SEVERAL_ROWS: bool = true;
    const WIDE: bool = true;
    #[inline(always)]
    fn from_f32(bytes: &[u8; 64]) -> Avx512 {
        avx512!(Avx512(_mm512_loadu_ps(bytes.as_ptr().cast())))
    }
    #[inline(always)]
    fn from_f16(bytes: &[u8; 32]) -> Avx512 {
        avx512!(Avx512(_mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast()))))
    }
    #[inline(always)]
    fn from_bf16(bytes: &[u8; 32]) -> Avx512 {
        avx512!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast()));
            Avx512(_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)))
        })
    }
    #[inline(always)]
    fn from_fp8(bytes: &[u8; 16]) -> Avx512 {
        let lanes = avx512!({
            let halves = fp8_as_f16(_mm_loadu_si128(bytes.as_ptr().cast()));
            Avx512(_mm512_cvtph_ps(halves))
        });
        lanes.mul(Avx512::splat(256.0))
    }
    #[inline(always)]
    fn unpack<const BITS: usize>(bytes: &[u8]) -> Avx512 {
        let (first, second) = match BITS {
            2 => (i64::from(word32(bytes, 0)), 0),
            // Bytes 0 and 1, then 2 to 5. What is above them is never looked at.
            3 => (i64::from(word32(bytes, 0)) & 0xffff | i64::from(word32(bytes, 2)) << 16, 0),
            4 => (word64(bytes, 0), 0),
            8 => {
                return avx512!({
                    let raw = _mm_loadu_si128(bytes[..16].as_ptr().cast());
                    Avx512(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(raw)))
                });
            }
            _ => (word64(bytes, 0), word64(bytes, last_eight::<BITS>())),
        };
        Avx512(moved::<BITS>(first, second))
    }
    #[inline(always)]
    fn first(self, count: usize) -> Avx512 {
        let mask = ((1_u32 << count.min(LANES)) - 1) as u16;
        avx512!(Avx512(_mm512_maskz_mov_ps(mask, self.0)))
    }
    #[inline(always)]
    fn look_up<const BITS: usize>(table: Avx512, bytes: &[u8]) -> Avx512 {
        let word = if BITS < 4 { i64::from(word32(bytes, 0)) } else { word64(bytes, 0) };
        // The permutation looks at the low four bits only, and the table repeats.
        avx512!(Avx512(_mm512_permutexvar_ps(shifted::<BITS>(word, 0), table.0)))
    }
    #[inline(always)]
    fn xor(self, other: Avx512) -> Avx512 {
        avx512!(Avx512(_mm512_xor_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        avx512!({
            let low = _mm512_castps512_ps256(self.0);
            let high = _mm512_extractf32x8_ps(self.0, 1);
            sum_of_eight(_mm256_add_ps(low, high))
        })
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        avx512!({
            let low = _mm512_castps512_ps256(self.0);
            let high = _mm512_extractf32x8_ps(self.0, 1);
            largest_of_eight(_mm256_max_ps(low, high))
        })
    }
    #[inline(always)]
    fn sums<const N: usize>(all: [Avx512; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        let mut n = 0;
        while n + 16 <= N {
            let mut sixteen = [all[n].0; LANES];
            for l in 1..LANES {
                sixteen[l] = all[n + l].0;
            }
            let sixteen = sums_of_sixteen(sixteen);
            avx512!(_mm512_storeu_ps(sums[n..n + 16].as_mut_ptr(), sixteen));
            n += 16;
        }
        while n < N {
            sums[n] = all[n].sum();
            n += 1;
        }
        sums
    }
    #[inline(always)]
    fn announce(address: *const u8) {
        avx512!(_mm_prefetch::<_MM_HINT_T1>(address.cast()));
    }
}

/// Each one's lanes added in the order of [`Lanes::sum`], side by side: every step adds the halves
/// of two registers of partial sums and leaves them in one.
#[inline(always)]
fn sums_of_sixteen(v: [__m512; LANES]) -> __m512 {
    let quarters = [
        fours(eights(v[0], v[4]), eights(v[8], v[12])),
        fours(eights(v[1], v[5]), eights(v[9], v[13])),
        fours(eights(v[2], v[6]), eights(v[10], v[14])),
        fours(eights(v[3], v[7]), eights(v[11], v[15])),
    ];
    let (even, odd) = (twos(quarters[0], quarters[1]), twos(quarters[2], quarters[3]));
    avx512!(_mm512_add_ps(_mm512_shuffle_ps(even, odd, 0x88), _mm512_shuffle_ps(even, odd, 0xdd)))
}

/// Lanes l and l+8 of both.
#[inline(always)]
fn eights(a: __m512, b: __m512) -> __m512 {
    avx512!(_mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee)))
}

/// Lanes l and l+4 of the two sums of eight in each.
#[inline(always)]
fn fours(a: __m512, b: __m512) -> __m512 {
    avx512!(_mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd)))
}

/// Lanes l and l+2 of the four sums of four in each.
#[inline(always)]
fn twos(a: __m512, b: __m512) -> __m512 {
    avx512!(_mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee)))
}

#[inline(always)]
fn moved<const BITS: usize>(first: i64, second: i64) -> __m512 {
    avx512!({
        let mask = _mm512_set1_epi32((1 << BITS) - 1);
        _mm512_cvtepi32_ps(_mm512_and_si512(shifted::<BITS>(first, second), mask))
    })
}

/// Moves the bytes of each integer to its lane, with what is above it. `second` is the block's last
/// eight bytes where the first eight are not enough.
#[inline(always)]
fn shifted<const BITS: usize>(first: i64, second: i64) -> __m512i {
    let places = const { places::<BITS>(if BITS > 4 { 8 } else { 0 }) };
    let shifts = const { shifts::<BITS>() };
    avx512!({
        let raw = _mm512_broadcast_i32x4(_mm_set_epi64x(second, first));
        let pairs = _mm512_shuffle_epi8(raw, _mm512_loadu_si512(places.as_ptr().cast()));
        _mm512_srlv_epi32(pairs, _mm512_loadu_si512(shifts.as_ptr().cast()))
    })
}

/// AVX-512 with VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512VnniPairs;

#[inline(always)]
fn add_sixteen(sums: __m512i, pairs: __m512i, by: __m512i) -> __m512i {
    x86!(_mm512_add_epi32(sums, _mm512_madd_epi16(pairs, by)))
}

/// As `dpwssd_eight` of AVX-VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn dpwssd_sixteen(mut sums: __m512i, pairs: __m512i, by: __m512i) -> __m512i {
    // SAFETY: the processor has AVX-512 VNNI; the instruction touches these registers alone.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {pairs}, {by}",
            sums = inout(zmm_reg) sums, pairs = in(zmm_reg) pairs, by = in(zmm_reg) by,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

#[inline(always)]
fn add_sixteen_vnni(sums: __m512i, pairs: __m512i, by: __m512i) -> __m512i {
    x86!(dpwssd_sixteen(sums, pairs, by))
}

/// Implements [`Pairs`] for one register of sixteen lanes.
macro_rules! of_sixteens {
    ($pairs:ty, $add:ident) => {
        impl Pairs for $pairs {
            type L = Avx512;
            type Sums = __m512i;

            #[inline(always)]
            fn none() -> __m512i {
                x86!(_mm512_setzero_si512())
            }
            #[inline(always)]
            fn add(sums: __m512i, pairs: &Sixteen, by: &[i16; 2]) -> __m512i {
                let (pairs, by) =
                    x86!((_mm512_loadu_si512(pairs.as_ptr().cast()), _mm512_set1_epi32(word(by)),));
                $add(sums, pairs, by)
            }
            #[inline(always)]
            fn floats(sums: __m512i) -> Avx512 {
                x86!(Avx512(_mm512_cvtepi32_ps(sums)))
            }
            #[inline(always)]
            fn low_halves(Avx512(lanes): Avx512, to: &mut [i16; LANES]) {
                x86!({
                    let halves = _mm512_cvtepi32_epi16(_mm512_castps_si512(lanes));
                    _mm256_storeu_si256(to.as_mut_ptr().cast(), halves);
                });
            }
            #[inline(always)]
            fn across(rows: &[u8], stride: usize, to: &mut [Sixteen; GROUP / 2]) {
                let (steps, _) = to.as_chunks_mut::<2>();
                for (half, steps) in steps.chunks_exact_mut(4).enumerate() {
                    let words = wide_words(rows, stride, 16 * half);
                    for (words, [even, odd]) in words.into_iter().zip(steps) {
                        x86!({
                            let low = _mm512_srai_epi16(_mm512_slli_epi16(words, 8), 8);
                            _mm512_storeu_si512(even.as_mut_ptr().cast(), low);
                            let high = _mm512_srai_epi16(words, 8);
                            _mm512_storeu_si512(odd.as_mut_ptr().cast(), high);
                        });
                    }
                }
            }
            #[inline(always)]
            fn scales(rows: &[u8], stride: usize, to: &mut [f32], apart: usize) {
                for (n, words) in wide_words(rows, stride, 0).into_iter().enumerate() {
                    let mask = x86!(_mm512_set1_epi32(0xffff_0000_u32 as i32));
                    let (even, odd) =
                        x86!((_mm512_slli_epi32(words, 16), _mm512_and_si512(words, mask)));
                    for (n, scales) in [(2 * n, even), (2 * n + 1, odd)] {
                        let to = &mut to[n * apart..][..LANES];
                        x86!(_mm512_storeu_si512(to.as_mut_ptr().cast(), scales));
                    }
                }
            }
            #[inline(always)]
            fn beside(rows: &[u8], stride: usize, to: &mut [[Sixteen; GROUP / LANES]]) {
                let rows = &rows[..(2 * to.len() - 1) * stride + GROUP];
                for (n, [left, right]) in to.iter_mut().enumerate() {
                    x86!({
                        let first = rows.as_ptr().add(2 * n * stride);
                        let second = _mm256_loadu_si256(first.add(stride).cast());
                        let first = _mm256_loadu_si256(first.cast());
                        // Quarters 0 and 2, then 1 and 3.
                        let low = _mm512_cvtepi8_epi16(_mm256_unpacklo_epi8(first, second));
                        let high = _mm512_cvtepi8_epi16(_mm256_unpackhi_epi8(first, second));
                        _mm512_storeu_si512(left.as_mut_ptr().cast(), low);
                        _mm512_storeu_si512(right.as_mut_ptr().cast(), high);
                    });
                }
            }
            #[inline(always)]
            fn columns([left, right]: [__m512i; 2]) -> [Avx512; 2] {
                let (low, high) = x86!((
                    _mm512_shuffle_i64x2(left, right, 0x44),
                    _mm512_shuffle_i64x2(left, right, 0xee),
                ));
                [Self::floats(low), Self::floats(high)]
            }
        }
    };
}

of_sixteens!(Avx512, add_sixteen);
of_sixteens!(Avx512VnniPairs, add_sixteen_vnni);
