//! Every layout: sizes, and rows decoded by every table against one bit after the other.

use kernels::{Float, Kernels, Matrix, Planes, Quant, all_finite};

use crate::naive;
use crate::numbers::{Rng, SPECIALS, assert_same_bits};

const FLOATS: [Float; 3] = [Float::F32, Float::F16, Float::Bf16];

/// Every layout that can be multiplied, with every form of parameters.
pub(crate) fn all() -> Vec<Quant> {
    let mut all: Vec<Quant> = FLOATS.map(Quant::Plain).to_vec();
    for params in FLOATS {
        for bits in [2, 3, 4, 5, 6, 8] {
            for group in [32, 64, 128] {
                all.push(Quant::Affine { bits, group, params });
            }
        }
        for (block_rows, block_cols) in [(128, 128), (3, 32), (1, 16)] {
            all.push(Quant::Fp8Block { block_rows, block_cols, params });
        }
    }
    all
}

/// Columns that the layout accepts: near `cols`, and of every remainder where any will do.
pub(crate) fn cols_for(quant: Quant, cols: usize) -> usize {
    match quant {
        Quant::Affine { group, .. } => cols.next_multiple_of(group),
        _ => cols,
    }
}

/// Random planes, each at an odd address, with ordinary parameters.
pub(crate) struct Stored {
    pub(crate) quant: Quant,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    planes: [Vec<u8>; 3],
}

impl Stored {
    pub(crate) fn random(rng: &mut Rng, quant: Quant, rows: usize, cols: usize) -> Stored {
        let plane = |float: Option<Float>, bytes: Option<usize>, rng: &mut Rng| {
            let bytes = bytes.expect("tests are small");
            let mut plane = vec![0xee];
            match float {
                Some(float) => plane.extend(encode(float, &rng.floats(bytes / float.bytes()))),
                None => plane.extend(rng.bytes(bytes)),
            }
            plane
        };
        let (weights, params) = match quant {
            Quant::Plain(float) => (Some(float), None),
            Quant::Affine { params, .. } | Quant::Fp8Block { params, .. } => (None, Some(params)),
        };
        let planes = [
            plane(weights, quant.weight_bytes(rows, cols), rng),
            plane(params, quant.scale_bytes(rows, cols), rng),
            plane(params, quant.bias_bytes(rows, cols), rng),
        ];
        let mut stored = Stored { quant, rows, cols, planes };
        if let Quant::Fp8Block { .. } = quant {
            // NaNs have a test of their own.
            for raw in &mut stored.planes[0][1..] {
                *raw &= if *raw & 0x7f == 0x7f { 0xf7 } else { 0xff };
            }
        }
        stored
    }

    pub(crate) fn slices(&self) -> [&[u8]; 3] {
        [&self.planes[0][1..], &self.planes[1][1..], &self.planes[2][1..]]
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        let [weights, scales, biases] = self.slices();
        Matrix::new(self.quant, self.rows, self.cols, Planes { weights, scales, biases })
            .expect("the planes were made for it")
    }
}

fn encode(float: Float, numbers: &[f32]) -> Vec<u8> {
    let encoded = |x: &f32| match float {
        Float::F32 => x.to_le_bytes().to_vec(),
        Float::F16 => half::f16::from_f32(*x).to_le_bytes().to_vec(),
        Float::Bf16 => half::bf16::from_f32(*x).to_le_bytes().to_vec(),
    };
    numbers.iter().flat_map(encoded).collect()
}

#[test]
fn sizes_are_those_of_the_formats() {
    let affine = Quant::Affine { bits: 4, group: 64, params: Float::Bf16 };
    // A matrix [1024, 4096] of 4 bits: half a byte a weight, 64 scales and biases of 2 bytes a row.
    assert_eq!(affine.weight_bytes(1024, 4096), Some(2_097_152), "weights");
    assert_eq!(affine.scale_bytes(1024, 4096), Some(131_072), "scales");
    assert_eq!(affine.bias_bytes(1024, 4096), Some(131_072), "biases");
    let fp8 = Quant::Fp8Block { block_rows: 128, block_cols: 128, params: Float::Bf16 };
    assert_eq!(fp8.weight_bytes(192, 200), Some(38_400), "weights");
    assert_eq!(fp8.scale_bytes(192, 200), Some(8), "2 x 2 scales of 2 bytes");
    assert_eq!(fp8.bias_bytes(192, 200), Some(0), "none");
    assert_eq!(Quant::Plain(Float::F16).weight_bytes(3, 5), Some(30), "weights");
    assert_eq!(Quant::Plain(Float::F32).scale_bytes(3, 5), Some(0), "none");
    let planes = Planes { weights: &[0; 128], scales: &[0; 8], biases: &[0; 8] };
    let matrix = Matrix::new(affine, 4, 64, planes).expect("it fits");
    let found = (matrix.rows(), matrix.cols(), matrix.quant(), matrix.bytes());
    assert_eq!(found, (4, 64, affine, 144), "what was given");
}

