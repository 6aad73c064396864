//! Attention on several threads: which rows and which keys are one piece of work, and how the pieces become a result.

use std::sync::Mutex;

use crate::lanes::LANES;
use crate::ops::attend::{BLOCK, PIECE, Room, Span, attend, finish, record_floats};
use crate::ops::scaled::Integers;
use crate::pool::lock;
use crate::scratch::{Lines, grow};
use crate::{Cpu, KvType};

/// Keys whose result is computed by itself before it is merged with that of those before them.
/// Spans begin at multiples of it, whoever computes them.
const SPAN: usize = 512;
/// Queries that go over the keys together, unless a group has more: as many rows of a group.
const TILE_QUERIES: usize = 64;
/// Results of spans that wait for being merged, times rows.
const WAITING: usize = 32;
/// Floats of a line of the cache.
const LINE: usize = 16;

/// The keys and values of all positions of one sequence, both `[heads, capacity]` rows of `dim`
/// elements. Rows from the last one that a query sees on are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    pub kind: KvType,
    pub keys: &'a [u8],
    pub values: &'a [u8],
    pub heads: usize,
    pub dim: usize,
}

/// Rows of queries. Queries g · heads / past.heads and on belong to head g of the past.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// `[rows, heads, stride]`, of which the first `dim` elements of each are the query.
    pub queries: &'a [f32],
    pub stride: usize,
    pub heads: usize,
    /// How many keys the first row sees; each further row sees one more.
    pub sees: usize,
    pub scale: f32,
}

/// Buffers that grow to what was asked for so far.
pub(crate) struct Buffers {
    /// One for each thread.
    own: Vec<Mutex<Own>>,
    waiting: Mutex<Vec<f32>>,
}

#[derive(Default)]
struct Own {
    floats: Vec<f32>,
    pairs: Lines<[i16; 2]>,
}

impl Buffers {
    pub(crate) fn new(threads: usize) -> Buffers {
        let own = (0..threads).map(|_| Mutex::default()).collect();
        Buffers { own, waiting: Mutex::default() }
    }
}

/// Lengths that follow from the heads.
#[derive(Clone, Copy)]
struct Shape {
    /// Heads of the past.
    heads: usize,
    /// Queries of a row that share a head of the past.
    group: usize,
    dim: usize,
    /// `dim` in whole blocks of lanes.
    stride: usize,
    record: usize,
}

impl Shape {
    const fn new(heads: usize, kv_heads: usize, dim: usize) -> Shape {
        let (stride, record) = (dim.next_multiple_of(LANES), record_floats(dim));
        Shape { heads: kv_heads, group: heads / kv_heads, dim, stride, record }
    }

    /// Rows that go over the keys together.
    const fn tile_rows(&self) -> usize {
        if self.group >= TILE_QUERIES { 1 } else { TILE_QUERIES / self.group }
    }

    /// Results of spans that wait at a time: with one it could not be merged with another.
    const fn waiting(rows: usize) -> usize {
        if WAITING / rows < 2 { 2 } else { WAITING / rows }
    }

    /// What one thread needs for `rows` rows: queries, scores, a piece, the records of what was
    /// merged and of one span, and what goes with integers.
    const fn own_floats(&self, rows: usize) -> usize {
        let queries = rows * self.group;
        let plain = queries * (self.stride + BLOCK + 2 * self.record) + PIECE * self.stride;
        plain + Integers::floats(queries, self.dim)
    }

    /// Pairs of integers that one thread needs for `rows` rows and [`KvType::Q8`].
    const fn own_pairs(&self, rows: usize) -> usize {
        Integers::pairs(rows * self.group, self.group, self.dim)
    }

    const fn waiting_floats(&self, rows: usize) -> usize {
        Shape::waiting(rows) * self.heads * rows * self.group * self.record
    }
}

