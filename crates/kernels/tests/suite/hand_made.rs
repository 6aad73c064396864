//! Cases that were computed by hand, for every table.

use kernels::{Cpu, DeltaStep, DeltaUpdate, Float, Kernels, Matrix, Planes, Precision, Quant};

use crate::naive;
use crate::numbers::{Rng, assert_same_bits};

#[test]
fn the_dot_product_takes_its_lanes_in_the_promised_order() {
    let mut rng = Rng::new(1);
    for table in Kernels::available() {
        assert_eq!(table.dot(&[], &[]), 0.0, "of nothing");
        assert_eq!(table.dot(&[2.0, 3.0], &[5.0, -7.0]), -11.0, "10 - 21");
        // 2^24 + 1 is no f32. Elements 0 and 8 meet first, so the ones of 8 and 4 stay apart
        // from the large one only if they were added to each other before; they are not.
        let mut x = [0.0; 16];
        (x[0], x[8], x[4]) = (16_777_216.0, 1.0, 1.0);
        assert_eq!(table.dot(&x, &[1.0; 16]), 16_777_216.0, "each one is lost");
        (x[8], x[12]) = (0.0, 1.0);
        assert_eq!(table.dot(&x, &[1.0; 16]), 16_777_218.0, "4 and 12 meet first");
        for len in (0..=70).chain([1000]) {
            let (a, b) = (rng.floats(len), rng.floats(len));
            let what = format!("{} dot, len {len}", table.isa());
            assert_same_bits(&[table.dot(&a, &b)], &[naive::dot(&a, &b)], &what);
        }
    }
}

#[test]
fn norms_by_hand() {
    for table in Kernels::available() {
        let mut out = [0.0; 4];
        // mean(x²) = 4, so r = 1/2.
        table.rms_norm(&[2.0, -2.0, 2.0, 2.0], &[1.0, 1.0, 3.0, -1.0], 0.0, &mut out);
        assert_eq!(out, [1.0, -1.0, 3.0, -1.0], "{} rms_norm", table.isa());
        table.rms_norm(&[0.0; 4], &[1.0; 4], 1e-6, &mut out);
        assert_eq!(out, [0.0; 4], "{}: eps keeps zero from dividing", table.isa());
        let mut x = [3.0, 4.0];
        // Σx² + eps = 25 + 11 = 36.
        table.l2_norm(&mut x, 11.0, 12.0);
        let third = 1.0_f32 / 6.0;
        assert_eq!(x, [3.0 * third * 12.0, 4.0 * third * 12.0], "{} l2_norm", table.isa());
    }
}

#[test]
fn sums_of_vectors_by_hand() {
    for table in Kernels::available() {
        let mut x = [1.0, 2.0, 3.0];
        table.add(&mut x, &[10.0, 20.0, 30.0]);
        assert_eq!(x, [11.0, 22.0, 33.0], "add");
        table.add_scaled(&mut x, -0.5, &[2.0, 4.0, 6.0]);
        assert_eq!(x, [10.0, 20.0, 30.0], "add_scaled");
        // Rounded once: (1 + 2^-12)² = 1 + 2^-11 + 2^-24, less 1 keeps the last term.
        let near = 1.0 + 2_f32.powi(-12);
        let mut x = [-1.0];
        table.add_scaled(&mut x, near, &[near]);
        assert_eq!(x, [2_f32.powi(-11) + 2_f32.powi(-24)], "fused");
    }
}

#[test]
fn softmax_by_hand() {
    for table in Kernels::available() {
        let mut x = [7.0; 4];
        table.softmax(&mut x);
        assert_eq!(x, [0.25; 4], "equal scores");
        let mut x = [0.0, f32::NEG_INFINITY, 0.0];
        table.softmax(&mut x);
        assert_eq!(x, [0.5, 0.0, 0.5], "a masked score");
        let mut x = [1e38, -1e38];
        table.softmax(&mut x);
        assert_eq!(x, [1.0, 0.0], "no overflow");
        for at in [0, 15, 16, 17, 39] {
            let mut x = [0.5; 40];
            x[at] = f32::NAN;
            table.softmax(&mut x);
            assert!(x.iter().all(|x| x.is_nan()), "{}: NaN at {at}", table.isa());
        }
        table.softmax(&mut []);
    }
}

#[test]
fn gates_by_hand() {
    for table in Kernels::available() {
        let mut x = [0.0, 100.0, -100.0];
        table.silu(&mut x);
        assert_eq!(x[..2], [0.0, 100.0], "silu");
        assert!(x[2] <= 0.0 && x[2] > -1e-40, "silu(-100) = {:e}", x[2]);
        let mut gate = [100.0, 0.0];
        table.silu_mul(&mut gate, &[3.0, 5.0]);
        assert_eq!(gate, [300.0, 0.0], "silu_mul");
        let mut x = [8.0, 8.0, 8.0];
        table.sigmoid_mul(&mut x, &[0.0, 100.0, -200.0]);
        assert_eq!(x, [4.0, 8.0, 0.0], "sigmoid_mul");
        let (mut betas, mut decays) = ([0.0, 100.0], [29.0, -100.0]);
        // Far above and far below zero softplus is x, and nothing.
        table.delta_gates(&mut betas, &mut decays, &[1.0, -100.0], &[-0.5, -8.0]);
        assert_eq!((betas, decays), ([0.5, 1.0], [kernels::exp(-15.0), 1.0]), "delta_gates");
    }
}

