//! The same ids give the same bits for any memory budget, any threads, any chunk and any table of kernels.

use kernels::{Kernels, Precision};
use model::LookAhead;
use store::PolicyKind;

use crate::reference::Reference;
use crate::setup::{Arrangement, Budget, FIXTURES, bits, fixture, load, tell};

const PRECISIONS: [Precision; 2] = [Precision::Exact, Precision::Fast];

fn arrangements(precision: Precision) -> Vec<Arrangement> {
    let base = Arrangement { precision, ..Arrangement::default() };
    let mut all = vec![
        Arrangement { budget: Budget::Floor, ..base },
        Arrangement { budget: Budget::HalfCycle, ..base },
        Arrangement { threads: 2, ..base },
        Arrangement { look_ahead: LookAhead::On, ..base },
        Arrangement { look_ahead: LookAhead::On, budget: Budget::Cycles(1), ..base },
        Arrangement { look_ahead: LookAhead::Auto, budget: Budget::HalfCycle, ..base },
        Arrangement { policy: PolicyKind::Lru, budget: Budget::HalfCycle, ..base },
        Arrangement { policy: PolicyKind::Clock, budget: Budget::Cycles(1), ..base },
        Arrangement { threads: 3, budget: Budget::Floor, chunk: Some(7), ..base },
    ];
    all.extend([1, 7, 64].map(|chunk| Arrangement { chunk: Some(chunk), ..base }));
    all.extend(Kernels::available().into_iter().map(|kernels| Arrangement { kernels, ..base }));
    all
}

#[test]
fn nothing_about_the_machine_changes_a_bit() {
    for (name, precision) in FIXTURES.iter().flat_map(|name| PRECISIONS.map(|p| (name, p))) {
        let dir = fixture(name);
        let ids = Reference::open(&dir).ids("input_ids");
        let base = Arrangement { precision, ..Arrangement::default() };
        let wanted = tell(&mut load(&dir, &base), &ids, 12);
        for arrangement in arrangements(precision) {
            let mut model = load(&dir, &arrangement);
            let told = tell(&mut model, &ids, 12);
            assert_eq!(told.ids, wanted.ids, "{name}: {arrangement:?}");
            assert!(
                bits(&told.logits) == bits(&wanted.logits),
                "{name}: logits of {arrangement:?}"
            );
            let (found, wanted) = (told.decoded.concat(), wanted.decoded.concat());
            assert!(bits(&found) == bits(&wanted), "{name}: decode logits of {arrangement:?}");
            let counted = model.counters();
            assert!(counted.hits + counted.misses > 0, "{name}: the store was asked");
            if arrangement.budget == Budget::Floor {
                assert!(counted.evictions > 0, "{name}: at the floor records leave");
            }
        }
    }
}

#[test]
fn a_chunk_reads_each_record_of_a_layer_once() {
    let dir = fixture(FIXTURES[0]);
    let ids = Reference::open(&dir).ids("input_ids");
    let reads = |chunk| {
        let arrangement = Arrangement { budget: Budget::Floor, chunk, ..Arrangement::default() };
        let mut model = load(&dir, &arrangement);
        tell(&mut model, &ids, 0);
        (model.counters().reads, model.config().layers() * model.config().experts)
    };
    let (whole, records) = reads(Some(128));
    assert!(whole <= records as u64, "{whole} reads of {records} records in one chunk");
    let (single, _) = reads(Some(1));
    assert!(single > whole, "id by id the floor reads more: {single} and {whole}");
}
