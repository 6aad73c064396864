//! The cache of records: slots, single flight, and the pool of readers that fills them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::disk::check;
use crate::{Bank, Disk, Key, Layout, Policy, SlotMemory, Stay, StoreError, Waker, slot_bytes};

mod arrivals;
mod counters;
mod flight;
mod guesses;
mod hold;
mod parts;
mod readers;
mod state;

pub use arrivals::Arrivals;
pub use counters::Counters;
pub use hold::{Hold, RecordView};

use state::State;

/// Looks at a record once, after it was read and before anybody gets it; what it says against
/// the record becomes [`StoreError::Record`].
pub type RecordCheck = Arc<dyn Fn(Key, &RecordView) -> Result<(), String> + Send + Sync>;

/// How long a consumer waits in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a slot, while nothing at all moves.
    pub slot: Duration,
    /// For the disk, while no read comes back. A drive that spins up or resets takes tens of
    /// seconds and recovers.
    pub read: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { slot: Duration::from_secs(10), read: Duration::from_secs(60) }
    }
}

/// Slots in memory for records on disk.
///
/// Records are announced, all those of a step at once. Residents are there immediately; the
/// others are read by a pool of readers, each record once, however many announced it. A record
/// that is held keeps its slot; the others leave as the policy says when slots are needed.
///
/// One slot is enough for any announcement as long as its consumer drops each hold before it
/// asks for the next. Consumers that keep their holds need, all together, a slot for each.
pub struct Cache {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

/// What the cache, its readers, arrivals and holds have in common.
struct Shared {
    disk: Arc<dyn Disk>,
    banks: Vec<Bank>,
    /// One for each bank.
    layouts: Vec<Layout>,
    check: Option<RecordCheck>,
    slots: usize,
    /// Reads that are under way at the same time.
    readers: usize,
    state: Mutex<State>,
    /// There are reads to be done, or readers have to stop.
    work: Condvar,
    /// The same for the one who serves a queue, where the disk has one.
    waker: Option<Waker>,
    /// Something arrived, failed or began: consumers look again.
    arrived: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics in between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who read look again: there are so many reads more.
    fn wake(&self, reads: usize) {
        match &self.waker {
            Some(waker) if reads > 0 => waker(),
            Some(_) => {}
            None => (0..reads).for_each(|_| self.work.notify_one()),
        }
    }
}

impl Cache {
    /// `slots` slots that fit a record of any of `banks`. `readers` reads fill them at the same
    /// time: threads, or one that serves the disk's queue.
    ///
    /// # Errors
    /// When there is no slot or no reader, an extent lies outside of its file, or memory or
    /// threads are not to be had.
    pub fn new(
        disk: Arc<dyn Disk>,
        banks: Vec<Bank>,
        memory: &dyn SlotMemory,
        slots: usize,
        policy: Box<dyn Policy>,
        readers: usize,
        check: Option<RecordCheck>,
    ) -> Result<Cache, StoreError> {
        for (what, found) in [("slots", slots), ("readers", readers)] {
            if found == 0 {
                return Err(StoreError::Zero { what, found });
            }
        }
        for extent in banks.iter().flat_map(Bank::all) {
            self::check(&*disk, extent)?;
        }
        let slot_bytes = slot_bytes(&banks, disk.align());
        let free = memory.allocate(slots, slot_bytes)?;
        let found_bytes = free.iter().map(|slot| slot.len()).min().unwrap_or(0);
        if free.len() != slots || found_bytes < slot_bytes {
            let found = free.len();
            return Err(StoreError::SlotMemory { found, found_bytes, slots, slot_bytes });
        }
        let layouts = banks.iter().map(|bank| Layout::new(bank, disk.align())).collect();
        let queue =
            disk.queue(readers).map_err(|error| StoreError::Reader { error: Arc::new(error) })?;
        let shared = Arc::new(Shared {
            disk,
            banks,
            layouts,
            check,
            slots,
            readers,
            waker: queue.as_ref().map(|queue| queue.waker()),
            state: Mutex::new(State::new(free, policy, Patience::default())),
            work: Condvar::new(),
            arrived: Condvar::new(),
        });
        let mut cache = Cache { shared, readers: Vec::new() };
        let shared = || Arc::clone(&cache.shared);
        match queue {
            Some(queue) => {
                let shared = shared();
                let serve = move || readers::serve(&shared, queue, readers);
                cache.readers.push(start("store-ring".to_owned(), serve)?);
            }
            None => {
                for n in 0..readers {
                    let shared = shared();
                    let work = move || readers::work(&shared);
                    cache.readers.push(start(format!("store-reader-{n}"), work)?);
                }
            }
        }
        Ok(cache)
    }

