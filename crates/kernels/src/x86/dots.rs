//! Sums of products of packed integers with AVX2, AVX-VNNI and AVX-512 VNNI.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::avx2::Avx2;
use super::avx512::Avx512;
use super::rows::{Pairs, four as four_groups, wide_four, wide_join};
use super::tiles::{four, interleave, short_steps, starts, tile_by_fours, tile_by_pairs, turn};
use super::unpack::thirty_two;
use crate::dots::{Dots, TILE};
use crate::ops::integers::{TileScratch, unpack};
use crate::{Float, Matrix};

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
pub(super) use x86;

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
pub(super) const fn pair_max(bits: usize) -> i32 {
    ((1 << bits) - 1) * 2 * 127
}

/// Whether sixteen bits hold the sums of a whole group.
pub(super) const fn is_short(bits: usize, group: usize) -> bool {
    bits < 8 && pair_max(bits) * (group / 32) as i32 <= i16::MAX as i32
}

#[inline(always)]
pub(super) fn ints(from: &[i8], at: usize) -> __m256i {
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
pub(super) fn prefetch(weights: &[u8]) {
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
pub(super) fn both(upper: __m256i, lower: __m256i) -> __m256i {
    x86!(_mm256_add_epi32(_mm256_slli_epi32(upper, 7), lower))
}

/// The same from sums in pairs of sixteen bits.
#[inline(always)]
pub(super) fn both_of_pairs(upper: __m256i, lower: __m256i) -> __m256i {
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
    let short = is_short(BITS, GROUP);
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
pub(super) fn add_pairs(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
    x86!(_mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x)))
}

/// sum + four products a lane; sixteen bits hold two products of seven bits, not of eight.
#[inline(always)]
pub(super) fn add_by_pairs<const BITS: usize>(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
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
pub(super) trait Fours {
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

/// Compiled once for both tables: there are eighteen forms of it.
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_once(m: &Matrix<'_>, first: usize, panel: &Range<usize>, scratch: &mut TileScratch) {
    unpack::<Avx2Dots>(m, first, panel, scratch);
}

/// The same with AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn unpack_wide(m: &Matrix<'_>, first: usize, panel: &Range<usize>, scratch: &mut TileScratch) {
    unpack::<Avx512Dots>(m, first, panel, scratch);
}

/// What the four have in common.
macro_rules! common {
    ($lanes:ty, $join:ident, $wide:literal, $once:ident) => {
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
        fn interleave<const BITS: usize, const GROUP: usize>(
            rows: &[u8],
            bytes: Range<usize>,
            out: &mut [u8],
        ) {
            interleave::<BITS, GROUP, $wide>(rows, bytes, out);
        }
        #[inline(always)]
        fn turn(params: Float, rows: &[u8], out: &mut [f32]) {
            turn(params, rows, out);
        }
        #[inline(always)]
        fn unpack(m: &Matrix<'_>, first: usize, panel: &Range<usize>, scratch: &mut TileScratch) {
            x86!($once(m, first, panel, scratch));
        }
    };
}

/// Fours of groups in registers of AVX2, products as `$group` has them.
macro_rules! halves {
    ($group:ty) => {
        type Four = __m256i;

        #[inline(always)]
        fn four<const BITS: usize, const GROUP: usize, const V: usize>(
            w: &[u8],
            x: [&[i8]; V],
        ) -> [__m256i; V] {
            four_groups::<$group, BITS, GROUP, V>(w, x)
        }
        #[inline(always)]
        fn no_four() -> __m256i {
            x86!(_mm256_setzero_si256())
        }
        #[inline(always)]
        fn join_fours([a, b, c, d]: [__m256i; 4]) -> Self::L {
            Self::join(add_halves(a, b), add_halves(c, d))
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
        fn tile<const V: usize>(
            (bits, group): (usize, usize),
            w: &[u8],
            x: [&[i8]; V],
        ) -> [Self::L; V] {
            joined::<Self, V>(match bits {
                8 => tile_by_pairs::<true, V>((1, group), w, x),
                _ => tile_by_pairs::<false, V>((short_steps(bits, group), group), w, x),
            })
        }
    };
}

impl Dots for Avx2Dots {
    const ROWS_UP_TO: usize = 6;

    common!(Avx2, two_registers, false, unpack_once);
    halves!(Pairs);
    pairs!();
}

impl Dots for Avx512Dots {
    const ROWS_UP_TO: usize = 3;

    common!(Avx512, one_register, true, unpack_wide);
    halves!(Pairs);
    pairs!();
}

impl Dots for VnniDots {
    const ROWS_UP_TO: usize = 3;

    common!(Avx2, two_registers, false, unpack_once);
    halves!(Self);
    fours!();

    #[inline(always)]
    fn tile<const V: usize>((_, group): (usize, usize), w: &[u8], x: [&[i8]; V]) -> [Avx2; V] {
        joined::<Self, V>(tile_by_fours::<Self, V>(group, w, x))
    }
}

impl Dots for Avx512VnniDots {
    const ROWS_UP_TO: usize = 3;

    common!(Avx512, one_register, true, unpack_wide);
    fours!();

    type Four = __m512i;

    #[inline(always)]
    fn four<const BITS: usize, const GROUP: usize, const V: usize>(
        w: &[u8],
        x: [&[i8]; V],
    ) -> [__m512i; V] {
        wide_four::<BITS, GROUP, V>(w, x)
    }
    #[inline(always)]
    fn no_four() -> __m512i {
        x86!(_mm512_setzero_si512())
    }
    #[inline(always)]
    fn join_fours(fours: [__m512i; 4]) -> Avx512 {
        x86!(Avx512(_mm512_cvtepi32_ps(wide_join(fours))))
    }

    const EIGHT_TOGETHER: bool = true;

    #[inline(always)]
    fn tile<const V: usize>(
        (_, group): (usize, usize),
        weights: &[u8],
        x: [&[i8]; V],
    ) -> [Avx512; V] {
        let x = starts(&x, group);
        let zero = x86!(_mm512_setzero_si512());
        let (mut upper, mut lower) = ([zero; V], [zero; V]);
        if V == 8 {
            for (step, w) in weights[..TILE * group].as_chunks::<64>().0.iter().enumerate() {
                add_step(&mut upper, &mut lower, w, &x, (4 * step, group));
            }
        } else {
            // Sums under way at the same time hide how long one addition takes.
            let (mut second, mut another) = ([zero; V], [zero; V]);
            for (run, w) in weights[..TILE * group].as_chunks::<128>().0.iter().enumerate() {
                let (w, next) = w.split_at(64);
                add_step(&mut upper, &mut lower, w, &x, (8 * run, group));
                add_step(&mut second, &mut another, next, &x, (8 * run + 4, group));
            }
            for v in 0..V {
                upper[v] = x86!(_mm512_add_epi32(upper[v], second[v]));
                lower[v] = x86!(_mm512_add_epi32(lower[v], another[v]));
            }
        }
        let mut out = [Avx512(x86!(_mm512_setzero_ps())); V];
        for v in 0..V {
            let both = x86!(_mm512_add_epi32(_mm512_slli_epi32(upper[v], 7), lower[v]));
            out[v] = x86!(Avx512(_mm512_cvtepi32_ps(both)));
        }
        out
    }
}

/// Four columns of sixteen rows with as many integers of each vector, from number `at` of the
/// upper and of the lower bytes on.
#[inline(always)]
fn add_step<const V: usize>(
    upper: &mut [__m512i; V],
    lower: &mut [__m512i; V],
    w: &[u8],
    x: &[*const i8; V],
    (at, group): (usize, usize),
) {
    let w = &w[..64];
    let w = x86!(_mm512_loadu_si512(w.as_ptr().cast()));
    for v in 0..V {
        let integers = x86!(_mm512_set1_epi32(four(x[v], at)));
        upper[v] = x86!(_mm512_dpbusd_epi32(upper[v], w, integers));
        let integers = x86!(_mm512_set1_epi32(four(x[v], group + at)));
        lower[v] = x86!(_mm512_dpbusd_epi32(lower[v], w, integers));
    }
}