impl Cpu {
    /// The most that [`Cpu::attend`] leaves allocated.
    pub const fn attend_bytes(heads: usize, kv_heads: usize, dim: usize, threads: usize) -> usize {
        let shape = Shape::new(heads, kv_heads, dim);
        let rows = shape.tile_rows();
        let few = shape.waiting_floats(1);
        let many = shape.waiting_floats(rows);
        let waiting = if few > many { few } else { many };
        let floats = threads * (shape.own_floats(rows) + LINE) + waiting + LINE;
        floats * size_of::<f32>() + threads * Lines::<[i16; 2]>::bytes(shape.own_pairs(rows))
    }

    /// out = Σ_j softmax_j(dot(q, key_j) · scale) · value_j over the keys that each row sees, for
    /// every query; `out` is `[rows, heads, dim]`.
    ///
    /// Keys are taken in blocks of 64 from the first one on. With m the greatest score so far and
    /// p_j = e^(score_j - m), a block multiplies the total and the sum by e^(m before - m), adds
    /// Σ p_j (in lanes) to the total and p_j · value_j to the sum, j ascending by fused
    /// multiply-add. This begins anew with every 512th key; with M the greater of the m before and
    /// the m of the new keys, their totals and sums, times e^(m - M) each, are added by fused
    /// multiply-add to what was there, times e^(m before - M). At the end the sum is divided by
    /// the total. So a result depends on the keys before a query, and not on threads, on other
    /// rows, or on how the sequence was cut.
    ///
    /// With [`KvType::Q8`] queries and weights become integers too. Of a query, step = max |x| /
    /// 32767 and q_i = round(x_i / step); for every 32 elements, in order, Σ q_i · byte_i, which is
    /// exact, times the key's scale is added by fused multiply-add, and the end is multiplied by
    /// step · scale. Of a block and 32 columns, with P the greatest p_j and S the greatest scale of
    /// the values, w_j = round(p_j · (32767 / P) · (scale_j / S)), and the exact Σ w_j · byte_j times
    /// P / 32767 · S is added to the sum. What is below 1e-30 counts as zero.
    ///
    /// # Panics
    /// When lengths do not fit together, or a row sees no key or more than there are.
    pub fn attend(&self, past: &Past<'_>, queries: &Queries<'_>, out: &mut [f32]) {
        let rows = check(past, queries, out.len());
        if rows == 0 {
            return;
        }
        let shape = Shape::new(queries.heads, past.heads, past.dim);
        let call = Call { cpu: self, past, queries, shape };
        let tile = shape.tile_rows();
        let pieces = rows.div_ceil(tile) * shape.heads;
        let spans = (queries.sees + rows - 1).div_ceil(SPAN);
        if self.threads() == 1 || spans == 1 || pieces >= 4 * self.threads() {
            call.whole(out);
            return;
        }
        for (index, out) in out.chunks_mut(tile * queries.heads * past.dim).enumerate() {
            call.spread(index * tile, out);
        }
    }
}

/// The number of rows.
#[track_caller]
fn check(past: &Past<'_>, queries: &Queries<'_>, out: usize) -> usize {
    let Queries { heads, stride, sees, .. } = *queries;
    let width = heads * past.dim;
    assert!(past.dim > 0 && past.heads > 0 && heads > 0, "no heads or no dimensions");
    assert!(heads.is_multiple_of(past.heads), "{heads} heads share {}", past.heads);
    assert!(out.is_multiple_of(width), "out: {out} elements, expected rows of {width}");
    let rows = out / width;
    let (found, expected) = (queries.queries.len(), rows * heads * stride);
    assert!(found == expected && stride >= past.dim, "queries: {found}, expected {expected}");
    let head_bytes = past.keys.len() / past.heads;
    let whole = past.keys.len() == past.values.len()
        && past.keys.len().is_multiple_of(past.heads * past.kind.row_bytes(past.dim));
    assert!(whole, "{} and {} bytes of keys and values", past.keys.len(), past.values.len());
    let capacity = head_bytes / past.kind.row_bytes(past.dim);
    let fits = rows == 0 || sees > 0 && sees + rows - 1 <= capacity;
    assert!(fits, "{rows} rows from {sees} keys on, there is room for {capacity}");
    rows
}

