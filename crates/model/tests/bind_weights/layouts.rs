//! Every spec in every layout: all tensors are found a place, with the shapes that the spec has.

use std::collections::BTreeMap;

use kernels::{Float as Plain, Quant};
use model::tiny::{self, Float, Form, Layout, Spec};
use model::{
    Config, ExpertSource, MatrixSource, MixerSource, Piece, Projection, UnusedKind, VectorSource,
};
use store::Extent;

use crate::checkpoint::{Bound, EACH, HF, MLX, NEXT, open, repository, tiny};

/// Every layout as it is published.
const LAYOUTS: [Layout; 5] = [HF, EACH, NEXT, Layout::Fp8, MLX];

/// Their other widths, dtypes and names.
fn more_forms() -> Vec<Form> {
    let mlx = |(bits, group)| {
        Form::from(Layout::Mlx { bits, group, router_bits: None, dtype: Float::F16 })
    };
    let mut forms =
        [HF, EACH, MLX].map(|layout| Form { multimodal: false, ..layout.into() }).to_vec();
    forms.extend([Float::F16, Float::F32].map(|dtype| Form::from(Layout::HfStacked { dtype })));
    forms.extend([(2, 32), (3, 64), (5, 32), (6, 128), (8, 64)].map(mlx));
    forms
}

#[test]
fn every_spec_binds_in_every_layout() {
    for (name, spec) in Spec::presets() {
        for layout in LAYOUTS {
            bind(name, &spec, layout.into());
        }
    }
    for (name, spec) in [("wide", Spec::wide()), ("hidden_96", Spec::hidden_96())] {
        for form in more_forms() {
            bind(name, &spec, form);
        }
    }
}

fn bind(name: &str, spec: &Spec, form: Form) {
    let (_dir, bound) = tiny(spec, form);
    check(&format!("{name}, {form:?}"), &bound, form.layout);
    let count = |kind| bound.weights.unused.iter().filter(|tensor| tensor.kind == kind).count();
    assert_eq!(count(UnusedKind::Vision), 1, "{name}, {form:?}: of a vision tower");
    assert!(count(UnusedKind::Mtp) >= 19, "{name}, {form:?}: of the mtp block");
    assert_eq!(count(UnusedKind::Other), 0, "{name}, {form:?}: unknown");
}

#[test]
fn every_fixture_binds() {
    let uniform = Layout::Mlx { bits: 4, group: 64, router_bits: None, dtype: Float::Bf16 };
    let fixtures = [
        ("tests/fixtures/tiny-qwen35moe-hf", HF, 2),
        ("tests/fixtures/tiny-qwen35moe-mlx4", MLX, 9),
        ("tests/fixtures/tiny-qwen35moe-mlx4-uniform", uniform, 9),
        ("tests/fixtures/tiny-qwen35moe-fp8", Layout::Fp8, 6),
        ("tests/fixtures/tiny-qwen3next-hf", NEXT, 3),
        ("demo/demo-4bit", MLX, 9),
    ];
    for (dir, layout, extents) in fixtures {
        let bound = open(&repository(dir)).expect(dir);
        check(dir, &bound, layout);
        for layer in &bound.weights.layers {
            assert_eq!(layer.experts.extents_per_record, extents, "{dir}: extents a record");
        }
    }
}

/// Everything that holds for any bound model.
fn check(at: &str, bound: &Bound, layout: Layout) {
    let Bound { config, weights, .. } = bound;
    let mut seen = Seen { at, bound, layout, bytes: 0, places: BTreeMap::new() };
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    seen.matrix(&weights.embed, vocab, hidden);
    assert_eq!(weights.head.is_none(), config.tie_word_embeddings, "{at}: a head of its own");
    weights.head.iter().for_each(|head| seen.matrix(head, vocab, hidden));
    seen.norm(&weights.norm, hidden);
    let kinds: Vec<bool> =
        weights.layers.iter().map(|l| matches!(l.mixer, MixerSource::Full(_))).collect();
    assert_eq!(kinds, config.full_layers(), "{at}: what mixes the positions");
    for layer in &weights.layers {
        seen.norm(&layer.input_norm, hidden);
        seen.norm(&layer.post_norm, hidden);
        seen.mixer(&layer.mixer, config);
        seen.matrix(&layer.router, config.experts, hidden);
        let shared = config.shared_intermediate_size;
        seen.matrix(&layer.shared.gate, shared, hidden);
        seen.matrix(&layer.shared.up, shared, hidden);
        seen.matrix(&layer.shared.down, hidden, shared);
        seen.matrix(&layer.shared_gate, 1, hidden);
        seen.experts(&layer.experts, config);
    }
    let unused: u64 = weights.unused.iter().map(|tensor| tensor.bytes).sum();
    assert_eq!(seen.bytes + unused, bound.catalog.total_bytes(), "{at}: every byte has a place");
    // No two places share a byte, and none lies outside its file.
    let mut last = (0, 0);
    for ((file, begin), end) in seen.places {
        assert!(last.0 != file || last.1 <= begin, "{at}: byte {begin} of file {file} twice");
        assert!(end <= bound.catalog.files[file].bytes, "{at}: inside the file");
        last = (file, end);
    }
}

