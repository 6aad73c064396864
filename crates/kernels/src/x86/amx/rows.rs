//! Sixteen packed rows as tiles of bytes, each row as it is, and what scales them.

#![allow(unsafe_code, reason = "intrinsics of x86")]

use std::arch::x86_64::*;

use super::super::avx512::Avx512;
use super::super::dots::x86;
use super::super::rows::sixty_four;
use super::super::unpack::thirty_two;
use super::{COLUMNS, tile_columns, wrapped};
use crate::dots::TILE;
use crate::float::{Bf16, F16, F32, Storage};
use crate::lanes::{LANES, Num};
use crate::ops::integers::{Packed, TileScratch, Visit, sixteen, visit};
use crate::{Float, Matrix};

/// Integers that are unpacked at a time.
const RUN: usize = 32;

/// The scales and biases of sixteen rows as f32: [steps of sixteen groups, 16 rows, 16 groups].
#[inline(always)]
pub(super) fn params(m: &Matrix<'_>, first: usize, groups: usize, scratch: &mut TileScratch) {
    let wanted = TILE * groups.next_multiple_of(LANES);
    let TileScratch { scales, biases, .. } = scratch;
    scales.grow(wanted);
    biases.grow(wanted);
    let (scales, biases) = (&mut scales.all_mut()[..wanted], &mut biases.all_mut()[..wanted]);
    let planes = m.planes();
    let params = Packed::of(m, first).params;
    for (plane, to) in [(planes.scales, scales), (planes.biases, biases)] {
        let plane = &plane[first * groups * params.bytes()..];
        match params {
            Float::F32 => params_of::<F32>(params, plane, groups, to),
            Float::F16 => params_of::<F16>(params, plane, groups, to),
            Float::Bf16 => params_of::<Bf16>(params, plane, groups, to),
        }
    }
}

/// One plane of [`params`], from the first of sixteen rows on.
#[inline(always)]
fn params_of<S: Storage>(params: Float, plane: &[u8], groups: usize, to: &mut [f32]) {
    for (step, to) in to.chunks_exact_mut(TILE * LANES).enumerate() {
        let first = step * LANES;
        for (row, to) in to.chunks_exact_mut(LANES).enumerate() {
            let of_row = &plane[row * groups * S::BYTES..];
            if groups - first < LANES {
                sixteen::<Avx512>(params, of_row, first, groups - first).write(to);
            } else {
                S::lanes::<Avx512>(&of_row[first * S::BYTES..]).write(to);
            }
        }
    }
}

/// Writes the group from byte `at` of each of sixteen rows on as tiles of bytes, a row a line:
/// [tiles, 16 rows, columns of a tile].
type UnpackGroup = unsafe fn(rows: &[u8], at: usize, out: &mut [u8]);

/// Sixteen rows, whose groups are unpacked one after the other.
pub(super) struct Unpacking<'a> {
    rows: &'a [u8],
    unpack: UnpackGroup,
    /// Bytes of a packed group.
    packed: usize,
    /// [places, tiles, 16 rows, columns of a tile]: group by group, then from the start again.
    ring: &'a mut [u8],
    /// Bytes of a place.
    unpacked: usize,
    /// The place of the next one.
    place: usize,
}

impl<'a> Unpacking<'a> {
    /// From row `first` on.
    #[inline(always)]
    pub(super) fn of(m: &Matrix<'a>, group: usize, first: usize, ring: &'a mut [u8]) -> Self {
        let weights = m.planes().weights;
        let of_row = weights.len() / m.rows();
        let rows = &weights[first * of_row..][..TILE * of_row];
        let mut unpack: UnpackGroup = unpack_group::<8, 128>;
        visit(m, Choose(&mut unpack));
        let packed = of_row / (m.cols() / group);
        Unpacking { rows, unpack, packed, ring, unpacked: TILE * group, place: 0 }
    }

    /// Places of the ring.
    #[inline(always)]
    pub(super) fn places(&self) -> usize {
        self.ring.len() / self.unpacked
    }

    /// Where the ring begins.
    #[inline(always)]
    pub(super) fn start(&self) -> *const u8 {
        self.ring.as_ptr()
    }

    /// Unpacks this group to the next place.
    #[inline(always)]
    pub(super) fn group(&mut self, group: usize) {
        let out = &mut self.ring[self.place * self.unpacked..][..self.unpacked];
        // SAFETY: the table's features.
        unsafe { (self.unpack)(self.rows, group * self.packed, out) }
        self.place = wrapped(self.place + 1, self.places());
    }
}

/// Which function it is for a matrix.
struct Choose<'c>(&'c mut UnpackGroup);

impl Visit for Choose<'_> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(self, _: &Matrix<'_>) {
        *self.0 = unpack_group::<BITS, GROUP>;
    }
}

/// # Safety
/// The processor has the features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn unpack_group<const BITS: usize, const GROUP: usize>(
    rows: &[u8],
    at: usize,
    out: &mut [u8],
) {
    let (of_row, bytes) = (rows.len() / TILE, GROUP * BITS / 8);
    assert!(at + bytes <= of_row && out.len() >= TILE * GROUP, "a group from byte {at} on");
    for row in 0..TILE {
        // SAFETY: at + bytes ≤ of_row, so these are bytes of this row.
        let weights = unsafe { rows.get_unchecked(row * of_row + at..row * of_row + at + bytes) };
        for first in (0..GROUP).step_by(COLUMNS) {
            // SAFETY: a tile has 16 rows of so many columns, and all tiles of a group TILE·GROUP.
            let to = unsafe { out.as_mut_ptr().add(TILE * first + row * tile_columns(GROUP)) };
            // Registers of 64 integers where shifts unpack them, else of 32.
            if const { matches!(BITS, 2 | 4 | 8) && GROUP >= COLUMNS } {
                let weights = &weights[first * BITS / 8..][..COLUMNS * BITS / 8];
                let integers = sixty_four::<BITS, COLUMNS>(weights);
                x86!(_mm512_storeu_si512(to.cast(), integers));
                continue;
            }
            for run in 0..tile_columns(GROUP) / RUN {
                let integers = thirty_two::<BITS, GROUP>(weights, first / RUN + run);
                x86!(_mm256_storeu_si256(to.add(run * RUN).cast(), integers));
            }
        }
    }
}
