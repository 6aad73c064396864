//! Sums of products of packed integers with AVX2, AVX-VNNI and AVX-512 VNNI.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::avx512::Avx512;
use super::unpack::thirty_two;
use crate::dots::{Dots, TILE};

/// Evaluates intrinsics of the table that calls.
macro_rules! x86 {
    ($body:expr) => {{
        // SAFETY: these types are private to the x86 tables, whose functions are compiled with, and
        // called only where the processor has, the features that the type names. Pointers come
        // from slices whose length was checked for as many bytes as the intrinsic touches; it takes
        // any alignment.
        unsafe { $body }
    }};
}

/// AVX2, results as two registers of eight.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Dots;
/// AVX-VNNI beside AVX2.
#[derive(Clone, Copy)]
pub(crate) struct VnniDots;
/// AVX2 integers, results as one register of AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Dots;
/// AVX-512 VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512VnniDots;

/// What a product of two adjacent bytes with two integers is at most.
const fn pair_max(bits: usize) -> i32 {
    ((1 << bits) - 1) * 2 * 127
}

const I16_MAX: i32 = i16::MAX as i32;

#[inline(always)]
fn ints(from: &[i8], at: usize) -> __m256i {
    let from = &from[at..][..32];
    x86!(_mm256_loadu_si256(from.as_ptr().cast()))
}

/// Sums over whole groups in eight 32-bit lanes of each: the lanes of group i added, in lane i.
#[inline(always)]
fn add_lanes(g: [__m256i; 8]) -> __m256i {
    x86!({
        let low = _mm256_hadd_epi32(_mm256_hadd_epi32(g[0], g[1]), _mm256_hadd_epi32(g[2], g[3]));
        let high = _mm256_hadd_epi32(_mm256_hadd_epi32(g[4], g[5]), _mm256_hadd_epi32(g[6], g[7]));
        add_halves(low, high)
    })
}

/// How far ahead of the multiplication weights are asked for, in bytes.
const AHEAD: usize = 2048;

/// Asks for the cache lines that follow these weights by [`AHEAD`] bytes.
#[inline(always)]
fn prefetch(weights: &[u8]) {
    for at in (0..weights.len()).step_by(64) {
        let place = weights.as_ptr().wrapping_add(at + AHEAD);
        x86!(_mm_prefetch::<_MM_HINT_T0>(place.cast()));
    }
}

/// Four groups in both halves of `low`, four in those of `high`.
#[inline(always)]
fn add_halves(low: __m256i, high: __m256i) -> __m256i {
    x86!(_mm256_add_epi32(
        _mm256_permute2x128_si256(low, high, 0x20),
        _mm256_permute2x128_si256(low, high, 0x31),
    ))
}

/// The integer of each lane, from the sums with upper and with lower bytes.
#[inline(always)]
fn both(upper: __m256i, lower: __m256i) -> __m256i {
    x86!(_mm256_add_epi32(_mm256_slli_epi32(upper, 7), lower))
}

/// The same from sums in pairs of sixteen bits.
#[inline(always)]
fn both_of_pairs(upper: __m256i, lower: __m256i) -> __m256i {
    x86!({
        let upper = _mm256_madd_epi16(upper, _mm256_set1_epi16(128));
        _mm256_add_epi32(upper, _mm256_madd_epi16(lower, _mm256_set1_epi16(1)))
    })
}

/// Sums of eight groups by multiplications that add pairs in sixteen bits.
#[inline(always)]
fn eight_by_pairs<const BITS: usize, const GROUP: usize>(
    weights: &[u8],
    x: &[i8],
    count: usize,
) -> __m256i {
    let bytes = GROUP * BITS / 8;
    let weights = &weights[..count * bytes];
    let x = &x[..2 * count * GROUP];
    prefetch(weights);
    let zero = x86!(_mm256_setzero_si256());
    // Whether sixteen bits hold the sums of a whole group.
    let short = BITS < 8 && pair_max(BITS) * (GROUP / 32) as i32 <= I16_MAX;
    let mut g = [zero; 8];
    for (n, g) in g.iter_mut().enumerate().take(count) {
        let weights = &weights[n * bytes..][..bytes];
        let (upper, lower) = x[2 * n * GROUP..][..2 * GROUP].split_at(GROUP);
        let (mut upper_sum, mut lower_sum) = (zero, zero);
        for run in 0..GROUP / 32 {
            let w = thirty_two::<BITS, GROUP>(weights, run);
            let (upper, lower) = (ints(upper, 32 * run), ints(lower, 32 * run));
            if short {
                upper_sum = add_pairs(upper_sum, w, upper);
                lower_sum = add_pairs(lower_sum, w, lower);
            } else {
                upper_sum = add_by_pairs::<BITS>(upper_sum, w, upper);
                lower_sum = add_by_pairs::<BITS>(lower_sum, w, lower);
            }
        }
        *g = if short { both_of_pairs(upper_sum, lower_sum) } else { both(upper_sum, lower_sum) };
    }
    add_lanes(g)
}

