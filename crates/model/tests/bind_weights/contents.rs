//! What is bound is the right bytes: dequantised, every layout is the model that F32 holds.

use std::fs;

use format::{DType, decode_floats};
use half::bf16;
use kernels::{Float as Plain, Quant};
use model::tiny::{Float, Layout, Spec, affine, fp8};
use model::{MatrixSource, MixerSource, Piece, Projection, RowOrder, VectorSource};
use store::Extent;

use crate::checkpoint::{Bound, tiny};

/// The files of a bound model.
struct Files(Vec<Vec<u8>>);

impl Files {
    fn of(bound: &Bound) -> Files {
        let files = bound.catalog.files.iter();
        Files(files.map(|file| fs::read(&file.path).expect("a file")).collect())
    }

    fn bytes(&self, extent: &Extent) -> &[u8] {
        &self.0[extent.file][extent.offset as usize..][..extent.bytes]
    }

    fn matrix(&self, source: &MatrixSource) -> Vec<f32> {
        let plane = |extent: Option<Extent>| {
            extent.map_or(Vec::new(), |extent| self.bytes(&extent).to_vec())
        };
        let planes = [Some(source.weights), source.scales, source.biases].map(plane);
        dequantized(source.quant, &planes, source.cols)
    }

    /// A matrix of record `n` out of `extents`, `per` for each record.
    fn piece(&self, piece: &Piece, extents: &[Extent], per: usize, n: usize) -> Vec<f32> {
        let planes = [Some(&piece.weights), piece.scales.as_ref(), piece.biases.as_ref()];
        let planes = planes.map(|plane| {
            plane.map_or(Vec::new(), |plane| {
                self.bytes(&extents[n * per + plane.extent])[plane.range.clone()].to_vec()
            })
        });
        dequantized(piece.quant, &planes, piece.cols)
    }

    fn vector(&self, source: &VectorSource) -> Vec<f32> {
        let mut floats =
            decode_floats(source.dtype, self.bytes(&source.extent)).expect("whole floats");
        if source.plus_one {
            floats.iter_mut().for_each(|x| *x += 1.0);
        }
        floats
    }
}

fn floats(float: Plain, bytes: &[u8]) -> Vec<f32> {
    let dtype = match float {
        Plain::F32 => DType::F32,
        Plain::F16 => DType::F16,
        Plain::Bf16 => DType::BF16,
    };
    decode_floats(dtype, bytes).expect("whole floats")
}

fn dequantized(quant: Quant, [weights, scales, biases]: &[Vec<u8>; 3], cols: usize) -> Vec<f32> {
    match quant {
        Quant::Plain(float) => floats(float, weights),
        Quant::Affine { bits, group, params } => {
            let (words, _) = weights.as_chunks();
            let quantized = affine::Affine {
                words: words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
                scales: floats(params, scales),
                biases: floats(params, biases),
            };
            affine::dequantize(&quantized, bits as u32, group)
        }
        Quant::Fp8Block { params, .. } => {
            let scales = floats(params, scales).into_iter().map(bf16::from_f32).collect();
            fp8::dequantize(&fp8::Blocks { codes: weights.clone(), scales }, cols)
        }
    }
}

