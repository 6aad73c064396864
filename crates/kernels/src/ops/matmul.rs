//! Matrix times vectors: unpacking fused with the dot product for one, tiles of rows for several.

use std::marker::PhantomData;

use crate::lanes::{LANES, Lanes, padded};
use crate::ops::ahead::Ahead;
use crate::ops::weights::{Row, Visit, visit};
use crate::rows::Part;
use crate::scratch::grow;
use crate::{Kernels, Matrix};

/// Rows that are unpacked and multiplied together, so that one's work hides another's latency;
/// with more, sixteen registers do not hold the sums, scales and biases.
const FUSED: usize = 2;
/// Bytes after which rows are announced, at least: nearer ones would be read before they have come.
const AHEAD: usize = 2048;
/// Rows that are decoded to scratch before several vectors meet them.
pub(crate) const TILE_ROWS: usize = 8;

/// The columns of a decoded row in scratch: filled with zeros to whole blocks.
pub(crate) const fn padded_cols(cols: usize) -> usize {
    cols.next_multiple_of(LANES)
}

#[inline(always)]
pub(crate) fn decode_row<L: Lanes>(m: &Matrix<'_>, row: usize, out: &mut [f32]) {
    visit(m, Decode::<L> { row, out, lanes: PhantomData });
}

/// The rows of `part`, times every vector of `x`. `scratch` grows to what several vectors need.
pub(crate) fn matmul(
    kernels: &Kernels,
    m: &Matrix<'_>,
    x: &[f32],
    part: &mut Part<'_>,
    scratch: &mut Vec<f32>,
) {
    let cols = m.cols();
    if x.len() == cols {
        return (kernels.one_vector)(m, x, part);
    }
    let stride = padded_cols(cols);
    grow(scratch, TILE_ROWS * stride);
    let rows = part.rows();
    for first in rows.clone().step_by(TILE_ROWS) {
        let count = TILE_ROWS.min(rows.end - first);
        let decoded = &mut scratch[..count * stride];
        for (r, out) in decoded.chunks_exact_mut(stride).enumerate() {
            out[cols..].fill(0.0);
            (kernels.decode_row)(m, first + r, &mut out[..cols]);
        }
        (kernels.decoded_rows)(decoded, first, x, cols, part);
    }
}

#[inline(always)]
pub(crate) fn one_vector<L: Lanes>(m: &Matrix<'_>, x: &[f32], part: &mut Part<'_>) {
    visit(m, Fused::<L> { x, part, lanes: PhantomData });
}

struct Decode<'o, L> {
    row: usize,
    out: &'o mut [f32],
    lanes: PhantomData<L>,
}

impl<'a, L: Lanes> Visit<'a> for Decode<'_, L> {
    #[inline(always)]
    fn visit<R: Row<'a>>(self, m: &Matrix<'a>) {
        let row = R::of(m, self.row);
        let group_blocks = row.group_cols() / LANES;
        let (blocks, rest) = self.out.as_chunks_mut::<LANES>();
        let mut bytes = row.weights();
        for (group, blocks) in blocks.chunks_mut(group_blocks).enumerate() {
            let shared = row.shared::<L>(group);
            for out in blocks {
                let (block, after) = bytes.split_at(R::BLOCK_BYTES);
                R::decode::<L>(block, shared).write(out);
                bytes = after;
            }
        }
        if !rest.is_empty() {
            let shared = row.shared::<L>(m.cols() / LANES / group_blocks);
            rest.copy_from_slice(&decode_rest::<L, R>(bytes, rest.len(), shared)[..rest.len()]);
        }
    }
}

/// Fewer than sixteen weights; the other lanes are zero whatever the scale.
#[inline(always)]
fn decode_rest<'a, L: Lanes, R: Row<'a>>(
    bytes: &[u8],
    cols: usize,
    shared: R::Shared<L>,
) -> [f32; LANES] {
    let mut raw = [0; 4 * LANES];
    raw[..bytes.len()].copy_from_slice(bytes);
    let mut lanes = [0.0; LANES];
    R::decode::<L>(&raw[..R::BLOCK_BYTES], shared).write(&mut lanes);
    lanes[cols..].fill(0.0);
    lanes
}

struct Fused<'o, 'p, L> {
    x: &'o [f32],
    part: &'o mut Part<'p>,
    lanes: PhantomData<L>,
}

impl<'a, L: Lanes> Visit<'a> for Fused<'_, '_, L> {
    #[inline(always)]
    fn visit<R: Row<'a>>(self, m: &Matrix<'a>) {
        let rows = self.part.rows();
        let mut row = rows.start;
        while L::SEVERAL_ROWS && row + FUSED <= rows.end {
            let two = [R::of(m, row), R::of(m, row + 1)];
            for (r, sum) in fused::<L, R, FUSED>(two, self.x).into_iter().enumerate() {
                self.part.put(0, row + r, sum);
            }
            row += FUSED;
        }
        while row < rows.end {
            let [sum] = fused::<L, R, 1>([R::of(m, row)], self.x);
            self.part.put(0, row, sum);
            row += 1;
        }
    }
}

