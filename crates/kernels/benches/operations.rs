//! Single operations under criterion, each held against f64 once before it is timed: `cargo bench -p kernels-bench`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernels::{
    Cpu, DeltaStep, Float, Kernels, KvType, Matrix, Past, Planes, Precision, Quant, Queries,
    tolerances,
};

const ROWS: usize = 2048;
const COLS: usize = 2048;
const GROUP: usize = 64;
/// How far a result of the size of 1 may lie from that of f64.
const BOUND: f64 = 2e-5;

/// Xorshift, from -1 to 1 times `size`.
fn floats(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(next).collect()
}

#[track_caller]
fn assert_near(found: &[f32], truth: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), truth.len(), "{what}: lengths");
    for (i, (found, truth)) in found.iter().zip(truth).enumerate() {
        let near = (f64::from(*found) - truth).abs() <= bound;
        assert!(near, "{what}, element {i}: {found} is not near {truth}");
    }
}

fn cpu(precision: Precision) -> Cpu {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Cpu::new(Kernels::best(), threads, precision).expect("as many threads as there are cores")
}

/// 4-bit weights times 1 and 32 vectors, in both precisions.
fn matmul(criterion: &mut Criterion) {
    for (precision, bound) in
        [(Precision::Exact, BOUND), (Precision::Fast, f64::from(tolerances::INTEGERS.bound))]
    {
        matmul_in(criterion, precision, bound);
    }
}

fn matmul_in(criterion: &mut Criterion, precision: Precision, bound: f64) {
    let weights: Vec<u8> =
        floats(1, ROWS * COLS / 2, 127.0).iter().map(|x| *x as i8 as u8).collect();
    // 2^-3 and -1 in BF16: weights from -1 to 0.875.
    let scales = [0x00, 0x3e].repeat(ROWS * COLS / GROUP);
    let biases = [0x80, 0xbf].repeat(ROWS * COLS / GROUP);
    let quant = Quant::Affine { bits: 4, group: GROUP, params: Float::Bf16 };
    let planes = Planes { weights: &weights, scales: &scales, biases: &biases };
    let matrix = Matrix::new(quant, ROWS, COLS, planes).expect("the planes were made for it");
    let weight = |at: usize| f64::from(weights[at / 2] >> (4 * (at % 2)) & 15) / 8.0 - 1.0;
    let cpu = cpu(precision);
    let mut group = criterion.benchmark_group(format!("matmul 4-bit {precision:?}"));
    for vectors in [1, 32] {
        let x = floats(2, vectors * COLS, 3.0 / (COLS as f32).sqrt());
        let mut out = vec![f32::NAN; vectors * ROWS];
        cpu.matmul(&matrix, &x, &mut out);
        // The first rows with every vector: all of them in f64 would take longer than the bench.
        for (x, out) in x.chunks(COLS).zip(out.chunks(ROWS)) {
            let product = |row: usize| {
                let products = x.iter().enumerate();
                products.map(|(c, x)| weight(row * COLS + c) * f64::from(*x)).sum()
            };
            let truth: Vec<f64> = (0..16).map(product).collect();
            assert_near(&out[..16], &truth, bound, &format!("matmul of {vectors}, {precision:?}"));
        }
        group.throughput(Throughput::Bytes(matrix.bytes() as u64));
        group.bench_function(BenchmarkId::from_parameter(vectors), |bencher| {
            bencher.iter(|| cpu.matmul(black_box(&matrix), black_box(&x), &mut out));
        });
    }
    group.finish();
}

/// One query of 256 over 1024 keys.
fn attend(criterion: &mut Criterion) {
    const DIM: usize = 256;
    const KEYS: usize = 1024;
    let q = floats(3, DIM, 1.0);
    let [keys, values] = [4, 5].map(|seed| floats(seed, KEYS * DIM, 1.0));
    let (cpu, scale) = (cpu(Precision::Exact), 1.0 / 16.0);
    let mut out = vec![f32::NAN; DIM];
    let bytes = |floats: &[f32]| {
        let mut bytes = vec![0; KvType::F32.row_bytes(DIM) * KEYS];
        KvType::F32.write(floats, &mut bytes);
        bytes
    };
    let (key_bytes, value_bytes) = (bytes(&keys), bytes(&values));
    let past =
        Past { kind: KvType::F32, keys: &key_bytes, values: &value_bytes, heads: 1, dim: DIM };
    let queries = Queries { queries: &q, stride: DIM, heads: 1, sees: KEYS, scale };
    cpu.attend(&past, &queries, &mut out);
    let product = |key: &[f32]| {
        let products = key.iter().zip(&q).map(|(k, q)| f64::from(*k) * f64::from(*q));
        (products.sum::<f64>() * f64::from(scale)).exp()
    };
    let weights: Vec<f64> = keys.chunks(DIM).map(product).collect();
    let total: f64 = weights.iter().sum();
    let column = |column: usize| {
        let values = values.chunks(DIM).zip(&weights);
        values.map(|(value, weight)| f64::from(value[column]) * weight / total).sum()
    };
    assert_near(&out, &(0..DIM).map(column).collect::<Vec<f64>>(), BOUND, "attend");
    let mut group = criterion.benchmark_group("attend");
    group.throughput(Throughput::Bytes((2 * KEYS * DIM * size_of::<f32>()) as u64));
    group.bench_function(BenchmarkId::from_parameter(KEYS), |bencher| {
        bencher.iter(|| {
            cpu.attend(black_box(&past), black_box(&queries), &mut out);
        });
    });
    group.finish();
}

/// One step of the delta rule on the state of one head.
fn delta_step(criterion: &mut Criterion) {
    const DIM: usize = 128;
    let [q, k] = [6, 7].map(|seed| floats(seed, DIM, 1.0 / (DIM as f32).sqrt()));
    let (v, mut state) = (floats(8, DIM, 1.0), floats(9, DIM * DIM, 1.0));
    let (kernels, decay, beta) = (Kernels::best(), 0.95_f32, 0.6_f32);
    let before: Vec<f64> = state.iter().map(|s| f64::from(decay) * f64::from(*s)).collect();
    let (mut u, mut out) = (vec![f32::NAN; DIM], vec![f32::NAN; DIM]);
    let step = DeltaStep { q: &q, k: &k, v: &v, decay, beta };
    kernels.delta_step(&mut state, &step, &mut u, &mut out);
    let truth = |j: usize| {
        let kv: f64 = (0..DIM).map(|i| f64::from(k[i]) * before[i * DIM + j]).sum();
        let u = f64::from(beta) * (f64::from(v[j]) - kv);
        (0..DIM).map(|i| f64::from(q[i]) * (before[i * DIM + j] + f64::from(k[i]) * u)).sum()
    };
    assert_near(&out, &(0..DIM).map(truth).collect::<Vec<f64>>(), BOUND, "delta_step");
    let mut group = criterion.benchmark_group("delta_step");
    group.throughput(Throughput::Bytes(2 * size_of_val(&*state) as u64));
    group.bench_function(BenchmarkId::from_parameter(DIM), |bencher| {
        bencher.iter(|| {
            kernels.delta_step(&mut state, black_box(&step), &mut u, &mut out);
        });
    });
    group.finish();
}

criterion_group!(operations, matmul, attend, delta_step);
criterion_main!(operations);
