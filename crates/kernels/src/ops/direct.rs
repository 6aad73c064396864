//! One row of queries over a block of keys and values that become f32 in registers only.
//!
//! Where eight queries share a head and registers are many, every key and value is converted once
//! even so. The bits are those of [`tiles`](super::tiles).

use crate::KvType;
use crate::float::{F16, F32, Storage, bf16_to_f32};
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes};
use crate::ops::ahead::Ahead;
use crate::ops::attend::{BLOCK, Block, RECORD_HEAD, Span};

/// Queries that meet a key together.
const QUERIES: usize = 8;
/// Keys that meet them together.
const KEYS: usize = 2;
/// Blocks of columns of a value that are added together: a group of [`KvType::Q8`].
const COLUMNS: usize = GROUP / LANES;

/// Whether [`score`] and [`gather`] can be used.
pub(super) fn fits<L: Lanes>(span: &Span<'_>) -> bool {
    L::WIDE
        && span.rows() == 1
        && span.group.is_multiple_of(QUERIES)
        && span.dim.is_multiple_of(COLUMNS * LANES)
}

/// A type of keys and values as a type, read in groups of [`COLUMNS`] blocks.
trait Kept {
    const GROUP_BYTES: usize;
    /// What a group shares.
    type Shared<L: Lanes>: Copy;
    fn shared<L: Lanes>(row: &[u8], dim: usize, group: usize) -> Self::Shared<L>;
    /// The blocks of a group.
    fn group<L: Lanes>(row: &[u8], group: usize, shared: Self::Shared<L>) -> [L; COLUMNS];
}

struct Plain<S>(S);

impl<S: Storage> Kept for Plain<S> {
    const GROUP_BYTES: usize = GROUP * S::BYTES;
    type Shared<L: Lanes> = ();
    #[inline(always)]
    fn shared<L: Lanes>(_: &[u8], _: usize, _: usize) {}
    #[inline(always)]
    fn group<L: Lanes>(row: &[u8], group: usize, (): ()) -> [L; COLUMNS] {
        let bytes = &row[group * GROUP * S::BYTES..][..GROUP * S::BYTES];
        let (first, second) = bytes.split_at(LANES * S::BYTES);
        [S::lanes(first), S::lanes(second)]
    }
}

struct Scaled;

impl Kept for Scaled {
    const GROUP_BYTES: usize = GROUP + 2;
    type Shared<L: Lanes> = L;
    #[inline(always)]
    fn shared<L: Lanes>(row: &[u8], dim: usize, group: usize) -> L {
        let raw = &row[dim + 2 * group..][..2];
        L::splat(bf16_to_f32(u16::from_le_bytes([raw[0], raw[1]])))
    }
    #[inline(always)]
    fn group<L: Lanes>(row: &[u8], group: usize, scale: L) -> [L; COLUMNS] {
        let (blocks, _) = row[group * GROUP..][..GROUP].as_chunks::<LANES>();
        [L::from_i8(&blocks[0]).mul(scale), L::from_i8(&blocks[1]).mul(scale)]
    }
}

/// The scores of all queries with the keys of a block. Meanwhile the values are announced, and of
/// the keys that follow some, since memory rests while sums are finished.
#[inline(always)]
pub(super) fn score<L: Lanes>(block: &Block<'_>, scores: &mut [f32], next: &mut Ahead) {
    match block.span.kind {
        KvType::F32 => score_kept::<L, Plain<F32>>(block, scores, next),
        KvType::F16 => score_kept::<L, Plain<F16>>(block, scores, next),
        KvType::Q8 => score_kept::<L, Scaled>(block, scores, next),
    }
}

/// The values of a block are added to every record, each times its weight. Meanwhile the rest of
/// the keys that follow are announced.
#[inline(always)]
pub(super) fn gather<L: Lanes>(
    block: &Block<'_>,
    weights: &[f32],
    records: &mut [f32],
    next: &mut Ahead,
) {
    match block.span.kind {
        KvType::F32 => gather_kept::<L, Plain<F32>>(block, weights, records, next),
        KvType::F16 => gather_kept::<L, Plain<F16>>(block, weights, records, next),
        KvType::Q8 => gather_kept::<L, Scaled>(block, weights, records, next),
    }
}

