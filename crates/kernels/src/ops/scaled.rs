//! Keys and values kept as bytes meet queries and weights as integers of sixteen bits.

use crate::KvType;
use crate::float::bf16_to_f32;
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes, Num};
use crate::ops::ahead::Ahead;
use crate::ops::attend::{BLOCK, Block, PIECE, RECORD_HEAD, Room, record_floats};
use crate::ops::sums::largest;
use crate::pairs::{PAIRED, Pairs, SCALES, Sixteen};

/// Added and taken away again, it rounds to the nearest integer, ties to even; added, it leaves
/// the integer in the low bits.
const ROUND: f32 = 12_582_912.0;
/// The greatest integer.
const LARGEST: f32 = 32_767.0;
/// What is below this counts as zero: [`LARGEST`] divided by the smallest numbers is infinite.
const TINY: f32 = 1e-30;
/// Pairs of a group.
const PAIRS: usize = GROUP / 2;

/// Room for the integers of one thread.
pub(crate) struct Integers<'a> {
    /// `[rows, PAIRS of all groups, group]`
    pub(crate) queries: &'a mut [[i16; 2]],
    /// What a score in integers is multiplied by: `[rows, group]`.
    pub(crate) steps: &'a mut [f32],
    /// Sixteen keys, `[groups, PAIRS]`, or a block's values of one group, `[BLOCK / 2, 2]`.
    pub(crate) kept: &'a mut [Sixteen],
    /// Of one group: `[group, BLOCK / 2]`.
    pub(crate) weights: &'a mut [[i16; 2]],
    /// `[groups, BLOCK]`
    pub(crate) scales: &'a mut [f32],
    /// What sums of values are multiplied by: `[rows, group]`.
    pub(crate) shares: &'a mut [f32],
}

impl<'a> Integers<'a> {
    /// Divides buffers of at least as many as [`Integers::pairs`], or none, and
    /// [`Integers::floats`].
    pub(crate) fn divide(
        queries: usize,
        group: usize,
        dim: usize,
        pairs: &'a mut [[i16; 2]],
        floats: &'a mut [f32],
    ) -> Integers<'a> {
        let len = pairs.len().min(Integers::pairs(queries, group, dim));
        let (kept, pairs) = pairs[..len].split_at_mut(len.min(Integers::kept(dim) * LANES));
        let (weights, asked) = pairs.split_at_mut(pairs.len().min(group * BLOCK / 2));
        let (steps, floats) = floats.split_at_mut(queries);
        let (shares, scales) = floats.split_at_mut(queries);
        let (kept, _) = kept.as_chunks_mut();
        Integers { queries: asked, steps, kept, weights, scales, shares }
    }

    /// How many of `kept`.
    const fn kept(dim: usize) -> usize {
        let keys = dim.div_ceil(GROUP) * PAIRS;
        if keys > BLOCK { keys } else { BLOCK }
    }

    /// Pairs in all, of rows with so many queries.
    pub(crate) const fn pairs(queries: usize, group: usize, dim: usize) -> usize {
        let asked = queries * dim.div_ceil(GROUP) * PAIRS;
        Integers::kept(dim) * LANES + asked + group * BLOCK / 2
    }

    /// Floats in all.
    pub(crate) const fn floats(queries: usize, dim: usize) -> usize {
        2 * queries + dim.div_ceil(GROUP) * BLOCK
    }
}

/// The scores of all queries with the keys of a block. Meanwhile the values are announced, and of
/// the keys that follow some.
#[inline(always)]
pub(crate) fn score<P: Pairs>(block: &Block<'_>, room: &mut Room<'_>, next: &mut Ahead) {
    let (span, integers) = (block.span, &mut room.integers);
    if block.first == 0 {
        ask(block, integers);
    }
    let (dim, group, groups) = (span.dim, span.group, span.dim.div_ceil(GROUP));
    let row_bytes = span.kind.row_bytes(dim);
    let mut ahead = Ahead::new(block.values);
    let due = 2 * PIECE * row_bytes / (groups * PAIRS * group);
    for (index, piece) in block.keys.chunks(PIECE * row_bytes).enumerate() {
        turn_scales::<P>(piece, dim, PIECE, integers.scales);
        for (g, to) in integers.kept.as_chunks_mut::<PAIRS>().0.iter_mut().take(groups).enumerate()
        {
            if piece.len() == PIECE * row_bytes && (g + 1) * GROUP <= dim {
                P::across(&piece[g * GROUP..], row_bytes, to);
            } else {
                let padded = padded::<PIECE>(piece, dim, g);
                P::across(padded.as_flattened(), GROUP, to);
            }
        }
        next.announce::<P::L>(piece.len() / 4);
        for row in 0..span.rows() {
            if block.seen(row) > index * PIECE {
                let queries = &integers.queries[row * group * groups * PAIRS..];
                let keys = Keys {
                    queries: &queries[..group * groups * PAIRS],
                    steps: &integers.steps[row * group..][..group],
                    kept: &integers.kept[..groups * PAIRS],
                    scales: &integers.scales[..groups * PIECE],
                    due: if row == 0 { due } else { 0 },
                };
                let scores = &mut room.scores[row * group * BLOCK..][..group * BLOCK];
                keys.score::<P>(scores, index * PIECE, &mut ahead);
            }
        }
    }
}

