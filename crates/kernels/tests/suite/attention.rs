//! Attention against f64 and against its definition, the same bits in every table and however the work is divided.

use kernels::{Cpu, Kernels, KvType, Past, Precision, Queries};

use crate::naive;
use crate::numbers::{KINDS, Rng, assert_same_bits, kind};

const SCALE: f32 = 0.25;

/// What one call takes: numbers before they are kept.
struct Case {
    heads: usize,
    kv_heads: usize,
    dim: usize,
    /// Places for keys: those behind the last that is seen must not matter.
    capacity: usize,
    /// `[kv_heads, capacity, dim]`, as the kept bytes stand for them.
    keys: Vec<f32>,
    values: Vec<f32>,
    kept: KvType,
    kept_keys: Vec<u8>,
    kept_values: Vec<u8>,
    /// `[rows, heads, dim]`
    queries: Vec<f32>,
}

impl Case {
    fn new(
        kept: KvType,
        [heads, kv_heads, dim]: [usize; 3],
        len: usize,
        fill: &mut Fill<'_>,
    ) -> Case {
        let capacity = len + 3;
        let mut past = || {
            let row_bytes = kept.row_bytes(dim);
            let mut bytes = vec![0; kv_heads * capacity * row_bytes];
            let mut floats = vec![f32::NAN; kv_heads * capacity * dim];
            for row in (0..kv_heads * capacity).filter(|row| row % capacity < len) {
                let bytes = &mut bytes[row * row_bytes..][..row_bytes];
                kept.write(&fill(dim), bytes);
                kept.read(bytes, &mut floats[row * dim..][..dim]);
            }
            (bytes, floats)
        };
        let ((kept_keys, keys), (kept_values, values)) = (past(), past());
        let queries = Vec::new();
        Case { heads, kv_heads, dim, capacity, keys, values, kept, kept_keys, kept_values, queries }
    }

    /// With the queries of `rows` rows.
    fn asked(mut self, rows: usize, fill: &mut Fill<'_>) -> Case {
        self.queries = fill(rows * self.heads * self.dim);
        self
    }

    /// Rows `first..end`, of which row 0 sees `sees` keys.
    fn run(&self, cpu: &Cpu, sees: usize, rows: std::ops::Range<usize>) -> Vec<f32> {
        let width = self.heads * self.dim;
        // Something else stands between the queries.
        let stride = self.dim + 5;
        let queries = self.queries[rows.start * width..rows.end * width].chunks(self.dim);
        let queries: Vec<f32> = queries.flat_map(|q| [q, &[f32::NAN; 5]].concat()).collect();
        let mut out = vec![f32::NAN; rows.len() * width];
        let past = Past {
            kind: self.kept,
            keys: &self.kept_keys,
            values: &self.kept_values,
            heads: self.kv_heads,
            dim: self.dim,
        };
        let (heads, sees) = (self.heads, sees + rows.start);
        let queries = Queries { queries: &queries, stride, heads, sees, scale: SCALE };
        cpu.attend(&past, &queries, &mut out);
        out
    }

    /// What one query looks at: itself, keys, values.
    fn view(&self, row: usize, head: usize, sees: usize) -> [&[f32]; 3] {
        let kv_head = head / (self.heads / self.kv_heads);
        let past = kv_head * self.capacity * self.dim..;
        let seen = ..(sees + row) * self.dim;
        let query = &self.queries[(row * self.heads + head) * self.dim..][..self.dim];
        [query, &self.keys[past.clone()][seen], &self.values[past][seen]]
    }
}

impl Case {
    /// The bytes of keys and values that one query looks at.
    fn view_of_bytes(&self, row: usize, head: usize, sees: usize) -> [&[u8]; 2] {
        let row_bytes = self.kept.row_bytes(self.dim);
        let kv_head = head / (self.heads / self.kv_heads);
        let past = kv_head * self.capacity * row_bytes..;
        let seen = ..(sees + row) * row_bytes;
        [&self.kept_keys[past.clone()][seen], &self.kept_values[past][seen]]
    }
}

type Fill<'f> = dyn FnMut(usize) -> Vec<f32> + 'f;

fn cpu(table: &'static Kernels, threads: usize) -> Cpu {
    Cpu::new(table, threads, Precision::Exact).expect("threads can be started")
}