#[inline(always)]
fn score_kept<L: Lanes, K: Kept>(block: &Block<'_>, scores: &mut [f32], next: &mut Ahead) {
    let span = block.span;
    let (dim, row_bytes) = (span.dim, span.kind.row_bytes(span.dim));
    let queries = span.queries.chunks_exact(QUERIES * dim);
    let mut ahead = Ahead::new(block.values);
    for (queries, scores) in queries.zip(scores.chunks_exact_mut(QUERIES * BLOCK)) {
        let pairs = block.keys.chunks_exact(KEYS * row_bytes);
        let last = pairs.remainder();
        let mut at = 0;
        for pair in pairs {
            let (first, second) = pair.split_at(row_bytes);
            let sums =
                dots::<L, K, KEYS, { KEYS * QUERIES }>(queries, [first, second], dim, &mut ahead);
            next.announce::<L>(KEYS * row_bytes / 4);
            let sums = sums.as_chunks::<KEYS>().0.iter();
            for (sums, scores) in sums.zip(scores.chunks_exact_mut(BLOCK)) {
                scores[at..at + KEYS].copy_from_slice(&sums.map(|sum| sum * span.scale));
            }
            at += KEYS;
        }
        if !last.is_empty() {
            let sums = dots::<L, K, 1, QUERIES>(queries, [last], dim, &mut ahead);
            for (sum, scores) in sums.iter().zip(scores.chunks_exact_mut(BLOCK)) {
                scores[at] = sum * span.scale;
            }
        }
    }
}

/// The dot product of every query with every key, `[queries, keys]`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the group is an index into several arrays")]
fn dots<L: Lanes, K: Kept, const N: usize, const M: usize>(
    queries: &[f32],
    keys: [&[u8]; N],
    dim: usize,
    ahead: &mut Ahead,
) -> [f32; M] {
    let mut sums = [L::splat(0.0); M];
    let groups = dim / GROUP;
    let mut queries_by_group = [&queries.as_chunks::<GROUP>().0[..groups]; QUERIES];
    for (v, by_group) in queries_by_group.iter_mut().enumerate() {
        *by_group = &queries[v * dim..].as_chunks::<GROUP>().0[..groups];
    }
    for group in 0..groups {
        let mut lanes = [[L::splat(0.0); COLUMNS]; N];
        for k in 0..N {
            let shared = K::shared::<L>(keys[k], dim, group);
            lanes[k] = K::group::<L>(keys[k], group, shared);
        }
        for c in 0..COLUMNS {
            for v in 0..QUERIES {
                let query = L::read(&queries_by_group[v][group][c * LANES..]);
                for k in 0..N {
                    sums[v * N + k] = query.mul_add(lanes[k][c], sums[v * N + k]);
                }
            }
        }
        ahead.go_on::<L>(N * K::GROUP_BYTES);
    }
    L::sums(sums)
}

#[inline(always)]
fn gather_kept<L: Lanes, K: Kept>(
    block: &Block<'_>,
    weights: &[f32],
    records: &mut [f32],
    next: &mut Ahead,
) {
    let dim = block.span.dim;
    let record = RECORD_HEAD + dim;
    let (weights, _) = weights.as_chunks::<BLOCK>();
    let (weights, _) = weights.as_chunks::<QUERIES>();
    for (weights, records) in weights.iter().zip(records.chunks_exact_mut(QUERIES * record)) {
        for group in 0..dim / GROUP {
            columns::<L, K>(block, weights, group, records, next);
        }
    }
}

/// A group of columns of all records.
#[inline(always)]
fn columns<L: Lanes, K: Kept>(
    block: &Block<'_>,
    weights: &[[f32; BLOCK]; QUERIES],
    group: usize,
    records: &mut [f32],
    next: &mut Ahead,
) {
    let dim = block.span.dim;
    let record = RECORD_HEAD + dim;
    let mut sums = [[L::splat(0.0); COLUMNS]; QUERIES];
    for v in 0..QUERIES {
        let out = &records[v * record + RECORD_HEAD + group * GROUP..][..GROUP];
        for c in 0..COLUMNS {
            sums[v][c] = L::read(&out[c * LANES..]);
        }
    }
    // The compiler knows `BLOCK`, and so that every weight is there.
    let rows = block.values.chunks_exact(block.span.kind.row_bytes(dim)).take(BLOCK);
    for (j, value) in rows.enumerate() {
        let shared = K::shared::<L>(value, dim, group);
        let lanes = K::group::<L>(value, group, shared);
        for v in 0..QUERIES {
            let weight = L::splat(weights[v][j]);
            for c in 0..COLUMNS {
                sums[v][c] = weight.mul_add(lanes[c], sums[v][c]);
            }
        }
        next.go_on::<L>(K::GROUP_BYTES * 3 / 4);
    }
    for v in 0..QUERIES {
        let out = &mut records[v * record + RECORD_HEAD + group * GROUP..][..GROUP];
        for c in 0..COLUMNS {
            sums[v][c].write(&mut out[c * LANES..]);
        }
    }
}
