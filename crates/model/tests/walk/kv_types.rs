//! Keys and values as halves and as bytes: the same bits in every arrangement, and near what f32 gives.

use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, Step, Want};
use kernels::{Kernels, KvType, tolerances};
use model::{CpuModel, LayerValues, Opened};
use serde_json::Value;

use crate::reference::Reference;
use crate::setup::{
    Arrangement, Budget, FIXTURES, PLENTY_BYTES, bits, demo, fixture, load, settings, step, tell,
};

const ROUNDED: [KvType; 2] = [KvType::F16, KvType::Q8];

fn of(kv: KvType) -> Arrangement {
    Arrangement { kv, ..Arrangement::default() }
}

#[test]
fn nothing_about_the_machine_changes_a_bit() {
    for name in [FIXTURES[0], FIXTURES[2], FIXTURES[4]] {
        let dir = fixture(name);
        let ids = Reference::open(&dir).ids("input_ids");
        let exact = tell(&mut load(&dir, &Arrangement::default()), &ids, 8);
        for kv in ROUNDED {
            let wanted = tell(&mut load(&dir, &of(kv)), &ids, 8);
            assert!(bits(&wanted.logits) != bits(&exact.logits), "{name} {kv}: it is rounded");
            let mut all = vec![
                Arrangement { budget: Budget::Floor, threads: 3, ..of(kv) },
                Arrangement { budget: Budget::Floor, chunk: Some(7), ..of(kv) },
                Arrangement { chunk: Some(1), threads: 2, ..of(kv) },
            ];
            let tables = Kernels::available().into_iter();
            all.extend(tables.map(|kernels| Arrangement { kernels, ..of(kv) }));
            for arrangement in all {
                let told = tell(&mut load(&dir, &arrangement), &ids, 8);
                let what = format!("{name}: {arrangement:?}");
                assert!(bits(&told.logits) == bits(&wanted.logits), "{what}");
                assert!(bits(&told.decoded.concat()) == bits(&wanted.decoded.concat()), "{what}");
            }
        }
    }
}

/// Keys are taken in spans of 512, which threads share.
#[test]
fn long_sequences_give_the_same_bits_by_any_cut() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids").repeat(9);
    let ids = &ids[..ids.len().min(600)];
    assert!(ids.len() > 560, "more than a span: {}", ids.len());
    for kv in KvType::ALL {
        let run = |arrangement: &Arrangement, cuts: &[usize]| -> Vec<u32> {
            let mut model = load(&dir, arrangement);
            let mut sequence = model.sequence(ids.len()).expect("there is room");
            let mut logits = Vec::new();
            for cut in cuts.windows(2) {
                let ids = &ids[cut[0]..cut[1]];
                logits
                    .extend(step(&mut model, &mut sequence, ids, Want::All).expect("runs").logits);
            }
            bits(&logits)
        };
        let wanted = run(&of(kv), &[0, ids.len()]);
        let end = ids.len();
        let found = run(&Arrangement { threads: 3, ..of(kv) }, &[0, 400, 511, 512, 513, 514, end]);
        assert!(found == wanted, "{kv}: steps");
        let found = run(&Arrangement { threads: 2, chunk: Some(37), ..of(kv) }, &[0, end]);
        assert!(found == wanted, "{kv}: chunks");
    }
}

