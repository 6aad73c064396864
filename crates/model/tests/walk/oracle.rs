//! Every value that the Python oracle wrote down, for every published layout, and the demo model's transcripts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use engine::{Forward, Want};
use kernels::tolerances;
use model::{LayerValues, Tap};
use serde_json::Value;

use crate::reference::{Reference, near};
use crate::setup::{Arrangement, FIXTURES, demo, fixture, load, step, tell};

/// What a listener heard, by the reference's names.
#[derive(Default)]
struct Heard {
    floats: BTreeMap<String, Vec<f32>>,
    ids: BTreeMap<String, Vec<u32>>,
}

impl Heard {
    fn hear(&mut self, tap: Tap<'_>) {
        let (name, values) = match tap {
            Tap::Embedded { values } => ("hidden.embed".to_owned(), values),
            Tap::Hidden { layer, values } => (format!("hidden.layer{layer}"), values),
            Tap::RouterLogits { layer, values } => (format!("layer{layer}.router_logits"), values),
            Tap::Normed { values } => ("hidden.final_norm".to_owned(), values),
            Tap::Routes { layer, experts, weights } => {
                let ids = self.ids.entry(format!("layer{layer}.router_index")).or_default();
                ids.extend_from_slice(experts);
                (format!("layer{layer}.router_weight"), weights)
            }
        };
        self.floats.entry(name).or_default().extend_from_slice(values);
    }
}

#[test]
fn every_fixture_gives_what_the_oracle_gives() {
    for name in FIXTURES {
        let dir = fixture(name);
        let reference = Reference::open(&dir);
        let mut model = load(&dir, &Arrangement::default());
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ears = Arc::clone(&heard);
        model.listen(Some(Box::new(move |tap| ears.lock().expect("no panic").hear(tap))));
        let ids = reference.ids("input_ids");
        let mut sequence = model.sequence(ids.len()).expect("there is room");
        let output = step(&mut model, &mut sequence, &ids, Want::All).expect("it runs");
        model.listen(None);

        let heard = heard.lock().expect("no panic");
        let mut worst: BTreeMap<&str, f32> = BTreeMap::new();
        for (value, found) in &heard.floats {
            let (kind, bound) = match value {
                v if v.ends_with("router_logits") => ("router", tolerances::ROUTER_LOGITS),
                v if v.ends_with("router_weight") => ("weight", tolerances::ROUTER_LOGITS),
                _ => ("hidden", tolerances::HIDDEN),
            };
            let found = near(&format!("{name} {value}"), found, &reference.floats(value), bound);
            let worst = worst.entry(kind).or_default();
            *worst = worst.max(found);
        }
        let layers = model.config().layers();
        assert_eq!(heard.floats.len(), 2 + 3 * layers, "{name}: every value was heard");
        for (value, found) in &heard.ids {
            assert_eq!(found, &reference.ids(value), "{name} {value}: the same choices");
        }
        let logits = reference.floats("logits");
        worst.insert("logits", near(name, &output.logits, &logits, tolerances::LOGITS));
        let normed = reference.floats("hidden.final_norm");
        near(name, &output.hidden, &normed, tolerances::LOGITS);
        println!("{name}: largest differences {worst:?}");
    }
}

#[test]
fn greedy_ids_are_the_oracles() {
    for name in FIXTURES {
        let dir = fixture(name);
        let reference = Reference::open(&dir);
        let wanted = reference.ids("decode.ids");
        assert_eq!(wanted.len(), 32, "{name}: 32 ids");
        let mut model = load(&dir, &Arrangement::default());
        let told = tell(&mut model, &reference.ids("input_ids"), wanted.len());
        assert_eq!(told.ids, wanted, "{name}: greedy ids");
        let decoded = told.decoded.concat();
        near(name, &decoded, &reference.floats("decode.logits"), tolerances::LOGITS);
    }
}

#[test]
fn states_after_the_prompt_are_the_oracles() {
    let mut compared = 0;
    for name in ["tiny-qwen35moe-hf", "tiny-qwen3next-hf"] {
        let dir = fixture(name);
        let reference = Reference::open(&dir);
        let mut model = load(&dir, &Arrangement::default());
        let ids = reference.ids("input_ids");
        // More room than is used: what is compared must not depend on it.
        let mut sequence = model.sequence(ids.len() + 9).expect("there is room");
        step(&mut model, &mut sequence, &ids, Want::None).expect("it runs");
        let bound = tolerances::STATES;
        for layer in 0..model.config().layers() {
            let wanted = |part: &str| reference.floats(&format!("layer{layer}.cache.{part}"));
            match model.peek(&sequence, layer) {
                LayerValues::Full { keys, values } => {
                    near(&format!("{name} keys {layer}"), &keys, &wanted("k"), bound);
                    near(&format!("{name} values {layer}"), &values, &wanted("v"), bound);
                }
                LayerValues::Linear { state, columns } => {
                    let what = format!("{name} state {layer}");
                    near(&what, &state, &wanted("recurrent_state"), bound);
                    // The oracle keeps one column more, [channels, kernel], the newest last.
                    let conv = wanted("conv_state");
                    let kernel = model.config().conv_kernel;
                    let channels = conv.len() / kernel;
                    let turned: Vec<f32> = (1..kernel)
                        .flat_map(|at| (0..channels).map(move |c| (c, at)))
                        .map(|(c, at)| conv[c * kernel + at])
                        .collect();
                    near(&format!("{name} columns {layer}"), &columns, &turned, bound);
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 8 + 4, "every layer of both");
}

#[test]
fn the_demo_model_tells_what_transformers_tells() {
    let path = demo().join("../demo-4bit-reference.json");
    let text = std::fs::read_to_string(path).expect("the reference is in the tree");
    let reference: Value = serde_json::from_str(&text).expect("a good file");
    let ids = |case: &Value, key: &str| -> Vec<u32> {
        let list = case[key].as_array().unwrap_or_else(|| panic!("{key} is a list"));
        list.iter().map(|id| u32::try_from(id.as_u64().expect("an id")).expect("small")).collect()
    };
    let arrangement = Arrangement { threads: 2, ..Arrangement::default() };
    let dir = demo();
    let opened = model::Opened::open(&dir, None).expect("it is in the tree");
    let needs = opened.needs(&crate::setup::settings(&arrangement)).expect("the files are there");
    let wish =
        store::Wish { budget_bytes: crate::setup::PLENTY_BYTES, ctx: Some(1024), chunk: None };
    let plan = store::Plan::make(&needs, &wish).expect("there is room");
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let settings = crate::setup::settings(&arrangement);
    let mut model = opened.load(&plan, &settings, &|_, _| (), &cancel).expect("it loads");
    let cases = reference["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 32, "all cases");
    for case in cases {
        let told = tell(&mut model, &ids(case, "prompt_ids"), 48);
        let wanted = ids(case, "greedy_ids");
        assert_eq!(told.ids, wanted, "case {}", case["id"]);
        for pair in case["first_top5"].as_array().expect("a list") {
            let id = pair[0].as_u64().expect("an id") as usize;
            let logit = pair[1].as_f64().expect("a logit") as f32;
            let found = told.decoded[0][id];
            near("first logits", &[found], &[logit], tolerances::LOGITS);
        }
    }
}
