//! Every table gives the bits of the plain one, for every operation, length and kind of number.

use kernels::{DeltaStep, DeltaUpdate, Kernels, exp, sigmoid};

use crate::naive;
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
    let (mut betas, mut decays) = (x.clone(), y.clone());
    table.delta_gates(&mut betas, &mut decays, &z, &x);
    vec![
        ("delta_gates", [betas, decays].concat()),
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

/// Five steps, one by one, together, and in parts, each held against the naive twin: read without
/// a change, applied again, and read in the pass that applies the step before.
fn delta(table: &Kernels, kinds: usize, dk: usize, dv: usize) {
    let what = |part: &str| format!("{} {part} [{dk}, {dv}], kind {kinds}", table.isa());
    let mut rng = Rng::new(3);
    let start = kind(&mut rng, kinds, dk * dv);
    let inputs: Vec<[Vec<f32>; 3]> =
        (0..5).map(|_| [dk, dk, dv].map(|len| kind(&mut rng, kinds, len))).collect();
    let steps = [0, 1, 2, 3, 4].map(|n| {
        let [q, k, v] = &inputs[n];
        DeltaStep { q, k, v, decay: [0.9, 0.5, 0.8, 0.7, 0.6][n], beta: 0.7 }
    });

    let [mut u, mut out] = [0; 2].map(|_| vec![f32::NAN; dv]);
    let (mut state, mut all) = (start.clone(), Vec::new());
    // The state before the last step, and what that step changed.
    let mut last: Option<(Vec<f32>, Vec<f32>)> = None;
    for (n, step) in steps.iter().enumerate() {
        let mut before = state.clone();
        let (naive_u, naive_out) = naive::delta_step(&mut state, step);
        let mut stepped = before.clone();
        table.delta_step(&mut stepped, step, &mut u, &mut out);
        assert_same_bits(&stepped, &state, &what("step, state"));
        assert_same_bits(&u, &naive_u, &what("step, update"));
        assert_same_bits(&out, &naive_out, &what("step, output"));
        let unread = before.clone();
        table.delta_read(&mut before, step, &mut u, &mut out);
        assert_same_bits(&before, &unread, &what("read, state"));
        assert_same_bits(&u, &naive_u, &what("read, update"));
        assert_same_bits(&out, &naive_out, &what("read, output"));
        if let Some((mut older, older_u)) = last {
            let DeltaStep { k, decay, .. } = steps[n - 1];
            let update = DeltaUpdate { k, u: &older_u, decay };
            table.delta_apply_read(&mut older, &update, step, &mut u, &mut out);
            assert_same_bits(&older, &before, &what("applied and read, state"));
            assert_same_bits(&u, &naive_u, &what("applied and read, update"));
            assert_same_bits(&out, &naive_out, &what("applied and read, output"));
        }
        let update = DeltaUpdate { k: step.k, u: &naive_u, decay: step.decay };
        let mut applied = before.clone();
        table.delta_apply(&mut applied, &update);
        assert_same_bits(&applied, &state, &what("applied"));
        all.extend(naive_out);
        last = Some((before, naive_u));
    }
    let (mut together, mut outs) = (start, vec![f32::NAN; steps.len() * dv]);
    table.delta_steps(&mut together, &steps, &mut u, &mut outs);
    assert_same_bits(&together, &state, &what("together, state"));
    assert_same_bits(&u, &last.expect("there were steps").1, &what("together, update"));
    assert_same_bits(&outs, &all, &what("together, outputs"));
    table.delta_steps(&mut together, &[], &mut u, &mut []);
    assert_same_bits(&together, &state, &what("no step"));
}

#[test]
fn the_delta_rule_gives_the_naive_bits_in_every_way_to_take_it() {
    let shapes = (0..=70).map(|dv| (dv % 7 + 1, dv)).chain([
        (16, 16),
        (128, 128),
        (48, 200),
        (600, 24),
        (9000, 2),
    ]);
    for (dk, dv) in shapes {
        for kind in 0..KINDS {
            for table in Kernels::available() {
                delta(table, kind, dk, dv);
            }
        }
    }
}
