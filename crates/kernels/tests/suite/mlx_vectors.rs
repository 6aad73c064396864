//! Affine matrices that MLX quantised: our weights and products against its own.

use kernels::tolerances::MLX_PRODUCT;
use kernels::{Cpu, Float, Kernels, Matrix, Planes, Precision, Quant};
use safetensors::SafeTensors;

use crate::numbers::assert_same_bits;

/// Part of the binary, so that it can be carried to another machine.
const FIXTURE: &[u8] = include_bytes!("../../../../tests/fixtures/mlx_quant_vectors.safetensors");
const ROWS: usize = 6;
const COLS: usize = 256;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect()
}

#[test]
fn weights_and_products_are_those_of_mlx() {
    let tensors = SafeTensors::deserialize(FIXTURE).expect("the fixture is whole");
    let plane = |name: &str| tensors.tensor(name).expect("all names are there").data();
    let x = floats(plane("x_f32"));
    let mut product_off = 0_f32;
    for table in Kernels::available() {
        let cpu = Cpu::new(table, 2, Precision::Exact).expect("two threads can be had");
        for bits in [2, 3, 4, 5, 6, 8] {
            for group in [32, 64, 128] {
                let name = |part: &str| format!("b{bits}_g{group}.{part}");
                let [weights, scales, biases] =
                    ["weight", "scales", "biases"].map(|part| plane(&name(part)));
                let quant = Quant::Affine { bits, group, params: Float::Bf16 };
                let planes = Planes { weights, scales, biases };
                let matrix = Matrix::new(quant, ROWS, COLS, planes).expect("MLX made it");
                let theirs = floats(plane(&name("dequant_f32")));
                for (row, theirs) in theirs.chunks(COLS).enumerate() {
                    let mut ours = vec![0.0; COLS];
                    table.decode_row(&matrix, row, &mut ours);
                    let what = format!("{} {quant} row {row}", table.isa());
                    assert_same_bits(&ours, theirs, &what);
                }
                let mut out = vec![0.0; 3 * ROWS];
                cpu.matmul(&matrix, &x, &mut out);
                let exact: Vec<f32> = products(&theirs, &x);
                let expected = match (bits, group) {
                    (4, 64) => floats(plane("b4_g64.matmul_f32")),
                    _ => exact,
                };
                for (ours, theirs) in out.iter().zip(&expected) {
                    product_off = product_off.max((ours - theirs).abs());
                }
            }
        }
    }
    println!("mlx: products off by {product_off:e}");
    assert!(MLX_PRODUCT.accepts(product_off, 0.0), "products off by {product_off:e}");
}

/// In f64, of weights that MLX dequantised.
fn products(weights: &[f32], x: &[f32]) -> Vec<f32> {
    let row = |row: &[f32], x: &[f32]| {
        row.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
    };
    let vectors = x.chunks(COLS);
    vectors.flat_map(|x| weights.chunks(COLS).map(move |w| row(w, x))).collect()
}
