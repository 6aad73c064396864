//! Disks fill what they are given or say what they found; the faulty one fails as it is told.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::testing::{Fault, FaultyDisk, MemoryDisk, When};
use store::{Disk, Files, IoMode, ShortRead, StoreError};

use crate::stage::Stage;

fn read(disk: &dyn Disk, file: usize, offset: u64, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut into = vec![0xEE; bytes];
    disk.read_at(file, offset, &mut into).map(|()| into)
}

#[test]
fn every_disk_reads_what_lies_there_or_says_how_much_it_found() {
    let stage = Stage::small();
    let (disks, _folder) = stage.every_disk();
    for (name, disk) in disks.iter().filter(|(_, disk)| disk.align() == 1) {
        assert_eq!(disk.files(), 2, "{name}");
        for (file, content) in stage.files.iter().enumerate() {
            let end = content.len();
            assert_eq!(disk.file_bytes(file), end as u64, "{name}");
            for (offset, bytes) in [(0, end), (1, 10), (end - 1, 1), (end, 0), (5, 0)] {
                let found = read(&**disk, file, offset as u64, bytes).unwrap();
                assert_eq!(found, content[offset..offset + bytes], "{name}: {bytes} at {offset}");
            }
            for (offset, bytes, found) in
                [(0, end + 1, end), (end - 3, 9, 3), (end, 1, 0), (end + 9, 1, 0)]
            {
                let error = read(&**disk, file, offset as u64, bytes).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}: {bytes} at {offset}");
                assert_eq!(error.to_string(), ShortRead { found }.to_string(), "{name}");
            }
        }
    }
}

#[test]
fn an_aligned_disk_refuses_other_reads() {
    let disk = MemoryDisk::new(vec![vec![1; 1300]]).with_align(512);
    // Alignment of the memory is the slots' business; this finds an aligned piece.
    let mut memory = vec![0; 4096];
    let start = memory.as_ptr().align_offset(512);
    let mut at = |offset, bytes, shift| {
        disk.read_at(0, offset, &mut memory[start + shift..start + shift + bytes]).is_ok()
    };
    assert!(at(0, 512, 0) && at(512, 788, 0), "whole blocks, or up to the end");
    assert!(!at(1, 511, 0), "begins inside of a block");
    assert!(!at(0, 100, 0), "ends inside of a block");
    assert!(!at(0, 512, 1), "memory that is not aligned");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    std::fs::write(&good, "x").unwrap();
    let missing = folder.path().join("missing");
    let error = Files::open(&[good.clone(), missing.clone()], IoMode::Buffered).unwrap_err();
    assert!(matches!(&error, StoreError::Open { path, .. } if *path == missing), "{error:?}");
    let start = format!("{}: cannot be opened: ", missing.display());
    assert!(error.to_string().starts_with(&start), "{error}");

    // Windows does not open folders at all.
    let error = Files::open(&[good, PathBuf::from(folder.path())], IoMode::Buffered).unwrap_err();
    assert!(error.to_string().starts_with(&folder.path().display().to_string()), "{error}");
    if cfg!(unix) {
        let end = ": is a directory, accepted are regular files";
        assert!(error.to_string().ends_with(end), "{error}");
    }
}

#[test]
fn a_catalog_gives_its_files_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, size) in [("b.safetensors", 4), ("a.safetensors", 8)] {
        let header =
            format!(r#"{{"{name}":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![size; usize::from(size)]);
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let catalog = format::Catalog::open(folder.path()).unwrap();
    let disk = Files::of(&catalog, IoMode::Buffered).unwrap();
    for (name, size) in [("b.safetensors", 4), ("a.safetensors", 8)] {
        let tensor = catalog.get(name).unwrap();
        let found = read(&disk, tensor.file, tensor.offset, tensor.bytes as usize).unwrap();
        assert_eq!(found, vec![size; usize::from(size)], "{name}");
        assert!(disk.name(tensor.file).ends_with(name), "{}", disk.name(tensor.file));
    }
}

#[test]
fn the_faulty_disk_fails_as_told() {
    let eio = ErrorKind::Other;
    let bytes = |range| When::Bytes { file: 0, range };
    // What is asked for, whether once, and which of five reads of 10 bytes each then fail.
    #[rustfmt::skip]
    let cases: [(When, Fault, bool, [bool; 5]); 6] = [
        (When::Nth(1), Fault::Error(eio), true, [false, true, false, false, false]),
        (When::Always, Fault::Error(eio), true, [true, false, false, false, false]),
        (When::Always, Fault::Short(3), false, [true; 5]),
        (bytes(19..21), Fault::Error(eio), false, [false, true, true, false, false]),
        (bytes(19..21), Fault::Error(eio), true, [false, true, false, false, false]),
        (When::Bytes { file: 1, range: 0..99 }, Fault::Error(eio), false, [false; 5]),
    ];
    for (when, fault, once, failing) in cases {
        let disk = FaultyDisk::new(vec![(0..50).collect(), vec![0]]);
        if once {
            disk.once(when.clone(), fault)
        } else {
            disk.always(when.clone(), fault)
        }
        let failed = [0, 10, 20, 30, 40].map(|offset| read(&disk, 0, offset, 10).is_err());
        assert_eq!(failed, failing, "{when:?} {fault:?} once: {once}");
        disk.heal();
        assert_eq!(read(&disk, 0, 20, 2).unwrap(), [20, 21], "healed of {when:?}");
        assert_eq!(disk.reads(), 6, "{:?}", disk.log());
        assert_eq!(disk.log()[5], (0, 20, 2), "the last read");
    }
}

#[test]
fn the_faulty_disk_lies_waits_and_shuts_its_gate() {
    let disk = Arc::new(FaultyDisk::new(vec![vec![7; 50]]));
    disk.once(When::Always, Fault::Garbage(9));
    assert_eq!(read(&*disk, 0, 0, 2).unwrap(), [9, 9]);
    disk.once(When::Always, Fault::Short(3));
    let error = read(&*disk, 0, 0, 10).unwrap_err();
    assert_eq!(error.to_string(), "found 3 bytes, the file ends there");
    disk.once(When::Always, Fault::Delay(Duration::from_millis(5)));
    let begun = Instant::now();
    assert_eq!(read(&*disk, 0, 0, 1).unwrap(), [7]);
    assert!(begun.elapsed() >= Duration::from_millis(5), "{:?}", begun.elapsed());

    disk.shut_gate();
    let reader = std::thread::spawn({
        let disk = Arc::clone(&disk);
        move || read(&*disk, 0, 0, 1)
    });
    disk.wait_for_reads(4);
    assert!(!reader.is_finished(), "the gate is shut");
    disk.open_gate();
    assert_eq!(reader.join().unwrap().unwrap(), [7]);
}