/// What stays the same during a call.
struct Call<'a> {
    cpu: &'a Cpu,
    past: &'a Past<'a>,
    queries: &'a Queries<'a>,
    shape: Shape,
}

/// The rows from `first` on that one thread takes over all keys of a head.
struct Tile<'o> {
    head: usize,
    first: usize,
    /// One a row: `[group, dim]`.
    out: Vec<&'o mut [f32]>,
}

/// What one thread does for a head and a span.
struct Task<'w> {
    head: usize,
    span: usize,
    records: &'w mut [f32],
}

impl Call<'_> {
    /// Every thread takes some rows of a head over all keys.
    fn whole(&self, out: &mut [f32]) {
        let Shape { heads, group, dim, record, .. } = self.shape;
        let tile_rows = self.shape.tile_rows();
        let mut tiles: Vec<Tile<'_>> = Vec::new();
        for (row, out) in out.chunks_exact_mut(heads * group * dim).enumerate() {
            if row.is_multiple_of(tile_rows) {
                let tile = |head| Tile { head, first: row, out: Vec::with_capacity(tile_rows) };
                tiles.extend((0..heads).map(tile));
            }
            let begin = row / tile_rows * heads;
            let tiles = &mut tiles[begin..];
            tiles
                .iter_mut()
                .zip(out.chunks_exact_mut(group * dim))
                .for_each(|(t, o)| t.out.push(o));
        }
        // Later rows see more keys: the longest work first.
        tiles.reverse();
        self.cpu.each_on(&mut tiles, |thread, _, tile| {
            let rows = tile.out.len();
            let mut own = lock(&self.cpu.attention.own[thread]);
            let (mut work, records) = self.work(&mut own, tile.head, tile.first, rows);
            let (merged, new) = records.split_at_mut(records.len() / 2);
            work.run(0, merged);
            for span in 1..self.spans(tile.first + rows) {
                work.run(span, new);
                for row in work.rows_of(span) {
                    for query in row * group..(row + 1) * group {
                        let at = query * record..(query + 1) * record;
                        (self.cpu.kernels().merge)(&mut merged[at.clone()], &new[at]);
                    }
                }
            }
            let outs = tile.out.iter_mut().flat_map(|row| row.chunks_exact_mut(dim));
            merged.chunks_exact(record).zip(outs).for_each(|(record, out)| finish(record, out));
        });
    }

    /// A few rows from `first` on: every thread takes a span of a head at a time.
    fn spread(&self, first: usize, out: &mut [f32]) {
        let Shape { heads, group, dim, record, .. } = self.shape;
        let rows = out.len() / (heads * group * dim);
        let spans = self.spans(first + rows);
        let (queries, most) = (rows * group, Shape::waiting(rows));
        let mut waiting = lock(&self.cpu.attention.waiting);
        let waiting = aligned(&mut waiting, self.shape.waiting_floats(rows));
        // The first place holds what was merged so far.
        let mut begin = 0;
        while begin < spans {
            let places =
                if begin == 0 { 0..most.min(spans) } else { 1..most.min(spans - begin + 1) };
            let place_floats = heads * queries * record;
            let mut tasks: Vec<Task<'_>> = waiting
                [places.start * place_floats..places.end * place_floats]
                .chunks_exact_mut(queries * record)
                .enumerate()
                .map(|(n, records)| Task { head: n % heads, span: begin + n / heads, records })
                .collect();
            self.cpu.each_on(&mut tasks, |thread, _, task| {
                let mut own = lock(&self.cpu.attention.own[thread]);
                let (mut work, _) = self.work(&mut own, task.head, first, rows);
                work.run(task.span, task.records);
            });
            let (merged, new) = waiting.split_at_mut(place_floats);
            let mut merged: Vec<&mut [f32]> = merged.chunks_exact_mut(record).collect();
            self.cpu.each(&mut merged, |n, merged| {
                let row = n / group % rows;
                for place in places.start.max(1)..places.end {
                    let span = begin + place - places.start;
                    if self.queries.sees + first + row > span * SPAN {
                        let new = &new[(place - 1) * place_floats + n * record..][..record];
                        (self.cpu.kernels().merge)(merged, new);
                    }
                }
            });
            begin += places.len();
        }
        for (n, record) in waiting[..heads * queries * record].chunks_exact(record).enumerate() {
            let (head, row, query) = (n / queries, n / group % rows, n % group);
            finish(record, &mut out[((row * heads + head) * group + query) * dim..][..dim]);
        }
    }

    /// Spans that the rows before `end` look at.
    fn spans(&self, end: usize) -> usize {
        (self.queries.sees + end - 1).div_ceil(SPAN)
    }

    /// Copies the queries of some rows to where they are read fast, and divides the rest of a
    /// thread's buffer: also returned is room for two records of each query.
    fn work<'w>(
        &'w self,
        own: &'w mut Own,
        head: usize,
        first: usize,
        rows: usize,
    ) -> (Work<'w>, &'w mut [f32]) {
        let Shape { heads, group, dim, stride, record } = self.shape;
        let Own { floats, pairs } = own;
        if self.past.kind == KvType::Q8 {
            pairs.grow(self.shape.own_pairs(rows));
        }
        let own = aligned(floats, self.shape.own_floats(rows));
        let (queries, own) = own.split_at_mut(rows * group * stride);
        let (piece, own) = own.split_at_mut(PIECE * stride);
        let (scores, own) = own.split_at_mut(rows * group * BLOCK);
        for (n, query) in queries.chunks_exact_mut(stride).enumerate() {
            let from = ((first + n / group) * heads + head) * group + n % group;
            let from = &self.queries.queries[from * self.queries.stride..][..dim];
            query[..dim].copy_from_slice(from);
            query[dim..].fill(0.0);
        }
        let (records, own) = own.split_at_mut(2 * rows * group * record);
        let integers = Integers::divide(rows * group, group, dim, pairs.all_mut(), own);
        let room = Room { piece, scores, integers };
        (Work { call: self, head, first, rows, queries, room }, records)
    }
}

