//! Every table gives the bits of the plain one, for every operation, length and kind of number.

use kernels::{Kernels, exp, sigmoid};

use crate::numbers::{KINDS, Rng, assert_same_bits, kind};

const NAMES: [&str; 3] = ["scalar", "avx2", "avx512"];

#[test]
fn tables_that_this_machine_runs_are_tested_and_the_others_skipped() {
    let tables = Kernels::available();
    for table in &tables {
        println!("tested: table {}", table.isa());
        let named = Kernels::named(&table.isa().to_string()).map(Kernels::isa);
        assert_eq!(named, Some(table.isa()), "found by its own name");
    }
    for name in NAMES.iter().filter(|name| Kernels::named(name).is_none()) {
        println!("SKIP table {name}: this machine does not have the instructions");
    }
    assert_eq!(Kernels::best().isa(), tables[tables.len() - 1].isa(), "the last is the best");
    assert!(Kernels::named("abacus").is_none(), "there is no such table");
}

/// The results of all operations on vectors of `len` elements.
fn results(table: &Kernels, seed: u64, kinds: usize, len: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut rng = Rng::new(seed);
    let [x, y, z] = [0, 1, 2].map(|_| kind(&mut rng, kinds, len));
    let changed = |change: &dyn Fn(&mut [f32])| {
        let mut out = x.clone();
        change(&mut out);
        out
    };
    let mut normed = vec![0.0; len];
    table.rms_norm(&x, &y, 1e-6, &mut normed);
    let mut convolved = vec![0.0; len];
    let taps: Vec<f32> = [&x[..], &y, &z].concat();
    table.conv_silu(&taps, &[&y, &z, &x], &mut convolved);
    vec![
        ("dot", vec![table.dot(&x, &y)]),
        ("rms_norm", normed),
        ("l2_norm", changed(&|x| table.l2_norm(x, 1e-6, 0.25))),
        ("silu", changed(&|x| table.silu(x))),
        ("silu_mul", changed(&|x| table.silu_mul(x, &y))),
        ("sigmoid_mul", changed(&|x| table.sigmoid_mul(x, &y))),
        ("add", changed(&|x| table.add(x, &y))),
        ("add_scaled", changed(&|x| table.add_scaled(x, 0.3, &y))),
        ("softmax", changed(&|x| table.softmax(x))),
        ("rope", changed(&|x| table.rope(x, &y[..len / 2], &z[..len / 2]))),
        ("conv_silu", convolved),
        ("finite", vec![f32::from(u8::from(table.finite(&x)))]),
    ]
}

#[test]
fn operations_on_vectors_give_the_same_bits() {
    let [plain, others @ ..] = &Kernels::available()[..] else { panic!("there is always one") };
    for len in (0..=70).chain([127, 128, 255, 1000, 4097]) {
        for kind in 0..KINDS {
            for seed in 0..3 {
                let expected = results(plain, seed, kind, len);
                for table in others {
                    let found = results(table, seed, kind, len);
                    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                        let what = format!("{} {name}, len {len}, kind {kind}", table.isa());
                        assert_same_bits(found, expected, &what);
                    }
                }
            }
        }
    }
}

/// The formulas on one number and on sixteen are the same.
#[test]
fn single_functions_give_the_bits_of_vectors() {
    let mut rng = Rng::new(5);
    let x: Vec<f32> = (0..4096).map(|_| rng.float() * 120.0).collect();
    for table in Kernels::available() {
        let (mut found, ones) = (vec![1.0; x.len()], vec![1.0; 17]);
        table.sigmoid_mul(&mut found, &x);
        let expected: Vec<f32> = x.iter().map(|x| sigmoid(*x)).collect();
        assert_same_bits(&found, &expected, &format!("{} sigmoid", table.isa()));
        // The softmax of one number and sixteen that vanish next to it, times what it was
        // divided by, is the exponential.
        for x in x.iter().filter(|x| **x < 0.0) {
            let mut pair = ones.clone();
            pair.fill(-1000.0);
            pair[0] = 0.0;
            pair[16] = *x;
            table.softmax(&mut pair);
            let e = exp(*x);
            assert_same_bits(&[pair[16]], &[e / (1.0 + e)], &format!("{} exp {x}", table.isa()));
        }
    }
}

/// State, updates and output after three steps.
fn delta(table: &Kernels, seed: u64, kinds: usize, dk: usize, dv: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut state = kind(&mut rng, kinds, dk * dv);
    let mut all = Vec::new();
    for _ in 0..3 {
        let [q, k] = [0, 1].map(|_| kind(&mut rng, kinds, dk));
        let v = kind(&mut rng, kinds, dv);
        let (mut u, mut out) = (vec![0.0; dv], vec![0.0; dv]);
        let mut replayed = state.clone();
        table.delta_step(&mut state, &q, &k, &v, 0.9, 0.7, &mut u, &mut out);
        table.delta_apply(&mut replayed, &k, &u, 0.9);
        assert_same_bits(&replayed, &state, &format!("{} applied [{dk}, {dv}]", table.isa()));
        all.extend([u, out].concat());
    }
    all.extend(state);
    all
}

#[test]
fn the_delta_rule_gives_the_same_bits_and_can_be_applied_again() {
    let tables = Kernels::available();
    let shapes = (0..=70).map(|dv| (dv % 7 + 1, dv)).chain([(16, 16), (128, 128), (48, 200)]);
    for (dk, dv) in shapes {
        for kind in 0..KINDS {
            let expected = delta(tables[0], 3, kind, dk, dv);
            for table in &tables[1..] {
                let found = delta(table, 3, kind, dk, dv);
                let what = format!("{} delta [{dk}, {dv}], kind {kind}", table.isa());
                assert_same_bits(&found, &expected, &what);
            }
        }
    }
}
