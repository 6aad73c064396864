//! Attention of a few rows of queries to one span of keys, all queries of a head's group together.

use crate::lanes::{LANES, Lanes, Num};
use crate::math::exp_num;
use crate::ops::ahead::Ahead;
use crate::ops::direct;
use crate::ops::kept::decode;
use crate::ops::scaled::Integers;
use crate::ops::sums::{exp_less, largest};
use crate::ops::tiles::{Piece, gather, score};
use crate::{Kernels, KvType};

/// Keys of one block: with each the greatest score so far may grow.
pub(crate) const BLOCK: usize = 64;
/// Keys or values that are decoded at a time, so that they stay in the nearest cache while every
/// query meets them.
pub(crate) const PIECE: usize = 16;

/// What one query has of the keys it met: the greatest score at 0, Σ e^(score - greatest) at 1,
/// and from here on Σ e^(score - greatest) · value, by whole blocks of lanes.
pub(crate) const RECORD_HEAD: usize = LANES;
const GREATEST: usize = 0;
const TOTAL: usize = 1;

/// Floats of a record.
pub(crate) const fn record_floats(dim: usize) -> usize {
    RECORD_HEAD + dim.next_multiple_of(LANES)
}

/// Keys and values that lie together, and the queries that look at them.
pub(crate) struct Span<'a> {
    pub(crate) kind: KvType,
    pub(crate) dim: usize,
    /// `[len]` rows of `dim` elements, both.
    pub(crate) keys: &'a [u8],
    pub(crate) values: &'a [u8],
    /// How many keys came before the first of these.
    pub(crate) start: usize,
    /// How many keys the first row of queries sees, from the very first on; each further row sees
    /// one more.
    pub(crate) sees: usize,
    /// `[rows, group, whole blocks of dim]`, filled up with zeros.
    pub(crate) queries: &'a [f32],
    pub(crate) group: usize,
    pub(crate) scale: f32,
}

impl Span<'_> {
    /// Keys of the span that a row sees.
    pub(crate) fn seen(&self, row: usize) -> usize {
        let len = self.keys.len() / self.kind.row_bytes(self.dim);
        (self.sees + row).saturating_sub(self.start).min(len)
    }

    pub(super) fn stride(&self) -> usize {
        self.dim.next_multiple_of(LANES)
    }

    pub(super) fn rows(&self) -> usize {
        self.queries.len() / (self.group * self.stride())
    }
}

/// Room for one piece and for the scores of one block.
pub(crate) struct Room<'a> {
    /// `[PIECE, whole blocks of dim]`
    pub(crate) piece: &'a mut [f32],
    /// `[rows, group, BLOCK]`
    pub(crate) scores: &'a mut [f32],
    /// Empty but for [`KvType::Q8`].
    pub(crate) integers: Integers<'a>,
}

/// Fills the record of every query; rows that see nothing of the span get an empty one.
///
/// The three steps of a block are functions of their own, because the compiler keeps more in
/// registers of what a smaller function does.
pub(crate) fn attend(kernels: &Kernels, span: &Span<'_>, records: &mut [f32], room: &mut Room<'_>) {
    let record = record_floats(span.dim);
    for record in records.chunks_exact_mut(record) {
        record.fill(0.0);
        record[GREATEST] = f32::NEG_INFINITY;
    }
    let (score, gather) = match span.kind {
        KvType::F32 | KvType::F16 => (kernels.attend_score, kernels.attend_gather),
        KvType::Q8 => (kernels.score_bytes, kernels.gather_bytes),
    };
    let block_bytes = BLOCK * span.kind.row_bytes(span.dim);
    let blocks = span.keys.chunks(block_bytes).zip(span.values.chunks(block_bytes));
    for (index, (keys, values)) in blocks.enumerate() {
        let next = span.keys.get((index + 1) * block_bytes..).unwrap_or_default();
        let block = Block { span, first: index * BLOCK, keys, values, next };
        let mut ahead = Ahead::new(&next[..next.len().min(block_bytes)]);
        score(&block, room, &mut ahead);
        (kernels.attend_weigh)(&block, room.scores, records);
        gather(&block, room, records, &mut ahead);
    }
}

/// The scores of all queries with the keys of a block.
#[inline(always)]
pub(crate) fn attend_score<L: Lanes>(block: &Block<'_>, room: &mut Room<'_>, next: &mut Ahead) {
    if direct::fits::<L>(block.span) {
        direct::score::<L>(block, room.scores, next);
    } else {
        block.score::<L>(room);
    }
}

/// Scores become weights, and records are brought to the greatest score so far.
#[inline(always)]
pub(crate) fn attend_weigh<L: Lanes>(block: &Block<'_>, scores: &mut [f32], records: &mut [f32]) {
    let (group, record) = (block.span.group, record_floats(block.span.dim));
    let rows = scores.chunks_exact_mut(group * BLOCK).zip(records.chunks_exact_mut(group * record));
    for (row, (scores, records)) in rows.take(block.span.rows()).enumerate() {
        let len = block.seen(row);
        if len == 0 {
            continue;
        }
        let groups = scores.chunks_mut(LANES * BLOCK).zip(records.chunks_mut(LANES * record));
        for (scores, records) in groups {
            weigh::<L>(scores, len, records, record);
        }
    }
}

/// The values of a block are added to every record, each times its weight.
#[inline(always)]
pub(crate) fn attend_gather<L: Lanes>(
    block: &Block<'_>,
    room: &mut Room<'_>,
    records: &mut [f32],
    next: &mut Ahead,
) {
    if direct::fits::<L>(block.span) {
        direct::gather::<L>(block, room.scores, records, next);
    } else {
        block.gather::<L>(room, records);
    }
}

