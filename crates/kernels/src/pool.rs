//! Threads that wait for one task at a time and run it together with the thread that brings it.

// A task borrows from its caller's stack; the compiler cannot see that `run` outlives its use.
#![allow(unsafe_code, reason = "threads call a closure that borrows from another stack")]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::KernelError;

/// How long a thread looks for the next task before it sleeps. Tasks of one pass follow each
/// other within microseconds, and waking a thread takes several.
const SPIN: Duration = Duration::from_micros(10);

/// As many threads as anybody has; more is a mistake.
const MAX_THREADS: usize = 1024;

/// `state` counts the threads inside the task in its low bits, then says whether the task may be
/// entered and whether the pool ends; the rest is the number of the task.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const STOP: u64 = 1 << 17;
const TASK: u64 = 1 << 18;

/// What each thread runs once; it is told the thread's index. Work is shared out by the task.
type Task = dyn Fn(usize) + Sync;
type Payload = Box<dyn Any + Send>;

thread_local! {
    /// The index under which this thread is inside a task, of whatever pool.
    static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Shared {
    state: AtomicU64,
    /// The open task. Written by the caller while `state` lets nobody in, read by those inside.
    task: UnsafeCell<Option<*const Task>>,
    /// The first panic of a worker inside the task.
    panic: Mutex<Option<Payload>>,
    /// Signalled when the last thread leaves a closed task.
    left: (Mutex<()>, Condvar),
    /// Whether worker i sleeps or is about to.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `task` is the only field that is not `Sync`. It is written while no thread is inside and
// none can enter (`OPEN` unset, count 0, callers serialised by `Pool::turn`), and read only between
// entering and leaving; both go through `state` with acquire and release.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `task` may be called from any thread: what it points to is `Sync`.
unsafe impl Send for Shared {}

pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    sleepers: Vec<Thread>,
    /// Held by the one caller whose task is run.
    turn: Mutex<()>,
}

impl Pool {
    /// # Errors
    /// When `threads` is 0 or more than 1024, or the system refuses a thread.
    pub(crate) fn new(threads: usize) -> Result<Pool, KernelError> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(KernelError::Threads { found: threads, accepted: MAX_THREADS });
        }
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            task: UnsafeCell::new(None),
            panic: Mutex::new(None),
            left: (Mutex::new(()), Condvar::new()),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut pool = Pool { shared, workers: vec![], sleepers: vec![], turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new()
                .name(format!("kernels-{index}"))
                .spawn(move || shared.work(index))
                .map_err(|error| KernelError::Spawn { index, threads, error })?;
            pool.sleepers.push(worker.thread().clone());
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Workers and the caller.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task` on the calling thread and on every worker that comes before the caller is done;
    /// returns when none is inside any more. The task must share its work out so that any one of
    /// them could do all of it. From inside a task, of this pool or another, it is run by the
    /// calling thread alone. A panic in the task reaches the caller, and the pool stays usable.
    pub(crate) fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        if let Some(index) = INDEX.get() {
            return task(index % self.threads());
        }
        if self.workers.is_empty() {
            return inside(0, task);
        }
        let turn = lock(&self.turn);
        self.open(task);
        let own = catch_unwind(AssertUnwindSafe(|| inside(0, task)));
        self.close();
        let theirs = lock(&self.shared.panic).take();
        drop(turn);
        if let Some(payload) = own.err().or(theirs) {
            resume_unwind(payload);
        }
    }

    fn open<'t>(&self, task: &'t (dyn Fn(usize) + Sync + 't)) {
        // SAFETY: only the lifetime changes. The pointer is called only by threads inside the
        // task, and `run` returns, by whatever way, only after `close` has seen all of them leave.
        let task =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 't), *const Task>(task) };
        // SAFETY: this is the only caller (`turn`), and the last task was closed and left.
        unsafe { *self.shared.task.get() = Some(task) };
        let state = &self.shared.state;
        state.store((state.load(Ordering::Relaxed) + TASK) | OPEN, Ordering::SeqCst);
        for (asleep, sleeper) in self.shared.asleep.iter().zip(&self.sleepers) {
            // A worker says that it sleeps and then looks at the state; we do both in the other
            // order, so that one of us sees the other.
            if asleep.load(Ordering::SeqCst) {
                sleeper.unpark();
            }
        }
    }

    /// Lets nobody in any more and waits until all have left.
    fn close(&self) {
        let state = &self.shared.state;
        state.fetch_and(!OPEN, Ordering::AcqRel);
        if spin(|| state.load(Ordering::Acquire) & INSIDE == 0) {
            return;
        }
        let (mutex, left) = &self.shared.left;
        let mut guard = lock(mutex);
        while state.load(Ordering::Acquire) & INSIDE != 0 {
            guard = left.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.fetch_or(STOP, Ordering::SeqCst);
        for sleeper in &self.sleepers {
            sleeper.unpark();
        }
        for worker in self.workers.drain(..) {
            worker.join().expect("workers catch the panics of tasks and have none of their own");
        }
    }
}

impl Shared {
    fn work(&self, index: usize) {
        let mut last = 0;
        loop {
            let state = self.wait(index, last);
            if state & STOP != 0 {
                return;
            }
            // It fails when another thread enters, leaves or closes: then look again.
            let entered = self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if entered.is_err() {
                continue;
            }
            last = state / TASK;
            // SAFETY: this thread is inside, so the caller has written the task and keeps what it
            // points to until this thread has left.
            let task = unsafe { (*self.task.get()).map(|task| &*task) };
            let task = task.expect("a task is stored before it is opened");
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| inside(index, task))) {
                lock(&self.panic).get_or_insert(payload);
            }
            let before = self.state.fetch_sub(1, Ordering::AcqRel);
            if before & INSIDE == 1 && before & OPEN == 0 {
                // The caller may be about to wait: it looks at the state under this lock.
                drop(lock(&self.left.0));
                self.left.1.notify_all();
            }
        }
    }

    /// The state once there is another open task than `last`, or the end.
    fn wait(&self, index: usize, last: u64) -> u64 {
        let found = || {
            let state = self.state.load(Ordering::SeqCst);
            (state & STOP != 0 || (state & OPEN != 0 && state / TASK != last)).then_some(state)
        };
        spin(|| found().is_some());
        let asleep = &self.asleep[index - 1];
        loop {
            if let Some(state) = found() {
                return state;
            }
            asleep.store(true, Ordering::SeqCst);
            if found().is_none() {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
        }
    }
}

/// Runs the task with this thread marked as inside it.
fn inside(index: usize, task: &(dyn Fn(usize) + Sync)) {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INDEX.set(None);
        }
    }
    INDEX.set(Some(index));
    let _leave = Leave;
    task(index);
}

/// Whether `is_done` came true within [`SPIN`].
fn spin(is_done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if is_done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > SPIN {
            return false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
