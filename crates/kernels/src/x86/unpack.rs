//! Thirty-two packed integers as bytes, in the order in which vectors are laid.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;

use super::bits::{word32, word64};
use crate::activations::{planes, unit};

/// Evaluates intrinsics of AVX2.
macro_rules! avx2 {
    ($body:expr) => {{
        // SAFETY: only functions of the x86 tables come here, and they are compiled with, and
        // called only where the processor has, AVX2. Pointers come from slices whose length was
        // checked for as many bytes as the intrinsic touches; it takes any alignment.
        unsafe { $body }
    }};
}

/// Integers `32·run` to `32·run + 31` of a group, as it is laid out; `weights` are the group's.
#[inline(always)]
pub(super) fn thirty_two<const BITS: usize, const GROUP: usize>(
    weights: &[u8],
    run: usize,
) -> __m256i {
    // Each unit of 32 or 64 columns lies in bytes of its own.
    let runs = unit(GROUP) / 32;
    let weights = &weights[run / runs * unit(GROUP) * BITS / 8..][..unit(GROUP) * BITS / 8];
    let run = run % runs;
    match (planes(BITS), runs) {
        (2, 2) => {
            let bytes = load32(&weights[..32]);
            avx2!({
                let bytes = if run == 0 { bytes } else { _mm256_srli_epi16(bytes, 4) };
                _mm256_and_si256(bytes, _mm256_set1_epi8(15))
            })
        }
        (2, _) => {
            let bytes = twice16(&weights[..16]);
            avx2!({
                let shifts = _mm256_set_epi64x(4, 4, 0, 0);
                _mm256_and_si256(_mm256_srlv_epi64(bytes, shifts), _mm256_set1_epi8(15))
            })
        }
        (4, 2) => {
            let (bytes, shift) = (twice16(&weights[..16]), 4 * run as i64);
            avx2!({
                let shifts = _mm256_set_epi64x(shift + 2, shift + 2, shift, shift);
                _mm256_and_si256(_mm256_srlv_epi64(bytes, shifts), _mm256_set1_epi8(3))
            })
        }
        (4, _) => {
            let bytes = word64(weights, 0);
            avx2!({
                let shifts = _mm256_set_epi64x(6, 4, 2, 0);
                let bytes = _mm256_srlv_epi64(_mm256_set1_epi64x(bytes), shifts);
                _mm256_and_si256(bytes, _mm256_set1_epi8(3))
            })
        }
        _ if BITS == 8 => load32(&weights[run * 32..][..32]),
        _ => straddling::<BITS>(&weights[run * 4 * BITS..][..4 * BITS]),
    }
}

#[inline(always)]
fn load32(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..32];
    avx2!(_mm256_loadu_si256(bytes.as_ptr().cast()))
}

#[inline(always)]
fn twice16(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..16];
    avx2!(_mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())))
}

/// Integers of three, five or six bits: the two bytes that hold one are moved to sixteen bits of
/// its own, and a multiplication shifts each by what it needs.
#[inline(always)]
fn straddling<const BITS: usize>(bytes: &[u8]) -> __m256i {
    let low = avx2!(_mm_set_epi64x(
        if BITS > 4 { word64(bytes, 8) } else { i64::from(word32(bytes, 8)) },
        word64(bytes, 0)
    ));
    let high = if BITS > 4 {
        let last = 4 * BITS - 16;
        avx2!(_mm_set_epi64x(word64(bytes, last + 8), word64(bytes, last)))
    } else {
        low
    };
    let tables = const { Tables::of(BITS) };
    avx2!({
        let both = _mm256_set_m128i(high, low);
        let table = |bytes: &[i8; 32]| _mm256_loadu_si256(bytes.as_ptr().cast());
        let factors = |words: &[i16; 16]| _mm256_loadu_si256(words.as_ptr().cast());
        let even = _mm256_shuffle_epi8(both, table(&tables.even));
        let odd = _mm256_shuffle_epi8(both, table(&tables.odd));
        // Now the integer is at the top of its sixteen bits.
        let even = _mm256_mullo_epi16(even, factors(&tables.even_factors));
        let odd = _mm256_mullo_epi16(odd, factors(&tables.odd_factors));
        let mask = _mm256_set1_epi16((((1 << BITS) - 1) << 8) as i16);
        let even = match BITS {
            3 => _mm256_srli_epi16(even, 13),
            5 => _mm256_srli_epi16(even, 11),
            _ => _mm256_srli_epi16(even, 10),
        };
        let odd = match BITS {
            3 => _mm256_srli_epi16(odd, 5),
            5 => _mm256_srli_epi16(odd, 3),
            _ => _mm256_srli_epi16(odd, 2),
        };
        _mm256_or_si256(even, _mm256_and_si256(odd, mask))
    })
}

/// Where the two bytes of each integer lie, and what brings it to the top of them.
struct Tables {
    even: [i8; 32],
    odd: [i8; 32],
    even_factors: [i16; 16],
    odd_factors: [i16; 16],
}

impl Tables {
    const fn of(bits: usize) -> Tables {
        let mut tables =
            Tables { even: [-1; 32], odd: [-1; 32], even_factors: [0; 16], odd_factors: [0; 16] };
        let mut i = 0;
        while i < 32 {
            let bit = i * bits;
            // The upper sixteen are looked up in the last sixteen bytes, or in all if that is less.
            let first = if i >= 16 && bits > 4 { 4 * bits - 16 } else { 0 };
            let byte = (bit / 8 - first) as i8;
            let straddles = bit % 8 + bits > 8;
            let second = if straddles { byte + 1 } else { -1 };
            let factor = 1_i32 << (16 - bits - bit % 8);
            let at = i / 2;
            if i % 2 == 0 {
                tables.even[2 * at] = byte;
                tables.even[2 * at + 1] = second;
                tables.even_factors[at] = factor as i16;
            } else {
                tables.odd[2 * at] = byte;
                tables.odd[2 * at + 1] = second;
                tables.odd_factors[at] = factor as i16;
            }
            i += 1;
        }
        tables
    }
}
