//! What a table needs to multiply packed integers with those of a vector; sums are exact.

use crate::lanes::Lanes;
use crate::{Float, Matrix};
use std::ops::Range;

use crate::ops::integers::{TileScratch, unpack};
use crate::ops::quantise::column_at;
use crate::portable::Portable;

/// Rows of a tile.
pub(crate) const TILE: usize = 16;
/// Groups of a row that are multiplied with several vectors at a time.
pub(crate) const FOUR: usize = 4;
/// Columns of a group, at most, for which there is code for several vectors.
pub(crate) const WIDEST: usize = 64;

/// Sums of products of packed weights with the integers of vectors, 128 · upper + lower. All are
/// exact: 128 products of 255 and 16256 stay below 2^30. As f32 they are rounded once.
pub(crate) trait Dots: Copy {
    type L: Lanes;
    /// The sums of eight groups.
    type Eight: Copy;
    /// Σ over each of `count` groups, up to eight; the weights of a group are GROUP·BITS/8 bytes.
    fn eight<const BITS: usize, const GROUP: usize>(
        weights: &[u8],
        ints: &[i8],
        count: usize,
    ) -> Self::Eight;
    /// Eight groups that sum to nothing.
    fn none() -> Self::Eight;
    /// Sixteen groups as f32.
    fn join(low: Self::Eight, high: Self::Eight) -> Self::L;
    /// Vectors up to which rows one by one are at least as fast as sixteen side by side.
    const ROWS_UP_TO: usize = 1;
    /// The sums of four groups.
    type Four: Copy;
    /// Σ over each of the first four groups, for each vector; their weights are unpacked once.
    fn four<const BITS: usize, const GROUP: usize, const V: usize>(
        weights: &[u8],
        ints: [&[i8]; V],
    ) -> [Self::Four; V];
    /// Four groups that sum to nothing.
    fn no_four() -> Self::Four;
    /// Sixteen groups as f32.
    fn join_fours(fours: [Self::Four; 4]) -> Self::L;
    /// Whole groups of sixteen rows, which are these bytes of each row, unpacked: [groups,
    /// GROUP / 4 steps, 16 rows, 4 places].
    fn interleave<const BITS: usize, const GROUP: usize>(
        rows: &[u8],
        bytes: Range<usize>,
        out: &mut [u8],
    );
    /// Sixteen rows of floats as f32, number by number: `out` is [numbers, 16 rows].
    #[inline(always)]
    fn turn(params: Float, rows: &[u8], out: &mut [f32]) {
        turn_from(0, params, rows, out);
    }
    /// Unpacks the groups of `panel` of sixteen rows from `first` on.
    #[inline(always)]
    fn unpack(m: &Matrix<'_>, first: usize, panel: &Range<usize>, scratch: &mut TileScratch) {
        unpack::<Self>(m, first, panel, scratch);
    }
    /// Whether [`Dots::tile`] is best with eight vectors, else with four.
    const EIGHT_TOGETHER: bool = false;
    /// Σ over one group of sixteen rows that `interleave` wrote, a row a lane, for each vector.
    /// `form` says how many bits and how many columns.
    fn tile<const V: usize>(form: (usize, usize), weights: &[u8], ints: [&[i8]; V])
    -> [Self::L; V];
}

/// [`Dots::turn`] for the numbers from `first` on.
#[inline(always)]
pub(crate) fn turn_from(first: usize, params: Float, rows: &[u8], out: &mut [f32]) {
    let bytes = rows.len() / TILE;
    for (number, out) in out.chunks_exact_mut(TILE).enumerate().skip(first) {
        for (out, row) in out.iter_mut().zip(rows.chunks_exact(bytes)) {
            *out = params.at(row, number);
        }
    }
}

/// Sixteen groups as f32.
pub(crate) fn of_fours(fours: [[i32; FOUR]; 4]) -> Portable {
    Portable(std::array::from_fn(|l| fours[l / FOUR][l % FOUR] as f32))
}

