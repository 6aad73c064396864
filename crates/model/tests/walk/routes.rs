//! Who chooses the experts: the router, something in its place, and what looking ahead makes of either.

use std::sync::{Arc, Mutex};

use engine::{Forward, Want};
use model::tiny::{self, Float, Layout, Spec};
use model::{LookAhead, Opened, Routing, Tap};
use store::{PolicyKind, Replay, Stay};

use crate::reference::Reference;
use crate::setup::{Arrangement, Budget, FIXTURES, bits, fixture, load, plan, step, tell};

/// Experts that follow from position and layer alone; told in advance if `tells`.
struct Fixed {
    experts: u32,
    tells: bool,
}

impl Routing for Fixed {
    fn choose(&mut self, position: usize, layer: usize, experts: &mut [u32]) {
        for (n, expert) in (0..).zip(experts) {
            *expert = (position as u32 * 5 + layer as u32 * 3 + n * 2) % self.experts;
        }
    }

    fn guess(&mut self, position: usize, layer: usize, experts: &mut [u32]) -> bool {
        self.choose(position, layer, experts);
        self.tells
    }
}

/// Always the same expert: more often than a pass allows.
struct Stubborn(u32);

impl Routing for Stubborn {
    fn choose(&mut self, _: usize, _: usize, experts: &mut [u32]) {
        experts.fill(self.0);
    }
}

/// The same experts for ever.
struct Favourites;

impl Routing for Favourites {
    fn choose(&mut self, _: usize, _: usize, experts: &mut [u32]) {
        (0..).zip(experts).for_each(|(n, expert)| *expert = 3 * n + 1);
    }
}

#[test]
fn what_chooses_in_place_of_the_router_is_obeyed() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let mut model = load(&dir, &Arrangement::default());
    let (experts, own) = (model.config().experts as u32, tell(&mut model, &ids, 2));
    assert!(
        model.route_by(Some(Box::new(Fixed { experts, tells: false }))).is_none(),
        "nobody did"
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    model.listen(Some(Box::new(move |tap: Tap<'_>| {
        if let Tap::Routes { layer: 1, experts, .. } = tap {
            notes.lock().expect("nobody panicked").extend_from_slice(experts);
        }
    })));
    let mut sequence = model.sequence(ids.len()).expect("there is room");
    step(&mut model, &mut sequence, &ids[..3], Want::Last).expect("it runs");
    let other = step(&mut model, &mut sequence, &ids[3..], Want::Last).expect("it runs").logits;
    let chosen = model.config().experts_per_token;
    let mut wanted = vec![0; chosen * ids.len()];
    for (position, experts) in wanted.chunks_exact_mut(chosen).enumerate() {
        Fixed { experts: model.config().experts as u32, tells: false }.choose(position, 1, experts);
    }
    assert_eq!(*seen.lock().expect("nobody panicked"), wanted, "every row of layer 1");
    assert!(model.route_by(None).is_some(), "the other one is given back");
    let again = tell(&mut model, &ids, 2);
    assert!(bits(&again.logits) == bits(&own.logits), "the router chooses again");
    assert!(bits(&other) != bits(&own.decoded[0]), "other experts, another answer");
}

#[test]
fn a_route_that_cannot_be_is_an_error() {
    let dir = fixture(FIXTURES[0]);
    for expert in [0, 1_000_000] {
        let mut model = load(&dir, &Arrangement::default());
        model.route_by(Some(Box::new(Stubborn(expert))));
        let mut sequence = model.sequence(4).expect("there is room");
        let error = step(&mut model, &mut sequence, &[1], Want::Last).expect_err("no such route");
        assert!(error.to_string().contains(&format!("expert {expert}")), "{error}");
    }
}