/// What was found so far in a model.
struct Seen<'a> {
    at: &'a str,
    bound: &'a Bound,
    layout: Layout,
    bytes: u64,
    /// File and offset to the end.
    places: BTreeMap<(usize, u64), u64>,
}

impl Seen<'_> {
    fn place(&mut self, extent: &Extent) {
        let (bytes, key) = (extent.bytes as u64, (extent.file, extent.offset));
        self.bytes += bytes;
        let before = self.places.insert(key, extent.offset + bytes);
        assert!(before.is_none(), "{}: {extent:?} twice", self.at);
    }

    fn matrix(&mut self, source: &MatrixSource, rows: usize, cols: usize) {
        let at = format!("{}, {}", self.at, source.name);
        assert_eq!((source.rows, source.cols), (rows, cols), "{at}");
        source.quant.check(rows, cols).expect(&at);
        let bytes = |plane: Option<Extent>| plane.map_or(0, |extent| extent.bytes);
        let planes = [Some(source.weights), source.scales, source.biases];
        let lengths = [
            source.quant.weight_bytes(rows, cols),
            source.quant.scale_bytes(rows, cols),
            source.quant.bias_bytes(rows, cols),
        ];
        assert_eq!(planes.map(|plane| Some(bytes(plane))), lengths, "{at}: bytes of the planes");
        planes.iter().flatten().for_each(|extent| self.place(extent));
        self.width(&at, source.quant, cols);
    }

    /// The quantisation is the one that the layout has for such rows.
    fn width(&self, at: &str, quant: Quant, cols: usize) {
        let gate = at.ends_with("gate.weight");
        match (self.layout, quant) {
            (
                Layout::Mlx { bits, group, router_bits, .. },
                Quant::Affine { bits: b, group: g, .. },
            ) => {
                let bits = if gate { router_bits.unwrap_or(bits) } else { bits };
                assert_eq!((b, g), (bits as usize, group), "{at}");
            }
            (Layout::Mlx { group, .. }, Quant::Plain(_)) => {
                assert!(!cols.is_multiple_of(group), "{at}: rows of {cols} are whole groups");
            }
            (Layout::Fp8, Quant::Fp8Block { block_rows, block_cols, params }) => {
                assert_eq!((block_rows, block_cols, params), (128, 128, Plain::Bf16), "{at}");
            }
            (Layout::Fp8, Quant::Plain(float)) => assert_eq!(float, Plain::Bf16, "{at}"),
            (_, Quant::Plain(_)) => {}
            other => panic!("{at}: {other:?}"),
        }
    }

    fn vector(&mut self, source: &VectorSource, len: usize, plus_one: bool) {
        let at = format!("{}, {}", self.at, source.name);
        assert_eq!((source.len, source.plus_one), (len, plus_one), "{at}");
        assert_eq!(source.extent.bytes, len * source.dtype.bytes(), "{at}: bytes");
        self.place(&source.extent);
    }

    fn norm(&mut self, source: &VectorSource, len: usize) {
        let plus_one = !matches!(self.layout, Layout::Mlx { .. });
        self.vector(source, len, plus_one);
    }

    fn mixer(&mut self, mixer: &MixerSource, config: &Config) {
        let (hidden, head) = (config.hidden_size, config.head_dim);
        match mixer {
            MixerSource::Full(full) => {
                let keys = config.kv_heads * head;
                self.matrix(&full.q, config.heads * 2 * head, hidden);
                self.matrix(&full.k, keys, hidden);
                self.matrix(&full.v, keys, hidden);
                self.matrix(&full.o, hidden, config.heads * head);
                self.norm(&full.q_norm, head);
                self.norm(&full.k_norm, head);
            }
            MixerSource::Linear(linear) => {
                let heads = config.linear_value_heads;
                let values = heads * config.linear_value_dim;
                let channels = 2 * config.linear_key_heads * config.linear_key_dim + values;
                match &linear.projection {
                    Projection::Split { qkv, z, b, a } => {
                        self.matrix(qkv, channels, hidden);
                        self.matrix(z, values, hidden);
                        self.matrix(b, heads, hidden);
                        self.matrix(a, heads, hidden);
                    }
                    Projection::Fused { qkvz, qkvz_order, ba, ba_order } => {
                        self.matrix(qkvz, channels + values, hidden);
                        self.matrix(ba, 2 * heads, hidden);
                        let rows = (qkvz_order.rows(), qkvz_order.last_part());
                        assert_eq!(rows, (channels + values, values), "{}: qkvz", self.at);
                        let rows = (ba_order.rows(), ba_order.last_part());
                        assert_eq!(rows, (2 * heads, heads), "{}: ba", self.at);
                    }
                }
                self.vector(&linear.conv, channels * config.conv_kernel, false);
                self.vector(&linear.a_log, heads, false);
                self.vector(&linear.dt_bias, heads, false);
                self.vector(&linear.norm, config.linear_value_dim, false);
                self.matrix(&linear.out, hidden, values);
            }
        }
    }

    fn experts(&mut self, source: &ExpertSource, config: &Config) {
        let (hidden, inner) = (config.hidden_size, config.moe_intermediate_size);
        let pieces = [
            (&source.gate, inner, hidden),
            (&source.up, inner, hidden),
            (&source.down, hidden, inner),
        ];
        let mut bytes = 0;
        for (piece, rows, cols) in pieces {
            bytes += self.piece(piece, source, rows, cols);
        }
        assert_eq!(source.record_bytes(), bytes, "{}: bytes of a record", self.at);
        assert_eq!(source.records(), config.experts, "{}: records", self.at);
        let bank = source.bank().expect("records of equal lengths");
        assert_eq!(bank.records(), config.experts, "{}: records of the bank", self.at);
        source.extents.iter().for_each(|extent| self.place(extent));
    }

    fn piece(&self, piece: &Piece, source: &ExpertSource, rows: usize, cols: usize) -> usize {
        let at = format!("{}, a matrix of an expert", self.at);
        assert_eq!((piece.rows, piece.cols), (rows, cols), "{at}");
        piece.quant.check(rows, cols).expect(&at);
        self.width(&at, piece.quant, cols);
        let lengths = [
            piece.quant.weight_bytes(rows, cols),
            piece.quant.scale_bytes(rows, cols),
            piece.quant.bias_bytes(rows, cols),
        ];
        let planes = [Some(&piece.weights), piece.scales.as_ref(), piece.biases.as_ref()];
        let mut bytes = 0;
        for (plane, length) in planes.into_iter().zip(lengths) {
            let found = plane.map_or(0, |plane| plane.range.len());
            assert_eq!(Some(found), length, "{at}: bytes of a plane");
            let inside = plane.is_none_or(|p| p.range.end <= source.extents[p.extent].bytes);
            assert!(inside, "{at}: inside its extent");
            bytes += found;
        }
        assert!(bound_to_file(self.bound, source), "{at}: a file of the catalog");
        bytes
    }
}

fn bound_to_file(bound: &Bound, source: &ExpertSource) -> bool {
    source.extents.iter().all(|extent| extent.file < bound.catalog.files.len())
}

#[test]
fn a_tied_model_may_still_hold_a_head() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    tiny::write(dir.path(), &Spec { layers: 4, ..Spec::default() }, HF).expect("a model");
    let path = dir.path().join("config.json");
    let config = std::fs::read_to_string(&path).expect("a config");
    let tied = config.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    assert_ne!(config, tied, "the config was changed");
    std::fs::write(&path, tied).expect("a config");
    let bound = open(dir.path()).expect("it binds");
    assert!(bound.weights.head.is_none(), "the embedding is the output matrix");
    let other = bound.weights.unused.iter().find(|tensor| tensor.kind == UnusedKind::Other);
    assert_eq!(other.map(|tensor| tensor.name.as_str()), Some("lm_head.weight"), "it is told of");
}
