//! A queue over any disk, made of threads: what a kernel's queue looks like to those who use it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::{Disk, Done, Order, ReadQueue, Waker};

/// Another disk, read by a queue.
pub struct Queued {
    inner: Arc<dyn Disk>,
}

impl Queued {
    pub fn over(inner: Arc<dyn Disk>) -> Queued {
        Queued { inner }
    }
}

impl Disk for Queued {
    fn read_at(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(file, offset, into)
    }

    fn name(&self, file: usize) -> String {
        self.inner.name(file)
    }

    fn file_bytes(&self, file: usize) -> u64 {
        self.inner.file_bytes(file)
    }

    fn files(&self) -> usize {
        self.inner.files()
    }

    fn align(&self) -> usize {
        self.inner.align()
    }

    fn queue(&self, depth: usize) -> io::Result<Option<Box<dyn ReadQueue>>> {
        let shared = Arc::new(Shared::default());
        let work = |_| {
            let (disk, shared) = (Arc::clone(&self.inner), Arc::clone(&shared));
            thread::spawn(move || shared.work(&*disk))
        };
        let threads = (0..depth).map(work).collect();
        Ok(Some(Box::new(Queue { shared, threads })))
    }
}

struct Queue {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    done: Vec<Done>,
    woken: bool,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn work(&self, disk: &dyn Disk) {
        let mut state = self.lock();
        loop {
            if let Some(mut order) = state.orders.pop_front() {
                drop(state);
                let Order { file, offset, bytes, .. } = order;
                let into = &mut order.into[..bytes];
                let outcome = catch_unwind(AssertUnwindSafe(|| disk.read_at(file, offset, into)))
                    .unwrap_or_else(|_| Err(io::Error::other("the disk panicked")));
                let done = Done { ticket: order.ticket, into: order.into, outcome };
                self.change(|state| state.done.push(done));
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state = self.wait(state);
            }
        }
    }
}

impl ReadQueue for Queue {
    fn push(&mut self, order: Order) {
        self.shared.change(|state| state.orders.push_back(order));
    }

    fn wait(&mut self) -> Vec<Done> {
        let mut state = self.shared.lock();
        while state.done.is_empty() && !state.woken {
            state = self.shared.wait(state);
        }
        state.woken = false;
        std::mem::take(&mut state.done)
    }

    fn waker(&self) -> Waker {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.change(|state| state.woken = true))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.change(|state| state.closed = true);
        for thread in self.threads.drain(..) {
            // What could panic is caught.
            let _ = thread.join();
        }
    }
}