/// Queries become integers: step = max |x| / 32767, integer_i = round(x_i · (32767 / max |x|)).
/// One element that is not finite makes the step NaN.
#[inline(always)]
fn ask(block: &Block<'_>, integers: &mut Integers<'_>) {
    let (span, groups) = (block.span, block.span.dim.div_ceil(GROUP));
    integers.queries.fill([0; 2]);
    let queries = span.queries.chunks_exact(span.stride()).zip(&mut *integers.steps);
    for (n, (query, step)) in queries.enumerate() {
        let to = &mut integers.queries[n / span.group * groups * PAIRS * span.group..];
        let to = to[n % span.group..].chunks_mut(2 * span.group);
        // Magnitudes in order are their bits in order, and NaN lies above infinity.
        let mut most = 0;
        for x in query {
            most = most.max((x.to_bits() & 0x7fff_ffff) as i32);
        }
        let most = f32::from_bits(most as u32);
        *step = match most {
            TINY..f32::INFINITY => {
                let inverse = LARGEST / most;
                for (four, to) in query.as_chunks::<4>().0.iter().zip(to) {
                    let mut paired = [0; 4];
                    for (to, place) in paired.iter_mut().zip(PAIRED) {
                        *to = (four[place] * inverse + ROUND).to_bits() as i16;
                    }
                    let [a, b, c, d] = paired;
                    (to[0], to[span.group]) = ([a, b], [c, d]);
                }
                most / LARGEST * span.scale
            }
            ..TINY => 0.0,
            _ => f32::NAN,
        };
    }
}

/// A group of at most `N` rows, filled up with zeros.
#[inline(never)]
fn padded<const N: usize>(rows: &[u8], dim: usize, group: usize) -> [[u8; GROUP]; N] {
    let mut padded = [[0; GROUP]; N];
    for (row, to) in rows.chunks_exact(KvType::Q8.row_bytes(dim)).zip(&mut padded) {
        let bytes = &row[group * GROUP..dim.min((group + 1) * GROUP)];
        to[..bytes.len()].copy_from_slice(bytes);
    }
    padded
}

/// The scales of at most `count` rows as f32, `[groups, count]`, filled up with zeros.
#[inline(always)]
fn turn_scales<P: Pairs>(rows: &[u8], dim: usize, count: usize, to: &mut [f32]) {
    let groups = dim.div_ceil(GROUP);
    let row_bytes = dim + 2 * groups;
    if rows.len() < count * row_bytes {
        to.fill(0.0);
    }
    for (index, rows) in rows.chunks(LANES * row_bytes).enumerate() {
        let to = &mut to[index * LANES..];
        if groups.is_multiple_of(SCALES) && rows.len() == LANES * row_bytes {
            for first in (0..groups).step_by(SCALES) {
                P::scales(&rows[dim + 2 * first..], row_bytes, &mut to[first * count..], count);
            }
        } else {
            for (at, row) in rows.chunks_exact(row_bytes).enumerate() {
                for (raw, to) in row[dim..].as_chunks::<2>().0.iter().zip(to.chunks_mut(count)) {
                    to[at] = bf16_to_f32(u16::from_le_bytes(*raw));
                }
            }
        }
    }
}

/// Sixteen keys and the queries of a row.
struct Keys<'a> {
    queries: &'a [[i16; 2]],
    steps: &'a [f32],
    kept: &'a [Sixteen],
    scales: &'a [f32],
    /// Bytes of the values that are announced after every two steps of a query.
    due: usize,
}

