//! The sums of a row with sixteen vectors in a register, or of two rows with eight.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;

use super::super::avx2::Avx2;
use super::super::avx512::Avx512;
use super::super::dots::x86;
use super::super::tiles::wide_words;
use super::{Exact, Params, SUMS};
use crate::activations::{HALF_BLOCK, WHOLE_BLOCK};
use crate::dots::TILE;
use crate::lanes::{LANES, Num};

/// Numbers of a block of vectors, side by side.
pub(super) trait Beside: Num {
    /// Vectors of the block.
    const VECTORS: usize;
    /// Rows of weights that share the lanes.
    const ROWS: usize;
    /// What each vector has for group `g`, for every row; `of` is [groups, vectors].
    fn beside(of: &[f32], g: usize) -> Self;
    /// What each row from `row` on has, for every vector.
    fn of_rows(params: &Params, row: usize) -> Self;
    /// 128 · upper + lower, rounded once to f32.
    ///
    /// # Safety
    /// From `row` on there are `ROWS` rows in `exact`, whose tiles for such a block were written.
    unsafe fn dots(exact: *const Exact, row: usize) -> Self;
}

impl Beside for Avx512 {
    const VECTORS: usize = WHOLE_BLOCK;
    const ROWS: usize = 1;

    #[inline(always)]
    fn beside(of: &[f32], g: usize) -> Avx512 {
        Avx512::read(&of[g * WHOLE_BLOCK..])
    }

    #[inline(always)]
    fn of_rows(params: &Params, row: usize) -> Avx512 {
        Avx512::splat(params[row * LANES])
    }

    #[inline(always)]
    unsafe fn dots(exact: *const Exact, row: usize) -> Avx512 {
        x86!({
            let [upper, lower] = &(*exact).0;
            let upper = _mm512_load_si512(upper[row].as_ptr().cast());
            let lower = _mm512_load_si512(lower[row].as_ptr().cast());
            Avx512(_mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(upper, 7), lower)))
        })
    }
}

impl Beside for Avx2 {
    const VECTORS: usize = HALF_BLOCK;
    const ROWS: usize = 2;

    #[inline(always)]
    fn beside(of: &[f32], g: usize) -> Avx2 {
        let of = &of[g * HALF_BLOCK..][..HALF_BLOCK];
        let of = x86!(_mm256_loadu_ps(of.as_ptr()));
        Avx2(of, of)
    }

    #[inline(always)]
    fn of_rows(params: &Params, row: usize) -> Avx2 {
        let [low, high] = [params[row * LANES], params[(row + 1) * LANES]];
        x86!(Avx2(_mm256_set1_ps(low), _mm256_set1_ps(high)))
    }

    #[inline(always)]
    unsafe fn dots(exact: *const Exact, row: usize) -> Avx2 {
        x86!({
            let [rows, _] = &(*exact).0;
            let of = |row: usize| {
                let row = rows[row].as_ptr();
                let upper = _mm256_load_si256(row.cast());
                let lower = _mm256_load_si256(row.add(HALF_BLOCK).cast());
                _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_slli_epi32(upper, 7), lower))
            };
            Avx2(of(row), of(row + 1))
        })
    }
}

/// From [16 rows, vectors] to [vectors, 16 rows].
#[inline(always)]
pub(super) fn turned(sums: &[f32; SUMS], vectors: usize) -> [[f32; TILE]; WHOLE_BLOCK] {
    let of_row = vectors * size_of::<f32>();
    // SAFETY: as many bytes as the floats have.
    let bytes = unsafe { std::slice::from_raw_parts(sums.as_ptr().cast(), TILE * of_row) };
    let mut turned = [[0.0; TILE]; WHOLE_BLOCK];
    for (n, turned) in turned[..vectors].chunks_exact_mut(4).enumerate() {
        for (words, turned) in wide_words(bytes, of_row, 16 * n).into_iter().zip(turned) {
            x86!(_mm512_storeu_si512(turned.as_mut_ptr().cast(), words));
        }
    }
    turned
}