/// The definition, one query and one key at a time: blocks of 64, spans of 512.
fn by_definition(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let dim = query.len();
    let mut merged: Option<(f32, f32, Vec<f32>)> = None;
    for (keys, values) in keys.chunks(512 * dim).zip(values.chunks(512 * dim)) {
        let (mut greatest, mut total, mut out) = (f32::NEG_INFINITY, 0.0, vec![0.0; dim]);
        for (keys, values) in keys.chunks(64 * dim).zip(values.chunks(64 * dim)) {
            let scores: Vec<f32> =
                keys.chunks(dim).map(|key| naive::dot(query, key) * SCALE).collect();
            let before = greatest;
            greatest = scores.iter().copied().fold(greatest, f32::max);
            let keep = kernels::exp(before - greatest);
            let mut lanes = [0.0; 16];
            out.iter_mut().for_each(|o| *o *= keep);
            for (j, value) in values.chunks(dim).enumerate() {
                let p = kernels::exp(scores[j] - greatest);
                lanes[j % 16] += p;
                out.iter_mut().zip(value).for_each(|(o, value)| *o = p.mul_add(*value, *o));
            }
            total = f32::mul_add(total, keep, naive::tree(lanes));
        }
        merged = Some(merge(merged, (greatest, total, out)));
    }
    let (_, total, out) = merged.expect("there is a key");
    out.iter().map(|sum| sum / total).collect()
}

/// The same of keys and values kept as bytes: one query, rows of bytes.
fn by_definition_of_bytes(query: &[f32], keys: &[u8], values: &[u8]) -> Vec<f32> {
    const LARGEST: f32 = 32767.0;
    let dim = query.len();
    let row_bytes = KvType::Q8.row_bytes(dim);
    // Integer or scale of a row.
    let integer = |row: &[u8], d: usize| i32::from(row[d] as i8);
    let scale = |row: &[u8], d: usize| {
        let at = dim + d / 32 * 2;
        f32::from_bits(u32::from(u16::from_le_bytes([row[at], row[at + 1]])) << 16)
    };
    let most = query.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let asked: Vec<i32> =
        query.iter().map(|x| (x * (LARGEST / most)).round_ties_even() as i32).collect();
    let step = most / LARGEST * SCALE;
    let score = |key: &[u8]| {
        let mut sum = 0.0;
        for group in (0..dim).step_by(32) {
            let places = group..dim.min(group + 32);
            let exact: i32 = places.map(|d| asked[d] * integer(key, d)).sum();
            sum = (exact as f32).mul_add(scale(key, group), sum);
        }
        sum * step
    };
    let mut merged: Option<(f32, f32, Vec<f32>)> = None;
    for (keys, values) in keys.chunks(512 * row_bytes).zip(values.chunks(512 * row_bytes)) {
        let (mut greatest, mut total, mut out) = (f32::NEG_INFINITY, 0.0, vec![0.0; dim]);
        for (keys, values) in keys.chunks(64 * row_bytes).zip(values.chunks(64 * row_bytes)) {
            let scores: Vec<f32> = keys.chunks(row_bytes).map(score).collect();
            let before = greatest;
            greatest = scores.iter().copied().fold(greatest, f32::max);
            let keep = kernels::exp(before - greatest);
            out.iter_mut().for_each(|o| *o *= keep);
            let weights: Vec<f32> = scores.iter().map(|s| kernels::exp(s - greatest)).collect();
            let mut lanes = [0.0; 16];
            weights.iter().enumerate().for_each(|(j, p)| lanes[j % 16] += p);
            total = f32::mul_add(total, keep, naive::tree(lanes));
            let most = weights.iter().copied().fold(0.0, f32::max);
            if most < 1e-30 {
                continue;
            }
            for (d, out) in out.iter_mut().enumerate() {
                let scales: Vec<f32> = values.chunks(row_bytes).map(|v| scale(v, d)).collect();
                let greatest_scale = scales.iter().copied().fold(0.0, f32::max);
                let fraction = if greatest_scale < 1e-30 { 0.0 } else { 1.0 / greatest_scale };
                let exact: i32 = values
                    .chunks(row_bytes)
                    .zip(weights.iter().zip(&scales))
                    .map(|(v, (p, scale))| {
                        let weight = p * (LARGEST / most) * (scale * fraction);
                        weight.round_ties_even() as i32 * integer(v, d)
                    })
                    .sum();
                let greatest_scale = if fraction == 0.0 { 0.0 } else { greatest_scale };
                *out = (exact as f32).mul_add(most / LARGEST * greatest_scale, *out);
            }
        }
        merged = Some(merge(merged, (greatest, total, out)));
    }
    let (_, total, out) = merged.expect("there is a key");
    out.iter().map(|sum| sum / total).collect()
}

