//! Queries times a piece of decoded keys, and weights times a piece of decoded values, in registers.

use crate::lanes::{LANES, Lanes};
use crate::ops::ahead::Ahead;
use crate::ops::attend::{BLOCK, PIECE, RECORD_HEAD};

/// `[PIECE]` decoded rows of `stride` elements, whole blocks of lanes.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) rows: &'a [f32],
    pub(super) stride: usize,
    /// Which piece of its block it is.
    pub(super) index: usize,
}

/// scores[q][j] = dot(query q, key j) · scale for every key of the piece, those behind the last
/// one included: what becomes of them is never read. `queries` are `[group, stride]`, `scores`
/// `[group, BLOCK]`. After each query and key `due` bytes are announced.
#[inline(always)]
pub(super) fn score<L: Lanes>(
    queries: &[f32],
    piece: Piece<'_>,
    scale: f32,
    scores: &mut [f32],
    ahead: &mut Ahead,
    due: usize,
) {
    let mut q = 0;
    if L::WIDE {
        q = score_tiles::<L, 4, 4, 16>(queries, piece, scale, scores, q, ahead, due);
    }
    if L::SEVERAL_ROWS {
        q = score_tiles::<L, 2, 2, 4>(queries, piece, scale, scores, q, ahead, due);
        q = score_tiles::<L, 4, 1, 4>(queries, piece, scale, scores, q, ahead, due);
    }
    score_tiles::<L, 1, 1, 1>(queries, piece, scale, scores, q, ahead, due);
}

/// [`score`] in tiles of `K` keys and `V` queries, `N` in all, from query `q` on; the first query
/// that is left over.
#[inline(always)]
fn score_tiles<L: Lanes, const K: usize, const V: usize, const N: usize>(
    queries: &[f32],
    piece: Piece<'_>,
    scale: f32,
    scores: &mut [f32],
    mut q: usize,
    ahead: &mut Ahead,
    due: usize,
) -> usize {
    let stride = piece.stride;
    while (q + V) * stride <= queries.len() {
        let queries = &queries[q * stride..][..V * stride];
        for key in (0..PIECE).step_by(K) {
            let sums = dots::<L, K, V, N>(queries, &piece.rows[key * stride..], stride);
            let at = piece.index * PIECE + key;
            for (v, sums) in sums.as_chunks::<K>().0.iter().enumerate() {
                let scores = &mut scores[(q + v) * BLOCK + at..][..K];
                scores.copy_from_slice(&sums.map(|sum| sum * scale));
            }
            ahead.announce::<L>(N * due);
        }
        q += V;
    }
    q
}

/// The dot product of every query with every key, `[queries, keys]`.
#[inline(always)]
fn dots<L: Lanes, const K: usize, const V: usize, const N: usize>(
    queries: &[f32],
    keys: &[f32],
    stride: usize,
) -> [f32; N] {
    let blocks = stride / LANES;
    let mut key_blocks = [&keys.as_chunks::<LANES>().0[..blocks]; K];
    for k in 1..K {
        key_blocks[k] = &keys[k * stride..].as_chunks::<LANES>().0[..blocks];
    }
    let mut query_blocks = [&queries.as_chunks::<LANES>().0[..blocks]; V];
    for v in 1..V {
        query_blocks[v] = &queries[v * stride..].as_chunks::<LANES>().0[..blocks];
    }
    let mut sums = [L::splat(0.0); N];
    for block in 0..blocks {
        let mut key = [L::splat(0.0); K];
        for k in 0..K {
            key[k] = L::read(&key_blocks[k][block]);
        }
        for v in 0..V {
            let query = L::read(&query_blocks[v][block]);
            for k in 0..K {
                sums[v * K + k] = query.mul_add(key[k], sums[v * K + k]);
            }
        }
    }
    L::sums(sums)
}

/// Adds the first `count` values of the piece, in order, each times its weight, to the records of
/// a group. `weights` are `[group, BLOCK / PIECE]` pieces. After each query and block of columns
/// `due` bytes are announced.
#[inline(always)]
pub(super) fn gather<L: Lanes>(
    weights: &[[f32; PIECE]],
    piece: Piece<'_>,
    count: usize,
    records: &mut [f32],
    ahead: &mut Ahead,
    due: usize,
) {
    let mut q = 0;
    if L::WIDE {
        q = gather_tiles::<L, 8, 2>(weights, piece, count, records, q, ahead, due);
        q = gather_tiles::<L, 4, 4>(weights, piece, count, records, q, ahead, due);
    }
    if L::SEVERAL_ROWS {
        q = gather_tiles::<L, 4, 1>(weights, piece, count, records, q, ahead, due);
        q = gather_tiles::<L, 2, 2>(weights, piece, count, records, q, ahead, due);
        q = gather_tiles::<L, 1, 4>(weights, piece, count, records, q, ahead, due);
    }
    gather_tiles::<L, 1, 1>(weights, piece, count, records, q, ahead, due);
}

/// [`gather`] in tiles of `V` queries and `C` blocks of columns, from query `q` on; the first
/// query that is left over.
#[inline(always)]
fn gather_tiles<L: Lanes, const V: usize, const C: usize>(
    weights: &[[f32; PIECE]],
    piece: Piece<'_>,
    count: usize,
    records: &mut [f32],
    mut q: usize,
    ahead: &mut Ahead,
    due: usize,
) -> usize {
    const PIECES: usize = BLOCK / PIECE;
    let record = RECORD_HEAD + piece.stride;
    while (q + V) * record <= records.len() {
        let weights = &weights[q * PIECES + piece.index..];
        let mut own = [&weights[0]; V];
        for (v, own) in own.iter_mut().enumerate() {
            *own = &weights[v * PIECES];
        }
        let records = &mut records[q * record..][..V * record];
        let mut column = 0;
        while column + C * LANES <= piece.stride {
            columns::<L, V, C>(own, piece, count, column, records);
            ahead.announce::<L>(V * C * due);
            column += C * LANES;
        }
        while column < piece.stride {
            columns::<L, V, 1>(own, piece, count, column, records);
            ahead.announce::<L>(V * due);
            column += LANES;
        }
        q += V;
    }
    q
}

/// `C` blocks of columns of `V` records.
#[inline(always)]
fn columns<L: Lanes, const V: usize, const C: usize>(
    weights: [&[f32; PIECE]; V],
    piece: Piece<'_>,
    count: usize,
    column: usize,
    records: &mut [f32],
) {
    let record = RECORD_HEAD + piece.stride;
    let mut sums = [[L::splat(0.0); C]; V];
    for v in 0..V {
        let out = &records[v * record + RECORD_HEAD + column..][..C * LANES];
        for c in 0..C {
            sums[v][c] = L::read(&out[c * LANES..]);
        }
    }
    // The compiler knows `PIECE`, and so that every weight is there.
    let values = piece.rows.chunks_exact(piece.stride).take(count.min(PIECE));
    for (j, value) in values.enumerate() {
        let value = &value[column..column + C * LANES];
        let mut lanes = [L::splat(0.0); C];
        for c in 0..C {
            lanes[c] = L::read(&value[c * LANES..]);
        }
        for v in 0..V {
            let weight = L::splat(weights[v][j]);
            for c in 0..C {
                sums[v][c] = weight.mul_add(lanes[c], sums[v][c]);
            }
        }
    }
    for v in 0..V {
        let out = &mut records[v * record + RECORD_HEAD + column..][..C * LANES];
        for c in 0..C {
            sums[v][c].write(&mut out[c * LANES..]);
        }
    }
}