/// A block of keys and values.
pub(crate) struct Block<'a> {
    pub(super) span: &'a Span<'a>,
    /// How many keys of the span came before.
    pub(super) first: usize,
    pub(super) keys: &'a [u8],
    pub(super) values: &'a [u8],
    /// The keys that follow.
    next: &'a [u8],
}

impl Block<'_> {
    /// Keys of the block that a row sees.
    pub(super) fn seen(&self, row: usize) -> usize {
        self.span.seen(row).saturating_sub(self.first).min(BLOCK)
    }

    #[inline(always)]
    fn score<L: Lanes>(&self, room: &mut Room<'_>) {
        let (span, group, stride) = (self.span, self.span.group, self.span.stride());
        let piece_bytes = PIECE * span.kind.row_bytes(span.dim);
        for (index, piece) in self.keys.chunks(piece_bytes).enumerate() {
            decode::<L>(span.kind, piece, span.dim, room.piece);
            let mut ahead = ahead(self.keys, index, piece_bytes, self.values);
            let piece = Piece { rows: room.piece, stride, index };
            // Spread over the tiles of the first row, as in `gather`.
            let due = piece_bytes.div_ceil(PIECE * group);
            for row in 0..span.rows() {
                if self.seen(row) > index * PIECE {
                    let queries = &span.queries[row * group * stride..][..group * stride];
                    let scores = &mut room.scores[row * group * BLOCK..][..group * BLOCK];
                    score::<L>(queries, piece, span.scale, scores, &mut ahead, due);
                }
            }
        }
    }

    #[inline(always)]
    fn gather<L: Lanes>(&self, room: &mut Room<'_>, records: &mut [f32]) {
        let (span, group, stride) = (self.span, self.span.group, self.span.stride());
        let record = record_floats(span.dim);
        let piece_bytes = PIECE * span.kind.row_bytes(span.dim);
        for (index, piece) in self.values.chunks(piece_bytes).enumerate() {
            decode::<L>(span.kind, piece, span.dim, room.piece);
            let mut ahead = ahead(self.values, index, piece_bytes, self.next);
            let piece = Piece { rows: room.piece, stride, index };
            let due = piece_bytes.div_ceil(group * stride / LANES);
            for row in 0..span.rows() {
                let count = self.seen(row).saturating_sub(index * PIECE).min(PIECE);
                if count > 0 {
                    let scores = &room.scores[row * group * BLOCK..][..group * BLOCK];
                    let records = &mut records[row * group * record..][..group * record];
                    let (weights, _) = scores.as_chunks::<PIECE>();
                    gather::<L>(weights, piece, count, records, &mut ahead, due);
                }
            }
        }
    }
}

/// The piece behind the `index`th of `bytes`, or the first one of `then`.
#[inline(always)]
fn ahead(bytes: &[u8], index: usize, piece_bytes: usize, then: &[u8]) -> Ahead {
    let next = bytes.get((index + 1) * piece_bytes..).filter(|next| !next.is_empty());
    let next = next.unwrap_or(then);
    Ahead::new(&next[..next.len().min(piece_bytes)])
}

/// The first `len` scores of at most sixteen queries become weights; what their records hold is
/// brought to the new greatest.
#[inline(always)]
fn weigh<L: Lanes>(scores: &mut [f32], len: usize, records: &mut [f32], record: usize) {
    let (mut before, mut greatest) = ([0.0; LANES], [0.0; LANES]);
    for (q, scores) in scores.chunks_exact(BLOCK).enumerate() {
        before[q] = records[q * record + GREATEST];
        greatest[q] = Num::max(before[q], largest::<L>(&scores[..len]));
    }
    let mut keep = [0.0; LANES];
    exp_num(L::read(&before).sub(L::read(&greatest))).write(&mut keep);
    let queries = scores.chunks_exact_mut(BLOCK).zip(records.chunks_exact_mut(record));
    for (q, (scores, record)) in queries.enumerate() {
        let sum = exp_less::<L>(&mut scores[..len], greatest[q]);
        record[GREATEST] = greatest[q];
        record[TOTAL] = f32::mul_add(record[TOTAL], keep[q], sum);
        // e^0 is 1, and multiplying by it changes nothing.
        if keep[q] != 1.0 {
            for out in record[RECORD_HEAD..].as_chunks_mut::<LANES>().0 {
                L::read(out).mul(L::splat(keep[q])).write(out);
            }
        }
    }
}

/// Takes the record of the keys that follow into one of those before them: with m the greater of
/// the two greatest, each side counts times e^(its greatest - m).
#[inline(always)]
pub(crate) fn merge<L: Lanes>(into: &mut [f32], from: &[f32]) {
    let greatest = Num::max(into[GREATEST], from[GREATEST]);
    let keep = exp_num(into[GREATEST] - greatest);
    let share = exp_num(from[GREATEST] - greatest);
    into[GREATEST] = greatest;
    into[TOTAL] = f32::mul_add(into[TOTAL], keep, from[TOTAL] * share);
    let (from, _) = from[RECORD_HEAD..].as_chunks::<LANES>();
    for (into, from) in into[RECORD_HEAD..].as_chunks_mut::<LANES>().0.iter_mut().zip(from) {
        let added = L::read(from).mul(L::splat(share));
        L::read(into).mul_add(L::splat(keep), added).write(into);
    }
}

/// What a record stands for.
pub(crate) fn finish(record: &[f32], out: &mut [f32]) {
    for (out, sum) in out.iter_mut().zip(&record[RECORD_HEAD..]) {
        *out = sum / record[TOTAL];
    }
}