#[test]
fn rope_turns_pairs_of_the_halves_and_leaves_the_rest() {
    for table in Kernels::available() {
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        // The first pair is (1, 3), a quarter turn; the second (2, 4), none.
        table.rope(&mut head, &[0.0, 1.0], &[1.0, 0.0]);
        assert_eq!(head, [-3.0, 2.0, 1.0, 4.0, 5.0, 6.0], "{}", table.isa());
    }
}

#[test]
fn the_convolution_multiplies_the_newest_column_by_the_last_tap() {
    for table in Kernels::available() {
        // Channel 0: 1·100 + 2·0 = 100. Channel 1: 10·(-10) + 20·10 = 100. silu(100) = 100.
        let taps = [1.0, 10.0, 2.0, 20.0];
        let mut out = [0.0; 2];
        table.conv_silu(&taps, &[&[100.0, -10.0], &[0.0, 10.0]], &mut out);
        assert_eq!(out, [100.0, 100.0], "{}", table.isa());
    }
}

#[test]
fn the_delta_rule_by_hand() {
    for table in Kernels::available() {
        // One column, two rows. S = [4, 8] decays to [2, 4]; kv = 1·2 + 0.5·4 = 4;
        // u = 0.5·(10 - 4) = 3; S = [2 + 3, 4 + 1.5]; o = 2·5 - 1·5.5.
        let step = DeltaStep { q: &[2.0, -1.0], k: &[1.0, 0.5], v: &[10.0], decay: 0.5, beta: 0.5 };
        let (mut state, mut u, mut out) = ([4.0, 8.0], [0.0], [0.0]);
        table.delta_read(&mut state, &step, &mut u, &mut out);
        assert_eq!((state, u, out), ([4.0, 8.0], [3.0], [4.5]), "{} read", table.isa());
        let (mut u, mut out) = ([0.0], [0.0]);
        table.delta_step(&mut state, &step, &mut u, &mut out);
        assert_eq!((state, u, out), ([5.0, 5.5], [3.0], [4.5]), "{} step", table.isa());
        let update = DeltaUpdate { k: &[1.0, 0.5], u: &[3.0], decay: 0.5 };
        let mut state = [4.0, 8.0];
        table.delta_apply(&mut state, &update);
        assert_eq!(state, [5.0, 5.5], "{} apply", table.isa());
        // Then, from [5, 5.5], the same step: it decays to [2.5, 2.75]; kv = 2.5 + 0.5·2.75;
        // u = 0.5·(10 - 3.875); o = 2·(2.5 + u) - (2.75 + 0.5·u).
        let mut state = [4.0, 8.0];
        table.delta_apply_read(&mut state, &update, &step, &mut u, &mut out);
        let found = (state, u, out);
        assert_eq!(found, ([5.0, 5.5], [3.0625], [6.84375]), "{} apply, read", table.isa());
    }
}

#[test]
fn affine_rows_by_hand() {
    // 4 bits, the least significant first: 0x10 is q = 0, 1. Scale 0.5, bias -1 (bf16).
    let mut weights = [0_u8; 16];
    (weights[0], weights[1]) = (0x10, 0xf2);
    let planes = Planes { weights: &weights, scales: &[0x00, 0x3f], biases: &[0x80, 0xbf] };
    let quant = Quant::Affine { bits: 4, group: 32, params: Float::Bf16 };
    let matrix = Matrix::new(quant, 1, 32, planes).expect("it fits");
    for table in Kernels::available() {
        let mut out = [0.0; 32];
        table.decode_row(&matrix, 0, &mut out);
        assert_eq!(out[..5], [-1.0, -0.5, 0.0, 6.5, -1.0], "{} row", table.isa());
        let cpu = Cpu::new(table, 1, Precision::Exact).expect("no thread is started");
        let mut product = [0.0];
        let mut x = [0.0; 32];
        (x[1], x[3]) = (2.0, 10.0);
        cpu.matmul(&matrix, &x, &mut product);
        assert_eq!(product, [64.0], "{}: -1 + 65", table.isa());
    }
}

#[test]
fn finite_means_neither_infinite_nor_nan() {
    for table in Kernels::available() {
        assert!(table.finite(&[]), "nothing");
        assert!(table.finite(&[f32::MAX, f32::MIN, 1e-45]), "all finite");
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 511, 512, 700] {
                let mut x = vec![1.0; 701];
                x[at] = bad;
                assert!(!table.finite(&x), "{bad} at {at}");
            }
        }
    }
}
