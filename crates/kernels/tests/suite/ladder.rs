//! The forms that are measured beside the product's own: near f64, and the same bits where the order is the same.

use kernels::ladder::{GROUP, Rung, delta_loop, delta_passes, product, read};
use kernels::{Cpu, DeltaStep, Float, Kernels, Precision, Quant, tolerances};

use crate::layouts::Stored;
use crate::naive;
use crate::numbers::{Rng, assert_same_bits};

fn cpus() -> Vec<Cpu> {
    let tables = Kernels::available().into_iter();
    let cpus =
        tables.flat_map(|table| [1, 3].map(|threads| Cpu::new(table, threads, Precision::Exact)));
    cpus.map(|cpu| cpu.expect("a few threads can be had")).collect()
}

/// The products of each row in f64, from the definition.
fn expected(stored: &Stored, x: &[f32]) -> Vec<f64> {
    let weights = naive::decode(stored.quant, stored.rows, stored.cols, stored.slices());
    let rows = weights.chunks(stored.cols);
    rows.map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum()).collect()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let near = tolerances::LADDER.accepts(*a, *b as f32);
        assert!(near, "{what}, element {i}: {a} is not near {b}");
    }
}

#[test]
fn every_rung_is_near_the_definition() {
    let cpus = cpus();
    let mut rng = Rng::new(41);
    for bits in [2, 4] {
        let quant = Quant::Affine { bits, group: GROUP, params: Float::Bf16 };
        for (rows, cols) in [(1, 64), (2, 128), (3, 1024), (7, 1088), (70, 2048), (331, 320)] {
            let stored = Stored::random(&mut rng, quant, rows, cols);
            let size = 0.1 / (cols as f32).sqrt();
            let x: Vec<f32> = rng.floats(cols).iter().map(|x| x * size).collect();
            let expected = expected(&stored, &x);
            for cpu in &cpus {
                for rung in Rung::ALL {
                    let mut out = vec![f32::NAN; rows];
                    product(cpu, rung, &stored.matrix(), &x, &mut out);
                    let what = format!("{cpu:?} {} {bits} bits [{rows}, {cols}]", rung.name());
                    assert_near(&out, &expected, &what);
                }
            }
        }
    }
}

/// A weight that is looked up is the one that would be calculated, and all else is as in the
/// product's own kernel.
#[test]
fn looking_up_gives_the_bits_of_the_product() {
    let mut rng = Rng::new(42);
    for bits in [2, 4] {
        let quant = Quant::Affine { bits, group: GROUP, params: Float::Bf16 };
        let stored = Stored::random(&mut rng, quant, 37, 1216);
        let x = rng.floats(stored.cols);
        for cpu in cpus() {
            let (mut found, mut expected) = (vec![f32::NAN; 37], vec![f32::NAN; 37]);
            product(&cpu, Rung::LookUp, &stored.matrix(), &x, &mut found);
            cpu.matmul(&stored.matrix(), &x, &mut expected);
            assert_same_bits(&found, &expected, &format!("{cpu:?} {bits} bits"));
        }
    }
}

#[test]
#[should_panic(expected = "accepted are 2 and 4 bits")]
fn other_layouts_are_refused() {
    let quant = Quant::Affine { bits: 3, group: GROUP, params: Float::Bf16 };
    let stored = Stored::random(&mut Rng::new(1), quant, 1, 64);
    let cpu = Cpu::new(Kernels::best(), 1, Precision::Exact).expect("one thread");
    product(&cpu, Rung::Naive, &stored.matrix(), &[0.0; 64], &mut [0.0]);
}

/// State, update and output of one step in every form; the plain loop's state is transposed back.
#[test]
fn the_delta_rule_is_the_same_in_passes_and_near_in_loops() {
    let mut rng = Rng::new(43);
    for (dk, dv) in [(1, 16), (7, 32), (128, 128), (40, 80)] {
        let state = rng.floats(dk * dv);
        let size = 1.0 / (dk as f32).sqrt();
        let [q, k] = [0, 1].map(|_| rng.floats(dk).iter().map(|x| x * size).collect::<Vec<f32>>());
        let v = rng.floats(dv);
        let rule = DeltaStep { q: &q, k: &k, v: &v, decay: 0.9, beta: 0.7 };
        let mut looped: Vec<f32> = (0..dk * dv).map(|at| state[at % dk * dv + at / dk]).collect();
        let (mut loop_u, mut loop_out) = (vec![f32::NAN; dv], vec![f32::NAN; dv]);
        delta_loop(&mut looped, &rule, &mut loop_u, &mut loop_out);
        let back = (0..dk * dv).map(|at| looped[at % dv * dk + at / dv]);
        let looped = [back.collect(), loop_u, loop_out].concat();
        for table in Kernels::available() {
            let mut step = state.clone();
            let (mut u, mut out) = (vec![f32::NAN; dv], vec![f32::NAN; dv]);
            table.delta_step(&mut step, &rule, &mut u, &mut out);
            let step = [step, u, out].concat();
            let mut passes = state.clone();
            let (mut u, mut out) = (vec![f32::NAN; dv], vec![f32::NAN; dv]);
            delta_passes(table, &mut passes, &rule, &mut u, &mut out);
            let passes = [passes, u, out].concat();
            let what = format!("{} [{dk}, {dv}]", table.isa());
            assert_same_bits(&passes, &step, &what);
            let wide: Vec<f64> = step.iter().map(|x| f64::from(*x)).collect();
            assert_near(&looped, &wide, &what);
        }
    }
}

#[test]
fn reading_meets_every_word_once() {
    let bytes = Rng::new(44).bytes(3 * (1 << 18) + 1002);
    let word = |word: &[u8]| u32::from_le_bytes(word.try_into().expect("four bytes"));
    let expected = bytes.chunks_exact(4).map(word).fold(0, |all, word| all ^ word);
    for cpu in cpus() {
        assert_eq!(read(&cpu, &bytes), expected, "{cpu:?}");
    }
}