#[test]
fn rows_decode_to_the_naive_bits() {
    for (seed, quant) in all().into_iter().enumerate() {
        let mut rng = Rng::new(seed as u64 + 1);
        for cols in [1, 15, 16, 17, 100, 128, 391] {
            let cols = cols_for(quant, cols);
            let stored = Stored::random(&mut rng, quant, 5, cols);
            let expected = naive::decode(quant, 5, cols, stored.slices());
            for table in Kernels::available() {
                for (row, expected) in expected.chunks(cols).enumerate() {
                    let mut out = vec![f32::NAN; cols];
                    table.decode_row(&stored.matrix(), row, &mut out);
                    let what = format!("{} {quant} [5, {cols}] row {row}", table.isa());
                    assert_same_bits(&out, expected, &what);
                }
            }
        }
    }
}

/// All 65536 halves and all 256 bytes of fp8, NaNs and subnormals included.
#[test]
fn every_stored_number_decodes_exactly() {
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let floats = encode(Float::F32, &SPECIALS);
    let plain = [
        (Quant::Plain(Float::F16), halves.as_slice()),
        (Quant::Plain(Float::Bf16), halves.as_slice()),
        (Quant::Plain(Float::F32), floats.as_slice()),
    ];
    for (quant, weights) in plain {
        let Quant::Plain(float) = quant else { unreachable!("as listed") };
        let cols = weights.len() / float.bytes();
        check_row(quant, cols, Planes { weights, ..Planes::default() });
    }
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let quant = Quant::Fp8Block { block_rows: 1, block_cols: 256, params: Float::F32 };
    for scale in [1.0_f32, -0.3, f32::INFINITY, f32::NAN] {
        let scales = scale.to_le_bytes();
        check_row(quant, 256, Planes { weights: &bytes, scales: &scales, biases: &[] });
    }
}

fn check_row(quant: Quant, cols: usize, planes: Planes<'_>) {
    let expected = naive::decode(quant, 1, cols, [planes.weights, planes.scales, planes.biases]);
    let matrix = Matrix::new(quant, 1, cols, planes).expect("it fits");
    for table in Kernels::available() {
        let mut out = vec![0.0; cols];
        table.decode_row(&matrix, 0, &mut out);
        assert_same_bits(&out, &expected, &format!("{} {quant}", table.isa()));
    }
}

#[test]
fn numbers_that_are_not_finite_are_found_wherever_they_are() {
    for float in FLOATS {
        let fine = encode(float, &[65504.0, -1e-6, 0.0, -0.0].repeat(400));
        assert!(all_finite(float, &fine), "{float}: {} finite numbers", fine.len() / float.bytes());
        assert!(all_finite(float, &[]), "{float}: nothing is finite");
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for at in [0, 1, 511, 512, 1599] {
                let mut bytes = fine.clone();
                let raw = encode(float, &[bad]);
                bytes[at * raw.len()..][..raw.len()].copy_from_slice(&raw);
                assert!(!all_finite(float, &bytes), "{float}: {bad} at {at}");
            }
        }
    }
    // The greatest finite number of each form, and the least that is not.
    assert!(all_finite(Float::F16, &0x7bff_u16.to_le_bytes()), "65504");
    assert!(!all_finite(Float::F16, &0xfc00_u16.to_le_bytes()), "-inf");
    assert!(all_finite(Float::Bf16, &0x7f7f_u16.to_le_bytes()), "greatest bf16");
    assert!(!all_finite(Float::Bf16, &0x7f80_u16.to_le_bytes()), "inf");
}