/// Greatest score, total and sum of the keys so far and of a new span.
fn merge(
    before: Option<(f32, f32, Vec<f32>)>,
    (greatest, total, out): (f32, f32, Vec<f32>),
) -> (f32, f32, Vec<f32>) {
    let Some((m, sum, before)) = before else { return (greatest, total, out) };
    let most = m.max(greatest);
    let (keep, share) = (kernels::exp(m - most), kernels::exp(greatest - most));
    let both = before.iter().zip(&out);
    let out = both.map(|(before, new)| before.mul_add(keep, new * share)).collect();
    (most, sum.mul_add(keep, total * share), out)
}

#[test]
fn equal_keys_give_the_mean_of_the_values() {
    for table in Kernels::available() {
        for kept in [KvType::F32, KvType::F16] {
            let mut keys = [1.0, 2.0].repeat(4).into_iter();
            let mut values = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 6.0, 60.0].into_iter();
            let mut fill = |dim: usize| {
                (0..dim).map(|_| keys.next().or_else(|| values.next()).unwrap_or(0.5)).collect()
            };
            let case = Case::new(kept, [1, 1, 2], 4, &mut fill).asked(1, &mut fill);
            let found = case.run(&cpu(table, 1), 4, 0..1);
            assert_eq!(found, [3.0, 30.0], "{} {kept}", table.isa());
        }
    }
}

#[test]
fn any_length_width_and_group_gives_the_bits_of_the_definition() {
    let mut rng = Rng::new(9);
    let small = (0..40).map(|n| (n * 5 % 69 + 1, [n % 5 + 1, 1, n % 37 + 1], 1));
    let lengths = [1, 63, 64, 65, 511, 512, 513, 1024, 1500];
    let large = lengths.map(|len| (len, [8, 1, 32], 1));
    let shapes = [
        (130, [16, 2, 256], 1),
        (70, [8, 1, 128], 9),
        (150, [6, 2, 96], 5),
        (1030, [4, 2, 64], 3),
        (90, [70, 1, 16], 3),
        (600, [32, 2, 64], 2),
        (200, [2, 2, 20], 150),
    ];
    for (len, heads, rows) in small.chain(large).chain(shapes) {
        for kept in KvType::ALL {
            let mut fill = |count: usize| rng.floats(count).iter().map(|x| x * 3.0).collect();
            let case = Case::new(kept, heads, len, &mut fill).asked(rows, &mut fill);
            let sees = len + 1 - rows;
            let expected: Vec<f32> = (0..rows * case.heads)
                .flat_map(|n| {
                    let (row, head) = (n / case.heads, n % case.heads);
                    let [query, keys, values] = case.view(row, head, sees);
                    if kept == KvType::Q8 {
                        let [keys, values] = case.view_of_bytes(row, head, sees);
                        by_definition_of_bytes(query, keys, values)
                    } else {
                        by_definition(query, keys, values)
                    }
                })
                .collect();
            for table in Kernels::available() {
                for threads in [1, 2, 3] {
                    let what =
                        format!("{} {kept}, {threads} threads, {len} {heads:?}", table.isa());
                    let found = case.run(&cpu(table, threads), sees, 0..rows);
                    assert_same_bits(&found, &expected, &what);
                }
            }
        }
    }
}

#[test]
fn the_definition_is_near_a_plain_softmax() {
    let mut rng = Rng::new(11);
    for (len, dim) in [(1, 5), (64, 64), (65, 80), (128, 256), (700, 40), (1500, 32)] {
        for steep in [1.0, 30.0] {
            let query: Vec<f32> = rng.floats(dim).iter().map(|x| x * steep).collect();
            let (keys, values) = (rng.floats(len * dim), rng.floats(len * dim));
            let expected = naive::attend(&query, &keys, &values, SCALE);
            for (found, expected) in by_definition(&query, &keys, &values).iter().zip(&expected) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off < 4e-6, "{len} keys of {dim}: off by {off:e}");
            }
        }
    }
}

