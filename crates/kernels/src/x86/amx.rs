//! Many vectors at once with the tile multiplications of AMX: sixteen rows times sixteen vectors a step.

#![allow(
    unsafe_code,
    reason = "instructions without intrinsics, and the system's leave to use them"
)]

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi32, _mm512_cvtepi32_ps,
    _mm512_load_si512, _mm512_slli_epi32,
};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;

use super::avx512::Avx512;
use super::dots::Avx512VnniDots;
use super::tiles::wide_group;
use crate::activations::{BLOCK, Quantised};
use crate::dots::TILE;
use crate::lanes::{LANES, Num};
use crate::ops::integers::{Form, TileScratch, Visit, WAITING, add_groups, turn_params, visit};
use crate::rows::Part;
use crate::scratch::{LINE, Lines};
use crate::table::Blocks;
use crate::{Kernels, Matrix, Planes};

pub(crate) static TABLE: Kernels = Kernels {
    isa: crate::Isa::Amx,
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

/// Fewer vectors than these are multiplied faster without tiles, whose steps take as long for one
/// vector as for eight.
const FEW: usize = 5;
/// Vectors that go through a part of the rows before the next ones: the second cache holds them.
const MANY: usize = 128;
/// Vectors whose sums registers hold.
const VECTORS: usize = 2 * BLOCK;
/// Bytes of a row of a tile.
const COLUMNS: usize = 64;
/// Sums of lanes that wait for another to be added to: one of each power of two.
const LEVELS: usize = LANES.ilog2() as usize;
/// Floats of the sums of sixteen rows with sixteen vectors.
const SUMS: usize = TILE * VECTORS;

/// What `ldtilecfg` reads: the shape of each tile.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tile 0 is of weights, four columns of sixteen rows a line; 1 and 2 are of a block of vectors
/// each, upper and lower bytes in turn; 3 and 4 of their sums, 5 and 6 of those of another group.
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
        shapes.rows[..7].fill(2 * BLOCK as u8);
        shapes.rows[0] = columns as u8 / 4;
        shapes.row_bytes[1..3].fill(columns as u16);
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

/// Exact sums of one group with two blocks: [blocks, vectors, upper and lower bytes, 16 rows].
#[repr(C, align(64))]
struct Sums([[[[i32; TILE]; 2]; BLOCK]; 2]);

/// Where one group of `GROUP` columns lies.
struct At<const GROUP: usize> {
    /// [group / 4, 16 rows, 4]
    weights: *const u8,
    /// [vectors, upper and lower bytes, group]
    x: *const i8,
    /// Bytes from one block to the next.
    block: usize,
    exact: *mut Sums,
}

impl<const GROUP: usize> At<GROUP> {
    /// Columns of a tile.
    const TILE: usize = if GROUP < COLUMNS { GROUP } else { COLUMNS };

    /// Group number `n` of a lane, for the blocks of a tile of vectors.
    #[inline(always)]
    fn of(lane: &Lane<'_>, x: &Quantised<'_>, (tile, n): (usize, usize), exact: *mut Sums) -> Self {
        let group = (lane.lane + n * LANES) * BLOCK * 2 * GROUP;
        At {
            weights: lane.weights.as_ptr().wrapping_add(n * TILE * GROUP),
            x: x.ints.as_ptr().wrapping_add(2 * tile * x.stride + group),
            block: x.stride,
            exact,
        }
    }
}

/// Multiplies one group with one block or two and writes the sums.
macro_rules! multiply {
    ($one:literal, $two:literal, $both:expr, $at:expr) => {{
        let At { weights, x, block, exact } = $at;
        asm!(concat!("tilezero ", $one), options(nostack, nomem));
        if $both {
            asm!(concat!("tilezero ", $two), options(nostack, nomem));
        }
        for first in (0..GROUP).step_by(At::<GROUP>::TILE) {
            asm!(
                "tileloadd tmm0, [{weights} + {line} * 1]",
                "tileloadd tmm1, [{x} + {stride} * 1]",
                concat!("tdpbsud ", $one, ", tmm1, tmm0"),
                weights = in(reg) weights.add(TILE * first), line = in(reg) COLUMNS,
                x = in(reg) x.add(first), stride = in(reg) GROUP,
                options(nostack, readonly)
            );
            if $both {
                asm!(
                    "tileloadd tmm2, [{x} + {stride} * 1]",
                    concat!("tdpbsud ", $two, ", tmm2, tmm0"),
                    x = in(reg) x.add(block + first), stride = in(reg) GROUP,
                    options(nostack, readonly)
                );
            }
        }
        asm!(
            concat!("tilestored [{to} + {line} * 1], ", $one),
            to = in(reg) &raw mut (*exact).0[0], line = in(reg) COLUMNS, options(nostack)
        );
        if $both {
            asm!(
                concat!("tilestored [{to} + {line} * 1], ", $two),
                to = in(reg) &raw mut (*exact).0[1], line = in(reg) COLUMNS, options(nostack)
            );
        }
    }};
}

/// Does something for each of up to sixteen vectors, their numbers known to the compiler.
macro_rules! each_vector {
    ($count:ident, $v:ident, $body:expr) => {
        each_vector!(@ $count, $v, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $count:ident, $v:ident, $body:expr, $($number:literal)*) => {{
        $(
            if const { $number < $count } {
                let $v = $number;
                $body;
            }
        )*
    }};
}

/// The rows of `part`, each times every vector.
#[inline(always)]
fn blocks(m: &Matrix<'_>, x: &Quantised<'_>, part: &mut Part<'_>, scratch: &mut TileScratch) {
    let form = Form::of(m);
    let _tiles = Tiles::new(form.group.min(COLUMNS));
    for begin in (0..x.n).step_by(MANY) {
        let x = x.some(begin, MANY);
        for first in part.rows().step_by(TILE) {
            let count = TILE.min(part.rows().end - first);
            let to = To { row: first, count, part };
            if count == TILE {
                // Later vectors find the rows in the second cache.
                let mut next = match begin {
                    0 => Next::of(m, first + TILE, form.groups * x.n.div_ceil(VECTORS)),
                    _ => Next::nothing(),
                };
                sixteen_rows(m, &form, first, &mut next, &x, to, scratch);
            } else {
                let mut copy = std::mem::take(&mut scratch.rows);
                let rows = filled_up(m, first, &mut copy);
                sixteen_rows(&rows, &form, 0, &mut Next::nothing(), &x, to, scratch);
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

/// The lane that comes after so many others. Lanes are added as [`Lanes::sum`](crate::lanes::Lanes)
/// adds those of a register, l and l + 8 first: in this order few sums wait for another.
fn lane_at(step: usize, lanes: usize) -> usize {
    if lanes == 1 { 0 } else { step.reverse_bits() >> (usize::BITS - lanes.ilog2()) }
}

/// Sixteen rows from `first` on, a row a lane, in the order of `integers::row_dot`: what are lanes
/// there are sums one after the other here.
#[inline(always)]
fn sixteen_rows(
    m: &Matrix<'_>,
    form: &Form,
    first: usize,
    next: &mut Next<'_>,
    x: &Quantised<'_>,
    mut to: To<'_, '_>,
    scratch: &mut TileScratch,
) {
    let &Form { group, groups, .. } = form;
    // A row has zeros from its last group on: with eight groups, sums of eight lanes are enough.
    let lanes = groups.next_power_of_two().min(LANES);
    let tiles = x.n.div_ceil(VECTORS);
    let of_lane = groups.div_ceil(LANES) * TILE * group;
    scratch.weights.grow(2 * of_lane);
    const { assert!(MANY / VECTORS * LEVELS * SUMS <= WAITING, "as much as is planned") }
    scratch.sums.grow(tiles * LEVELS * SUMS);
    turn_params::<Avx512VnniDots>(m, first, scratch);
    let blocks = x.n.div_ceil(BLOCK);
    let fits = 2 * BLOCK * groups * group <= x.stride && x.ints.len() == blocks * x.stride;
    assert!(fits && x.sums.len() == x.steps.len(), "blocks of {groups} groups");
    // A lane ahead: tiles that are loaded right after they were written wait for the writes.
    for step in 0..lanes + 1 {
        if step < lanes {
            let out = &mut scratch.weights.all_mut()[step % 2 * of_lane..][..of_lane];
            visit(m, Unpack { first, lane: lane_at(step, lanes), out });
        }
        let Some(step) = step.checked_sub(1) else { continue };
        let TileScratch { weights, scales, biases, sums, .. } = &mut *scratch;
        let lane = Lane {
            groups,
            weights: &weights.all()[step % 2 * of_lane..][..of_lane],
            scales: &scales.all()[..TILE * groups],
            biases: &biases.all()[..TILE * groups],
            lane: lane_at(step, lanes),
            step,
            lanes,
            shared: x.steps.len() / blocks,
        };
        let waiting = sums.all_mut().as_chunks_mut::<SUMS>().0.as_chunks_mut::<LEVELS>().0;
        let whole = x.n / VECTORS;
        let rest = x.n % VECTORS;
        macro_rules! each_group {
            ($vectors:literal, $tiles:expr) => {
                // SAFETY: the table's instructions; the tiles have their shapes; the blocks of
                // `x` hold vectors of so many groups.
                unsafe {
                    match group {
                        32 => lane_of::<32, $vectors>(&lane, x, $tiles, waiting, next, &mut to),
                        64 => lane_of::<64, $vectors>(&lane, x, $tiles, waiting, next, &mut to),
                        _ => lane_of::<128, $vectors>(&lane, x, $tiles, waiting, next, &mut to),
                    }
                }
            };
        }
        if whole > 0 {
            each_group!(16, 0..whole);
        }
        // What a block has place for beyond its vectors is calculated too, and not looked at.
        match rest {
            0 => {}
            1..=4 => each_group!(4, whole..whole + 1),
            5..=8 => each_group!(8, whole..whole + 1),
            9..=12 => each_group!(12, whole..whole + 1),
            _ => each_group!(16, whole..whole + 1),
        }
    }
}

/// One lane of sixteen rows.
struct Lane<'a> {
    /// Of the whole row.
    groups: usize,
    /// [groups of the lane, group / 4, 16 rows, 4]
    weights: &'a [u8],
    /// [groups, 16 rows]
    scales: &'a [f32],
    biases: &'a [f32],
    lane: usize,
    /// How many came before it.
    step: usize,
    lanes: usize,
    /// Steps of a block of vectors.
    shared: usize,
}

/// The sums of one lane with some tiles of V vectors each, added to those that wait; with the last
/// lane they are done. While a group is scaled, the next one is multiplied, across tiles too.
///
/// # Safety
/// The processor has the features, and the tiles have the shapes of [`Tiles`] for this group. Each
/// block of `x` holds the groups of the lane.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn lane_of<const GROUP: usize, const V: usize>(
    lane: &Lane<'_>,
    x: &Quantised<'_>,
    tiles: Range<usize>,
    waiting: &mut [[[f32; SUMS]; LEVELS]],
    next: &mut Next<'_>,
    to: &mut To<'_, '_>,
) {
    let count = (lane.groups + LANES - 1 - lane.lane) / LANES;
    let blocks = if V > BLOCK { 2 } else { 1 };
    let there = (x.ints.len() / x.stride + 2 - blocks) / 2;
    assert!(tiles.end <= there && count * TILE * GROUP <= lane.weights.len(), "tiles {tiles:?}");
    let mut room = MaybeUninit::<[Sums; 2]>::uninit();
    let room = room.as_mut_ptr().cast::<Sums>();
    macro_rules! multiply_group {
        ($turn:expr, $tile:expr, $n:expr) => {{
            let at = At::<GROUP>::of(lane, x, ($tile, $n), room.wrapping_add($turn));
            // SAFETY: the caller's shapes. Tiles are read of TILE·GROUP bytes of weights and of the
            // 2·BLOCK·GROUP of each block that this group has; each store fills the sums of a block.
            unsafe {
                match $turn {
                    0 => multiply!("tmm3", "tmm4", V > BLOCK, at),
                    _ => multiply!("tmm5", "tmm6", V > BLOCK, at),
                }
            }
        }};
    }
    let mut turn = 0;
    if count > 0 {
        multiply_group!(0, tiles.start, 0);
    }
    for tile in tiles.clone() {
        let (steps, x_sums) =
            (&x.steps[2 * tile * lane.shared..], &x.sums[2 * tile * lane.shared..]);
        let mut sums = [Avx512::splat(0.0); VECTORS];
        for n in 0..count {
            let (tile, ahead) = if n + 1 < count { (tile, n + 1) } else { (tile + 1, 0) };
            if tile < tiles.end {
                multiply_group!(1 - turn, tile, ahead);
            }
            next.announce();
            let exact = room.wrapping_add(turn);
            turn = 1 - turn;
            let g = lane.lane + n * LANES;
            let scale = Avx512::read(&lane.scales[g * TILE..]);
            let bias = Avx512::read(&lane.biases[g * TILE..]);
            let last = (blocks - 1) * lane.shared + g * BLOCK + BLOCK;
            let (steps, x_sums) = (&steps[..last], &x_sums[..last]);
            // Written out, or else the sums are not kept in registers.
            each_vector!(V, v, {
                let at = g * BLOCK + v % BLOCK + v / BLOCK * lane.shared;
                // SAFETY: each load of sums has its sixteen numbers and is of a whole line; `at` is
                // before `last`.
                let (dots, step, x_sum) = unsafe {
                    let [upper, lower] = &(*exact).0[v / BLOCK][v % BLOCK];
                    let upper = _mm512_load_si512(upper.as_ptr().cast());
                    let lower = _mm512_load_si512(lower.as_ptr().cast());
                    let dots = _mm512_add_epi32(_mm512_slli_epi32(upper, 7), lower);
                    (_mm512_cvtepi32_ps(dots), *steps.get_unchecked(at), *x_sums.get_unchecked(at))
                };
                let (step, x_sum) = (Avx512::splat(step), Avx512::splat(x_sum));
                sums[v] = add_groups(Avx512(dots), scale, bias, step, x_sum, sums[v]);
            });
        }
        let first = tile * VECTORS;
        let vectors = x.first + first..x.first + x.n.min(first + V);
        add_up::<V>(lane, sums, &mut waiting[tile], vectors, to);
    }
}

/// Adds the sums of a lane to those that wait, or lets them wait.
#[inline(always)]
fn add_up<const V: usize>(
    lane: &Lane<'_>,
    mut sums: [Avx512; VECTORS],
    waiting: &mut [[f32; SUMS]; LEVELS],
    vectors: Range<usize>,
    to: &mut To<'_, '_>,
) {
    if !lane.groups.is_multiple_of(LANES) {
        // A row adds the zeros that fill up its last sixteen groups: +0 - 0 is +0.
        each_vector!(V, v, sums[v] = sums[v].add(Avx512::splat(0.0)));
    }
    // As in counting: two sums of as many lanes are added, and then those of twice as many.
    let full = lane.step.trailing_ones() as usize;
    for level in &waiting[..full] {
        let level = level.as_chunks::<TILE>().0;
        each_vector!(V, v, sums[v] = Avx512::read(&level[v]).add(sums[v]));
    }
    if lane.step + 1 < lane.lanes {
        let level = waiting[full].as_chunks_mut::<TILE>().0;
        return each_vector!(V, v, sums[v].write(&mut level[v]));
    }
    let mut done = [[0.0; TILE]; V];
    each_vector!(V, v, sums[v].write(&mut done[v]));
    for (vector, done) in vectors.zip(&done) {
        // Of a length that is known, if it can be.
        match to.count {
            TILE => to.part.put_some(vector, to.row, done),
            count => to.part.put_some(vector, to.row, &done[..count]),
        }
    }
}

/// What the next sixteen rows need, asked for a share at a time: as many requests as the processor
/// keeps open would hold it up if they came at once. The second cache is near enough.
struct Next<'a> {
    planes: [&'a [u8]; 3],
    /// Bytes of each that are asked for at a time.
    shares: [usize; 3],
}

impl<'a> Next<'a> {
    #[inline(always)]
    fn of(m: &Matrix<'a>, first: usize, shares: usize) -> Next<'a> {
        if first + TILE > m.rows() {
            return Next::nothing();
        }
        let planes = m.planes();
        let planes = [planes.weights, planes.scales, planes.biases].map(|plane| {
            let bytes = plane.len() / m.rows();
            &plane[first * bytes..][..TILE * bytes]
        });
        let shares = planes.map(|plane| plane.len().div_ceil(LINE).div_ceil(shares) * LINE);
        Next { planes, shares }
    }

    #[inline(always)]
    fn nothing() -> Next<'a> {
        Next { planes: [&[]; 3], shares: [0; 3] }
    }

    #[inline(always)]
    fn announce(&mut self) {
        for (plane, share) in self.planes.iter_mut().zip(self.shares) {
            let (now, later) = plane.split_at(share.min(plane.len()));
            *plane = later;
            for line in now.chunks(LINE) {
                // SAFETY: the table's instructions; a request touches nothing.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
            }
        }
    }
}

/// Unpacks the groups of one lane.
struct Unpack<'s> {
    first: usize,
    lane: usize,
    out: &'s mut [u8],
}

impl Visit for Unpack<'_> {
    #[inline(always)]
    fn visit<const BITS: usize, const GROUP: usize>(self, m: &Matrix<'_>) {
        let (groups, bytes) = (m.cols() / GROUP, GROUP * BITS / 8);
        let rows = &m.planes().weights[self.first * groups * bytes..][..TILE * groups * bytes];
        let out = self.out.chunks_exact_mut(TILE * GROUP);
        for (group, out) in (self.lane..groups).step_by(LANES).zip(out) {
            wide_group::<BITS, GROUP>(rows, group * bytes, out);
        }
    }
}
