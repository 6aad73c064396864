//! What a matrix or a pool refuses, and the line that each refusal prints.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kernels::tolerances;
use kernels::{
    Cpu, DeltaStep, DeltaUpdate, Float, Kernels, KvType, Matrix, Past, Planes, Precision, Quant,
    Queries,
};

fn refusal(quant: Quant, rows: usize, cols: usize) -> String {
    quant.check(rows, cols).expect_err("it must be refused").to_string()
}

fn affine(bits: usize, group: usize) -> Quant {
    Quant::Affine { bits, group, params: Float::Bf16 }
}

fn fp8(block_rows: usize, block_cols: usize) -> Quant {
    Quant::Fp8Block { block_rows, block_cols, params: Float::Bf16 }
}

#[test]
fn shapes_and_parameters() {
    for bits in [0, 1, 7, 9, 32, usize::MAX] {
        let expected = format!("{bits} bits a weight, accepted are 2, 3, 4, 5, 6 and 8");
        assert_eq!(refusal(affine(bits, 64), 1, 64), expected, "bits");
    }
    for group in [0, 16, 48, 256, usize::MAX] {
        let expected = format!("groups of {group} weights, accepted are 32, 64 and 128");
        assert_eq!(refusal(affine(4, group), 1, 256), expected, "group");
    }
    let ragged = "96 columns are not a whole number of groups of 64";
    assert_eq!(refusal(affine(4, 64), 1, 96), ragged, "cols");
    let empty = "a matrix of 0 x 64, accepted are at least one row and one column";
    assert_eq!(refusal(affine(4, 64), 0, 64), empty, "no rows");
    assert!(refusal(Quant::Plain(Float::F32), 3, 0).starts_with("a matrix of 3 x 0,"), "no cols");
    for (rows, cols) in [(0, 128), (128, 0), (128, 100)] {
        let expected = format!(
            "blocks of {rows} x {cols} weights, accepted are at least one row and a multiple of \
             16 columns"
        );
        assert_eq!(refusal(fp8(rows, cols), 8, 8), expected, "blocks");
    }
    let huge = usize::MAX / 64 * 64;
    let expected = format!("a matrix of 3 x {huge} 4-bit g64 bf16 is too large to count");
    assert_eq!(refusal(affine(4, 64), 3, huge), expected, "large");
    assert!(refusal(Quant::Plain(Float::F16), 2, huge).ends_with("too large to count"), "large");
    assert!(refusal(fp8(1, 16), huge, 2).ends_with("too large to count"), "large");
    assert_eq!(affine(4, 0).scale_bytes(4, 64), None, "no group, no count");
    assert_eq!(fp8(0, 128).scale_bytes(4, 64), None, "no block, no count");
}

#[test]
fn planes_of_another_length() {
    let (weights, shared) = (vec![0; 65], vec![0; 9]);
    for (w, s, b, line) in [
        (63, 8, 8, "63 bytes of weights, a matrix of 2 x 64 4-bit g32 bf16 needs 64"),
        (65, 8, 8, "65 bytes of weights, a matrix of 2 x 64 4-bit g32 bf16 needs 64"),
        (64, 7, 8, "7 bytes of scales, a matrix of 2 x 64 4-bit g32 bf16 needs 8"),
        (64, 8, 0, "0 bytes of biases, a matrix of 2 x 64 4-bit g32 bf16 needs 8"),
        (64, 8, 9, "9 bytes of biases, a matrix of 2 x 64 4-bit g32 bf16 needs 8"),
    ] {
        let planes = Planes { weights: &weights[..w], scales: &shared[..s], biases: &shared[..b] };
        let error = Matrix::new(affine(4, 32), 2, 64, planes).expect_err("it must be refused");
        assert_eq!(error.to_string(), line, "one line");
    }
    let planes = Planes { weights: &weights[..8], scales: &shared[..2], biases: &[] };
    let error = Matrix::new(Quant::Plain(Float::F32), 1, 2, planes).expect_err("it has no scales");
    assert_eq!(error.to_string(), "2 bytes of scales, a matrix of 1 x 2 f32 needs 0", "plain");
}

#[test]
fn threads() {
    for threads in [0, 1025, usize::MAX] {
        let error =
            Cpu::new(Kernels::best(), threads, Precision::Exact).expect_err("it must be refused");
        let expected = format!("{threads} threads, accepted are 1 to 1024");
        assert_eq!(error.to_string(), expected, "one line");
    }
}

/// Two rows of one query of 2 elements, with so many bytes of keys and values.
fn attend(cpu: &Cpu, keys: usize, values: usize, queries: usize, sees: usize) {
    let (keys, values) = (&[0; 16][..keys], &[0; 16][..values]);
    let past = Past { kind: KvType::F16, keys, values, heads: 1, dim: 2 };
    let queries = &[1.0; 4][..2 * queries];
    let queries = Queries { queries, stride: 2, heads: 1, sees, scale: 1.0 };
    cpu.attend(&past, &queries, &mut [0.0; 4]);
}

