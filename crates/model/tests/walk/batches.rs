//! Several sequences in one pass: the company changes nothing, and each pays its share.

use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, ForwardError, Step, Want};

use crate::reference::Reference;
use crate::setup::{Arrangement, FIXTURES, bits, fixture, load, step};

#[test]
fn company_does_not_change_a_bit() {
    for name in FIXTURES {
        let dir = fixture(name);
        let ids = Reference::open(&dir).ids("input_ids");
        let pieces: [&[u32]; 3] = [&ids[..17], &ids[20..21], &ids[30..70]];
        for chunk in [None, Some(5)] {
            let mut model = load(&dir, &Arrangement { chunk, ..Arrangement::default() });
            let mut alone = Vec::new();
            for piece in pieces {
                let mut sequence = model.sequence(100).expect("there is room");
                let first = step(&mut model, &mut sequence, piece, Want::All).expect("it runs");
                let next = step(&mut model, &mut sequence, &ids[..3], Want::All).expect("it runs");
                alone.push((first, next));
            }
            let mut sequences: Vec<_> =
                (0..3).map(|_| model.sequence(100).expect("there is room")).collect();
            let cancel = AtomicBool::new(false);
            for (round, pieces) in [pieces, [&ids[..3]; 3]].into_iter().enumerate() {
                let mut batch: Vec<Step<'_, _>> = sequences
                    .iter_mut()
                    .zip(pieces)
                    .map(|(sequence, tokens)| Step {
                        sequence,
                        tokens,
                        logits: Want::All,
                        hidden: true,
                    })
                    .collect();
                let output = model.forward(&mut batch, &Control::new(&cancel)).expect("it runs");
                for (n, (found, (first, next))) in output.steps.iter().zip(&alone).enumerate() {
                    let wanted = if round == 0 { first } else { next };
                    let what = format!("{name}, round {round}, sequence {n}, chunk {chunk:?}");
                    assert!(bits(&found.logits) == bits(&wanted.logits), "{what}: logits");
                    assert!(bits(&found.hidden) == bits(&wanted.hidden), "{what}: hidden");
                    assert_eq!(found.spent.tokens, pieces[n].len() as u64, "{what}: its own ids");
                }
            }
        }
    }
}

#[test]
fn wants_choose_rows() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    for chunk in [None, Some(4)] {
        let mut model = load(&dir, &Arrangement { chunk, ..Arrangement::default() });
        let mut ask = |want| {
            let mut sequence = model.sequence(20).expect("there is room");
            step(&mut model, &mut sequence, &ids[..10], want).expect("it runs").logits
        };
        let all = ask(Want::All);
        let width = all.len() / 10;
        assert!(ask(Want::None).is_empty(), "none");
        assert_eq!(ask(Want::Last), all[9 * width..], "the last");
        assert_eq!(ask(Want::From(6)), all[6 * width..], "from the seventh on");
        assert!(ask(Want::From(10)).is_empty(), "from behind the end");
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement::default());
    let too_long = model.facts().context + 1;
    let refused = model.sequence(too_long).map(|_| ());
    assert!(matches!(refused, Err(ForwardError::Context { .. })), "{refused:?}");
    let mut sequence = model.sequence(8).expect("there is room");
    step(&mut model, &mut sequence, &ids[..4], Want::None).expect("it runs");
    let vocabulary = u32::try_from(model.facts().vocabulary).expect("small");
    let cases: [(&[u32], &str); 3] = [
        (&ids[..5], "the context holds 8 tokens, 9 are wanted"),
        (&[], "a step without tokens"),
        (&[vocabulary], "not below the vocabulary size"),
    ];
    for (ids, message) in cases {
        let error = step(&mut model, &mut sequence, ids, Want::Last).expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(model.position(&sequence), 4, "nothing was changed: {message}");
    }
    let cancel = AtomicBool::new(false);
    let empty = model.forward(&mut [], &Control::new(&cancel));
    assert!(matches!(empty, Err(ForwardError::Empty)), "no step at all");
    step(&mut model, &mut sequence, &ids[4..8], Want::Last).expect("it goes on");
}

#[test]
fn a_cancelled_pass_poisons_until_it_is_rewound() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement { chunk: Some(8), ..Arrangement::default() });
    let mut sequence = model.sequence(100).expect("there is room");
    step(&mut model, &mut sequence, &ids[..10], Want::None).expect("it runs");
    let mark = model.checkpoint(&sequence).expect("a sound sequence");
    let wanted = step(&mut model, &mut sequence, &ids[10..40], Want::All).expect("it runs").logits;
    let layers = model.config().layers();
    for stop in [1, 3, layers + 2, 3 * layers - 1] {
        model.rewind(&mut sequence, &mark).expect("its own mark");
        let cancel = AtomicBool::new(false);
        let stages = std::sync::atomic::AtomicUsize::new(0);
        let progress = |at: engine::Progress| {
            assert_eq!(at.stages, 4 * layers, "30 ids are 4 passes of at most 8");
            assert_eq!(at.tokens, 30, "ids in all");
            let seen = stages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(at.stages_done, seen, "stages come one by one");
            if seen == stop {
                cancel.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let control = Control { cancel: &cancel, progress: Some(&progress) };
        let part = Step {
            sequence: &mut sequence,
            tokens: &ids[10..40],
            logits: Want::All,
            hidden: false,
        };
        let result = model.forward(&mut [part], &control);
        assert!(matches!(result, Err(ForwardError::Cancelled)), "stage {stop}");
        let again = step(&mut model, &mut sequence, &ids[10..11], Want::Last);
        assert!(matches!(again, Err(ForwardError::Poisoned)), "poisoned");
        assert!(model.checkpoint(&sequence).is_err(), "nothing to mark");
        model.rewind(&mut sequence, &mark).expect("its own mark");
        let found = step(&mut model, &mut sequence, &ids[10..40], Want::All).expect("it runs");
        assert!(bits(&found.logits) == bits(&wanted), "as if nothing had happened: {stop}");
    }
}