#[test]
fn company_does_not_change_a_bit() {
    let dir = fixture(FIXTURES[1]);
    let ids = Reference::open(&dir).ids("input_ids");
    for kv in ROUNDED {
        let mut model = load(&dir, &Arrangement { chunk: Some(5), ..of(kv) });
        let pieces: [&[u32]; 3] = [&ids[..17], &ids[20..21], &ids[30..70]];
        let alone = pieces.map(|piece| {
            let mut sequence = model.sequence(80).expect("there is room");
            bits(&step(&mut model, &mut sequence, piece, Want::All).expect("it runs").logits)
        });
        let mut sequences = pieces.map(|_| model.sequence(80).expect("there is room"));
        let mut batch: Vec<Step<'_, _>> = sequences
            .iter_mut()
            .zip(pieces)
            .map(|(sequence, tokens)| Step { sequence, tokens, logits: Want::All, hidden: false })
            .collect();
        let cancel = AtomicBool::new(false);
        let output = model.forward(&mut batch, &Control::new(&cancel)).expect("it runs");
        for (found, wanted) in output.steps.iter().zip(alone) {
            assert!(bits(&found.logits) == wanted, "{kv}");
        }
    }
}

#[test]
fn a_snapshot_goes_on_and_is_refused_by_another_type() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    for kv in ROUNDED {
        let mut model = load(&dir, &of(kv));
        let mut sequence = model.sequence(100).expect("there is room");
        step(&mut model, &mut sequence, &ids[..21], Want::None).expect("it runs");
        let mut bytes = Vec::new();
        model.snapshot(&sequence, &mut bytes).expect("a vector takes everything");
        let wanted = step(&mut model, &mut sequence, &ids[21..30], Want::All).expect("runs").logits;
        let mut back = model.restore(&mut &bytes[..], 30).expect("a good snapshot");
        let found = step(&mut model, &mut back, &ids[21..30], Want::All).expect("runs").logits;
        assert!(bits(&found) == bits(&wanted), "{kv}: the same bits");
        for other in KvType::ALL.into_iter().filter(|other| *other != kv) {
            let refused = load(&dir, &of(other)).restore(&mut &bytes[..], 30).map(|_| ());
            let line = refused.expect_err("another type").to_string();
            let named = format!("its keys and values are {kv}, accepted is {other}");
            assert!(line.contains(&named), "{line}");
        }
        // A type that nobody knows.
        let mut bad = bytes.clone();
        bad[16] = 9;
        let line = model.restore(&mut &bad[..], 30).map(|_| ()).expect_err("no type").to_string();
        assert!(line.contains(&format!("type 9, accepted is {kv}")), "{line}");
    }
}

#[test]
fn what_is_kept_is_what_was_computed_and_rounded() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let kept = |kv: KvType| {
        let mut model = load(&dir, &of(kv));
        let mut sequence = model.sequence(90).expect("there is room");
        step(&mut model, &mut sequence, &ids[..20], Want::None).expect("it runs");
        let layers = 0..model.config().layers();
        let found = layers.map(|layer| model.peek(&sequence, layer));
        found.into_iter().find(|layer| matches!(layer, LayerValues::Full { .. }))
    };
    let [exact, f16, q8] = KvType::ALL.map(kept);
    let Some(LayerValues::Full { keys, values }) = exact else { panic!("it has such a layer") };
    for (kv, found) in [(KvType::F16, f16), (KvType::Q8, q8)] {
        let Some(LayerValues::Full { keys: k, values: v }) = found else { panic!("and so here") };
        // The first such layer: nothing before it was rounded.
        for (found, exact) in [(k, &keys), (v, &values)] {
            let dim = 32;
            let mut row = vec![0; kv.row_bytes(dim)];
            for (found, exact) in found.chunks(dim).zip(exact.chunks(dim)) {
                let mut rounded = vec![0.0; dim];
                kv.write(exact, &mut row);
                kv.read(&row, &mut rounded);
                assert_eq!(bits(found), bits(&rounded), "{kv}");
            }
        }
    }
}

#[test]
fn plans_count_the_bytes_of_the_type() {
    let opened = Opened::open(&demo(), None).expect("it is in the tree");
    let config = opened.config();
    let heads = config.full_layers().iter().filter(|full| **full).count() * config.kv_heads;
    // Keys and values.
    let rows = 2 * heads as u64;
    for kv in KvType::ALL {
        let row_bytes = kv.row_bytes(config.head_dim) as u64;
        let needs = opened.needs(&settings(&of(kv))).expect("the files are there");
        assert_eq!(needs.kv_bytes_per_position, rows * row_bytes, "{kv}");
        let moved = |position| opened.state_bytes_per_token(kv, position);
        assert_eq!(moved(1000) - moved(0), 1000 * rows * row_bytes, "{kv}: read a token");
    }
}

