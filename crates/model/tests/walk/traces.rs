//! The file that `eval logits` writes: whole, true to the walk, and not there when anything failed.

use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, Want};
use model::write_logits;
use safetensors::SafeTensors;

use crate::reference::Reference;
use crate::setup::{Arrangement, FIXTURES, bits, fixture, load, step, tell};

#[test]
fn the_file_holds_what_the_walk_gives() {
    let dir = fixture(FIXTURES[1]);
    let reference = Reference::open(&dir);
    let ids = reference.ids("input_ids");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let out = folder.path().join("out.safetensors");
    let cancel = AtomicBool::new(false);
    for chunk in [None, Some(9)] {
        let mut model = load(&dir, &Arrangement { chunk, ..Arrangement::default() });
        write_logits(&mut model, &ids, 6, &out, &Control::new(&cancel)).expect("it is written");
        let bytes = std::fs::read(&out).expect("it is there");
        let file = SafeTensors::deserialize(&bytes).expect("a good file");
        let layers = model.config().layers();
        assert_eq!(file.names().len(), 1 + 2 * layers + 1, "every tensor");
        let raw = |name: &str| file.tensor(name).expect(name).data().to_vec();
        let floats = |name: &str| -> Vec<f32> {
            raw(name).as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect()
        };
        let mut sequence = model.sequence(ids.len()).expect("there is room");
        let wanted = step(&mut model, &mut sequence, &ids, Want::All).expect("it runs").logits;
        assert!(bits(&floats("logits")) == bits(&wanted), "logits, chunk {chunk:?}");
        for layer in 0..layers {
            let name = format!("layer{layer}.router_index");
            let found: Vec<u32> =
                raw(&name).as_chunks().0.iter().map(|raw| u32::from_le_bytes(*raw)).collect();
            assert_eq!(found, reference.ids(&name), "{name}");
            let name = format!("hidden.layer{layer}");
            let bound = kernels::tolerances::HIDDEN;
            crate::reference::near(&name, &floats(&name), &reference.floats(&name), bound);
        }
        let decoded: Vec<u32> =
            raw("decode.ids").as_chunks().0.iter().map(|raw| u32::from_le_bytes(*raw)).collect();
        assert_eq!(decoded, tell(&mut model, &ids, 6).ids, "greedy ids");
    }
}

#[test]
fn what_fails_leaves_no_file() {
    let dir = fixture(FIXTURES[0]);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let out = folder.path().join("out.safetensors");
    let mut model = load(&dir, &Arrangement::default());
    let cancel = AtomicBool::new(true);
    let cancelled = write_logits(&mut model, &[1, 2, 3], 0, &out, &Control::new(&cancel));
    assert!(cancelled.is_err(), "cancelled");
    let cancel = AtomicBool::new(false);
    let control = Control::new(&cancel);
    let none = write_logits(&mut model, &[], 0, &out, &control).expect_err("nothing to run");
    assert!(none.to_string().contains("at least one"), "{none}");
    let unknown = write_logits(&mut model, &[99_999], 0, &out, &control).expect_err("no such id");
    assert!(unknown.to_string().contains("99999"), "{unknown}");
    let nowhere = folder.path().join("missing/out.safetensors");
    let failed = write_logits(&mut model, &[1], 0, &nowhere, &control).expect_err("no directory");
    assert!(failed.to_string().contains("missing"), "{failed}");
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0, "nothing was left behind");
}