/// Each row's weights times `x`, with the bits of decoding the row first.
#[inline(always)]
fn fused<'a, L: Lanes, R: Row<'a>, const N: usize>(rows: [R; N], x: &[f32]) -> [f32; N] {
    let mut sums = [L::splat(0.0); N];
    let group_blocks = rows[0].group_cols() / LANES;
    let (blocks, rest) = x.as_chunks::<LANES>();
    // Rows follow each other: while these are read, as many bytes are announced behind them.
    let together = N * rows[0].weights().len();
    let mut ahead = Ahead::from(rows[0].weights(), AHEAD.next_multiple_of(together.max(1)));
    let mut at = 0;
    for (group, blocks) in blocks.chunks(group_blocks).enumerate() {
        ahead.go_on::<L>(N * blocks.len() * R::BLOCK_BYTES);
        let mut shared = [rows[0].shared::<L>(group); N];
        for r in 1..N {
            shared[r] = rows[r].shared::<L>(group);
        }
        for x in blocks {
            let x = L::read(x);
            for r in 0..N {
                let block = &rows[r].weights()[at..at + R::BLOCK_BYTES];
                sums[r] = R::decode::<L>(block, shared[r]).mul_add(x, sums[r]);
            }
            at += R::BLOCK_BYTES;
        }
    }
    if !rest.is_empty() {
        let x = L::read(&padded(rest, 0.0));
        for r in 0..N {
            let shared = rows[r].shared::<L>(blocks.len() / group_blocks);
            let lanes = decode_rest::<L, R>(&rows[r].weights()[at..], rest.len(), shared);
            sums[r] = L::read(&lanes).mul_add(x, sums[r]);
        }
    }
    let mut totals = [0.0; N];
    for r in 0..N {
        totals[r] = sums[r].sum();
    }
    totals
}

/// Decoded rows, each filled up to whole blocks, times every vector of `cols` elements, in tiles
/// whose sums registers hold: with sixteen registers of eight lanes two rows and three vectors
/// leave four.
/// The first of them is row `first` of the matrix.
#[inline(always)]
pub(crate) fn decoded_rows<L: Lanes>(
    decoded: &[f32],
    first: usize,
    x: &[f32],
    cols: usize,
    part: &mut Part<'_>,
) {
    let mut v = 0;
    if L::WIDE {
        v = tiles::<L, 4, 4>(decoded, first, x, cols, v, part);
    }
    v = tiles::<L, 2, 3>(decoded, first, x, cols, v, part);
    tiles::<L, 2, 1>(decoded, first, x, cols, v, part);
}

/// [`decoded_rows`] in tiles of `R` rows and `V` vectors, from vector `v` on; the first vector that
/// is left over.
#[inline(always)]
fn tiles<L: Lanes, const R: usize, const V: usize>(
    decoded: &[f32],
    first: usize,
    x: &[f32],
    cols: usize,
    mut v: usize,
    part: &mut Part<'_>,
) -> usize {
    let stride = padded_cols(cols);
    let rows = decoded.len() / stride;
    while (v + V) * cols <= x.len() {
        let mut vectors = [&x[v * cols..][..cols]; V];
        for (n, vector) in vectors.iter_mut().enumerate() {
            *vector = &x[(v + n) * cols..][..cols];
        }
        let mut r = 0;
        while r + R <= rows {
            let mut several = [&decoded[r * stride..][..stride]; R];
            for (n, row) in several.iter_mut().enumerate() {
                *row = &decoded[(r + n) * stride..][..stride];
            }
            put(part, first + r, v, tile::<L, R, V>(several, vectors));
            r += R;
        }
        for r in r..rows {
            let row = &decoded[r * stride..][..stride];
            put(part, first + r, v, tile::<L, 1, V>([row], vectors));
        }
        v += V;
    }
    v
}

#[inline(always)]
fn put<const R: usize, const V: usize>(
    part: &mut Part<'_>,
    row: usize,
    vector: usize,
    sums: [[f32; V]; R],
) {
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            part.put(vector + v, row + r, *sum);
        }
    }
}

/// The dot product of every row with every vector. All have the length of the vectors; rows may
/// be longer if zeros follow.
#[inline(always)]
pub(super) fn tile<L: Lanes, const R: usize, const V: usize>(
    rows: [&[f32]; R],
    vectors: [&[f32]; V],
) -> [[f32; V]; R] {
    let cols = vectors[0].len();
    let whole = cols / LANES;
    let row_blocks = rows.map(|row| &row.as_chunks::<LANES>().0[..whole]);
    let vector_blocks = vectors.map(|vector| &vector.as_chunks::<LANES>().0[..whole]);
    let mut sums = [[L::splat(0.0); V]; R];
    for block in 0..whole {
        for r in 0..R {
            let weight = L::read(&row_blocks[r][block]);
            for v in 0..V {
                sums[r][v] = weight.mul_add(L::read(&vector_blocks[v][block]), sums[r][v]);
            }
        }
    }
    let rest = whole * LANES..cols;
    if !rest.is_empty() {
        for r in 0..R {
            let weight = L::read(&padded(&rows[r][rest.clone()], 0.0));
            for v in 0..V {
                let x = L::read(&padded(&vectors[v][rest.clone()], 0.0));
                sums[r][v] = weight.mul_add(x, sums[r][v]);
            }
        }
    }
    let mut totals = [[0.0; V]; R];
    for r in 0..R {
        for v in 0..V {
            totals[r][v] = sums[r][v].sum();
        }
    }
    totals
}
