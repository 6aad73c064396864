//! Products of every layout: the bits of decoding and a dot product, whoever computes them.

use kernels::{Cpu, Float, Kernels, Precision, Product, Quant};

use crate::layouts::{Stored, all, cols_for};
use crate::naive;
use crate::numbers::{KINDS, Rng, assert_same_bits, kind};

/// [n, rows] by the definition.
fn expected(stored: &Stored, x: &[f32]) -> Vec<f32> {
    let weights = naive::decode(stored.quant, stored.rows, stored.cols, stored.slices());
    let products = x.chunks(stored.cols).flat_map(|x| {
        weights.chunks(stored.cols).map(move |row| naive::dot(row, x)).collect::<Vec<_>>()
    });
    products.collect()
}

fn cpus(threads: &[usize]) -> Vec<Cpu> {
    cpus_in(Precision::Exact, threads)
}

/// Every table with every number of threads.
pub(crate) fn cpus_in(precision: Precision, threads: &[usize]) -> Vec<Cpu> {
    let tables = Kernels::available().into_iter();
    let cpus = tables.flat_map(|table| threads.iter().map(move |n| Cpu::new(table, *n, precision)));
    cpus.map(|cpu| cpu.expect("a few threads can be had")).collect()
}

/// The product is the expected one, to the bit, on every one of `cpus`.
pub(crate) fn assert_product(cpus: &[Cpu], stored: &Stored, x: &[f32], expected: &[f32]) {
    let n = x.len() / stored.cols;
    for cpu in cpus {
        let mut out = vec![f32::NAN; n * stored.rows];
        cpu.matmul(&stored.matrix(), x, &mut out);
        let shape = format!("[{}, {}] x {n}", stored.rows, stored.cols);
        assert_same_bits(&out, expected, &format!("{cpu:?} {} {shape}", stored.quant));
    }
}

#[test]
fn every_layout_and_number_of_vectors_gives_the_naive_bits() {
    let cpus = cpus(&[1, 3]);
    for (seed, quant) in all().into_iter().enumerate() {
        let mut rng = Rng::new(seed as u64 + 77);
        let sizes = [(1, 1), (2, 16), (3, 40), (4, 31), (5, 70), (9, 128), (13, 257)];
        for (size, (rows, cols)) in sizes.into_iter().enumerate() {
            let stored = Stored::random(&mut rng, quant, rows, cols_for(quant, cols));
            for n in [1, 2, 3, 4, 8] {
                let x = kind(&mut rng, if n == 1 { size % KINDS } else { 0 }, n * stored.cols);
                assert_product(&cpus, &stored, &x, &expected(&stored, &x));
            }
        }
    }
}

/// Large enough that the work is shared out, with rows that no part divides.
#[test]
fn large_products_do_not_depend_on_threads_or_tables() {
    let cpus = cpus(&[1, 2, 5]);
    let mut rng = Rng::new(31);
    let kinds = [all()[2], all()[10], all()[all().len() - 1]];
    for quant in kinds {
        let stored = Stored::random(&mut rng, quant, 203, cols_for(quant, 700));
        for n in [1, 7] {
            let x = rng.floats(n * stored.cols);
            let expected = expected(&stored, &x);
            for cpu in &cpus {
                for _ in 0..20 {
                    let mut out = vec![f32::NAN; n * 203];
                    cpu.matmul(&stored.matrix(), &x, &mut out);
                    assert_same_bits(&out, &expected, &format!("{cpu:?} {quant} x {n}"));
                }
            }
        }
    }
}

#[test]
fn several_products_at_once_are_each_what_they_are_alone() {
    let mut rng = Rng::new(12);
    let shapes = [(all()[0], 40, 300, 2), (all()[7], 300, 256, 1), (all()[30], 1, 128, 0)];
    let stored = shapes.map(|(quant, rows, cols, n)| {
        let stored = Stored::random(&mut rng, quant, rows, cols_for(quant, cols));
        let x = rng.floats(n * stored.cols);
        (stored, x, vec![f32::NAN; n * rows])
    });
    for cpu in cpus(&[1, 2, 4]) {
        let mut outs: Vec<Vec<f32>> = stored.iter().map(|(.., out)| out.clone()).collect();
        let products = stored.iter().zip(&mut outs);
        let mut products: Vec<Product<'_>> = products
            .map(|((stored, x, _), out)| Product { matrix: stored.matrix(), x, out })
            .collect();
        cpu.matmul_each(&mut products);
        for ((stored, x, _), out) in stored.iter().zip(&outs) {
            assert_same_bits(out, &expected(stored, x), &format!("{cpu:?} {}", stored.quant));
        }
        cpu.matmul_each(&mut []);
    }
}

/// A scale that is infinite or NaN spoils its own columns and rows only, as in the definition;
/// the zeros that fill up a block must not meet it.
#[test]
fn scales_that_are_not_finite_do_not_reach_other_rows() {
    let quant = Quant::Fp8Block { block_rows: 1, block_cols: 16, params: kernels::Float::F32 };
    let weights = [0x38_u8; 2 * 20];
    for bad in [f32::INFINITY, f32::NAN] {
        let scales: Vec<u8> = [1.0, bad, 1.0, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let planes = kernels::Planes { weights: &weights, scales: &scales, biases: &[] };
        let matrix = kernels::Matrix::new(quant, 2, 20, planes).expect("it fits");
        for cpu in cpus(&[1]) {
            for n in [1, 2] {
                let mut out = vec![0.0; 2 * n];
                cpu.matmul(&matrix, &vec![1.0; 20 * n], &mut out);
                // 0x38 is 1: row 0 is 16 + 4·bad, row 1 is 16 + 4·2.
                assert_same_bits(&out, &[bad, 24.0].repeat(n), &format!("{cpu:?} x {n}"));
            }
        }
    }
}

#[test]
fn scratch_is_decoded_rows_a_thread_and_what_integers_need() {
    let bytes = |precision, shape, quants: &[Quant], threads| {
        Cpu::scratch_bytes(precision, shape, quants, threads)
    };
    let exact = Precision::Exact;
    assert_eq!(bytes(exact, (9, 1, 4096), &[], 2), 2 * 8 * 4096 * 4, "whole blocks");
    assert_eq!(bytes(exact, (9, 1, 17), &[], 1), 8 * 32 * 4, "filled up to 32 columns");
    let affine = |bits, group| Quant::Affine { bits, group, params: Float::F32 };
    // 4096 columns are 64 groups of 64, each with a step and a sum; 3 and 8 bits share an order.
    let quants = [affine(4, 64), affine(3, 64), affine(8, 64), Quant::Plain(Float::F32)];
    // A tile, its scales and biases; sums that wait; a copy of sixteen rows at their largest.
    let tile = 16 * 4096 + 2 * 4 * 16 * 128 + 4 * 8192 + 16 * (4096 + 128 * 8);
    let threads = 8 * 4096 * 4 + tile + 5 * 64;
    // Each of two sets filled up to eight. Between vectors, and before the first one, up to a line
    // of the cache is left out.
    let vectors = 2 * (9 + 2 * 7) * (64 * (2 * 64 + 8) + 64) + 64;
    let found = bytes(Precision::Fast, (9, 2, 4096), &quants, 1);
    assert_eq!(found, threads + vectors, "tile and vectors in two orders");
}