/// Some rows of one head, ready to be taken over its spans.
struct Work<'w> {
    call: &'w Call<'w>,
    head: usize,
    first: usize,
    rows: usize,
    queries: &'w [f32],
    room: Room<'w>,
}

impl Work<'_> {
    /// Rows, counted from the first of these, that see something of a span.
    fn rows_of(&self, span: usize) -> std::ops::Range<usize> {
        let sees = self.call.queries.sees + self.first;
        (span * SPAN + 1).saturating_sub(sees).min(self.rows)..self.rows
    }

    fn run(&mut self, span: usize, records: &mut [f32]) {
        let Call { cpu, past, queries, shape } = *self.call;
        let row_bytes = past.kind.row_bytes(past.dim);
        let sees = queries.sees + self.first;
        let start = span * SPAN;
        let end = (start + SPAN).min(sees + self.rows - 1);
        let head_bytes = past.keys.len() / past.heads;
        let bytes =
            self.head * head_bytes + start * row_bytes..self.head * head_bytes + end * row_bytes;
        let span = Span {
            kind: past.kind,
            dim: past.dim,
            keys: &past.keys[bytes.clone()],
            values: &past.values[bytes],
            start,
            sees,
            queries: self.queries,
            group: shape.group,
            scale: queries.scale,
        };
        attend(cpu.kernels(), &span, records, &mut self.room);
    }
}

/// `floats` elements of a buffer from the beginning of a line of the cache on.
fn aligned(buffer: &mut Vec<f32>, floats: usize) -> &mut [f32] {
    grow(buffer, floats + LINE);
    let skip = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    &mut buffer[skip..skip + floats]
}
