//! Sixteen rows side by side: how they are laid so, and their sums with vectors by AVX2 and AVX-VNNI.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::dots::{Fours, add_by_pairs, add_pairs, both, both_of_pairs, pair_max, x86};
use super::unpack::thirty_two;
use crate::Float;
use crate::activations::{planes, unit};
use crate::dots::TILE;

/// Rows that are transposed together.
const HALF: usize = TILE / 2;
/// 32-bit words of a row that are transposed together.
const WORDS: usize = 8;

/// Word i of every row, for eight words.
#[inline(always)]
fn transpose(rows: [__m256i; HALF]) -> [__m256i; WORDS] {
    // Words 0 to 3 of rows i and i + 4, and words 4 to 7 of them.
    let (mut low, mut high) = ([rows[0]; 4], [rows[0]; 4]);
    for i in 0..4 {
        let (a, b) = (rows[i], rows[i + 4]);
        low[i] = x86!(_mm256_permute2x128_si256(a, b, 0x20));
        high[i] = x86!(_mm256_permute2x128_si256(a, b, 0x31));
    }
    let ([a, b, c, d], [e, f, g, h]) = (fours(low), fours(high));
    [a, b, c, d, e, f, g, h]
}

/// Word i of four rows, within each half of the registers.
#[inline(always)]
fn fours([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    x86!({
        let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (lower, higher) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(low, lower),
            _mm256_unpackhi_epi64(low, lower),
            _mm256_unpacklo_epi64(high, higher),
            _mm256_unpackhi_epi64(high, higher),
        ]
    })
}

/// Four words from byte `at` on of eight rows of `bytes` bytes, a word of all rows together.
#[inline(always)]
pub(super) fn words(rows: &[u8], bytes: usize, at: usize) -> [__m256i; WORDS / 2] {
    // One look for all loads: the last row's ends where this does.
    let rows = rows[at..][..(HALF - 1) * bytes + 16].as_ptr();
    let mut halves = [x86!(_mm256_setzero_si256()); 4];
    for (i, half) in halves.iter_mut().enumerate() {
        *half = x86!({
            let low = _mm_loadu_si128(rows.add(i * bytes).cast());
            let high = _mm_loadu_si128(rows.add((i + 4) * bytes).cast());
            _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)
        });
    }
    fours(halves)
}

#[inline(always)]
fn store(to: &mut [u8], bytes: __m256i) {
    let to = &mut to[..32];
    x86!(_mm256_storeu_si256(to.as_mut_ptr().cast(), bytes));
}

/// Asks for byte `at` of some of the next sixteen rows, each of which has a line of the cache there
/// for two steps of 32 bytes: a quarter of them in each half of each step. As many requests as the
/// processor keeps open would hold it up if they came at once. The second cache is near enough, and
/// the first one is full.
#[inline(always)]
fn announce(rows: &[u8], at: usize, step: usize, half: usize) {
    let bytes = rows.len() / TILE;
    let next = rows.as_ptr().wrapping_add(rows.len() + at / 64 * 64);
    for row in 0..4 {
        let row = 8 * step + 4 * half + row;
        x86!(_mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(row * bytes).cast()));
    }
}

