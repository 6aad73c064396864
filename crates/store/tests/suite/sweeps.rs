//! Sweeps: records that pass through once do not push out those that are used often.

use store::Stay;

use crate::stage::{Stage, check_all_slots, drain};

#[test]
fn a_sweep_leaves_the_residents_where_they_are() {
    let stage = Stage::new(&[(8, &[40, 3]), (20, &[64])]);
    let disk = stage.faulty_disk();
    let cache = stage.cache(disk.clone(), 6, 2);
    assert_eq!(drain(&stage, cache.announce(0, &[0, 1, 2, 3])).unwrap().len(), 4, "fills 4 of 6");
    let all: Vec<usize> = (0..20).collect();
    for _ in 0..3 {
        let mut found = drain(&stage, cache.sweep(1, &all, |_| Stay::First)).unwrap();
        found.sort_unstable();
        assert_eq!(found, all, "each once");
    }
    assert!((0..4).all(|record| cache.contains(0, record)), "those used before are still there");
    check_all_slots(&stage, &cache);
}

#[test]
fn what_a_sweep_is_told_to_keep_stays() {
    let stage = Stage::new(&[(8, &[40, 3]), (20, &[64])]);
    let cache = stage.cache(stage.faulty_disk(), 6, 1);
    let all: Vec<usize> = (0..20).collect();
    let stay = |record: usize| if [3, 11].contains(&record) { Stay::Usual } else { Stay::First };
    drain(&stage, cache.sweep(1, &all, stay)).unwrap();
    drain(&stage, cache.sweep(0, &[0, 1, 2, 3, 4, 5, 6, 7], |_| Stay::First)).unwrap();
    assert!(cache.contains(1, 3) && cache.contains(1, 11), "kept through another sweep");
}

#[test]
fn a_hit_of_a_sweep_does_not_count_as_used() {
    let stage = Stage::small();
    let cache = stage.cache(stage.faulty_disk(), 2, 1);
    drain(&stage, cache.announce(1, &[0])).unwrap();
    drain(&stage, cache.announce(1, &[1])).unwrap();
    drain(&stage, cache.sweep(1, &[0], |_| Stay::First)).unwrap();
    drain(&stage, cache.announce(1, &[2])).unwrap();
    assert!(!cache.contains(1, 0) && cache.contains(1, 1), "0 was the older one");
}