/// sum + two products, in sixteen bits.
#[inline(always)]
fn add_pairs(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
    x86!(_mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x)))
}

/// sum + four products a lane; sixteen bits hold two products of seven bits, not of eight.
#[inline(always)]
fn add_by_pairs<const BITS: usize>(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
    let ones = x86!(_mm256_set1_epi16(1));
    if BITS < 8 {
        return x86!(_mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones)));
    }
    x86!({
        let mask = _mm256_set1_epi8(15);
        let low = _mm256_maddubs_epi16(_mm256_and_si256(w, mask), x);
        let high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(w, 4), mask), x);
        let sixteens = _mm256_madd_epi16(high, _mm256_set1_epi16(16));
        _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(low, ones), sixteens))
    })
}

/// An instruction that adds four products to each lane. A type rather than a closure, so that it
/// is sure to be inlined into code with the target features of its table.
trait Fours {
    fn add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i;
}

impl Fours for VnniDots {
    #[inline(always)]
    fn add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
        x86!(_mm256_dpbusd_avx_epi32(sum, w, x))
    }
}

impl Fours for Avx512VnniDots {
    #[inline(always)]
    fn add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
        x86!(_mm256_dpbusd_epi32(sum, w, x))
    }
}

#[inline(always)]
fn eight_by_fours<F: Fours, const BITS: usize, const GROUP: usize>(
    weights: &[u8],
    x: &[i8],
    count: usize,
) -> __m256i {
    let bytes = GROUP * BITS / 8;
    let weights = &weights[..count * bytes];
    let x = &x[..2 * count * GROUP];
    prefetch(weights);
    let zero = x86!(_mm256_setzero_si256());
    let mut g = [zero; 8];
    for (n, g) in g.iter_mut().enumerate().take(count) {
        let weights = &weights[n * bytes..][..bytes];
        let (upper, lower) = x[2 * n * GROUP..][..2 * GROUP].split_at(GROUP);
        let (mut upper_sum, mut lower_sum) = (zero, zero);
        for run in 0..GROUP / 32 {
            let w = thirty_two::<BITS, GROUP>(weights, run);
            upper_sum = F::add(upper_sum, w, ints(upper, 32 * run));
            lower_sum = F::add(lower_sum, w, ints(lower, 32 * run));
        }
        *g = both(upper_sum, lower_sum);
    }
    add_lanes(g)
}

/// Four columns of each of eight rows from eight columns times four of each: a transposition.
#[inline(always)]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let mut twos = rows;
    let mut fours = rows;
    let mut out = rows;
    for i in 0..4 {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        twos[2 * i] = x86!(_mm256_unpacklo_epi32(a, b));
        twos[2 * i + 1] = x86!(_mm256_unpackhi_epi32(a, b));
    }
    for i in 0..4 {
        let at = i / 2 * 4 + i % 2;
        let (a, b) = (twos[at], twos[at + 2]);
        fours[2 * i] = x86!(_mm256_unpacklo_epi64(a, b));
        fours[2 * i + 1] = x86!(_mm256_unpackhi_epi64(a, b));
    }
    for i in 0..4 {
        let (a, b) = (fours[i], fours[i + 4]);
        out[i] = x86!(_mm256_permute2x128_si256(a, b, 0x20));
        out[i + 4] = x86!(_mm256_permute2x128_si256(a, b, 0x31));
    }
    out
}

