//! Attention against f64, the same bits in every table, and independent of what comes later.

use kernels::Kernels;

use crate::naive;
use crate::numbers::{KINDS, Rng, assert_same_bits, kind};

fn attend(table: &Kernels, q: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; q.len()];
    table.attend(q, keys, values, 0.25, &mut out);
    out
}

#[test]
fn equal_keys_give_the_mean_of_the_values() {
    for table in Kernels::available() {
        let keys = [1.0, 2.0].repeat(4);
        let values = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 6.0, 60.0];
        assert_eq!(attend(table, &[0.5, -1.0], &keys, &values), [3.0, 30.0], "{}", table.isa());
    }
}

#[test]
fn any_length_and_width_is_near_the_naive_result() {
    let mut rng = Rng::new(9);
    let shapes = (0..70).map(|n| (n + 1, n % 37 + 1));
    for (len, dim) in shapes.chain([(63, 64), (64, 64), (65, 64), (128, 256), (300, 80)]) {
        let q: Vec<f32> = rng.floats(dim).iter().map(|x| x * 6.0).collect();
        let (keys, values) = (rng.floats(len * dim), rng.floats(len * dim));
        let expected = naive::attend(&q, &keys, &values, 0.25);
        for table in Kernels::available() {
            let found = attend(table, &q, &keys, &values);
            for (found, expected) in found.iter().zip(&expected) {
                let off = (f64::from(*found) - expected).abs();
                assert!(off < 2e-6, "{} {len} keys of {dim}: off by {off:e}", table.isa());
            }
        }
    }
}

#[test]
fn every_table_gives_the_same_bits() {
    let tables = Kernels::available();
    let mut rng = Rng::new(4);
    let shapes = (0..=70).map(|n| (n % 9 * 17 + 1, n + 1));
    for (len, dim) in shapes.chain([(1, 256), (64, 256), (513, 64), (200, 128)]) {
        for kinds in 0..KINDS {
            let [keys, values] = [0, 1].map(|_| kind(&mut rng, kinds, len * dim));
            let q = kind(&mut rng, kinds, dim);
            let expected = attend(tables[0], &q, &keys, &values);
            for table in &tables[1..] {
                let what = format!("{} {len} keys of {dim}, kind {kinds}", table.isa());
                assert_same_bits(&attend(table, &q, &keys, &values), &expected, &what);
            }
        }
    }
}

/// Blocks begin at multiples of 64: scores rise, so each block changes the maximum, and a block
/// that began elsewhere would round otherwise.
#[test]
fn blocks_lie_at_fixed_positions() {
    let (len, dim) = (150, 16);
    let mut rng = Rng::new(8);
    let (q, values) = (vec![1.0; dim], rng.floats(len * dim));
    let keys: Vec<f32> = (0..len * dim).map(|i| (i / dim) as f32 * 0.01 + rng.float()).collect();
    for table in Kernels::available() {
        let score = |j: usize| table.dot(&q, &keys[j * dim..][..dim]) * 0.25;
        let (mut out, mut total, mut greatest) = (vec![0.0_f32; dim], 0.0, f32::NEG_INFINITY);
        for block in [0..64, 64..128, 128..150] {
            let before = greatest;
            greatest = block.clone().map(score).fold(greatest, f32::max);
            let keep = kernels::exp(before - greatest);
            let mut lanes = [0.0; 16];
            out.iter_mut().for_each(|o| *o *= keep);
            for j in block.clone() {
                let p = kernels::exp(score(j) - greatest);
                lanes[(j - block.start) % 16] += p;
                for (d, o) in out.iter_mut().enumerate() {
                    *o = p.mul_add(values[j * dim + d], *o);
                }
            }
            total = f32::mul_add(total, keep, naive::tree(lanes));
        }
        out.iter_mut().for_each(|o| *o /= total);
        assert_same_bits(&attend(table, &q, &keys, &values), &out, &table.isa().to_string());
    }
}

#[test]
fn one_nan_key_spoils_the_result_and_one_nan_value_its_column() {
    for table in Kernels::available() {
        let (keys, values) = (vec![0.5; 100 * 8], vec![0.5; 100 * 8]);
        let mut bad = keys.clone();
        bad[70 * 8] = f32::NAN;
        let found = attend(table, &[1.0; 8], &bad, &values);
        assert!(found.iter().all(|x| x.is_nan()), "{}: {found:?}", table.isa());
        let mut bad = values.clone();
        bad[70 * 8 + 3] = f32::NAN;
        let found = attend(table, &[1.0; 8], &keys, &bad);
        let nans: Vec<usize> = (0..8).filter(|d| found[*d].is_nan()).collect();
        assert_eq!(nans, [3], "{}: {found:?}", table.isa());
    }
}
