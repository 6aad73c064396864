//! The disk fails at any read of any layer: one clear error, nothing wrong is told, and the session goes on from its checkpoint.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, ForwardError, Session, Want};
use model::{CpuModel, Opened};
use store::testing::{Fault, FaultyDisk, When};

use crate::reference::Reference;
use crate::setup::{Arrangement, Budget, FIXTURES, bits, fixture, load_from, step};

/// A model at its floor, where every step reads, over a disk that can be told to fail.
fn model(name: &str, arrangement: &Arrangement) -> (CpuModel, Arc<FaultyDisk>) {
    let opened = Opened::open(&fixture(name), None).expect("a good checkpoint");
    let disk = Arc::new(FaultyDisk::over(Arc::new(
        opened.files(store::IoMode::Buffered).expect("they are there"),
    )));
    (load_from(opened, Arc::clone(&disk) as _, arrangement), disk)
}

fn floor() -> Arrangement {
    Arrangement { budget: Budget::Floor, ..Arrangement::default() }
}

/// The bytes of the files that hold the experts of `layer`.
fn extents_of(name: &str, layer: usize) -> Vec<When> {
    let dir = fixture(name);
    let config = model::Config::open(&dir).expect("a good config");
    let catalog = format::Catalog::open(&dir).expect("good headers");
    let weights = model::Weights::bind(&config, &catalog).expect("they fit");
    let extents = &weights.layers[layer].experts.extents;
    let range = |e: &store::Extent| When::Bytes {
        file: e.file,
        range: e.offset..e.offset + e.bytes as u64,
    };
    extents.iter().map(range).collect()
}

#[test]
fn every_read_of_a_pass_may_fail() {
    for name in [FIXTURES[0], FIXTURES[1], FIXTURES[3]] {
        let ids = Reference::open(&fixture(name)).ids("input_ids");
        let (mut model, disk) = model(name, &floor());
        let mut sequence = model.sequence(100).expect("there is room");
        step(&mut model, &mut sequence, &ids[..9], Want::None).expect("it runs");
        let mark = model.checkpoint(&sequence).expect("a sound sequence");
        let wanted =
            step(&mut model, &mut sequence, &ids[9..12], Want::All).expect("it runs").logits;
        let mut failures = 0;
        for kind in [Fault::Error(ErrorKind::Other), Fault::Short(3)] {
            for nth in 0.. {
                model.rewind(&mut sequence, &mark).expect("its own mark");
                disk.once(When::Nth(disk.reads() + nth), kind);
                let result = step(&mut model, &mut sequence, &ids[9..12], Want::All);
                disk.heal();
                let Err(error) = result else {
                    assert!(bits(&result.expect("just looked").logits) == bits(&wanted), "{name}");
                    break;
                };
                failures += 1;
                let text = error.to_string();
                let clear = text.contains(".safetensors") && text.contains("bytes at offset");
                assert!(clear && !text.contains('\n'), "{name}, read {nth}: {text}");
                let again = step(&mut model, &mut sequence, &ids[9..12], Want::All);
                assert!(
                    matches!(again, Err(ForwardError::Poisoned)),
                    "no token from a broken pass"
                );
                model.rewind(&mut sequence, &mark).expect("its own mark");
                let found = step(&mut model, &mut sequence, &ids[9..12], Want::All);
                let found = found.expect("the disk is well again").logits;
                assert!(bits(&found) == bits(&wanted), "{name}: after read {nth}");
            }
        }
        let layers = model.config().layers();
        assert!(failures >= 2 * layers, "{name}: {failures} reads failed in {layers} layers");
    }
}

#[test]
fn a_session_goes_on_from_its_checkpoint_whatever_layer_failed() {
    for name in FIXTURES {
        let ids = Reference::open(&fixture(name)).ids("input_ids");
        let cancel = AtomicBool::new(false);
        let control = Control::new(&cancel);
        let (mut model, disk) = model(name, &floor());
        // What an undisturbed session says: a turn of 20 ids, then six greedy ones.
        let mut told = Vec::new();
        let mut session = Session::new(&model, 100).expect("there is room");
        session.sync(&mut model, &ids[..20], &[15], &control).expect("it runs");
        for _ in 0..6 {
            let logits = session.logits().expect("just made").to_vec();
            let id = crate::setup::argmax(&logits);
            told.push((id, bits(&logits)));
            session.push(&mut model, id, &control).expect("it runs");
        }
        for layer in 0..model.config().layers() {
            for (stage, fails_at) in [("prompt", 0), ("decode", 1), ("decode", 4)] {
                let what = format!("{name}, layer {layer}, {stage} {fails_at}");
                let break_disk = || {
                    for when in extents_of(name, layer) {
                        disk.always(when, Fault::Error(ErrorKind::Other));
                    }
                };
                let mut session = Session::new(&model, 100).expect("there is room");
                let mut prefix = ids[..20].to_vec();
                if fails_at == 0 {
                    break_disk();
                    let result = session.sync(&mut model, &prefix, &[15], &control);
                    assert!(result.is_err(), "{what}: the disk is broken");
                    disk.heal();
                }
                session.sync(&mut model, &prefix, &[15], &control).expect("the disk is well");
                for (n, (id, wanted)) in told.iter().enumerate() {
                    let logits = session.logits().expect("just made").to_vec();
                    assert!(bits(&logits) == *wanted, "{what}: step {n}");
                    prefix.push(*id);
                    if n + 1 == fails_at {
                        break_disk();
                        let error = session.push(&mut model, *id, &control).expect_err("broken");
                        assert!(error.to_string().contains("cannot read"), "{what}: {error}");
                        disk.heal();
                        let synced = session.sync(&mut model, &prefix, &[15], &control);
                        let synced = synced.expect("the disk is well");
                        assert_eq!(synced.reused, 15, "{what}: back to the checkpoint");
                    } else {
                        session.push(&mut model, *id, &control).expect("it runs");
                    }
                }
            }
        }
    }
}

#[test]
fn damaged_scales_are_found_when_they_are_read() {
    // All bytes 0xff: a BF16 NaN in every scale.
    for (name, what) in [(FIXTURES[1], "scale or bias"), (FIXTURES[3], "scale or bias")] {
        let ids = Reference::open(&fixture(name)).ids("input_ids");
        let (mut model, disk) = model(name, &floor());
        let mut sequence = model.sequence(100).expect("there is room");
        disk.always(When::Always, Fault::Garbage(0xff));
        let error = step(&mut model, &mut sequence, &ids[..9], Want::Last).expect_err("damaged");
        assert!(error.to_string().contains(what), "{name}: {error}");
    }
    // Plain weights have none: the layer that they spoil is named.
    let (mut model, disk) = model(FIXTURES[0], &floor());
    let ids = Reference::open(&fixture(FIXTURES[0])).ids("input_ids");
    let mut sequence = model.sequence(100).expect("there is room");
    disk.always(When::Always, Fault::Garbage(0xff));
    let error = step(&mut model, &mut sequence, &ids[..9], Want::Last).expect_err("damaged");
    assert!(error.to_string().contains("layer 0"), "{error}");
}