#[test]
fn bytes_give_nearly_what_their_numbers_give() {
    let mut rng = Rng::new(13);
    for (len, dim) in [(1, 5), (64, 64), (130, 256), (700, 40), (1500, 32)] {
        for steep in [1.0, 30.0] {
            let mut fill = |count: usize| rng.floats(count).iter().map(|x| x * steep).collect();
            let case = Case::new(KvType::Q8, [1, 1, dim], len, &mut fill).asked(1, &mut fill);
            let [query, keys, values] = case.view(0, 0, len);
            let expected = naive::attend(query, keys, values, SCALE);
            let [keys, values] = case.view_of_bytes(0, 0, len);
            let found = by_definition_of_bytes(query, keys, values);
            // A byte rounds by up to steep / 254.
            let bound = f64::from(steep) * 3e-5;
            for (found, expected) in found.iter().zip(&expected) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off < bound, "{len} keys of {dim} times {steep}: off by {off:e}");
            }
        }
    }
}

/// Infinite, huge and subnormal numbers, and NaN wherever any of them leads to it.
#[test]
fn every_table_gives_the_same_bits() {
    let tables = Kernels::available();
    let mut rng = Rng::new(4);
    let shapes = (0..=36).map(|n| (n % 9 * 17 + 1, [n % 9 + 1, 1, 2 * n + 1]));
    let large = [(1, [8, 1, 256]), (64, [4, 1, 256]), (600, [8, 1, 64]), (200, [16, 2, 128])];
    for (len, heads) in shapes.chain(large) {
        for kept in KvType::ALL {
            for kinds in 0..KINDS {
                let mut fill = |count: usize| kind(&mut rng, kinds, count);
                let case = Case::new(kept, heads, len, &mut fill).asked(1, &mut fill);
                let expected = case.run(&cpu(tables[0], 1), len, 0..1);
                for table in &tables[1..] {
                    let what = format!("{} {kept} {len} {heads:?}, kind {kinds}", table.isa());
                    assert_same_bits(&case.run(&cpu(table, 1), len, 0..1), &expected, &what);
                }
            }
        }
    }
}

#[test]
fn rows_together_give_the_bits_of_rows_one_by_one() {
    let mut rng = Rng::new(8);
    let mut fill = |count: usize| rng.floats(count);
    for kept in KvType::ALL {
        // Blocks, spans and tiles of rows begin inside.
        for (before, rows) in [(0, 150), (440, 150), (1000, 40)] {
            let len = before + rows;
            let case = Case::new(kept, [8, 2, 32], len, &mut fill).asked(rows, &mut fill);
            let sees = before + 1;
            for table in Kernels::available() {
                let one = cpu(table, 1);
                let expected: Vec<f32> =
                    (0..rows).flat_map(|row| case.run(&one, sees, row..row + 1)).collect();
                for (threads, cut) in [(1, rows), (2, rows), (3, 61), (2, 7)] {
                    let many = cpu(table, threads);
                    let found: Vec<f32> = (0..rows)
                        .step_by(cut)
                        .flat_map(|row| case.run(&many, sees, row..rows.min(row + cut)))
                        .collect();
                    let what = format!("{} {kept}, {threads} threads by {cut}", table.isa());
                    assert_same_bits(&found, &expected, &what);
                }
            }
        }
    }
}

#[test]
fn one_nan_key_spoils_the_result_and_one_nan_value_its_column() {
    for table in Kernels::available() {
        for kept in KvType::ALL {
            for [heads, dim] in [[2, 40], [8, 64]] {
                let (len, mut row) = (600, 0);
                // The keys are filled first, then the values.
                let mut spoilt = |bad: usize| {
                    let mut fill = |count: usize| {
                        let mut numbers = vec![0.5; count];
                        if row == bad {
                            numbers[3] = f32::NAN;
                        }
                        row += 1;
                        numbers
                    };
                    let case = Case::new(kept, [heads, 1, dim], len, &mut fill).asked(1, &mut fill);
                    row = 0;
                    let found = case.run(&cpu(table, 2), len, 0..1);
                    // A row that does not see it is not spoilt.
                    let clean = case.run(&cpu(table, 2), 300, 0..1);
                    assert!(
                        clean.iter().all(|x| (x - 0.5).abs() < 1e-3),
                        "{}: {clean:?}",
                        table.isa()
                    );
                    found
                };
                let found = spoilt(550);
                assert!(found.iter().all(|x| x.is_nan()), "{} {kept}: {found:?}", table.isa());
                let found = spoilt(len + 550);
                let nans: Vec<usize> = (0..dim).filter(|d| found[*d].is_nan()).collect();
                let group: Vec<usize> =
                    if kept == KvType::Q8 { (0..32).collect() } else { vec![3] };
                assert_eq!(nans, group, "{} {kept}: {found:?}", table.isa());
            }
        }
    }
}
