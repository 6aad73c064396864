//! Files with known bytes, banks that lie in them, and every disk and memory to read them with.

use std::sync::Arc;
use std::time::Duration;

use store::testing::{FaultyDisk, MemoryDisk, Queued};
use store::{
    Bank, Buffer, Cache, Disk, Extent, Files, Hold, HostMemory, IoMode, Lru, Patience, SlotMemory,
    StoreError,
};

/// Long enough for any read here, short enough for a test that means to run out of it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

/// Waits so long for a slot, and for a read as long as any test may take.
pub(crate) fn patient(slot: Duration) -> Patience {
    Patience { slot, read: Duration::from_secs(60) }
}

/// A disk and what a failing test calls it.
pub(crate) type NamedDisk = (String, Arc<dyn Disk>);

/// Who reads for a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pool of threads.
    Pool,
    /// One thread that serves a queue.
    Queue,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Pool, Kind::Queue];

/// Two files and the banks whose extents lie scattered in them, at odd offsets.
pub(crate) struct Stage {
    pub(crate) kind: Kind,
    pub(crate) files: Vec<Vec<u8>>,
    pub(crate) banks: Vec<Bank>,
}

impl Stage {
    /// One bank for each pair of a number of records and the lengths of a record's extents.
    pub(crate) fn new(banks: &[(usize, &[usize])]) -> Stage {
        let mut ends = [3_u64, 1];
        let mut place = |n: usize, bytes: usize| {
            let file = n % 2;
            let offset = ends[file];
            // The last extent ends with its file: gaps lie before.
            ends[file] = offset + bytes as u64 + 7 + (n as u64 % 5);
            Extent { file, offset, bytes }
        };
        let banks: Vec<Bank> = banks
            .iter()
            .map(|&(records, lengths)| {
                let extents = (0..records * lengths.len())
                    .map(|n| place(n + n / 3, lengths[n % lengths.len()]))
                    .collect();
                Bank::new(lengths.len(), extents).unwrap()
            })
            .collect();
        let mut files = vec![Vec::new(), Vec::new()];
        let mut rng = Rng::new(banks.len() as u64);
        for extent in banks.iter().flat_map(all_extents) {
            let file: &mut Vec<u8> = &mut files[extent.file];
            let end = extent.offset as usize + extent.bytes;
            file.resize_with(file.len().max(end), || rng.below(256) as u8);
        }
        Stage { kind: Kind::Pool, files, banks }
    }

    /// The same files, whose caches read by these means.
    pub(crate) fn read_by(self, kind: Kind) -> Stage {
        // Shown where a test fails.
        println!("reading by {kind:?}");
        Stage { kind, ..self }
    }

    /// Three records of three extents, four of one.
    pub(crate) fn small() -> Stage {
        Stage::new(&[(3, &[100, 33, 1]), (4, &[700])])
    }

    pub(crate) fn keys(&self) -> Vec<(usize, usize)> {
        let banks = self.banks.iter().enumerate();
        banks.flat_map(|(bank, b)| (0..b.records()).map(move |record| (bank, record))).collect()
    }

    pub(crate) fn memory_disk(&self) -> MemoryDisk {
        MemoryDisk::new(self.files.clone())
    }

    pub(crate) fn faulty_disk(&self) -> Arc<FaultyDisk> {
        Arc::new(FaultyDisk::new(self.files.clone()))
    }

    /// The files on every kind of disk, with a folder that has to stay as long as they are read.
    pub(crate) fn every_disk(&self) -> (Vec<NamedDisk>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> =
            (0..self.files.len()).map(|n| folder.path().join(n.to_string())).collect();
        for (path, bytes) in paths.iter().zip(&self.files) {
            std::fs::write(path, bytes).unwrap();
        }
        let mut disks: Vec<NamedDisk> = vec![("faultless".into(), self.faulty_disk())];
        for mode in IoMode::ALL {
            match Files::open(&paths, mode) {
                Ok(files) => disks.push((format!("files, {mode}"), Arc::new(files))),
                Err(StoreError::Mode { .. }) if mode != IoMode::Buffered => {
                    println!("SKIP {mode}: {} refuses it", folder.path().display());
                }
                Err(error) => panic!("{mode}: {error}"),
            }
        }
        for align in [1, 512, 4096] {
            let disk = self.memory_disk().with_align(align);
            disks.push((format!("memory, aligned to {align}"), Arc::new(disk)));
        }
        (disks, folder)
    }

    pub(crate) fn cache(&self, disk: Arc<dyn Disk>, slots: usize, readers: usize) -> Cache {
        let policy = Box::new(Lru::new());
        let disk = match self.kind {
            Kind::Pool => disk,
            Kind::Queue => Arc::new(Queued::over(disk)),
        };
        Cache::new(disk, self.banks.clone(), &HostMemory, slots, policy, readers, None)
            .unwrap()
            .with_patience(patient(PATIENCE))
    }

    /// Whether a hold shows the bytes of its record.
    pub(crate) fn check(&self, hold: &Hold) {
        let (bank, record) = (hold.bank(), hold.record());
        let extents = self.banks[bank].record(record);
        assert_eq!(hold.view().extents(), extents.len(), "extents of {bank}/{record}");
        for (i, extent) in extents.iter().enumerate() {
            assert!(hold.extent(i) == self.bytes(extent), "extent {i} of record {bank}/{record}");
        }
    }

    pub(crate) fn bytes(&self, extent: &Extent) -> &[u8] {
        let start = extent.offset as usize;
        &self.files[extent.file][start..start + extent.bytes]
    }
}

pub(crate) fn all_extents(bank: &Bank) -> impl Iterator<Item = &Extent> {
    (0..bank.records()).flat_map(|record| bank.record(record))
}

/// Takes everything, dropping each hold at once: the records in the order of their arrival.
pub(crate) fn drain(stage: &Stage, arrivals: store::Arrivals) -> Result<Vec<usize>, StoreError> {
    let mut records = Vec::new();
    for hold in arrivals {
        let hold = hold?;
        stage.check(&hold);
        records.push(hold.record());
    }
    Ok(records)
}

/// Takes everything and keeps it.
pub(crate) fn keep(stage: &Stage, arrivals: store::Arrivals) -> Vec<Hold> {
    let holds: Vec<Hold> = arrivals.collect::<Result<_, _>>().unwrap();
    holds.iter().for_each(|hold| stage.check(hold));
    holds
}

/// All slots are there and can be held at the same time: none was lost.
pub(crate) fn check_all_slots(stage: &Stage, cache: &Cache) {
    let slots = cache.slots();
    let mut holds = Vec::new();
    for &(bank, record) in stage.keys().iter().take(slots) {
        holds.extend(keep(stage, cache.announce(bank, &[record])));
    }
    assert_eq!(holds.len(), slots, "a stage has more records than slots");
    let one_more = stage.keys()[slots];
    let refused = cache.announce(one_more.0, &[one_more.1]).next().unwrap();
    assert!(matches!(refused, Err(StoreError::NoSlot { .. })), "{refused:?} with all slots held");
}

/// Slots that are vectors: what a device's memory looks like from here.
pub(crate) struct Vectors;

impl SlotMemory for Vectors {
    fn allocate(&self, slots: usize, slot_bytes: usize) -> Result<Vec<Buffer>, StoreError> {
        Ok((0..slots).map(|_| Buffer::new(vec![0; slot_bytes])).collect())
    }
}

/// Numbers that look random and are the same every time.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}