#[test]
fn what_fits_goes_through() {
    let cpu = Cpu::new(Kernels::best(), 1, Precision::Exact).expect("no thread is started");
    (1..=3).for_each(|sees| attend(&cpu, 16, 16, 2, sees));
}

/// Mistakes of the calling code are found before anything is read or written.
#[test]
fn lengths_that_do_not_fit_panic() {
    let table = Kernels::best();
    let planes = Planes { weights: &[0; 24], ..Planes::default() };
    let matrix = Matrix::new(Quant::Plain(Float::F32), 2, 3, planes).expect("it fits");
    let cpu = Cpu::new(table, 1, Precision::Exact).expect("no thread is started");
    let (mut four, mut two) = ([0.0; 4], [0.0; 2]);
    let step = DeltaStep { q: &[1.0; 2], k: &[1.0; 2], v: &[1.0; 3], decay: 1.0, beta: 1.0 };
    let short_query = DeltaStep { q: &[1.0; 1], ..step };
    let update = DeltaUpdate { k: &[1.0; 2], u: &[1.0; 3], decay: 1.0 };
    let short_update = DeltaUpdate { u: &[1.0; 2], ..update };
    let mut mistakes: Vec<Box<dyn FnMut() + '_>> = vec![
        Box::new(|| _ = table.dot(&[1.0; 3], &[1.0; 4])),
        Box::new(|| table.add(&mut [0.0; 3], &[1.0; 2])),
        Box::new(|| table.rms_norm(&[1.0; 3], &[1.0; 2], 0.0, &mut [0.0; 3])),
        Box::new(|| table.rms_norm(&[1.0; 3], &[1.0; 3], 0.0, &mut [0.0; 4])),
        Box::new(|| table.rope(&mut [0.0; 3], &[1.0; 2], &[1.0; 2])),
        Box::new(|| table.rope(&mut [0.0; 8], &[1.0; 2], &[1.0; 3])),
        Box::new(|| table.conv_silu(&[1.0; 5], &[&[1.0; 3], &[1.0; 3]], &mut [0.0; 3])),
        Box::new(|| table.conv_silu(&[1.0; 6], &[&[1.0; 3], &[1.0; 2]], &mut [0.0; 3])),
        Box::new(|| attend(&cpu, 16, 8, 2, 3)),
        Box::new(|| attend(&cpu, 16, 16, 1, 3)),
        Box::new(|| attend(&cpu, 16, 16, 2, 4)),
        Box::new(|| attend(&cpu, 16, 16, 2, 0)),
        Box::new(|| attend(&cpu, 15, 15, 2, 1)),
        Box::new(|| KvType::Q8.write(&[1.0; 4], &mut [0; 5])),
        Box::new(|| KvType::F16.read(&[0; 5], &mut [0.0; 2])),
        Box::new(|| table.delta_apply(&mut [0.0; 5], &update)),
        Box::new(|| table.delta_step(&mut [0.0; 5], &step, &mut [0.0; 3], &mut [0.0; 3])),
        Box::new(|| table.delta_steps(&mut [0.0; 6], &[step; 2], &mut [0.0; 3], &mut [0.0; 3])),
        Box::new(|| table.delta_read(&mut [0.0; 6], &step, &mut [0.0; 2], &mut [0.0; 3])),
        Box::new(|| table.delta_read(&mut [0.0; 6], &short_query, &mut [0.0; 3], &mut [0.0; 3])),
        Box::new(|| {
            let (mut state, mut u, mut out) = ([0.0; 6], [0.0; 3], [0.0; 3]);
            table.delta_apply_read(&mut state, &short_update, &step, &mut u, &mut out);
        }),
        Box::new(|| table.decode_row(&matrix, 2, &mut [0.0; 3])),
        Box::new(|| table.decode_row(&matrix, 0, &mut [0.0; 4])),
        Box::new(|| cpu.matmul(&matrix, &[0.0; 4], &mut four)),
        Box::new(|| cpu.matmul(&matrix, &[0.0; 6], &mut two)),
    ];
    for (index, mistake) in mistakes.iter_mut().enumerate() {
        assert!(catch_unwind(AssertUnwindSafe(mistake)).is_err(), "mistake {index} went through");
    }
}

#[test]
fn tolerances_have_names_and_causes_of_their_own() {
    for tolerance in tolerances::ALL {
        assert!(tolerance.cause.split(' ').count() > 5, "{}: why?", tolerance.name);
        assert!(tolerance.accepts(1.0, 1.0), "{}: equal is equal", tolerance.name);
        assert!(!tolerance.accepts(1.0, 1.0 + 2.0 * tolerance.bound), "{}", tolerance.name);
        assert!(!tolerance.accepts(f32::NAN, f32::NAN), "{}: NaN is never near", tolerance.name);
    }
}
