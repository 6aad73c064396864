//! Random announcements, holds and drops against a model that does one thing after the other.

use std::collections::HashMap;

use store::{Counters, Hold};

use crate::stage::{KINDS, Rng, Stage, check_all_slots, keep};

type Record = (usize, usize);

/// What a cache does when every announcement is waited for.
#[derive(Default)]
struct Model {
    slots: usize,
    /// The least recently announced first.
    residents: Vec<Record>,
    held: HashMap<Record, usize>,
    counters: Counters,
}

impl Model {
    /// What comes immediately and what is read then; everything is held afterwards.
    fn announce(&mut self, bank: usize, records: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let (hits, misses): (Vec<usize>, Vec<usize>) =
            records.iter().partition(|&&record| self.residents.contains(&(bank, record)));
        for &record in &hits {
            self.residents.retain(|&other| other != (bank, record));
            self.residents.push((bank, record));
            *self.held.entry((bank, record)).or_default() += 1;
        }
        for &record in &misses {
            if self.residents.len() == self.slots {
                let free = |other: &Record| self.held.get(other).is_none_or(|&holds| holds == 0);
                let victim = self.residents.iter().position(free).expect("somebody is not held");
                self.residents.remove(victim);
                self.counters.evictions += 1;
            }
            self.residents.push((bank, record));
            *self.held.entry((bank, record)).or_default() += 1;
        }
        self.counters.hits += hits.len() as u64;
        self.counters.misses += misses.len() as u64;
        self.counters.reads += misses.len() as u64;
        (hits, misses)
    }

    fn drop_hold(&mut self, hold: &Hold) {
        *self.held.get_mut(&(hold.bank(), hold.record())).expect("it is held") -= 1;
    }
}

fn run(stage: &Stage, slots: usize, readers: usize, seed: u64) {
    let cache = stage.cache(stage.faulty_disk(), slots, readers);
    let mut model = Model { slots, ..Model::default() };
    let mut rng = Rng::new(seed);
    let mut holds: Vec<Hold> = Vec::new();
    for step in 0..150 {
        // Never more records held than slots: what is announced next is among them.
        let bank = rng.below(stage.banks.len());
        let mut records: Vec<usize> = (0..stage.banks[bank].records()).collect();
        for n in (1..records.len()).rev() {
            records.swap(n, rng.below(n + 1));
        }
        records.truncate(rng.below(records.len().min(slots)) + 1);
        while holds.len() + records.len() > slots {
            let hold = holds.swap_remove(rng.below(holds.len()));
            stage.check(&hold);
            model.drop_hold(&hold);
        }
        let (hits, mut misses) = model.announce(bank, &records);
        let arrived = keep(stage, cache.announce(bank, &records));
        let mut found: Vec<usize> = arrived.iter().map(Hold::record).collect();
        let told = format!("step {step}, {slots} slots, {readers} readers, seed {seed}");
        let mut late = found.split_off(hits.len());
        assert_eq!(found, hits, "{told}: residents first, as announced");
        if readers > 1 {
            late.sort_unstable();
            misses.sort_unstable();
        }
        assert_eq!(late, misses, "{told}: then the others");
        for (bank, record) in stage.keys() {
            let inside = model.residents.contains(&(bank, record));
            assert_eq!(cache.contains(bank, record), inside, "{told}: {bank}/{record}");
        }
        let Counters { hits, misses, reads, evictions, .. } = cache.counters();
        let counters = Counters { hits, misses, reads, evictions, ..Counters::default() };
        assert_eq!(counters, model.counters, "{told}");
        holds.extend(arrived);
    }
    holds.iter().for_each(|hold| stage.check(hold));
    drop(holds);
    check_all_slots(stage, &cache);
}

#[test]
fn the_cache_does_what_the_model_does() {
    for kind in KINDS {
        let stage = Stage::new(&[(6, &[40, 3]), (5, &[64, 65, 1]), (2, &[300])]).read_by(kind);
        for slots in 1..=12 {
            for readers in [1, 2, 8] {
                run(&stage, slots, readers, (slots * 10 + readers) as u64);
            }
        }
    }
}
