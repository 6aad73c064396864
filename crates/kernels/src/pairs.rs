//! What a table needs to multiply kept bytes with integers of sixteen bits, two at a time; sums are exact.

use crate::float::bf16_to_f32;
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes};
use crate::portable::Portable;

/// Two integers for each lane.
pub(crate) type Sixteen = [[i16; 2]; LANES];

/// The order in which every four elements of a row are paired: the even and the odd bytes of a word
/// become sixteen bits by shifts alone.
pub(crate) const PAIRED: [usize; 4] = [0, 2, 1, 3];

/// Scales that [`Pairs::scales`] takes together.
pub(crate) const SCALES: usize = 8;

pub(crate) trait Pairs: Copy {
    type L: Lanes;
    /// Sixteen sums.
    type Sums: Copy;
    fn none() -> Self::Sums;
    /// Lane l of `sums` + `pairs[l][0]` · `by[0]` + `pairs[l][1]` · `by[1]`.
    fn add(sums: Self::Sums, pairs: &Sixteen, by: &[i16; 2]) -> Self::Sums;
    /// Rounded once.
    fn floats(sums: Self::Sums) -> Self::L;
    /// The sums of [`Pairs::beside`], rounded once, column by column.
    #[inline(always)]
    fn columns(sums: [Self::Sums; GROUP / LANES]) -> [Self::L; GROUP / LANES] {
        [Self::floats(sums[0]), Self::floats(sums[1])]
    }
    /// The low sixteen bits of every lane.
    fn low_halves(lanes: Self::L, to: &mut [i16; LANES]);
    /// A group of signed bytes of each of sixteen rows, a row a lane, by [`PAIRED`]. The rows begin
    /// `stride` bytes after each other.
    fn across(rows: &[u8], stride: usize, to: &mut [Sixteen; GROUP / 2]);
    /// Eight numbers of each of sixteen rows from bf16 to f32, a row a lane: `to` begins with the
    /// first ones, and after `apart` of its elements come the second ones.
    fn scales(rows: &[u8], stride: usize, to: &mut [f32], apart: usize);
    /// A group of signed bytes of every two rows, a column a lane, in any order that [`Pairs::columns`]
    /// undoes.
    fn beside(rows: &[u8], stride: usize, to: &mut [[Sixteen; GROUP / LANES]]);
}

/// The reference.
impl Pairs for Portable {
    type L = Portable;
    type Sums = [i32; LANES];

    #[inline(always)]
    fn none() -> [i32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    fn add(mut sums: [i32; LANES], pairs: &Sixteen, by: &[i16; 2]) -> [i32; LANES] {
        for (sum, pair) in sums.iter_mut().zip(pairs) {
            *sum += i32::from(pair[0]) * i32::from(by[0]) + i32::from(pair[1]) * i32::from(by[1]);
        }
        sums
    }

    #[inline(always)]
    fn floats(sums: [i32; LANES]) -> Portable {
        Portable(sums.map(|sum| sum as f32))
    }

    #[inline(always)]
    fn low_halves(Portable(lanes): Portable, to: &mut [i16; LANES]) {
        *to = lanes.map(|x| x.to_bits() as i16);
    }

    #[inline(always)]
    fn across(rows: &[u8], stride: usize, to: &mut [Sixteen; GROUP / 2]) {
        for row in 0..LANES {
            let (fours, _) = rows[row * stride..][..GROUP].as_chunks::<4>();
            for (four, to) in fours.iter().zip(to.as_chunks_mut::<2>().0) {
                let [a, b, c, d] = PAIRED.map(|place| i16::from(four[place] as i8));
                (to[0][row], to[1][row]) = ([a, b], [c, d]);
            }
        }
    }

    #[inline(always)]
    fn scales(rows: &[u8], stride: usize, to: &mut [f32], apart: usize) {
        for row in 0..LANES {
            let (scales, _) = rows[row * stride..][..2 * SCALES].as_chunks::<2>();
            for (raw, to) in scales.iter().zip(to.chunks_mut(apart)) {
                to[row] = bf16_to_f32(u16::from_le_bytes(*raw));
            }
        }
    }

    #[inline(always)]
    fn beside(rows: &[u8], stride: usize, to: &mut [[Sixteen; GROUP / LANES]]) {
        for (n, to) in to.iter_mut().enumerate() {
            let (first, second) =
                (&rows[2 * n * stride..][..GROUP], &rows[(2 * n + 1) * stride..][..GROUP]);
            for ((first, second), to) in first.iter().zip(second).zip(to.as_flattened_mut()) {
                *to = [i16::from(*first as i8), i16::from(*second as i8)];
            }
        }
    }
}