#[test]
fn looking_ahead_finds_what_it_is_told() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let arrangement =
        Arrangement { look_ahead: LookAhead::On, budget: Budget::Plenty, ..Arrangement::default() };
    for tells in [false, true] {
        let mut model = load(&dir, &arrangement);
        let experts = model.config().experts as u32;
        model.route_by(Some(Box::new(Fixed { experts, tells })));
        let mut sequence = model.sequence(ids.len()).expect("there is room");
        for id in &ids {
            step(&mut model, &mut sequence, &[*id], Want::None).expect("it runs");
        }
        let counters = model.counters();
        assert!(counters.guessed > 0, "{counters:?}: something was not resident at first");
        if tells {
            assert_eq!(counters.adopted, counters.guessed, "{counters:?}: every guess was right");
        } else {
            assert!(counters.adopted < counters.guessed, "{counters:?}: the router knows nothing");
        }
    }
}

#[test]
fn many_rows_leave_the_residents_of_decoding_in_memory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = Spec { experts: 64, experts_per_token: 4, ..Spec::default() };
    tiny::write(dir.path(), &spec, Layout::HfStacked { dtype: Float::Bf16 })
        .expect("it is written");
    let ids: Vec<u32> = (0..120).map(|n| (n * 97 + 13) % 450).collect();
    let misses = |rows: usize, chunk: usize| {
        let arrangement =
            Arrangement { budget: Budget::Cycles(4), chunk: Some(chunk), ..Arrangement::default() };
        let mut model = load(dir.path(), &arrangement);
        let mut decoding = model.sequence(256).expect("there is room");
        model.route_by(Some(Box::new(Favourites)));
        for _ in 0..4 {
            step(&mut model, &mut decoding, &[7], Want::None).expect("it runs");
        }
        model.route_by(None);
        let mut other = model.sequence(256).expect("there is room");
        for rows in ids.chunks(rows) {
            step(&mut model, &mut other, rows, Want::None).expect("it runs");
        }
        let before = model.counters();
        model.route_by(Some(Box::new(Favourites)));
        step(&mut model, &mut decoding, &[7], Want::None).expect("it runs");
        (model.counters() - before).misses
    };
    let (once, twice, single) = (misses(120, 128), misses(120, 60), misses(1, 128));
    assert_eq!((once, twice), (0, 0), "misses of 32 after one sweep and after two");
    assert!(single > 16, "misses of 32 after as many single steps: {single}");
}

#[test]
fn a_replay_of_the_routes_counts_what_the_engine_counted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spec = Spec { experts: 64, experts_per_token: 4, ..Spec::default() };
    tiny::write(dir.path(), &spec, Layout::HfStacked { dtype: Float::Bf16 }).expect("written");
    for policy in PolicyKind::ALL {
        for budget in [Budget::Floor, Budget::HalfCycle, Budget::Cycles(2), Budget::Plenty] {
            let arrangement = Arrangement { policy, budget, ..Arrangement::default() };
            let mut model = load(dir.path(), &arrangement);
            let chosen = Arc::new(Mutex::new(Vec::new()));
            let notes = Arc::clone(&chosen);
            model.listen(Some(Box::new(move |tap: Tap<'_>| {
                if let Tap::Routes { layer, experts, .. } = tap {
                    notes.lock().expect("nobody panicked").push((layer, experts.to_vec()));
                }
            })));
            let mut sequence = model.sequence(80).expect("there is room");
            for n in 0..80 {
                let id = n * 97 % 450;
                step(&mut model, &mut sequence, &[id], Want::None).expect("it runs");
            }
            let slots =
                plan(&Opened::open(dir.path(), None).expect("good"), &arrangement).slot_count;
            let cycle = spec.layers * spec.experts_per_token;
            let mut replay = Replay::new(policy.make(slots, cycle), slots);
            for (layer, mut experts) in std::mem::take(&mut *chosen.lock().expect("fine")) {
                experts.sort_unstable();
                let records: Vec<usize> = experts.iter().map(|id| *id as usize).collect();
                replay.announce(layer, records, Stay::Usual);
            }
            let (found, counted) = (replay.counted(), model.counters());
            let told = format!("{policy:?}, {budget:?}, {slots} slots: {counted:?}");
            assert_eq!(found.hits, counted.hits, "{told}");
            assert_eq!(found.misses, counted.misses, "{told}");
            assert_eq!(found.evictions, counted.evictions, "{told}");
        }
    }
}
