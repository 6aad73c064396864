//! Vectors side by side, as tiles want them.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::_mm512_storeu_si512;

use super::super::dots::x86;
use super::super::tiles::wide_words;
use crate::activations::{Row, WHOLE_BLOCK};
use crate::dots::TILE;
use crate::ops::integers::MAX_GROUP;
use crate::ops::quantise::{quantise, quantise_group};
use crate::scratch::LINE;

/// As every table quantises, group by group of all vectors of a block: a line of a tile has four
/// integers of each, which are words of bytes that are transposed here.
#[inline(always)]
pub(super) fn quantise_beside(row: &mut Row<'_, '_>) {
    let (group, width) = (row.order.group, row.width);
    if width == 1 {
        return quantise(row);
    }
    // [upper and lower bytes, vectors, group]: sixteen of these rows make the lines of a tile.
    let mut bytes = [0; 2 * WHOLE_BLOCK * MAX_GROUP];
    let bytes = &mut bytes[..2 * width * group];
    for (n, block) in row.ints.chunks_exact_mut(2 * width * group).enumerate() {
        let (uppers, lowers) = bytes.split_at_mut(width * group);
        let each = uppers.chunks_exact_mut(group).zip(lowers.chunks_exact_mut(group));
        for (v, (x, (upper, lower))) in row.x.chunks_exact(row.cols).zip(each).enumerate() {
            let x = &x[n * group..][..group];
            let at = n * width + v;
            (row.steps[at], row.sums[at]) = quantise_group(row.order, x, upper, lower);
        }
        let tiles = bytes.chunks_exact(TILE * group).zip(block.chunks_exact_mut(TILE * group));
        for (rows, tile) in tiles {
            // SAFETY: bytes with and without a sign are of the same size.
            let rows = unsafe { std::slice::from_raw_parts(rows.as_ptr().cast(), rows.len()) };
            for (four, lines) in tile.chunks_exact_mut(4 * LINE).enumerate() {
                let words = wide_words(rows, group, 16 * four);
                for (words, line) in words.into_iter().zip(lines.chunks_exact_mut(LINE)) {
                    x86!(_mm512_storeu_si512(line.as_mut_ptr().cast(), words));
                }
            }
        }
    }
    let used = width * row.cols / group;
    row.steps[used..].fill(0.0);
    row.sums[used..].fill(0.0);
}