/// See [`Dots::interleave`](crate::dots::Dots::interleave). `WIDE` has registers of AVX-512.
#[inline(always)]
pub(super) fn interleave<const BITS: usize, const GROUP: usize, const WIDE: bool>(
    rows: &[u8],
    bytes: Range<usize>,
    out: &mut [u8],
) {
    if !matches!(BITS, 2 | 4 | 8) {
        return straddling::<BITS, GROUP>(rows, bytes.start, out);
    }
    let of_row = rows.len() / TILE;
    let whole = bytes.len() / 32 * 32;
    for done in (0..whole).step_by(32) {
        let at = bytes.start + done;
        for half in 0..2 {
            announce(rows, at, done / 32 % 2, half);
            if WIDE {
                let words = wide_words(rows, of_row, at + 16 * half);
                for (i, words) in words.into_iter().enumerate() {
                    let word = done / 4 + WORDS / 2 * half + i;
                    wide_planes_of::<BITS, GROUP>(words, word, out);
                }
                continue;
            }
            let rows = &rows[HALF * half * of_row..];
            for (first, at) in [(0, at), (WORDS / 2, at + 16)] {
                for (i, words) in words(rows, of_row, at).into_iter().enumerate() {
                    planes_of::<BITS, GROUP>(words, done / 4 + first + i, half, out);
                }
            }
        }
    }
    let rest = bytes.len() - whole;
    if rest == 0 {
        return;
    }
    let mut last = [0; TILE * 32];
    for (last, row) in last.as_chunks_mut::<32>().0.iter_mut().zip(rows.chunks_exact(of_row)) {
        last[..rest].copy_from_slice(&row[bytes.start + whole..][..rest]);
    }
    for half in 0..2 {
        let rows = &last[HALF * half * 32..];
        let words = words(rows, 32, 0).into_iter().chain(words(rows, 32, 16));
        for (i, words) in words.enumerate().take(rest / 4) {
            planes_of::<BITS, GROUP>(words, whole / 4 + i, half, out);
        }
    }
}

/// Where the four columns that a plane of a word holds go, for all rows: the words of a unit are
/// its first steps, then come those of the next plane.
#[inline(always)]
const fn place(bits: usize, group: usize, word: usize, plane: usize) -> usize {
    let words = unit(group) * bits / 32;
    let step = word / words * unit(group) / 4 + word % words + plane * words;
    step * 4 * TILE
}

/// Writes what lies in word `word` of eight rows: four columns a plane.
#[inline(always)]
fn planes_of<const BITS: usize, const GROUP: usize>(
    words: __m256i,
    word: usize,
    half: usize,
    out: &mut [u8],
) {
    let mask = x86!(_mm256_set1_epi8(((1_u32 << BITS) - 1) as i8));
    for plane in 0..planes(BITS) {
        let bytes = x86!(match (BITS, plane) {
            (_, 0) => words,
            (2, 1) => _mm256_srli_epi16(words, 2),
            (2, 2) | (4, 1) => _mm256_srli_epi16(words, 4),
            _ => _mm256_srli_epi16(words, 6),
        });
        let bytes = if BITS == 8 { bytes } else { x86!(_mm256_and_si256(bytes, mask)) };
        store(&mut out[place(BITS, GROUP, word, plane) + 32 * half..], bytes);
    }
}

/// Four words from byte `at` on of sixteen rows, a word of all rows together.
#[inline(always)]
pub(super) fn wide_words(rows: &[u8], bytes: usize, at: usize) -> [__m512i; WORDS / 2] {
    let rows = rows[at..][..(TILE - 1) * bytes + 16].as_ptr();
    let mut fours = [x86!(_mm512_setzero_si512()); 4];
    for (i, four) in fours.iter_mut().enumerate() {
        *four = x86!({
            let row = |row: usize| _mm_loadu_si128(rows.add(row * bytes).cast());
            let all = _mm512_castsi128_si512(row(i));
            let all = _mm512_inserti32x4::<1>(all, row(i + 4));
            let all = _mm512_inserti32x4::<2>(all, row(i + 8));
            _mm512_inserti32x4::<3>(all, row(i + 12))
        });
    }
    let [a, b, c, d] = fours;
    x86!({
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (lower, higher) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(low, lower),
            _mm512_unpackhi_epi64(low, lower),
            _mm512_unpacklo_epi64(high, higher),
            _mm512_unpackhi_epi64(high, higher),
        ]
    })
}

