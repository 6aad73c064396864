//! The trunk is read wholly, by any number of readers, or not at all.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

use store::testing::{Fault, FaultyDisk, MemoryDisk, When};
use store::{Disk, Extent, Locking, StoreError, Trunk, memory};

use crate::stage::{Stage, all_extents};

const MIB: usize = 1 << 20;

fn load(disk: &dyn Disk, extents: &[Extent], readers: usize) -> Result<Trunk, StoreError> {
    Trunk::load(disk, extents, readers, &|_, _| {}, &AtomicBool::new(false))
}

fn extents(stage: &Stage) -> Vec<Extent> {
    stage.banks.iter().flat_map(all_extents).copied().collect()
}

#[test]
fn every_disk_gives_the_trunk() {
    let stage = Stage::small();
    let (disks, _folder) = stage.every_disk();
    let mut extents = extents(&stage);
    extents.insert(1, Extent { file: 1, offset: 9, bytes: 0 });
    extents.push(Extent { file: 0, offset: stage.files[0].len() as u64, bytes: 0 });
    for (name, disk) in &disks {
        for readers in [1, 2, 8] {
            let trunk = load(&**disk, &extents, readers).unwrap();
            for (i, extent) in extents.iter().enumerate() {
                let bytes = trunk.bytes(i);
                assert!(bytes == stage.bytes(extent), "{name}: piece {i} with {readers} readers");
                let aligned = (bytes.as_ptr() as usize).is_multiple_of(64);
                assert!(aligned || disk.align() > 1, "{name}: piece {i} begins anywhere");
            }
        }
    }
}

/// Pieces of more than one read, on disks of every alignment.
fn large() -> (MemoryDisk, Vec<Extent>) {
    let file: Vec<u8> = (0..10 * MIB + 321).map(|n| (n ^ (n >> 9) ^ (n >> 18)) as u8).collect();
    let extents = vec![
        Extent { file: 0, offset: 1, bytes: 9 * MIB },
        Extent { file: 0, offset: MIB as u64, bytes: 4 * MIB },
        Extent { file: 0, offset: 77, bytes: 10 * MIB + 321 - 77 },
    ];
    (MemoryDisk::new(vec![file]), extents)
}

#[test]
fn large_pieces_are_read_in_parts() {
    let (disk, extents) = large();
    let plain = load(&disk, &extents, 2).unwrap();
    let mut whole = vec![0; 10 * MIB + 321];
    disk.read_at(0, 0, &mut whole).unwrap();
    for (i, extent) in extents.iter().enumerate() {
        let start = extent.offset as usize;
        assert!(plain.bytes(i) == &whole[start..start + extent.bytes], "piece {i}");
    }
    for align in [512, 4096] {
        let aligned = load(&disk.clone().with_align(align), &extents, 2).unwrap();
        for i in 0..extents.len() {
            assert!(plain.bytes(i) == aligned.bytes(i), "piece {i} aligned to {align}");
        }
    }
}

#[test]
fn progress_goes_from_nothing_to_all() {
    let (disk, extents) = large();
    let heard = RefCell::new(Vec::new());
    let note = |done, total| heard.borrow_mut().push((done, total));
    Trunk::load(&disk, &extents, 2, &note, &AtomicBool::new(false)).unwrap();
    let heard = heard.into_inner();
    let total: u64 = extents.iter().map(|extent| extent.bytes as u64).sum();
    assert_eq!(heard.len(), 3 + 1 + 3, "reads of 4 MiB");
    assert!(heard.is_sorted_by(|a, b| a.0 < b.0), "{heard:?}");
    assert!(heard.iter().all(|&(_, of)| of == total), "{heard:?}");
    assert_eq!(heard.last().unwrap().0, total, "all of it");
}

#[test]
fn loading_can_be_cancelled() {
    let (disk, extents) = large();
    let cancel = AtomicBool::new(true);
    let error = Trunk::load(&disk, &extents, 2, &|_, _| {}, &cancel).unwrap_err();
    let total: u64 = extents.iter().map(|extent| extent.bytes as u64).sum();
    assert_eq!(error.to_string(), format!("reading was cancelled after 0 of {total} bytes"));

    // From within, after the first part; two readers may have begun two others.
    let cancel = AtomicBool::new(false);
    let disk = FaultyDisk::over(std::sync::Arc::new(disk));
    disk.always(When::Always, Fault::Delay(std::time::Duration::from_millis(2)));
    let stop = |_, _| cancel.store(true, Ordering::Relaxed);
    let error = Trunk::load(&disk, &extents, 1, &stop, &cancel).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled { done_bytes: 1.., .. }), "{error}");
    assert!(disk.reads() < 7, "{} reads", disk.reads());
}

#[test]
fn a_failure_at_any_read_is_an_error() {
    let stage = Stage::small();
    let extents = extents(&stage);
    for readers in [1, 2, 8] {
        for n in 0..extents.len() {
            let disk = stage.faulty_disk();
            disk.once(When::Nth(n), Fault::Error(ErrorKind::InvalidData));
            let error = load(&*disk, &extents, readers).unwrap_err();
            assert!(error.to_string().ends_with(": invalid data"), "{error}");
            load(&*disk, &extents, readers).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let disk = MemoryDisk::new(vec![vec![0; 10]]);
    let outside = Extent { file: 0, offset: 5, bytes: 6 };
    let error = load(&disk, &[outside], 1).unwrap_err();
    assert!(matches!(error, StoreError::OutsideFile { ends_at: 10, .. }), "{error}");
    let error = load(&disk, &[Extent { file: 1, ..outside }], 1).unwrap_err();
    assert!(matches!(error, StoreError::NoSuchFile { file: 1, files: 1 }), "{error}");
    let error = load(&disk, &[], 0).unwrap_err();
    assert_eq!(error.to_string(), "found 0 readers, accepted are 1 or more");
    load(&disk, &[], 1).unwrap();
}

#[test]
fn the_memory_is_known_before() {
    let extents = [0, 1, 64, 65].map(|bytes| Extent { file: 0, offset: 3, bytes });
    assert_eq!(Trunk::memory_bytes(&extents, 1), 64 + 64 + 128);
    assert_eq!(Trunk::memory_bytes(&extents, 512), 2 * 512 + 2 * 1024);
}

/// Locked, or refused with a reason: which of them depends on the machine.
#[test]
fn locking_says_what_became_of_it() {
    let disk = MemoryDisk::new(vec![vec![1; memory::page_bytes()]]);
    let piece = Extent { file: 0, offset: 0, bytes: memory::page_bytes() };
    let trunk = load(&disk, &[piece], 1).unwrap();
    let locking = trunk.lock();
    let told = match &locking {
        Locking::Locked => cfg!(unix),
        Locking::Refused { why, .. } => cfg!(unix) && !why.is_empty(),
        Locking::Unsupported => !cfg!(unix),
    };
    assert!(told, "{locking:?}");
    assert!(trunk.bytes(0).iter().all(|&byte| byte == 1), "locking changes nothing");
}
