//! Sums of products of packed integers with NEON, with and without dot product instructions.

#![allow(unsafe_code, reason = "intrinsics of aarch64, and one instruction without any")]

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use crate::activations::{planes, unit};
use crate::dots::{Dots, FOUR, TILE, of_fours, unpacked};
use crate::portable::Portable;
use crate::table::{Isa, table};

table!(Dotprod, Portable, DotprodDots, ["neon,dotprod"]);

/// Evaluates intrinsics of NEON.
macro_rules! neon {
    ($body:expr) => {{
        // SAFETY: NEON is part of every aarch64 processor that this target is for. Pointers come
        // from slices whose length was checked for as many bytes as the intrinsic touches; it
        // takes any alignment.
        unsafe { $body }
    }};
}

/// The baseline: products of bytes in sixteen bits, added in pairs.
#[derive(Clone, Copy)]
pub(crate) struct NeonDots;
/// Four products added to each lane by one instruction.
#[derive(Clone, Copy)]
pub(crate) struct DotprodDots;

/// How sixteen products are added. Both operands lie between -128 and 127.
trait Fours {
    /// Lane i becomes its sum and products 4i to 4i + 3.
    fn add(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t;
}

impl Fours for NeonDots {
    #[inline(always)]
    fn add(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        neon!({
            let low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
            let high = vpaddlq_s16(vmull_high_s8(w, x));
            vaddq_s32(sum, vpaddq_s32(low, high))
        })
    }
}

impl Fours for DotprodDots {
    #[inline(always)]
    fn add(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        let mut out = sum;
        // SAFETY: only the table that is handed out where the processor has dot products comes
        // here; the instruction touches these registers alone.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {out:v}.4s, {w:v}.16b, {x:v}.16b",
                out = inout(vreg) out, w = in(vreg) w, x = in(vreg) x,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        out
    }
}

#[inline(always)]
fn load(bytes: &[u8]) -> uint8x16_t {
    let bytes = &bytes[..16];
    neon!(vld1q_u8(bytes.as_ptr()))
}

#[inline(always)]
fn ints(x: &[i8], at: usize) -> int8x16_t {
    let x = &x[at..][..16];
    neon!(vld1q_s8(x.as_ptr()))
}

/// Integers `16·run` to `16·run + 15` of a group, as it is laid out.
#[inline(always)]
fn sixteen<const BITS: usize, const GROUP: usize>(weights: &[u8], run: usize) -> uint8x16_t {
    let runs = unit(GROUP) / 16;
    let bytes = unit(GROUP) * BITS / 8;
    let within = &weights[run / runs * bytes..][..bytes];
    let at = run % runs;
    match (planes(BITS), runs) {
        (2, _) => {
            let half = runs / 2;
            let bytes = load(&within[16 * (at % half)..]);
            neon!(if at < half { vandq_u8(bytes, vdupq_n_u8(15)) } else { vshrq_n_u8(bytes, 4) })
        }
        (4, 4) => {
            let (bytes, by) = (load(within), -2 * at as i8);
            neon!(vandq_u8(vshlq_u8(bytes, vdupq_n_s8(by)), vdupq_n_u8(3)))
        }
        _ if BITS == 8 => load(&within[16 * at..]),
        _ => {
            let mut bytes = [0; 16];
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = unpacked::<BITS, GROUP>(weights, 16 * run + i);
            }
            load(&bytes)
        }
    }
}

/// sum + products, where weights of eight bits are taken in two halves.
#[inline(always)]
fn add<F: Fours, const BITS: usize>(
    sums: [int32x4_t; 2],
    w: uint8x16_t,
    x: int8x16_t,
) -> [int32x4_t; 2] {
    neon!({
        if BITS < 8 {
            return [F::add(sums[0], vreinterpretq_s8_u8(w), x), sums[1]];
        }
        let low = vreinterpretq_s8_u8(vandq_u8(w, vdupq_n_u8(15)));
        let high = vreinterpretq_s8_u8(vshrq_n_u8(w, 4));
        [F::add(sums[0], low, x), F::add(sums[1], high, x)]
    })
}

#[inline(always)]
fn halves(sums: [int32x4_t; 2]) -> int32x4_t {
    neon!(vaddq_s32(sums[0], vshlq_n_s32(sums[1], 4)))
}

/// Σ over group `n` for each vector.
#[inline(always)]
fn group<F: Fours, const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
    n: usize,
) -> [i32; V] {
    let zero = neon!(vdupq_n_s32(0));
    let weights = &weights[n * GROUP * BITS / 8..][..GROUP * BITS / 8];
    let mut sums = [[[zero; 2]; 2]; V];
    for run in 0..GROUP / 16 {
        let w = sixteen::<BITS, GROUP>(weights, run);
        for v in 0..V {
            let (upper, lower) = x[v][2 * n * GROUP..][..2 * GROUP].split_at(GROUP);
            sums[v][0] = add::<F, BITS>(sums[v][0], w, ints(upper, 16 * run));
            sums[v][1] = add::<F, BITS>(sums[v][1], w, ints(lower, 16 * run));
        }
    }
    let mut out = [0; V];
    for v in 0..V {
        let (upper, lower) = (halves(sums[v][0]), halves(sums[v][1]));
        out[v] = neon!(128 * vaddvq_s32(upper) + vaddvq_s32(lower));
    }
    out
}

