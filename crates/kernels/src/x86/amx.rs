//! Many vectors at once with the tile multiplications of AMX: sixteen rows times sixteen vectors a step.

#![allow(
    unsafe_code,
    reason = "instructions without intrinsics, and the system's leave to use them"
)]

use std::arch::asm;
use std::arch::x86_64::_mm512_add_epi32;
use std::arch::x86_64::{__cpuid_count, _mm512_cvtepi32_ps, _mm512_loadu_si512, _mm512_slli_epi32};
use std::ops::Range;
use std::sync::OnceLock;

use super::avx512::Avx512;
use super::dots::Avx512VnniDots;
use crate::activations::Quantised;
use crate::dots::{Dots as _, TILE};
use crate::lanes::{LANES, Num};
use crate::ops::integers::{Form, Sums, TileScratch, add_groups, put};
use crate::rows::Part;
use crate::{Kernels, Matrix};

pub(crate) static TABLE: Kernels = Kernels {
    isa: crate::Isa::Amx,
    many_vectors: crate::table::operation!(
        ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"],
        many_vectors, (m: M<'_>, x: X<'_>, part: P<'_, '_>, scratch: S<'_>)
    ),
    ..super::avx512::vnni::KERNELS
};

/// Whether the processor multiplies tiles of bytes and the system lets this process do it: its
/// registers are so large that Linux saves them only for those who asked.
pub(super) fn is_permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| {
        const AMX_TILE: u32 = 1 << 24;
        const AMX_INT8: u32 = 1 << 25;
        let features = __cpuid_count(7, 0).edx;
        features & AMX_TILE != 0 && features & AMX_INT8 != 0 && ask()
    })
}