#[inline(always)]
fn interleave<const BITS: usize, const GROUP: usize>(rows: &[&[u8]; TILE], out: &mut [u8]) {
    let out = &mut out[..TILE * GROUP];
    for run in 0..GROUP / 32 {
        for half in 0..2 {
            let mut eight = [x86!(_mm256_setzero_si256()); 8];
            for (r, eight) in eight.iter_mut().enumerate() {
                *eight = thirty_two::<BITS, GROUP>(rows[8 * half + r], run);
            }
            for (step, columns) in transpose(eight).into_iter().enumerate() {
                let to = &mut out[(8 * run + step) * 4 * TILE + 32 * half..][..32];
                x86!(_mm256_storeu_si256(to.as_mut_ptr().cast(), columns));
            }
        }
    }
}

/// Four integers in every lane.
#[inline(always)]
fn four(x: &[i8], step: usize) -> i32 {
    let [a, b, c, d] = *x[4 * step..].first_chunk().expect("a whole group is always passed");
    i32::from_le_bytes([a as u8, b as u8, c as u8, d as u8])
}

#[inline(always)]
fn load(weights: &[u8], at: usize) -> __m256i {
    let weights = &weights[at..][..32];
    x86!(_mm256_loadu_si256(weights.as_ptr().cast()))
}

/// Steps of four columns whose sums sixteen bits hold.
const fn short_steps(bits: usize, group: usize) -> usize {
    let most = I16_MAX / pair_max(bits);
    let mut steps = group / 4;
    while steps as i32 > most && steps > 1 {
        steps /= 2;
    }
    steps
}

/// Vectors whose sums of sixteen rows, of upper and of lower bytes, registers hold.
const TWO: usize = 2;

/// Sixteen rows as two registers, for each vector.
#[inline(always)]
fn tile_by_pairs<const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
) -> [[__m256i; 2]; V] {
    let weights = &weights[..TILE * GROUP];
    let zero = x86!(_mm256_setzero_si256());
    let mut out = [[zero; 2]; V];
    let steps = const { short_steps(BITS, GROUP) };
    for (out, x) in out.chunks_exact_mut(TWO).zip(x.chunks_exact(TWO)) {
        for first in (0..GROUP / 4).step_by(steps) {
            // Of each vector the upper bytes with both halves of the rows, then the lower ones.
            let mut sums = [[[zero; 2]; 2]; TWO];
            for step in first..first + steps {
                let w = [load(weights, 64 * step), load(weights, 64 * step + 32)];
                for v in 0..TWO {
                    for byte in 0..2 {
                        let x = x86!(_mm256_set1_epi32(four(&x[v][byte * GROUP..], step)));
                        for h in 0..2 {
                            let sum = sums[v][byte][h];
                            sums[v][byte][h] = match BITS {
                                8 => add_by_pairs::<8>(sum, w[h], x),
                                _ => add_pairs(sum, w[h], x),
                            };
                        }
                    }
                }
            }
            for v in 0..TWO {
                for h in 0..2 {
                    let [upper, lower] = [sums[v][0][h], sums[v][1][h]];
                    let sum =
                        if BITS == 8 { both(upper, lower) } else { both_of_pairs(upper, lower) };
                    out[v][h] = x86!(_mm256_add_epi32(out[v][h], sum));
                }
            }
        }
    }
    out
}

#[inline(always)]
fn tile_by_fours<F: Fours, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
) -> [[__m256i; 2]; V] {
    let weights = &weights[..TILE * GROUP];
    let zero = x86!(_mm256_setzero_si256());
    let mut out = [[zero; 2]; V];
    for (out, x) in out.chunks_exact_mut(TWO).zip(x.chunks_exact(TWO)) {
        let mut sums = [[[zero; 2]; 2]; TWO];
        for step in 0..GROUP / 4 {
            let w = [load(weights, 64 * step), load(weights, 64 * step + 32)];
            for v in 0..TWO {
                for byte in 0..2 {
                    let x = x86!(_mm256_set1_epi32(four(&x[v][byte * GROUP..], step)));
                    for h in 0..2 {
                        sums[v][byte][h] = F::add(sums[v][byte][h], w[h], x);
                    }
                }
            }
        }
        for v in 0..TWO {
            out[v] = [both(sums[v][0][0], sums[v][1][0]), both(sums[v][0][1], sums[v][1][1])];
        }
    }
    out
}