/// In plain Rust: the reference.
#[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "NEON is the baseline there"))]
#[derive(Clone, Copy)]
pub(crate) struct PortableDots;

/// The integer that lies at `place` of a group once it is unpacked.
#[inline(always)]
pub(crate) fn unpacked<const BITS: usize, const GROUP: usize>(weights: &[u8], place: usize) -> u8 {
    let bit = column_at(BITS, GROUP, place) * BITS;
    let (low, high) = (weights[bit / 8], weights.get(bit / 8 + 1).copied().unwrap_or(0));
    let mask = ((1_u32 << BITS) - 1) as u8;
    (u16::from_le_bytes([low, high]) >> (bit % 8)) as u8 & mask
}

impl Dots for PortableDots {
    type L = Portable;
    type Eight = [i32; 8];

    #[inline(never)]
    fn eight<const BITS: usize, const GROUP: usize>(
        weights: &[u8],
        ints: &[i8],
        count: usize,
    ) -> [i32; 8] {
        let mut sums = [0; 8];
        let groups = weights.chunks_exact(GROUP * BITS / 8).zip(ints.chunks_exact(2 * GROUP));
        for (sum, (weights, ints)) in sums.iter_mut().zip(groups).take(count) {
            let (upper, lower) = ints.split_at(GROUP);
            for (place, (upper, lower)) in upper.iter().zip(lower).enumerate() {
                let x = 128 * i32::from(*upper) + i32::from(*lower);
                *sum += i32::from(unpacked::<BITS, GROUP>(weights, place)) * x;
            }
        }
        sums
    }

    #[inline(never)]
    fn none() -> [i32; 8] {
        [0; 8]
    }

    #[inline(never)]
    fn join(low: [i32; 8], high: [i32; 8]) -> Portable {
        Portable::of_integers(low, high)
    }

    type Four = [i32; FOUR];

    #[inline(never)]
    fn four<const BITS: usize, const GROUP: usize, const V: usize>(
        weights: &[u8],
        ints: [&[i8]; V],
    ) -> [[i32; FOUR]; V] {
        ints.map(|ints| {
            let [a, b, c, d, ..] = Self::eight::<BITS, GROUP>(weights, ints, FOUR);
            [a, b, c, d]
        })
    }

    #[inline(never)]
    fn no_four() -> [i32; FOUR] {
        [0; FOUR]
    }

    #[inline(never)]
    fn join_fours(fours: [[i32; FOUR]; 4]) -> Portable {
        of_fours(fours)
    }

    #[inline(never)]
    fn interleave<const BITS: usize, const GROUP: usize>(
        rows: &[u8],
        bytes: Range<usize>,
        out: &mut [u8],
    ) {
        let of_row = rows.len() / TILE;
        for (g, out) in out.chunks_exact_mut(TILE * GROUP).enumerate() {
            for (r, row) in rows.chunks_exact(of_row).enumerate() {
                let row = &row[bytes.start + g * GROUP * BITS / 8..][..GROUP * BITS / 8];
                for place in 0..GROUP {
                    let to = place / 4 * 4 * TILE + r * 4 + place % 4;
                    out[to] = unpacked::<BITS, GROUP>(row, place);
                }
            }
        }
    }

    #[inline(never)]
    fn tile<const V: usize>(
        (_, group): (usize, usize),
        weights: &[u8],
        ints: [&[i8]; V],
    ) -> [Portable; V] {
        ints.map(|ints| {
            let mut sums = [0_i32; TILE];
            let (upper, lower) = ints.split_at(group);
            for (place, (upper, lower)) in upper.iter().zip(lower).enumerate() {
                let x = 128 * i32::from(*upper) + i32::from(*lower);
                let step = &weights[place / 4 * 4 * TILE..];
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum += i32::from(step[row * 4 + place % 4]) * x;
                }
            }
            Portable(sums.map(|sum| sum as f32))
        })
    }
}
