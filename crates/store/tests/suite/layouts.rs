//! Where data lies in a slot, and that any alignment and any offset give the same bytes.

use std::sync::Arc;

use store::testing::MemoryDisk;
use store::{Bank, Cache, Extent, HostMemory, Layout, Lru, slot_bytes};

use crate::stage::{Kind, Rng, Stage, drain};

fn bank(offset: u64, lengths: &[usize]) -> Bank {
    let extents = lengths.iter().map(|&bytes| Extent { file: 0, offset, bytes }).collect();
    Bank::new(lengths.len(), extents).unwrap()
}

#[test]
fn slots_count_their_slack() {
    // Alignment, lengths, where the rooms begin and the slot ends.
    #[rustfmt::skip]
    let cases: &[(usize, &[usize], &[usize])] = &[
        (1, &[1], &[0, 64]),
        (1, &[64, 65], &[0, 64, 192]),
        // 512 bytes that begin at byte 511 of a block reach into a second one; 514 do not need
        // a third, and 515 may.
        (512, &[1], &[0, 512]),
        (512, &[2, 513, 514], &[0, 1024, 2048, 3584]),
        (4096, &[4096, 4097], &[0, 8192, 16384]),
    ];
    for (align, lengths, edges) in cases {
        let layout = Layout::new(&bank(0, lengths), *align);
        let rooms: Vec<_> = (0..lengths.len()).map(|i| layout.room(i)).collect();
        assert_eq!(rooms, edges[..lengths.len()], "align {align}, {lengths:?}");
        assert_eq!(layout.slot_bytes(), edges[lengths.len()], "align {align}, {lengths:?}");
    }
}

#[test]
fn the_largest_bank_sets_the_slot() {
    let banks = [bank(0, &[100]), bank(0, &[100, 100]), bank(0, &[1])];
    assert_eq!(slot_bytes(&banks, 1), 256);
    assert_eq!(slot_bytes(&[], 1), 0, "no bank");
}

#[test]
fn data_lies_as_far_into_its_room_as_into_its_block() {
    for (align, offset, at) in [(1, 1000, 64), (512, 1000, 512 + 488), (4096, 4096, 4096)] {
        let bank = bank(offset, &[1, 30]);
        let layout = Layout::new(&bank, align);
        assert_eq!(layout.data(1, &bank.record(0)[1]), at..at + 30, "align {align}, at {offset}");
    }
}

/// Extents at every offset of a block and of many lengths, up to the end of a file whose length
/// is no multiple of anything.
#[test]
fn every_offset_gives_its_bytes_at_every_alignment() {
    let mut rng = Rng::new(5);
    for align in [1, 512, 4096] {
        let file: Vec<u8> = (0..3 * 4096 + 77).map(|_| rng.below(256) as u8).collect();
        for bytes in [1, 2, 511, 512, 513, 4095, 4096, 4097] {
            let last = file.len() - bytes;
            let mut offsets: Vec<usize> = (0..24).map(|_| rng.below(last + 1)).collect();
            offsets.extend([0, 1, 511, 512, 513, 4095, 4096, 4097, last - 1, last]);
            let extents: Vec<Extent> =
                offsets.iter().map(|&at| Extent { file: 0, offset: at as u64, bytes }).collect();
            let banks = vec![Bank::new(2, extents).unwrap()];
            let stage = Stage { kind: Kind::Pool, files: vec![file.clone()], banks };
            let disk = Arc::new(MemoryDisk::new(stage.files.clone()).with_align(align));
            let banks = stage.banks.clone();
            let cache =
                Cache::new(disk, banks, &HostMemory, 3, Box::new(Lru::new()), 2, None).unwrap();
            let all: Vec<usize> = (0..offsets.len() / 2).collect();
            let mut found = drain(&stage, cache.announce(0, &all)).unwrap();
            found.sort_unstable();
            assert_eq!(found, all, "align {align}, {bytes} bytes");
        }
    }
}