#[inline(always)]
fn two_registers(low: __m256i, high: __m256i) -> Avx2 {
    x86!(Avx2(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)))
}

#[inline(always)]
fn one_register(low: __m256i, high: __m256i) -> Avx512 {
    x86!({
        let both = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        Avx512(_mm512_cvtepi32_ps(both))
    })
}

/// The sixteen rows of each vector as f32.
#[inline(always)]
fn joined<D: Dots<Eight = __m256i>, const V: usize>(sums: [[__m256i; 2]; V]) -> [D::L; V] {
    let mut out = [D::join(sums[0][0], sums[0][1]); V];
    for v in 1..V {
        out[v] = D::join(sums[v][0], sums[v][1]);
    }
    out
}

/// What the four have in common.
macro_rules! common {
    ($lanes:ty, $join:ident) => {
        type L = $lanes;
        type Eight = __m256i;

        #[inline(always)]
        fn none() -> __m256i {
            x86!(_mm256_setzero_si256())
        }
        #[inline(always)]
        fn join(low: __m256i, high: __m256i) -> $lanes {
            $join(low, high)
        }
        #[inline(always)]
        fn interleave<const BITS: usize, const GROUP: usize>(rows: &[&[u8]; TILE], out: &mut [u8]) {
            interleave::<BITS, GROUP>(rows, out);
        }
    };
}

/// Sums of groups by one instruction for four products.
macro_rules! fours {
    () => {
        #[inline(always)]
        fn eight<const BITS: usize, const GROUP: usize>(
            w: &[u8],
            x: &[i8],
            count: usize,
        ) -> __m256i {
            eight_by_fours::<Self, BITS, GROUP>(w, x, count)
        }
    };
}

/// Products by pairs, as AVX2 has them.
macro_rules! pairs {
    () => {
        #[inline(always)]
        fn eight<const BITS: usize, const GROUP: usize>(
            w: &[u8],
            x: &[i8],
            count: usize,
        ) -> __m256i {
            eight_by_pairs::<BITS, GROUP>(w, x, count)
        }
        #[inline(always)]
        fn tile<const BITS: usize, const GROUP: usize, const V: usize>(
            w: &[u8],
            x: [&[i8]; V],
        ) -> [Self::L; V] {
            joined::<Self, V>(tile_by_pairs::<BITS, GROUP, V>(w, x))
        }
    };
}

impl Dots for Avx2Dots {
    common!(Avx2, two_registers);
    pairs!();
}

impl Dots for Avx512Dots {
    common!(Avx512, one_register);
    pairs!();
}

impl Dots for VnniDots {
    common!(Avx2, two_registers);
    fours!();

    #[inline(always)]
    fn tile<const BITS: usize, const GROUP: usize, const V: usize>(
        w: &[u8],
        x: [&[i8]; V],
    ) -> [Avx2; V] {
        joined::<Self, V>(tile_by_fours::<Self, GROUP, V>(w, x))
    }
}

impl Dots for Avx512VnniDots {
    common!(Avx512, one_register);
    fours!();

    #[inline(always)]
    fn tile<const BITS: usize, const GROUP: usize, const V: usize>(
        weights: &[u8],
        x: [&[i8]; V],
    ) -> [Avx512; V] {
        let weights = &weights[..TILE * GROUP];
        let mut sums = [[x86!(_mm512_setzero_si512()); V]; 2];
        for step in 0..GROUP / 4 {
            let w = &weights[64 * step..][..64];
            let w = x86!(_mm512_loadu_si512(w.as_ptr().cast()));
            for (byte, sums) in sums.iter_mut().enumerate() {
                for v in 0..V {
                    let x = x86!(_mm512_set1_epi32(four(&x[v][byte * GROUP..], step)));
                    sums[v] = x86!(_mm512_dpbusd_epi32(sums[v], w, x));
                }
            }
        }
        let mut out = [Avx512(x86!(_mm512_setzero_ps())); V];
        for v in 0..V {
            let upper = x86!(_mm512_slli_epi32(sums[0][v], 7));
            let both = x86!(_mm512_add_epi32(upper, sums[1][v]));
            out[v] = x86!(Avx512(_mm512_cvtepi32_ps(both)));
        }
        out
    }
}