fn demo_model(kv: KvType) -> CpuModel {
    let settings = settings(&Arrangement { threads: 2, ..of(kv) });
    let opened = Opened::open(&demo(), None).expect("it is in the tree");
    let needs = opened.needs(&settings).expect("the files are there");
    let wish = store::Wish { budget_bytes: PLENTY_BYTES, ctx: Some(1024), chunk: None };
    let plan = store::Plan::make(&needs, &wish).expect("there is room");
    opened.load(&plan, &settings, &|_, _| (), &AtomicBool::new(false)).expect("it loads")
}

/// Mean over the rows of the divergence of `found` from `wanted`, in nats.
fn divergence(found: &[f32], wanted: &[f32], vocabulary: usize) -> f64 {
    let normed = |row: &[f32]| -> Vec<f64> {
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shifted: Vec<f64> = row.iter().map(|x| f64::from(x - greatest)).collect();
        let log = shifted.iter().map(|x| x.exp()).sum::<f64>().ln();
        shifted.iter().map(|x| x - log).collect()
    };
    let rows = found.chunks(vocabulary).zip(wanted.chunks(vocabulary));
    let count = rows.len() as f64;
    let of_row = |(found, wanted): (&[f32], &[f32])| {
        let both = normed(found).into_iter().zip(normed(wanted));
        both.map(|(found, wanted)| wanted.exp() * (wanted - found)).sum::<f64>()
    };
    rows.map(of_row).sum::<f64>() / count
}

#[test]
fn a_divergence_is_what_it_says() {
    let half = [0.5_f32.ln(), 0.5_f32.ln()];
    let quarter = [3.0 + 0.25_f32.ln(), 3.0 + 0.75_f32.ln()];
    let wanted = 0.5 * (2.0_f64.ln() + (2.0_f64 / 3.0).ln());
    assert!((divergence(&quarter, &half, 2) - wanted).abs() < 1e-6, "by hand");
    assert!(divergence(&half, &half, 2).abs() < 1e-12, "from itself");
}

/// On the demo model's reference prompts and answers, all positions.
#[test]
fn rounded_logits_are_near_those_of_f32() {
    let text = std::fs::read_to_string(demo().join("../demo-4bit-reference.json"));
    let reference: Value = serde_json::from_str(&text.expect("it is in the tree")).expect("json");
    let list = |ids: &Value| -> Vec<u32> { serde_json::from_value(ids.clone()).expect("ids") };
    let [exact, f16, q8] = KvType::ALL.map(|kv| {
        let mut model = demo_model(kv);
        let cases = reference["cases"].as_array().expect("a list").iter().take(12);
        let logits = cases.flat_map(|case| {
            let ids = [list(&case["prompt_ids"]), list(&case["greedy_ids"])].concat();
            let mut sequence = model.sequence(ids.len()).expect("there is room");
            step(&mut model, &mut sequence, &ids, Want::All).expect("it runs").logits
        });
        (logits.collect::<Vec<f32>>(), model.facts().vocabulary)
    });
    for ((found, vocabulary), bound) in [(f16, tolerances::KV_F16), (q8, tolerances::KV_Q8)] {
        let rows = found.len() / vocabulary;
        let found = divergence(&found, &exact.0, vocabulary);
        println!("{}: a divergence of {found:.2e} over {rows} positions", bound.name);
        assert!(found > 0.0, "{}: it is rounded", bound.name);
        assert!(bound.accepts(found as f32, 0.0), "{}: {found:e}", bound.name);
    }
}
