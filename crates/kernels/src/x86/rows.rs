//! Four groups of a row times several vectors, unpacked once: in registers for all of them.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;

use super::dots::{
    Fours, add_by_pairs, add_pairs, both, both_of_pairs, ints, is_short, prefetch, x86,
};
use super::unpack::thirty_two;
use crate::dots::{FOUR, WIDEST};

/// Registers that the weights of a group take, at most.
const RUNS: usize = WIDEST / 32;

/// How the products of a group with a vector are added, in eight lanes. A type rather than a
/// closure, so that it is sure to be inlined into code with the target features of its table.
pub(super) trait Group {
    fn sum<const BITS: usize, const GROUP: usize>(w: &[__m256i; RUNS], x: &[i8]) -> __m256i;
}

/// Products by pairs, as AVX2 has them.
pub(super) struct Pairs;

impl Group for Pairs {
    #[inline(always)]
    fn sum<const BITS: usize, const GROUP: usize>(w: &[__m256i; RUNS], x: &[i8]) -> __m256i {
        let (upper, lower) = x[..2 * GROUP].split_at(GROUP);
        let zero = x86!(_mm256_setzero_si256());
        let (mut upper_sum, mut lower_sum) = (zero, zero);
        for (run, w) in w.iter().enumerate().take(GROUP / 32) {
            let (upper, lower) = (ints(upper, 32 * run), ints(lower, 32 * run));
            if is_short(BITS, GROUP) {
                upper_sum = add_pairs(upper_sum, *w, upper);
                lower_sum = add_pairs(lower_sum, *w, lower);
            } else {
                upper_sum = add_by_pairs::<BITS>(upper_sum, *w, upper);
                lower_sum = add_by_pairs::<BITS>(lower_sum, *w, lower);
            }
        }
        match is_short(BITS, GROUP) {
            true => both_of_pairs(upper_sum, lower_sum),
            false => both(upper_sum, lower_sum),
        }
    }
}

impl<F: Fours> Group for F {
    #[inline(always)]
    fn sum<const BITS: usize, const GROUP: usize>(w: &[__m256i; RUNS], x: &[i8]) -> __m256i {
        let (upper, lower) = x[..2 * GROUP].split_at(GROUP);
        let zero = x86!(_mm256_setzero_si256());
        let (mut upper_sum, mut lower_sum) = (zero, zero);
        for (run, w) in w.iter().enumerate().take(GROUP / 32) {
            upper_sum = F::add(upper_sum, *w, ints(upper, 32 * run));
            lower_sum = F::add(lower_sum, *w, ints(lower, 32 * run));
        }
        both(upper_sum, lower_sum)
    }
}

/// See [`Dots::four`](crate::dots::Dots::four): each sum in two lanes, one of each half. Two groups
/// are unpacked at a time: sixteen registers hold them.
#[inline(always)]
pub(super) fn four<G: Group, const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
) -> [__m256i; V] {
    let bytes = GROUP * BITS / 8;
    let weights = &weights[..FOUR * bytes];
    prefetch(weights);
    let zero = x86!(_mm256_setzero_si256());
    let mut pairs = [[zero; V]; 2];
    for (n, pairs) in pairs.iter_mut().enumerate() {
        let mut w = [[zero; RUNS]; 2];
        for g in 0..2 {
            let weights = &weights[(2 * n + g) * bytes..][..bytes];
            for (run, w) in w[g].iter_mut().enumerate().take(GROUP / 32) {
                *w = thirty_two::<BITS, GROUP>(weights, run);
            }
        }
        for v in 0..V {
            let x = &x[v][..FOUR * 2 * GROUP][2 * n * 2 * GROUP..][..2 * 2 * GROUP];
            let first = G::sum::<BITS, GROUP>(&w[0], &x[..2 * GROUP]);
            let second = G::sum::<BITS, GROUP>(&w[1], &x[2 * GROUP..]);
            pairs[v] = x86!(_mm256_hadd_epi32(first, second));
        }
    }
    let mut out = [zero; V];
    for v in 0..V {
        out[v] = x86!(_mm256_hadd_epi32(pairs[0][v], pairs[1][v]));
    }
    out
}

/// A group of 64 integers, or one of 32 twice.
#[inline(always)]
pub(super) fn sixty_four<const BITS: usize, const GROUP: usize>(weights: &[u8]) -> __m512i {
    if GROUP == 32 {
        return x86!(_mm512_broadcast_i64x4(thirty_two::<BITS, GROUP>(weights, 0)));
    }
    let bytes = weights[..8 * BITS].as_ptr();
    x86!(match BITS {
        2 => {
            let bytes = _mm512_broadcast_i32x4(_mm_loadu_si128(bytes.cast()));
            let bytes = _mm512_srlv_epi64(bytes, _mm512_set_epi64(6, 6, 4, 4, 2, 2, 0, 0));
            _mm512_and_si512(bytes, _mm512_set1_epi8(3))
        }
        4 => {
            let bytes = _mm512_broadcast_i64x4(_mm256_loadu_si256(bytes.cast()));
            let bytes = _mm512_srlv_epi64(bytes, _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0));
            _mm512_and_si512(bytes, _mm512_set1_epi8(15))
        }
        _ => _mm512_loadu_si512(bytes.cast()),
    })
}

/// The products of a group with a vector in sixteen lanes.
#[inline(always)]
fn wide_sum<const GROUP: usize>(w: __m512i, x: &[i8]) -> __m512i {
    let x = x[..2 * GROUP].as_ptr();
    x86!({
        let first = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, _mm512_loadu_si512(x.cast()));
        if GROUP == 32 {
            // Upper bytes in the lower eight lanes, lower bytes in the others.
            let shifts = _mm512_zextsi256_si512(_mm256_set1_epi32(7));
            return _mm512_sllv_epi32(first, shifts);
        }
        let lower = _mm512_loadu_si512(x.add(GROUP).cast());
        _mm512_dpbusd_epi32(_mm512_slli_epi32(first, 7), w, lower)
    })
}

/// The same by AVX-512 VNNI: each sum in four lanes, one of each quarter.
#[inline(always)]
pub(super) fn wide_four<const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
) -> [__m512i; V] {
    let bytes = GROUP * BITS / 8;
    let weights = &weights[..FOUR * bytes];
    prefetch(weights);
    let zero = x86!(_mm512_setzero_si512());
    let mut w = [zero; FOUR];
    for g in 0..FOUR {
        w[g] = sixty_four::<BITS, GROUP>(&weights[g * bytes..][..bytes]);
    }
    let mut out = [zero; V];
    for v in 0..V {
        let x = &x[v][..FOUR * 2 * GROUP];
        let mut sums = [zero; FOUR];
        for g in 0..FOUR {
            sums[g] = wide_sum::<GROUP>(w[g], &x[g * 2 * GROUP..][..2 * GROUP]);
        }
        let [a, b, c, d] = sums;
        out[v] = x86!({
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
        });
    }
    out
}

/// Sixteen groups, a lane each.
#[inline(always)]
pub(super) fn wide_join([a, b, c, d]: [__m512i; 4]) -> __m512i {
    x86!({
        let ab =
            _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xee));
        let cd =
            _mm512_add_epi32(_mm512_shuffle_i32x4(c, d, 0x44), _mm512_shuffle_i32x4(c, d, 0xee));
        _mm512_add_epi32(_mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd))
    })
}