    /// The same cache with consumers of another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Cache {
        self.shared.lock().patience = patience;
        self
    }

    /// The same cache, of whose slots `slots` are for guesses ([`Cache::guess`]); at least one is
    /// left for what is announced. 0 without this.
    #[must_use]
    pub fn with_reserve(self, slots: usize) -> Cache {
        self.shared.lock().guesses.reserve(slots);
        self
    }

    /// Announces records of a bank, all that a step needs.
    ///
    /// Their residents are held from now on, so none of them leaves for the sake of the others.
    /// Reads of the others begin at once, in the given order, as far as slots are free or can
    /// be freed; the rest begins as holds are dropped. A record that is named twice is read once
    /// and handed out twice. Unknown records are the first thing that the arrivals report.
    pub fn announce(&self, bank: usize, records: &[usize]) -> Arrivals {
        self.say(bank, records, |_| Stay::Usual, false)
    }

    /// As [`Cache::announce`], for records of which many pass through once: where `stay` says
    /// [`Stay::First`], a record that is resident does not count as used, and one that is read is
    /// the first to leave again. So a sweep over a whole bank does not push out what is used often.
    ///
    /// Reads run ahead of the consumer by a few records only, and it must drop each hold before it
    /// asks for the next.
    pub fn sweep(&self, bank: usize, records: &[usize], stay: impl Fn(usize) -> Stay) -> Arrivals {
        self.say(bank, records, stay, true)
    }

    fn say(
        &self,
        bank: usize,
        records: &[usize],
        stay: impl Fn(usize) -> Stay,
        sweep: bool,
    ) -> Arrivals {
        let shared = &self.shared;
        let mut state = shared.lock();
        let known = shared.banks.get(bank).map_or(0, Bank::records);
        let id = match records.iter().find(|&&record| record >= known) {
            None => {
                let key = |&record: &usize| (Key { bank, record }, stay(record));
                let id = state.announce(records.iter().map(key), sweep);
                state.settle(bank);
                state.begin_reads(shared);
                id
            }
            Some(&record) => {
                let banks = shared.banks.len();
                state.refuse(StoreError::NoSuchRecord { bank, record, banks, records: known })
            }
        };
        drop(state);
        Arrivals::new(Arc::clone(shared), id)
    }

    /// Records that will probably be announced soon, the likeliest first. Those on disk are read
    /// when the disk has nothing else to do, into reserved slots; whatever the next announcement of
    /// the bank does not name is forgotten. Unknown records are, too.
    pub fn guess(&self, bank: usize, records: &[usize]) {
        let known = self.shared.banks.get(bank).map_or(0, Bank::records);
        let known = records.iter().copied().filter(|&record| record < known);
        self.shared.lock().guess(&self.shared, known.map(|record| Key { bank, record }));
    }

    /// What was counted so far, reads under way included in `reading`.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters()
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.shared.slots
    }

    /// Whether a record is resident: read, and not evicted.
    pub fn contains(&self, bank: usize, record: usize) -> bool {
        self.shared.lock().contains(Key { bank, record })
    }
}

fn start(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let started = thread::Builder::new().name(name).spawn(body);
    started.map_err(|error| StoreError::Reader { error: Arc::new(error) })
}

impl Drop for Cache {
    /// Reads under way end, others do not begin; consumers that still wait get
    /// [`StoreError::Closed`]. Holds stay good.
    fn drop(&mut self) {
        let hung = {
            let mut state = self.shared.lock();
            state.close();
            state.hung
        };
        self.shared.work.notify_all();
        self.shared.wake(1);
        self.shared.arrived.notify_all();
        for reader in self.readers.drain(..) {
            // A reader that the disk does not answer is left behind, with the memory it reads into.
            if hung && !reader.is_finished() {
                continue;
            }
            // A reader cannot panic outside of what it catches.
            let _ = reader.join();
        }
    }
}
