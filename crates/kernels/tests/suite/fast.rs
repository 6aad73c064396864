//! The fast precision: every table, number of vectors and of threads gives the bits of the definition.

use kernels::{Cpu, Float, Kernels, Precision, Product, Quant};

use crate::layouts::{Stored, all, cols_for};
use crate::naive;
use crate::numbers::{KINDS, Rng, assert_same_bits, kind};
use crate::products::{assert_product, cpus_in};

fn cpus(threads: &[usize]) -> Vec<Cpu> {
    cpus_in(Precision::Fast, threads)
}

fn affine(quant: Quant) -> (usize, usize, Float) {
    match quant {
        Quant::Affine { bits, group, params } => (bits, group, params),
        other => panic!("{other} is not affine"),
    }
}

/// [n, rows] by the definition.
fn expected(stored: &Stored, x: &[f32]) -> Vec<f32> {
    let shape = (stored.rows, stored.cols);
    let vectors = x.chunks(stored.cols);
    vectors.flat_map(|x| naive::fast(affine(stored.quant), shape, stored.slices(), x)).collect()
}

fn packed_layouts() -> Vec<Quant> {
    all().into_iter().filter(|quant| matches!(quant, Quant::Affine { .. })).collect()
}

#[test]
fn every_packed_layout_gives_the_bits_of_the_definition() {
    let cpus = cpus(&[1, 3]);
    for (seed, quant) in packed_layouts().into_iter().enumerate() {
        let mut rng = Rng::new(seed as u64 + 501);
        // One group, some, sixteen or more of each size; rows that no tile divides. Then numbers of
        // groups that fill no four, no sixteen, or just eight.
        let (_, group, _) = affine(quant);
        let sizes = [(1, 1), (5, 300), (17, 1100), (19, 2100)];
        let groups = [(3, 5 * group), (21, 8 * group), (18, 17 * group)];
        for (size, (rows, cols)) in sizes.into_iter().chain(groups).enumerate() {
            let stored = Stored::random(&mut rng, quant, rows, cols_for(quant, cols));
            for n in (1..=9).chain([16, 23]) {
                let x = kind(&mut rng, (size + n) % KINDS, n * stored.cols);
                assert_product(&cpus, &stored, &x, &expected(&stored, &x));
            }
        }
    }
}

/// More vectors than go through the rows together.
#[test]
fn many_vectors_give_the_bits_of_the_definition() {
    let mut rng = Rng::new(77);
    for bits in [2, 4, 6, 8] {
        let quant = Quant::Affine { bits, group: 64, params: Float::Bf16 };
        let stored = Stored::random(&mut rng, quant, 50, 1216);
        let x = rng.floats(300 * stored.cols);
        assert_product(&cpus(&[1, 2]), &stored, &x, &expected(&stored, &x));
    }
}

/// The greatest integers on both sides: where sixteen bits would overflow first.
#[test]
fn the_largest_sums_are_exact() {
    for quant in packed_layouts() {
        let Quant::Affine { bits, group, params: Float::F32 } = quant else { continue };
        let (rows, cols) = (16, 8 * group);
        let weights = vec![0xff; rows * cols * bits / 8];
        let one: Vec<u8> = 1.0_f32.to_le_bytes().repeat(rows * 8);
        let zero = vec![0; one.len()];
        let planes = kernels::Planes { weights: &weights, scales: &one, biases: &zero };
        let matrix = kernels::Matrix::new(quant, rows, cols, planes).expect("it fits");
        for sign in [127.0, -127.0] {
            for cpu in cpus(&[1]) {
                for n in [1, 8] {
                    let mut out = vec![0.0; n * rows];
                    cpu.matmul(&matrix, &vec![sign; n * cols], &mut out);
                    let all = ((1 << bits) - 1) as f32 * sign * cols as f32;
                    assert_same_bits(&out, &vec![all; n * rows], &format!("{cpu:?} {quant}"));
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_shows_and_what_is_tiny_vanishes() {
    let mut rng = Rng::new(7);
    let quant = Quant::Affine { bits: 4, group: 32, params: Float::Bf16 };
    let stored = Stored::random(&mut rng, quant, 20, 96);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
        for cpu in cpus(&[1]) {
            for n in [1, 6] {
                let mut x = rng.floats(n * 96);
                x[40] = bad;
                let mut out = vec![0.0; n * 20];
                cpu.matmul(&stored.matrix(), &x, &mut out);
                assert!(out[..20].iter().all(|y| y.is_nan()), "{cpu:?}: {bad} must show");
                assert!(out[20..].iter().all(|y| y.is_finite()), "{cpu:?}: in its vector only");
            }
        }
    }
    for cpu in cpus(&[1]) {
        let mut out = vec![f32::NAN; 20];
        cpu.matmul(&stored.matrix(), &[1e-31; 96], &mut out);
        assert_same_bits(&out, &[0.0; 20], &format!("{cpu:?}: below every step"));
    }
}

/// Sets of vectors are shared, in several layouts, beside matrices that stay exact.
#[test]
fn several_products_at_once_are_each_what_they_are_alone() {
    let mut rng = Rng::new(13);
    let affine = |bits, group| Quant::Affine { bits, group, params: Float::F16 };
    let quants = [affine(4, 64), affine(8, 64), affine(4, 64), affine(2, 32), affine(3, 128)];
    let exact = [
        Quant::Plain(Float::Bf16),
        Quant::Fp8Block { block_rows: 3, block_cols: 32, params: Float::F32 },
    ];
    let stored: Vec<Stored> = quants
        .into_iter()
        .chain(exact)
        .map(|quant| Stored::random(&mut rng, quant, 203, 1152))
        .collect();
    for n in [1, 2, 11] {
        let shared = rng.floats(n * 1152);
        let own = rng.floats(n * 1152);
        let x = |i: usize| if i == 2 { &own } else { &shared };
        for cpu in cpus(&[1, 2, 4]) {
            let alone: Vec<Vec<f32>> = (0..stored.len())
                .map(|i| {
                    let mut out = vec![f32::NAN; n * 203];
                    cpu.matmul(&stored[i].matrix(), x(i), &mut out);
                    out
                })
                .collect();
            assert_same_bits(&alone[0], &expected(&stored[0], &shared), "the definition");
            let mut outs = vec![vec![f32::NAN; n * 203]; stored.len()];
            let mut products: Vec<Product<'_>> = outs
                .iter_mut()
                .enumerate()
                .map(|(i, out)| Product { matrix: stored[i].matrix(), x: x(i), out })
                .collect();
            cpu.matmul_each(&mut products);
            for ((found, alone), stored) in outs.iter().zip(&alone).zip(&stored) {
                assert_same_bits(found, alone, &format!("{cpu:?} {} x {n}", stored.quant));
            }
        }
    }
}

#[test]
fn plain_matrices_stay_exact() {
    let mut rng = Rng::new(5);
    let stored = Stored::random(&mut rng, Quant::Plain(Float::Bf16), 33, 100);
    let x = rng.floats(300);
    for table in Kernels::available() {
        let [exact, fast] = [Precision::Exact, Precision::Fast].map(|precision| {
            let cpu = Cpu::new(table, 1, precision).expect("one thread");
            let mut out = vec![f32::NAN; 99];
            cpu.matmul(&stored.matrix(), &x, &mut out);
            out
        });
        assert_same_bits(&fast, &exact, &format!("{}", table.isa()));
    }
}