#[cfg(target_os = "linux")]
fn ask() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XTILEDATA: usize = 18;
    let answer: isize;
    // SAFETY: this call of the system takes two numbers and touches no memory of the process.
    unsafe {
        asm!(
            "syscall",
            inout("rax") ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XTILEDATA,
            out("rcx") _, out("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}

/// Vectors of a tile.
const VECTORS: usize = 16;
/// Fewer vectors than these are multiplied faster without tiles, whose steps take as long for one
/// vector as for sixteen.
const FEW: usize = 6;
/// Vectors that go through a part of the rows before the next ones: the second cache holds them.
const BLOCK: usize = 128;
/// Columns of a tile of bytes.
const COLUMNS: usize = 64;

/// What `ldtilecfg` reads: the shape of each tile.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tile 0 is of weights, four columns of sixteen rows a line; 1 of vectors; 2 and 3 of their sums
/// with upper and lower bytes, 4 and 5 of those of the next group.
struct Tiles {
    columns: usize,
    /// Vectors that the shapes are for.
    vectors: usize,
}

impl Tiles {
    /// Shapes the tiles for so many vectors, if they are not yet.
    #[inline(always)]
    fn shape(&mut self, vectors: usize) {
        if self.vectors == vectors {
            return;
        }
        self.vectors = vectors;
        let mut shapes = Shapes {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        (shapes.row_bytes[0], shapes.rows[0]) = (COLUMNS as u16, self.columns as u8 / 4);
        (shapes.row_bytes[1], shapes.rows[1]) = (self.columns as u16, vectors as u8);
        shapes.row_bytes[2..6].fill(COLUMNS as u16);
        shapes.rows[2..6].fill(vectors as u8);
        // SAFETY: the table with this code is handed out only where `is_permitted`; the shapes are
        // within what its palette allows. The compiler knows nothing of these registers.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly)) }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as in `shape`; nobody uses what the tiles hold.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// Exact sums of one group: [vectors, 16 rows], of the upper bytes and then of the lower ones.
#[repr(C, align(64))]
struct Bytes([[[i32; TILE]; VECTORS]; 2]);

/// Where the bytes of one group lie.
struct Group {
    weights: *const u8,
    x: *const i8,
    /// Bytes from one vector to the next.
    stride: usize,
    group: usize,
    columns: usize,
}

/// Multiplies one group into two tiles of sums.
macro_rules! multiply {
    ($upper:literal, $lower:literal, $group:expr) => {{
        let Group { weights, x, stride, group, columns } = $group;
        asm!(concat!("tilezero ", $upper), concat!("tilezero ", $lower), options(nostack, nomem));
        for first in (0..group).step_by(columns) {
            asm!(
                "tileloadd tmm0, [{w} + {line} * 1]",
                "tileloadd tmm1, [{upper} + {stride} * 1]",
                concat!("tdpbsud ", $upper, ", tmm1, tmm0"),
                "tileloadd tmm1, [{lower} + {stride} * 1]",
                concat!("tdpbsud ", $lower, ", tmm1, tmm0"),
                w = in(reg) weights.add(TILE * first), line = in(reg) COLUMNS,
                upper = in(reg) x.add(first), lower = in(reg) x.add(group + first),
                stride = in(reg) stride,
                options(nostack, readonly)
            );
        }
    }};
}

/// Writes two tiles of sums.
macro_rules! store {
    ($upper:literal, $lower:literal, $to:expr) => {
        asm!(
            concat!("tilestored [{upper} + {line} * 1], ", $upper),
            concat!("tilestored [{lower} + {line} * 1], ", $lower),
            upper = in(reg) &raw mut $to.0[0], lower = in(reg) &raw mut $to.0[1],
            line = in(reg) COLUMNS,
            options(nostack)
        )
    };
}

/// The rows of `part`, a multiple of sixteen, each times every vector.
#[inline(always)]
fn many_vectors(m: &Matrix<'_>, x: &Quantised<'_>, part: &mut Part<'_>, scratch: &mut TileScratch) {
    if x.n < FEW {
        return (super::avx512::vnni::KERNELS.many_vectors)(m, x, part, scratch);
    }
    let form = Form::of(m);
    let mut tiles = Tiles { columns: form.group.min(COLUMNS), vectors: 0 };
    let mut sums = Sums([[Avx512::splat(0.0); VECTORS]; LANES]);
    let mut bytes = Bytes([[[0; TILE]; VECTORS]; 2]);
    for begin in (0..x.n).step_by(BLOCK) {
        let block = x.some(begin, BLOCK.min(x.n - begin));
        for first in part.rows().step_by(TILE) {
            for panel in form.panels(block.n <= VECTORS) {
                Avx512VnniDots::unpack(m, first, &panel, scratch);
                for v in (0..block.n).step_by(VECTORS) {
                    let x = block.some(v, VECTORS.min(block.n - v));
                    tiles.shape(x.n);
                    let done = sixteen(scratch, &form, &panel, &x, &mut sums, &mut bytes);
                    put(part, (first, x.first), done, x.n);
                }
            }
        }
    }
}

/// A panel of sixteen rows times up to sixteen vectors; see `integers::tile`.
#[inline(always)]
fn sixteen(
    scratch: &TileScratch,
    form: &Form,
    panel: &Range<usize>,
    x: &Quantised<'_>,
    sums: &mut Sums<Avx512, VECTORS>,
    bytes: &mut Bytes,
) -> Option<[[f32; TILE]; VECTORS]> {
    let &Form { group, groups, .. } = form;
    let weights = &scratch.weights.all()[..panel.len() * TILE * group];
    let at = |g: usize| Group {
        weights: weights[(g - panel.start) * TILE * group..][..TILE * group].as_ptr(),
        // The last vector's too: its group ends where all end.
        x: x.ints[g * 2 * group..][..(x.n - 1) * x.stride + 2 * group].as_ptr(),
        stride: x.stride,
        group,
        columns: group.min(COLUMNS),
    };
    // SAFETY: the tiles have the shapes of x.n vectors. Of weights, TILE·columns bytes are read at a
    // time of TILE·group; of each vector `columns` from `first` and from `group + first` of the
    // 2·group of this group; of bytes, TILE·4 a vector are written of as many as there are.
    unsafe {
        multiply!("tmm2", "tmm3", at(panel.start));
        let mut g = panel.start;
        // One group is multiplied while the sums of the one before it are scaled and added.
        while g < panel.end {
            if g + 1 < panel.end {
                multiply!("tmm4", "tmm5", at(g + 1));
            }
            store!("tmm2", "tmm3", bytes);
            add(scratch, x, g, bytes, sums);
            if g + 2 < panel.end {
                multiply!("tmm2", "tmm3", at(g + 2));
            }
            if g + 1 < panel.end {
                store!("tmm4", "tmm5", bytes);
                add(scratch, x, g + 1, bytes, sums);
            }
            g += 2;
        }
    }
    sums.end(panel, groups)
}

/// Adds what group `g` gave to the sums.
#[inline(always)]
fn add(
    scratch: &TileScratch,
    x: &Quantised<'_>,
    g: usize,
    bytes: &Bytes,
    sums: &mut Sums<Avx512, VECTORS>,
) {
    let scale = Avx512::read(&scratch.scales.all()[g * TILE..]);
    let bias = Avx512::read(&scratch.biases.all()[g * TILE..]);
    let padded_groups = x.steps.len() / x.n;
    let (steps, x_sums) = (&x.steps[g..], &x.sums[g..]);
    for v in 0..x.n.min(VECTORS) {
        // SAFETY: the table's instructions; each load has its sixteen numbers.
        let dots = Avx512(unsafe {
            let upper = _mm512_loadu_si512(bytes.0[0][v].as_ptr().cast());
            let lower = _mm512_loadu_si512(bytes.0[1][v].as_ptr().cast());
            _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(upper, 7), lower))
        });
        let step = Avx512::splat(steps[v * padded_groups]);
        let x_sum = Avx512::splat(x_sums[v * padded_groups]);
        let sum = sums.before(g, v);
        sums.0[g % LANES][v] = add_groups(dots, scale, bias, step, x_sum, sum);
    }
}