impl Keys<'_> {
    #[inline(always)]
    fn score<P: Pairs>(&self, scores: &mut [f32], at: usize, ahead: &mut Ahead) {
        let mut q = 0;
        if P::L::WIDE {
            q = self.tiles::<P, 8>(scores, at, q, ahead);
        }
        if P::L::SEVERAL_ROWS {
            q = self.tiles::<P, 4>(scores, at, q, ahead);
        }
        self.tiles::<P, 1>(scores, at, q, ahead);
    }

    /// `V` queries at a time from query `q` on; the first one that is left over.
    #[inline(always)]
    fn tiles<P: Pairs, const V: usize>(
        &self,
        scores: &mut [f32],
        at: usize,
        mut q: usize,
        ahead: &mut Ahead,
    ) -> usize {
        const STEP: &str = "a step has all queries of a group";
        let (kept, _) = self.kept.as_chunks::<PAIRS>();
        let group = self.steps.len();
        while q + V <= self.steps.len() {
            let mut sums = [P::L::splat(0.0); V];
            for (g, kept) in kept.iter().enumerate() {
                let mut products = [P::none(); V];
                let queries = &self.queries[g * PAIRS * group..][..PAIRS * group];
                let both = kept.as_chunks::<2>().0.iter().zip(queries.chunks_exact(2 * group));
                for ([even, odd], queries) in both {
                    let (first, second) = queries.split_at(group);
                    for (kept, queries) in [(even, first), (odd, second)] {
                        let queries: &[_; V] = queries[q..].first_chunk().expect(STEP);
                        for v in 0..V {
                            products[v] = P::add(products[v], kept, &queries[v]);
                        }
                    }
                    ahead.line::<P::L>(self.due * V);
                }
                let scale = P::L::read(&self.scales[g * LANES..]);
                for v in 0..V {
                    sums[v] = P::floats(products[v]).mul_add(scale, sums[v]);
                }
            }
            for (v, sums) in sums.into_iter().enumerate() {
                let to = &mut scores[(q + v) * BLOCK + at..];
                sums.mul(P::L::splat(self.steps[q + v])).write(to);
            }
            q += V;
        }
        q
    }
}

/// The values of a block are added to every record, each times its weight. Meanwhile the rest of
/// the keys that follow are announced.
#[inline(always)]
pub(crate) fn gather<P: Pairs>(
    block: &Block<'_>,
    room: &mut Room<'_>,
    records: &mut [f32],
    next: &mut Ahead,
) {
    let (span, integers) = (block.span, &mut room.integers);
    let (dim, group, groups) = (span.dim, span.group, span.dim.div_ceil(GROUP));
    let (row_bytes, record) = (span.kind.row_bytes(dim), record_floats(dim));
    turn_scales::<P>(block.values, dim, BLOCK, integers.scales);
    for row in 0..span.rows() {
        let len = block.seen(row);
        let scores = room.scores[row * group * BLOCK..][..group * BLOCK].chunks_exact_mut(BLOCK);
        for (weights, share) in scores.zip(&mut integers.shares[row * group..]) {
            *share = level::<P::L>(weights, len);
        }
    }
    let due = 3 * row_bytes / (2 * groups * group);
    for g in 0..groups {
        let (kept, _) = integers.kept.as_chunks_mut();
        if block.values.len() == BLOCK * row_bytes && (g + 1) * GROUP <= dim {
            P::beside(&block.values[g * GROUP..], row_bytes, &mut kept[..BLOCK / 2]);
        } else {
            let padded = padded::<BLOCK>(block.values, dim, g);
            P::beside(padded.as_flattened(), GROUP, &mut kept[..BLOCK / 2]);
        }
        let mut ready = None;
        let mut scales = [0.0; BLOCK];
        let mut most = 0.0;
        for row in 0..span.rows() {
            let len = block.seen(row);
            if len == 0 {
                continue;
            }
            if ready != Some(len) {
                ready = Some(len);
                scales = [0.0; BLOCK];
                scales[..len].copy_from_slice(&integers.scales[g * BLOCK..][..len]);
                most = level_scales(&mut scales);
            }
            let scores = &room.scores[row * group * BLOCK..][..group * BLOCK];
            let (weights, _) = integers.weights.as_chunks_mut::<{ BLOCK / 2 }>();
            for (p, to) in scores.as_chunks::<BLOCK>().0.iter().zip(&mut *weights) {
                weigh::<P>(p, &scales, to);
            }
            let values = Values {
                weights,
                shares: &integers.shares[row * group..][..group],
                most,
                kept: integers.kept.as_chunks().0,
                pairs: len.div_ceil(2),
                due: if row == 0 { due } else { 0 },
            };
            let records = &mut records[row * group * record..][..group * record];
            values.gather::<P>(g * GROUP, record, records, next);
        }
    }
}

