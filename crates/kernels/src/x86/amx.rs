//! Many vectors at once with the tile multiplications of AMX: sixteen rows times sixteen vectors a step.

#![allow(
    unsafe_code,
    reason = "instructions without intrinsics, and the system's leave to use them"
)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use self::beside::quantise_beside;
use self::next::Next;
use self::order::Order;
use self::rows::{Unpacking, params};
use self::sums::{Beside, turned};
use super::avx2::Avx2;
use super::avx512::Avx512;
use crate::activations::{HALF_BLOCK, Quantised, WHOLE_BLOCK};
use crate::dots::TILE;
use crate::lanes::{LANES, Num};
use crate::ops::integers::{Form, TileScratch, WAITING, add_groups};
use crate::rows::Part;
use crate::scratch::Lines;
use crate::table::Blocks;
use crate::{Kernels, Matrix, Planes};

mod beside;
mod next;
mod order;
mod rows;
mod sums;

pub(crate) static TABLE: Kernels = Kernels {
    isa: crate::Isa::Amx,
    quantise: crate::table::operation!(
        ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"],
        quantise_beside, (row: R<'_, '_, '_>)
    ),
    blocks: Some(Blocks {
        from: FEW,
        multiply: crate::table::operation!(
            ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"],
            blocks, (m: M<'_>, x: X<'_>, part: P<'_, '_>, scratch: S<'_>)
        ),
    }),
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

/// Fewer vectors than these are multiplied as fast row by row.
const FEW: usize = 4;
/// Vectors that go through a part of the rows before the next ones: the second cache holds them.
const MANY: usize = 128;
/// Bytes of a row of a tile.
const COLUMNS: usize = 64;
/// Bytes of a tile.
const BYTES: usize = TILE * COLUMNS;
/// Sums of lanes that wait for another to be added to: one of each power of two.
const LEVELS: usize = LANES.ilog2() as usize;
/// Groups that are unpacked before they are multiplied: tiles that are loaded right after they were
/// written wait for the writes.
const AHEAD: usize = 2;
/// Floats of the sums of sixteen rows with a block of vectors.
const SUMS: usize = TILE * WHOLE_BLOCK;

/// What `ldtilecfg` reads: the shape of each tile.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tile 0 is of weights, a row a line; 1 and 2 are of vectors, four columns of each side by side a
/// line; 3 and 4 are of sums, 5 and 6 of those of another group.
struct Tiles;

impl Tiles {
    /// For so many columns.
    fn new(columns: usize) -> Tiles {
        let mut shapes = Shapes {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        shapes.row_bytes[..7].fill(COLUMNS as u16);
        shapes.rows[..7].fill(TILE as u8);
        shapes.row_bytes[0] = columns as u16;
        shapes.rows[1..3].fill(columns as u8 / 4);
        // SAFETY: the table with this code is handed out only where `is_permitted`; the shapes are
        // within what its palette allows. The compiler knows nothing of these registers.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly)) }
        Tiles
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as in `new`; nobody uses what the tiles hold.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// Exact sums of one group: a line a row. A block of sixteen vectors has one tile of the sums of
/// upper bytes and one of lower ones, half a block has both in one.
#[repr(C, align(64))]
struct Exact([[[i32; WHOLE_BLOCK]; TILE]; 2]);

/// Columns of a tile.
const fn tile_columns(group: usize) -> usize {
    if group < COLUMNS { group } else { COLUMNS }
}

/// What scales the rows of one group, [16 rows, 16 groups] from that group on.
type Params = [f32; TILE * LANES - LANES + 1];

/// Where one group of `GROUP` columns lies.
struct At {
    /// [tiles, 16 rows, columns of a tile]
    weights: *const u8,
    /// [tiles, columns of a tile / 4, vectors side by side, 4]: see [`Quantised`].
    x: *const i8,
    /// Whether it is of a whole block.
    is_whole: bool,
}

/// Multiplies one group with a block and writes the sums.
///
/// # Safety
/// The tiles have the shapes of [`Tiles`] for this group. There are 16·GROUP bytes of weights, and
/// of `x` 32·GROUP in a whole block, else half as many.
#[inline]
unsafe fn multiply<const GROUP: usize>(at: At, turn: usize, exact: *mut Exact) {
    let At { weights, x, is_whole } = at;
    // Two groups have tiles of their own, so that one does not wait for the other.
    macro_rules! products {
        ($upper:literal, $lower:literal) => {
            // SAFETY: the caller's; each store fills a tile of `exact`.
            unsafe {
                asm!(concat!("tilezero ", $upper), options(nostack, nomem));
                if is_whole {
                    asm!(concat!("tilezero ", $lower), options(nostack, nomem));
                }
                for (n, first) in (0..GROUP).step_by(tile_columns(GROUP)).enumerate() {
                    asm!(
                        "tileloadd tmm0, [{weights} + {row} * 1]",
                        "tileloadd tmm1, [{x} + {line} * 1]",
                        concat!("tdpbusd ", $upper, ", tmm0, tmm1"),
                        weights = in(reg) weights.add(TILE * first),
                        row = in(reg) tile_columns(GROUP),
                        x = in(reg) x.add(n * BYTES), line = in(reg) COLUMNS,
                        options(nostack, readonly)
                    );
                    if is_whole {
                        asm!(
                            "tileloadd tmm2, [{x} + {line} * 1]",
                            concat!("tdpbusd ", $lower, ", tmm0, tmm2"),
                            x = in(reg) x.add(GROUP * WHOLE_BLOCK + n * BYTES),
                            line = in(reg) COLUMNS,
                            options(nostack, readonly)
                        );
                    }
                }
                asm!(
                    concat!("tilestored [{to} + {line} * 1], ", $upper),
                    to = in(reg) &raw mut (*exact).0[0], line = in(reg) COLUMNS, options(nostack)
                );
                if is_whole {
                    asm!(
                        concat!("tilestored [{to} + {line} * 1], ", $lower),
                        to = in(reg) &raw mut (*exact).0[1], line = in(reg) COLUMNS,
                        options(nostack)
                    );
                }
            }
        };
    }
    match turn {
        0 => products!("tmm3", "tmm4"),
        _ => products!("tmm5", "tmm6"),
    }
}

/// Does something for each of up to sixteen sums, their numbers known to the compiler.
macro_rules! each_sum {
    ($sums:ty, $n:ident, $body:expr) => {
        each_sum!(@ $sums, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $sums:ty, $n:ident, $body:expr, $($number:literal)*) => {{
        $(
            if const { $number < TILE / <$sums>::ROWS } {
                let $n = $number;
                $body;
            }
        )*
    }};
}

/// The rows of `part`, each times every vector.
#[inline(always)]
fn blocks(m: &Matrix<'_>, x: &Quantised<'_>, part: &mut Part<'_>, scratch: &mut TileScratch) {
    let form = Form::of(m);
    let order = Order::of(&form);
    let _tiles = Tiles::new(form.group.min(COLUMNS));
    for begin in (0..x.n).step_by(MANY) {
        let x = x.some(begin, MANY);
        for first in part.rows().step_by(TILE) {
            let count = TILE.min(part.rows().end - first);
            let to = To { row: first, count, part };
            if count == TILE {
                // Later vectors find the rows in the second cache.
                let mut next = match begin {
                    0 => Next::of(m, first + TILE, form.groups * x.n.div_ceil(WHOLE_BLOCK)),
                    _ => Next::nothing(),
                };
                sixteen_rows(m, &order, first, &mut next, &x, to, scratch);
            } else {
                let mut copy = std::mem::take(&mut scratch.rows);
                let rows = filled_up(m, first, &mut copy);
                sixteen_rows(&rows, &order, 0, &mut Next::nothing(), &x, to, scratch);
                scratch.rows = copy;
            }
        }
    }
}

/// The last rows, fewer than sixteen, with zeros behind them.
fn filled_up<'c>(m: &Matrix<'_>, first: usize, copy: &'c mut Lines<u8>) -> Matrix<'c> {
    let planes = m.planes();
    let bytes = [planes.weights, planes.scales, planes.biases].map(|plane| plane.len() / m.rows());
    let total = TILE * bytes.iter().sum::<usize>();
    copy.grow(total);
    let mut copy = &mut copy.all_mut()[..total];
    copy.fill(0);
    let [weights, scales, biases] =
        [(planes.weights, bytes[0]), (planes.scales, bytes[1]), (planes.biases, bytes[2])].map(
            |(plane, bytes)| {
                let own = copy.split_off_mut(..TILE * bytes).expect("there is room for all three");
                let left = &plane[first * bytes..];
                own[..left.len()].copy_from_slice(left);
                &*own
            },
        );
    Matrix::new(m.quant(), TILE, m.cols(), Planes { weights, scales, biases })
        .expect("as many bytes a row as in the whole")
}

/// Where the sums of sixteen rows go, or of the first few of them.
struct To<'p, 'a> {
    row: usize,
    count: usize,
    part: &'p mut Part<'a>,
}

/// Sixteen rows from `first` on, each with every vector in the order of `integers::row_dot`: what
/// are lanes there are sums one after the other here.
#[inline(always)]
fn sixteen_rows(
    m: &Matrix<'_>,
    order: &Order,
    first: usize,
    next: &mut Next,
    x: &Quantised<'_>,
    to: To<'_, '_>,
    scratch: &mut TileScratch,
) {
    let (group, groups) = (order.group, order.groups.len());
    let ring = groups.div_ceil(LANES) + AHEAD;
    scratch.weights.grow(ring * TILE * group);
    const { assert!(MANY / WHOLE_BLOCK * LEVELS * SUMS <= WAITING, "as much as is planned") }
    scratch.sums.grow(x.n.div_ceil(WHOLE_BLOCK) * LEVELS * SUMS);
    params(m, first, groups, scratch);
    let TileScratch { weights, scales, biases, sums, .. } = scratch;
    let walk = Walk {
        order,
        unpacking: Unpacking::of(m, group, first, &mut weights.all_mut()[..ring * TILE * group]),
        scales: scales.all(),
        biases: biases.all(),
        waiting: sums.all_mut().as_chunks_mut::<SUMS>().0.as_chunks_mut::<LEVELS>().0,
        next,
        to,
    };
    // SAFETY: the table's features; the tiles have their shapes.
    unsafe {
        match group {
            32 => walk.run::<32>(x),
            64 => walk.run::<64>(x),
            _ => walk.run::<128>(x),
        }
    }
}

/// A number below twice the places of a ring.
#[inline(always)]
fn wrapped(place: usize, places: usize) -> usize {
    if place < places { place } else { place - places }
}

/// What one walk over sixteen rows needs.
struct Walk<'a, 'p> {
    order: &'a Order,
    unpacking: Unpacking<'a>,
    /// [steps of lanes, 16 rows, 16 groups]
    scales: &'a [f32],
    biases: &'a [f32],
    waiting: &'a mut [[[f32; SUMS]; LEVELS]],
    next: &'a mut Next,
    to: To<'a, 'p>,
}

impl<'a> Walk<'a, '_> {
    /// Scales and biases of one group.
    #[inline(always)]
    fn params(&self, group: usize) -> [&'a Params; 2] {
        let first = group / LANES * TILE * LANES + group % LANES;
        let of = |all: &'a [f32]| all[first..].first_chunk().expect("steps are whole");
        [of(self.scales), of(self.biases)]
    }

    /// All lanes, one after the other; each with all blocks of vectors, the half one last. While a
    /// group is scaled, the next one is multiplied, and the one after that is unpacked.
    ///
    /// # Safety
    /// The processor has the features, and the tiles have the shapes of [`Tiles`] for this group.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn run<const GROUP: usize>(mut self, x: &Quantised<'_>) {
        let order = self.order;
        let padded = order.groups.len().next_multiple_of(LANES);
        let blocks = x.n.div_ceil(WHOLE_BLOCK);
        let whole = if x.n % WHOLE_BLOCK > HALF_BLOCK { blocks } else { x.n / WHOLE_BLOCK };
        let bytes = |is_whole| 2 * GROUP * if is_whole { WHOLE_BLOCK } else { HALF_BLOCK };
        let there = (blocks - 1) * x.stride + order.groups.len() * bytes(whole == blocks);
        assert!(there <= x.ints.len(), "{blocks} blocks");
        let ring = self.unpacking.places();
        let mut room = MaybeUninit::<[Exact; 2]>::uninit();
        let room = room.as_mut_ptr().cast::<Exact>();
        // Of the lane's first group in the ring.
        let mut base = 0;
        macro_rules! multiply_group {
            ($turn:expr, $base:expr, $group:expr, $block:expr, $n:expr) => {
                // SAFETY: the caller's shapes. The ring has so many bytes at each of its places;
                // those of the group in this block lie before `there`.
                unsafe {
                    let is_whole = $block < whole;
                    let place = wrapped($base + $n, ring);
                    let at = At {
                        weights: self.unpacking.start().add(place * TILE * GROUP),
                        x: x.ints.as_ptr().add($block * x.stride + $group * bytes(is_whole)),
                        is_whole,
                    };
                    multiply::<GROUP>(at, $turn, room.add($turn));
                }
            };
        }
        for group in order.groups.iter().take(AHEAD) {
            self.unpacking.group(*group);
        }
        let mut turn = 0;
        multiply_group!(0, 0, 0, 0, 0);
        for (step, lane) in order.lanes.iter().enumerate() {
            let (groups, after) = (&order.groups[lane.clone()], order.groups.get(lane.end));
            // Here and not between the groups, where a call would push all sums out of registers.
            for group in order.groups[lane.start..].iter().skip(AHEAD).take(groups.len()) {
                self.unpacking.group(*group);
            }
            macro_rules! each_block {
                ($sums:ty, $blocks:expr) => {
                    for block in $blocks {
                        let shared = block * WHOLE_BLOCK * padded;
                        let (steps, x_sums) = (&x.steps[shared..], &x.sums[shared..]);
                        let mut sums = [<$sums>::splat(0.0); TILE];
                        for (n, &g) in groups.iter().enumerate() {
                            if let Some(g) = groups.get(n + 1) {
                                multiply_group!(1 - turn, base, g, block, n + 1);
                            } else if block + 1 < blocks {
                                multiply_group!(1 - turn, base, groups[0], block + 1, 0);
                            } else if let Some(g) = after {
                                multiply_group!(1 - turn, base, g, 0, n + 1);
                            }
                            self.next.announce();
                            let exact = room.wrapping_add(turn);
                            turn = 1 - turn;
                            let shared = [steps, x_sums].map(|of| <$sums>::beside(of, g));
                            // SAFETY: the tiles of `exact` for such a block were filled.
                            unsafe { add_group(&mut sums, exact, self.params(g), shared) }
                        }
                        self.add_up((step, block), sums, x);
                    }
                };
            }
            each_block!(Avx512, 0..whole);
            each_block!(Avx2, whole..blocks);
            base = wrapped(base + groups.len(), ring);
        }
    }

    /// Adds the sums of a lane to those that wait, or lets them wait.
    #[inline(always)]
    fn add_up<S: Beside>(
        &mut self,
        (step, block): (usize, usize),
        mut sums: [S; TILE],
        x: &Quantised<'_>,
    ) {
        if !self.order.groups.len().is_multiple_of(LANES) {
            // A row adds the zeros that fill up its last sixteen groups: +0 - 0 is +0.
            each_sum!(S, n, sums[n] = sums[n].add(S::splat(0.0)));
        }
        // As in counting: two sums of as many lanes are added, and then those of twice as many.
        let full = step.trailing_ones() as usize;
        for level in &self.waiting[block][..full] {
            let level = level.as_chunks::<LANES>().0;
            each_sum!(S, n, sums[n] = S::read(&level[n]).add(sums[n]));
        }
        let level = &mut self.waiting[block][full.min(LEVELS - 1)];
        each_sum!(S, n, sums[n].write(&mut level.as_chunks_mut::<LANES>().0[n]));
        if step + 1 < self.order.lanes.len() {
            return;
        }
        let done = turned(level, S::VECTORS);
        let first = block * WHOLE_BLOCK;
        let vectors = x.first + first..x.first + x.n.min(first + S::VECTORS);
        for (vector, done) in vectors.zip(&done) {
            // Of a length that is known, if it can be.
            match self.to.count {
                TILE => self.to.part.put_some(vector, self.to.row, done),
                count => self.to.part.put_some(vector, self.to.row, &done[..count]),
            }
        }
    }
}

/// Adds what a group gives to the sums of sixteen rows.
///
/// # Safety
/// The tiles of `exact` for such a block were filled.
#[inline(always)]
unsafe fn add_group<S: Beside>(
    sums: &mut [S; TILE],
    exact: *const Exact,
    [scales, biases]: [&Params; 2],
    [step, x_sum]: [S; 2],
) {
    // Written out, or else the sums are not kept in registers.
    each_sum!(S, n, {
        let row = n * S::ROWS;
        // SAFETY: the caller's; there are sixteen rows.
        let dots = unsafe { S::dots(exact, row) };
        let (scale, bias) = (S::of_rows(scales, row), S::of_rows(biases, row));
        sums[n] = add_groups(dots, scale, bias, step, x_sum, sums[n]);
    });
}