/// [`planes_of`] of all sixteen rows.
#[inline(always)]
fn wide_planes_of<const BITS: usize, const GROUP: usize>(
    words: __m512i,
    word: usize,
    out: &mut [u8],
) {
    let mask = x86!(_mm512_set1_epi8(((1_u32 << BITS) - 1) as i8));
    for plane in 0..planes(BITS) {
        let bytes = x86!(match (BITS, plane) {
            (_, 0) => words,
            (2, 1) => _mm512_srli_epi16::<2>(words),
            (2, 2) | (4, 1) => _mm512_srli_epi16::<4>(words),
            _ => _mm512_srli_epi16::<6>(words),
        });
        let bytes = if BITS == 8 { bytes } else { x86!(_mm512_and_si512(bytes, mask)) };
        let to = &mut out[place(BITS, GROUP, word, plane)..][..4 * TILE];
        x86!(_mm512_storeu_si512(to.as_mut_ptr().cast(), bytes));
    }
}

/// Integers that straddle bytes are unpacked first.
#[inline(always)]
fn straddling<const BITS: usize, const GROUP: usize>(rows: &[u8], start: usize, out: &mut [u8]) {
    let (bytes, of_group) = (rows.len() / TILE, GROUP * BITS / 8);
    for (g, out) in out.chunks_exact_mut(TILE * GROUP).enumerate() {
        for (run, half) in (0..GROUP / 32).flat_map(|run| [(run, 0), (run, 1)]) {
            let mut eight = [x86!(_mm256_setzero_si256()); HALF];
            for (r, eight) in eight.iter_mut().enumerate() {
                let weights = &rows[(HALF * half + r) * bytes + start + g * of_group..][..of_group];
                *eight = thirty_two::<BITS, GROUP>(weights, run);
            }
            let eight = transpose(eight);
            for step in 0..WORDS {
                store(&mut out[(8 * run + step) * 4 * TILE + 32 * half..], eight[step]);
            }
        }
    }
}

/// Eight floats.
#[inline(always)]
fn eight_floats(params: Float, bytes: &[u8]) -> __m256i {
    let bytes = bytes[..WORDS * params.bytes()].as_ptr();
    x86!(match params {
        Float::F32 => _mm256_loadu_si256(bytes.cast()),
        Float::F16 => _mm256_castps_si256(_mm256_cvtph_ps(_mm_loadu_si128(bytes.cast()))),
        Float::Bf16 => {
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(bytes.cast())), 16)
        }
    })
}

/// See [`Dots::turn`](crate::dots::Dots::turn).
#[inline(always)]
pub(super) fn turn(params: Float, rows: &[u8], out: &mut [f32]) {
    let (bytes, whole) = (rows.len() / TILE, out.len() / TILE / WORDS * WORDS);
    for first in (0..whole).step_by(WORDS) {
        let out = &mut out[first * TILE..][..WORDS * TILE];
        for half in 0..2 {
            let mut floats = [x86!(_mm256_setzero_si256()); HALF];
            for (r, floats) in floats.iter_mut().enumerate() {
                let at = (HALF * half + r) * bytes + first * params.bytes();
                *floats = eight_floats(params, &rows[at..]);
            }
            let numbers = transpose(floats);
            for i in 0..WORDS {
                let to = &mut out[i * TILE + HALF * half..][..HALF];
                x86!(_mm256_storeu_ps(to.as_mut_ptr(), _mm256_castsi256_ps(numbers[i])));
            }
        }
    }
    crate::dots::turn_from(whole, params, rows, out);
}

/// Where the integers of vectors begin, upper and lower bytes of one group each.
#[inline(always)]
pub(super) fn starts<const V: usize>(x: &[&[i8]; V], group: usize) -> [*const i8; V] {
    let mut starts = [x[0].as_ptr(); V];
    for v in 0..V {
        starts[v] = x[v][..2 * group].as_ptr();
    }
    starts
}

/// Four integers of a vector from number `at` on, in every lane.
///
/// # Safety
/// There are so many from `start` on.
#[inline(always)]
pub(super) unsafe fn four(start: *const i8, at: usize) -> i32 {
    // SAFETY: the caller's.
    unsafe { start.add(at).cast::<i32>().read_unaligned() }
}

