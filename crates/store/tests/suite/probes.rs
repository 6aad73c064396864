//! A probe reads whole records, counts what it reads, and fails as the disk does.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use store::probe::{Measure, Rate, Sequence, measure};
use store::testing::{Fault, Queued, When};
use store::{Disk, StoreError};

use crate::stage::{KINDS, Kind, Stage};

/// More than any of these takes.
const LONG: Duration = Duration::from_secs(60);

fn once(disk: &dyn Disk, stage: &Stage, in_flight: usize) -> Result<Rate, StoreError> {
    let mut all = Sequence::new(&stage.banks, 3).divide(1).remove(0);
    measure(disk, &stage.banks, &mut all, &Measure { in_flight, time: LONG })
}

#[test]
fn every_record_is_read_and_counted_on_every_disk() {
    let stage = Stage::small();
    let (disks, _folder) = stage.every_disk();
    for (name, disk) in &disks {
        for in_flight in [1, 3, 20] {
            let rate = once(&**disk, &stage, in_flight).unwrap();
            let counted = (rate.records, rate.bytes);
            assert_eq!(counted, (7, 3 * 134 + 4 * 700), "{name}, {in_flight}: {rate:?}");
            let rounded = rate.read_bytes - rate.bytes;
            assert_eq!(rounded > 0, disk.align() > 1, "{name}, {in_flight}: {rate:?}");
        }
    }
}

#[test]
fn as_many_reads_are_under_way_as_were_asked_for() {
    let stage = Stage::small();
    for kind in KINDS {
        let faulty = stage.faulty_disk();
        let disk: Arc<dyn Disk> = match kind {
            Kind::Pool => faulty.clone(),
            Kind::Queue => Arc::new(Queued::over(faulty.clone())),
        };
        faulty.shut_gate();
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| once(&*disk, &stage, 5).unwrap());
            // It would wait for ever if there were fewer.
            faulty.wait_for_reads(5);
            faulty.open_gate();
            assert_eq!(probe.join().unwrap().records, 7, "{kind:?}");
        });
    }
}

#[test]
fn a_read_that_fails_is_told() {
    let stage = Stage::small();
    for kind in KINDS {
        for n in 0..13 {
            let faulty = stage.faulty_disk();
            faulty.once(When::Nth(n), Fault::Error(ErrorKind::InvalidData));
            let disk: Arc<dyn Disk> = match kind {
                Kind::Pool => faulty.clone(),
                Kind::Queue => Arc::new(Queued::over(faulty.clone())),
            };
            let error = once(&*disk, &stage, 2).unwrap_err();
            assert!(error.to_string().ends_with(": invalid data"), "{kind:?}, read {n}: {error}");
        }
    }
}

#[test]
fn time_ends_a_probe() {
    let stage = Stage::small();
    let disk = stage.faulty_disk();
    disk.always(When::Always, Fault::Delay(Duration::from_millis(1)));
    let mut endless = Sequence::new(&stage.banks, 3);
    let time = Duration::from_millis(40);
    let rate =
        measure(&*disk, &stage.banks, &mut endless, &Measure { in_flight: 2, time }).unwrap();
    assert!(rate.records > 0 && rate.seconds >= time.as_secs_f64(), "{rate:?}");
    let limits = Measure { in_flight: 0, time };
    let error = measure(&*disk, &stage.banks, &mut endless, &limits).unwrap_err();
    assert_eq!(error.to_string(), "found 0 reads, accepted are 1 or more");
}

#[test]
fn a_sequence_names_every_record_before_it_repeats_one() {
    let stage = Stage::small();
    let turn = |records: Vec<(usize, usize)>| {
        let mut sorted = records;
        sorted.sort_unstable();
        sorted
    };
    let mut endless = Sequence::new(&stage.banks, 9);
    for _ in 0..3 {
        let found: Vec<_> = endless.by_ref().take(7).collect();
        assert_eq!(turn(found), stage.keys(), "all of them");
    }
    let parts = Sequence::new(&stage.banks, 9).divide(3);
    let found: Vec<_> = parts.into_iter().flatten().collect();
    assert_eq!(turn(found), stage.keys(), "each in one part, once");
    let [one, two] =
        [1, 2].map(|seed| Sequence::new(&stage.banks, seed).take(7).collect::<Vec<_>>());
    assert_ne!(one, two, "seeds");
}