#[inline(always)]
fn eight<F: Fours, const BITS: usize, const GROUP: usize>(
    weights: &[u8],
    x: &[i8],
    count: usize,
) -> [i32; 8] {
    let mut out = [0; 8];
    for (n, out) in out.iter_mut().enumerate().take(count) {
        [*out] = group::<F, BITS, GROUP, 1>(weights, [x], n);
    }
    out
}

#[inline(always)]
fn four<F: Fours, const BITS: usize, const GROUP: usize, const V: usize>(
    weights: &[u8],
    x: [&[i8]; V],
) -> [[i32; FOUR]; V] {
    let mut out = [[0; FOUR]; V];
    for n in 0..FOUR {
        let sums = group::<F, BITS, GROUP, V>(weights, x, n);
        for v in 0..V {
            out[v][n] = sums[v];
        }
    }
    out
}

#[inline(always)]
fn interleave<const BITS: usize, const GROUP: usize>(
    rows: &[u8],
    bytes: Range<usize>,
    out: &mut [u8],
) {
    let of_row = rows.len() / TILE;
    let packed = GROUP * BITS / 8;
    for (g, out) in out.chunks_exact_mut(TILE * GROUP).enumerate() {
        for (r, row) in rows.chunks_exact(of_row).enumerate() {
            let row = &row[bytes.start + g * packed..][..packed];
            for run in 0..GROUP / 16 {
                let mut sixteen_bytes = [0_u8; 16];
                neon!(vst1q_u8(sixteen_bytes.as_mut_ptr(), sixteen::<BITS, GROUP>(row, run)));
                for (step, four) in sixteen_bytes.as_chunks::<4>().0.iter().enumerate() {
                    out[(4 * run + step) * 4 * TILE + 4 * r..][..4].copy_from_slice(four);
                }
            }
        }
    }
}

#[inline(always)]
fn tile<F: Fours, const BITS: usize>(group: usize, weights: &[u8], x: &[i8]) -> [f32; TILE] {
    let zero = neon!(vdupq_n_s32(0));
    let mut sums = [[[zero; 2]; 4]; 2];
    for step in 0..group / 4 {
        for (byte, sums) in sums.iter_mut().enumerate() {
            let four: &[i8; 4] =
                x[byte * group + 4 * step..].first_chunk().expect("a whole group is passed");
            let four = i32::from_le_bytes(four.map(|x| x as u8));
            let x = neon!(vreinterpretq_s8_s32(vdupq_n_s32(four)));
            for (rows, sums) in sums.iter_mut().enumerate() {
                *sums = add::<F, BITS>(*sums, load(&weights[64 * step + 16 * rows..]), x);
            }
        }
    }
    let mut out = [0.0; TILE];
    for (rows, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        neon!({
            let upper = vshlq_n_s32(halves(sums[0][rows]), 7);
            let both = vaddq_s32(upper, halves(sums[1][rows]));
            vst1q_f32(out.as_mut_ptr(), vcvtq_f32_s32(both));
        });
    }
    out
}

macro_rules! dots {
    ($name:ty) => {
        impl Dots for $name {
            type L = Portable;
            type Eight = [i32; 8];

            #[inline(always)]
            fn eight<const BITS: usize, const GROUP: usize>(
                weights: &[u8],
                ints: &[i8],
                count: usize,
            ) -> [i32; 8] {
                eight::<Self, BITS, GROUP>(weights, ints, count)
            }
            type Four = [i32; FOUR];

            #[inline(always)]
            fn four<const BITS: usize, const GROUP: usize, const V: usize>(
                weights: &[u8],
                ints: [&[i8]; V],
            ) -> [[i32; FOUR]; V] {
                four::<Self, BITS, GROUP, V>(weights, ints)
            }
            #[inline(always)]
            fn no_four() -> [i32; FOUR] {
                [0; FOUR]
            }
            #[inline(always)]
            fn join_fours(fours: [[i32; FOUR]; 4]) -> Portable {
                of_fours(fours)
            }
            #[inline(always)]
            fn none() -> [i32; 8] {
                [0; 8]
            }
            #[inline(always)]
            fn join(low: [i32; 8], high: [i32; 8]) -> Portable {
                Portable::of_integers(low, high)
            }
            #[inline(always)]
            fn interleave<const BITS: usize, const GROUP: usize>(
                rows: &[u8],
                bytes: Range<usize>,
                out: &mut [u8],
            ) {
                interleave::<BITS, GROUP>(rows, bytes, out);
            }
            #[inline(always)]
            fn tile<const V: usize>(
                (bits, group): (usize, usize),
                weights: &[u8],
                ints: [&[i8]; V],
            ) -> [Portable; V] {
                let mut out = [Portable([0.0; TILE]); V];
                for (out, ints) in out.iter_mut().zip(ints) {
                    *out = Portable(match bits {
                        8 => tile::<Self, 8>(group, weights, ints),
                        _ => tile::<Self, 4>(group, weights, ints),
                    });
                }
                out
            }
        }
    };
}

dots!(NeonDots);
dots!(DotprodDots);