#[inline(always)]
fn load(weights: &[u8], at: usize) -> __m256i {
    let weights = &weights[at..][..32];
    x86!(_mm256_loadu_si256(weights.as_ptr().cast()))
}

/// Steps of four columns whose sums sixteen bits hold, for weights of less than eight bits.
pub(super) const fn short_steps(bits: usize, group: usize) -> usize {
    let most = i16::MAX as i32 / pair_max(bits);
    let mut steps = group / 4;
    while steps as i32 > most && steps > 1 {
        steps /= 2;
    }
    steps
}
/// Vectors whose sums of sixteen rows, of upper and of lower bytes, registers hold.
const TWO: usize = 2;

/// Sixteen rows as two registers, for each vector; sixteen bits hold the sums of `steps` steps.
/// `WIDE` are weights of eight bits.
#[inline(always)]
pub(super) fn tile_by_pairs<const WIDE: bool, const V: usize>(
    (steps, group): (usize, usize),
    weights: &[u8],
    x: [&[i8]; V],
) -> [[__m256i; 2]; V] {
    let zero = x86!(_mm256_setzero_si256());
    let mut out = [[zero; 2]; V];
    for (out, x) in out.as_chunks_mut::<TWO>().0.iter_mut().zip(x.as_chunks::<TWO>().0) {
        let [a, b] = starts(x, group);
        for (run, weights) in weights[..TILE * group].chunks_exact(64 * steps).enumerate() {
            // Of each vector the upper bytes with both halves of the rows, then the lower ones.
            let mut sums = [[[zero; 2]; 2]; TWO];
            for (step, w) in weights.as_chunks::<64>().0.iter().enumerate() {
                let at = 4 * (run * steps + step);
                let x = x86!([four(a, at), four(a, group + at), four(b, at), four(b, group + at)]);
                let w = [load(w, 0), load(w, 32)];
                for (sums, x) in sums.as_flattened_mut().iter_mut().zip(x) {
                    let x = x86!(_mm256_set1_epi32(x));
                    for h in 0..2 {
                        sums[h] = match WIDE {
                            true => add_by_pairs::<8>(sums[h], w[h], x),
                            false => add_pairs(sums[h], w[h], x),
                        };
                    }
                }
            }
            for v in 0..TWO {
                for h in 0..2 {
                    let [upper, lower] = [sums[v][0][h], sums[v][1][h]];
                    let sum = if WIDE { both(upper, lower) } else { both_of_pairs(upper, lower) };
                    out[v][h] = x86!(_mm256_add_epi32(out[v][h], sum));
                }
            }
        }
    }
    out
}

#[inline(always)]
pub(super) fn tile_by_fours<F: Fours, const V: usize>(
    group: usize,
    weights: &[u8],
    x: [&[i8]; V],
) -> [[__m256i; 2]; V] {
    let zero = x86!(_mm256_setzero_si256());
    let mut out = [[zero; 2]; V];
    for (out, x) in out.as_chunks_mut::<TWO>().0.iter_mut().zip(x.as_chunks::<TWO>().0) {
        let [a, b] = starts(x, group);
        let mut sums = [[[zero; 2]; 2]; TWO];
        for (step, w) in weights[..TILE * group].as_chunks::<64>().0.iter().enumerate() {
            let at = 4 * step;
            let x = x86!([four(a, at), four(a, group + at), four(b, at), four(b, group + at)]);
            let w = [load(w, 0), load(w, 32)];
            for (sums, x) in sums.as_flattened_mut().iter_mut().zip(x) {
                let x = x86!(_mm256_set1_epi32(x));
                for h in 0..2 {
                    sums[h] = F::add(sums[h], w[h], x);
                }
            }
        }
        for v in 0..TWO {
            out[v] = [both(sums[v][0][0], sums[v][1][0]), both(sums[v][0][1], sums[v][1][1])];
        }
    }
    out
}