/// All values of a model by what they are: the same list for every layout.
fn contents(bound: &Bound) -> Vec<(String, Vec<f32>)> {
    let (files, weights) = (Files::of(bound), &bound.weights);
    let mut all = vec![("embed".to_owned(), files.matrix(&weights.embed))];
    all.extend(weights.head.iter().map(|head| ("head".to_owned(), files.matrix(head))));
    all.push(("norm".to_owned(), files.vector(&weights.norm)));
    for (i, layer) in weights.layers.iter().enumerate() {
        let mut add = |name: &str, values| all.push((format!("layer {i}, {name}"), values));
        add("input norm", files.vector(&layer.input_norm));
        add("post norm", files.vector(&layer.post_norm));
        add("router", files.matrix(&layer.router));
        add("shared gate rows", files.matrix(&layer.shared.gate));
        add("shared up rows", files.matrix(&layer.shared.up));
        add("shared down rows", files.matrix(&layer.shared.down));
        add("shared gate", files.matrix(&layer.shared_gate));
        match &layer.mixer {
            MixerSource::Full(full) => {
                add("q", files.matrix(&full.q));
                add("k", files.matrix(&full.k));
                add("v", files.matrix(&full.v));
                add("o", files.matrix(&full.o));
                add("q norm", files.vector(&full.q_norm));
                add("k norm", files.vector(&full.k_norm));
            }
            MixerSource::Linear(linear) => {
                let [qkvz, ba] = projections(&files, &linear.projection);
                add("qkvz", qkvz);
                add("ba", ba);
                add("conv", files.vector(&linear.conv));
                add("a_log", files.vector(&linear.a_log));
                add("dt_bias", files.vector(&linear.dt_bias));
                add("norm", files.vector(&linear.norm));
                add("out", files.matrix(&linear.out));
            }
        }
        let (experts, per) = (&layer.experts, layer.experts.extents_per_record);
        for n in 0..experts.records() {
            for (name, piece) in
                [("gate", &experts.gate), ("up", &experts.up), ("down", &experts.down)]
            {
                let values = files.piece(piece, &experts.extents, per, n);
                add(&format!("{name} of {n}"), values);
            }
        }
    }
    all
}

/// Rows of queries, keys, values and gates, and of betas and decays, in the order of the split form.
fn projections(files: &Files, projection: &Projection) -> [Vec<f32>; 2] {
    match projection {
        Projection::Split { qkv, z, b, a } => [
            [files.matrix(qkv), files.matrix(z)].concat(),
            [files.matrix(b), files.matrix(a)].concat(),
        ],
        Projection::Fused { qkvz, qkvz_order, ba, ba_order } => {
            [(qkvz, qkvz_order), (ba, ba_order)].map(|(matrix, order)| {
                let values = files.matrix(matrix);
                let rows: Vec<&[f32]> = values.chunks_exact(matrix.cols).collect();
                reordered(order, rows.len()).into_iter().flat_map(|n| rows[n].to_vec()).collect()
            })
        }
    }
}

/// The walk reorders what rows give; numbers of rows show where each comes from.
fn reordered(order: &RowOrder, rows: usize) -> Vec<usize> {
    let grouped: Vec<f32> = (0..rows).map(|n| n as f32).collect();
    let mut out = vec![f32::NAN; rows];
    order.ungroup(&grouped, &mut out);
    out.into_iter().map(|n| n as usize).collect()
}

/// Root of the mean square of the difference, by that of the values.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let far: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    (far / want.iter().map(|b| square(*b)).sum::<f64>()).sqrt()
}

#[test]
fn every_layout_holds_the_same_model() {
    let specs = [
        Spec { linear_value_heads: 6, ..Spec::uneven_value_dim() },
        Spec::wide(),
        Spec::partial_blocks(),
        Spec::tied_head(),
    ];
    let mlx = |bits, group| Layout::Mlx { bits, group, router_bits: Some(8), dtype: Float::F32 };
    // The bounds lie a factor of two above what rounding does, and far below the 1.4 that
    // unrelated values give.
    let layouts = [
        (Layout::HfPerExpert { dtype: Float::F32 }, 0.0),
        (Layout::Qwen3Next { dtype: Float::F32 }, 0.0),
        (Layout::HfStacked { dtype: Float::Bf16 }, 0.004),
        (Layout::HfStacked { dtype: Float::F16 }, 0.0006),
        (Layout::Fp8, 0.06),
        (mlx(8, 64), 0.015),
        (mlx(5, 32), 0.1),
        (mlx(4, 64), 0.25),
    ];
    for spec in specs {
        let (_dir, plain) = tiny(&spec, Layout::HfStacked { dtype: Float::F32 });
        let want = contents(&plain);
        for (layout, bound) in layouts {
            let (_dir, other) = tiny(&spec, layout);
            let got = contents(&other);
            assert_eq!(got.len(), want.len(), "{layout:?}: parts");
            for ((name, got), (same, want)) in got.iter().zip(&want) {
                assert_eq!((name, got.len()), (same, want.len()), "{layout:?}");
                let far = distance(got, want);
                assert!(far <= bound, "{layout:?}, {name}: {far} from F32");
            }
        }
    }
}