/// Weights become multiples of a share of one, from 0 to 32767, which is returned; those from
/// `len` on become zero.
#[inline(always)]
fn level<L: Lanes>(weights: &mut [f32], len: usize) -> f32 {
    weights[len..].fill(0.0);
    let most = largest::<L>(&weights[..len]);
    let (inverse, share) = if most < TINY { (0.0, 0.0) } else { (LARGEST / most, most / LARGEST) };
    for weights in weights.as_chunks_mut::<LANES>().0 {
        L::read(weights).mul(L::splat(inverse)).write(weights);
    }
    share
}

/// Scales become fractions of the greatest of them, which is returned.
#[inline(always)]
fn level_scales(scales: &mut [f32; BLOCK]) -> f32 {
    // Magnitudes in order are their bits in order, and NaN lies above infinity.
    let mut most = 0;
    for scale in &*scales {
        most = most.max((scale.to_bits() & 0x7fff_ffff) as i32);
    }
    let most = f32::from_bits(most as u32);
    let (inverse, most) = if most < TINY { (0.0, 0.0) } else { (1.0 / most, most) };
    for scale in scales {
        *scale *= inverse;
    }
    most
}

/// The integers of one query's weights.
#[inline(always)]
fn weigh<P: Pairs>(weights: &[f32; BLOCK], scales: &[f32; BLOCK], to: &mut [[i16; 2]; BLOCK / 2]) {
    let to = to.as_flattened_mut().as_chunks_mut::<LANES>().0.iter_mut();
    let both = weights.as_chunks::<LANES>().0.iter().zip(scales.as_chunks::<LANES>().0);
    for ((weights, scales), to) in both.zip(to) {
        let rounded = P::L::read(weights).mul(P::L::read(scales)).add(P::L::splat(ROUND));
        P::low_halves(rounded, to);
    }
}

/// A group of columns of a block's values, and the weights of a row's queries.
struct Values<'a> {
    weights: &'a [[[i16; 2]; BLOCK / 2]],
    shares: &'a [f32],
    /// The greatest scale.
    most: f32,
    kept: &'a [[Sixteen; GROUP / LANES]],
    pairs: usize,
    /// Bytes of the keys that follow that are announced after every two values of a query.
    due: usize,
}

impl Values<'_> {
    #[inline(always)]
    fn gather<P: Pairs>(
        &self,
        column: usize,
        record: usize,
        records: &mut [f32],
        next: &mut Ahead,
    ) {
        let mut q = 0;
        if P::L::WIDE {
            q = self.tiles::<P, 8>(column, record, records, q, next);
        }
        if P::L::SEVERAL_ROWS {
            q = self.tiles::<P, 2>(column, record, records, q, next);
        }
        self.tiles::<P, 1>(column, record, records, q, next);
    }

    /// `V` queries at a time from query `q` on; the first one that is left over.
    #[inline(always)]
    fn tiles<P: Pairs, const V: usize>(
        &self,
        column: usize,
        record: usize,
        records: &mut [f32],
        mut q: usize,
        next: &mut Ahead,
    ) -> usize {
        while q + V <= self.shares.len() {
            let weights: &[_; V] = self.weights[q..].first_chunk().expect("as many as shares");
            let mut products = [[P::none(); GROUP / LANES]; V];
            // The compiler knows `BLOCK`, and so that every weight is there.
            for (pair, kept) in self.kept.iter().take(self.pairs.min(BLOCK / 2)).enumerate() {
                for v in 0..V {
                    for c in 0..GROUP / LANES {
                        products[v][c] = P::add(products[v][c], &kept[c], &weights[v][pair]);
                    }
                }
                next.line::<P::L>(self.due * V);
            }
            for v in 0..V {
                let step = P::L::splat(self.shares[q + v] * self.most);
                let out = &mut records[(q + v) * record..][..record];
                let out = out[RECORD_HEAD + column..].as_chunks_mut::<LANES>().0;
                for (sums, out) in P::columns(products[v]).into_iter().zip(out) {
                    sums.mul_add(step, P::L::read(out)).write(out);
                }
            }
            q += V;
        }
        q
    }
}
