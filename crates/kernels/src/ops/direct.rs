//! One row of queries over a block of keys and values that become f32 in registers only.
//!
//! Where eight queries share a head and registers are many, every key and value is converted once
//! even so. The bits are those of [`tiles`](super::tiles).

use crate::KvType;
use crate::float::{F16, F32, Storage};
use crate::lanes::{LANES, Lanes};
use crate::ops::ahead::Ahead;
use crate::ops::attend::{BLOCK, Block, RECORD_HEAD, Span};

/// Queries that meet a key together.
const QUERIES: usize = 8;
/// Keys that meet them together.
const KEYS: usize = 2;
/// Blocks of columns of a value that are added together: a group.
const COLUMNS: usize = 2;
/// Columns of a group.
const GROUP: usize = COLUMNS * LANES;

/// Whether [`score`] and [`gather`] can be used.
pub(super) fn fits<L: Lanes>(span: &Span<'_>) -> bool {
    L::WIDE
        && span.rows() == 1
        && span.group.is_multiple_of(QUERIES)
        && span.dim.is_multiple_of(GROUP)
}

/// Bytes of a group of columns.
const fn group_bytes<S: Storage>() -> usize {
    GROUP * S::BYTES
}

/// The blocks of a group of a row.
#[inline(always)]
fn group_of<L: Lanes, S: Storage>(row: &[u8], group: usize) -> [L; COLUMNS] {
    let bytes = &row[group * group_bytes::<S>()..][..group_bytes::<S>()];
    let (first, second) = bytes.split_at(LANES * S::BYTES);
    [S::lanes(first), S::lanes(second)]
}

/// The scores of all queries with the keys of a block. Meanwhile the values are announced, and of
/// the keys that follow some, since memory rests while sums are finished.
#[inline(always)]
pub(super) fn score<L: Lanes>(block: &Block<'_>, scores: &mut [f32], next: &mut Ahead) {
    match block.span.kind {
        KvType::F32 => score_kept::<L, F32>(block, scores, next),
        KvType::F16 => score_kept::<L, F16>(block, scores, next),
        KvType::Q8 => unreachable!("bytes are multiplied as integers"),
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
        KvType::F32 => gather_kept::<L, F32>(block, weights, records, next),
        KvType::F16 => gather_kept::<L, F16>(block, weights, records, next),
        KvType::Q8 => unreachable!("bytes are multiplied as integers"),
    }
}

#[inline(always)]
fn score_kept<L: Lanes, S: Storage>(block: &Block<'_>, scores: &mut [f32], next: &mut Ahead) {
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
                dots::<L, S, KEYS, { KEYS * QUERIES }>(queries, [first, second], dim, &mut ahead);
            next.announce::<L>(KEYS * row_bytes / 4);
            let sums = sums.as_chunks::<KEYS>().0.iter();
            for (sums, scores) in sums.zip(scores.chunks_exact_mut(BLOCK)) {
                scores[at..at + KEYS].copy_from_slice(&sums.map(|sum| sum * span.scale));
            }
            at += KEYS;
        }
        if !last.is_empty() {
            let sums = dots::<L, S, 1, QUERIES>(queries, [last], dim, &mut ahead);
            for (sum, scores) in sums.iter().zip(scores.chunks_exact_mut(BLOCK)) {
                scores[at] = sum * span.scale;
            }
        }
    }
}

/// The dot product of every query with every key, `[queries, keys]`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the group is an index into several arrays")]
fn dots<L: Lanes, S: Storage, const N: usize, const M: usize>(
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
            lanes[k] = group_of::<L, S>(keys[k], group);
        }
        for c in 0..COLUMNS {
            for v in 0..QUERIES {
                let query = L::read(&queries_by_group[v][group][c * LANES..]);
                for k in 0..N {
                    sums[v * N + k] = query.mul_add(lanes[k][c], sums[v * N + k]);
                }
            }
        }
        ahead.go_on::<L>(N * group_bytes::<S>());
    }
    L::sums(sums)
}

#[inline(always)]
fn gather_kept<L: Lanes, S: Storage>(
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
            columns::<L, S>(block, weights, group, records, next);
        }
    }
}

/// A group of columns of all records.
#[inline(always)]
fn columns<L: Lanes, S: Storage>(
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
        let lanes = group_of::<L, S>(value, group);
        for v in 0..QUERIES {
            let weight = L::splat(weights[v][j]);
            for c in 0..COLUMNS {
                sums[v][c] = weight.mul_add(lanes[c], sums[v][c]);
            }
        }
        next.go_on::<L>(group_bytes::<S>() * 3 / 4);
    }
    for v in 0..QUERIES {
        let out = &mut records[v * record + RECORD_HEAD + group * GROUP..][..GROUP];
        for c in 0..COLUMNS {
            sums[v][c].write(&mut out[c * LANES..]);
        }
    }
}
