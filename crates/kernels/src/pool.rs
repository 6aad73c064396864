//! Threads that wait for one task at a time and run it together with the thread that brings it.
//!
//! Nothing here knows which core a thread runs on. A task hands its work out in small parts to
//! whoever is free, so a slow core of a hybrid processor, or one that other programs use, takes
//! fewer of them, and a thread that comes late finds nothing left and holds nobody up. On a machine
//! with several memories (NUMA) any thread may read any of them: weights lie where the thread that
//! loaded them put them, and a process is best kept on one node, or its memory interleaved, from
//! outside.

// A task borrows from its caller's stack; the compiler cannot see that `run` outlives its use.
#![allow(unsafe_code, reason = "threads call a closure that borrows from another stack")]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::KernelError;

/// How long a thread looks for the next task before it sleeps. Waking one takes tens of
/// microseconds. While a 35B decodes, nine of ten gaps between tasks are under 8 microseconds and
/// 97 of 100 under 64; what is longer is a wait for the disk, which takes milliseconds.
const SPIN: Duration = Duration::from_micros(60);

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

/// Alone on its cache line and the one that is fetched with it.
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

struct Shared {
    /// All threads look at it all the time: nothing else that changes may lie beside it.
    state: Apart<AtomicU64>,
    /// The next worker to be looked at, and woken if it sleeps, for the open task. Whoever has been
    /// woken helps to wake the others, since each takes a call of the system.
    waking: Apart<AtomicUsize>,
    /// How many of the workers may be woken for the open task.
    useful: AtomicUsize,
    /// The open task. Written by the caller while `state` lets nobody in, read by those inside.
    task: UnsafeCell<Option<*const Task>>,
    /// The first panic of a worker inside the task.
    panic: Mutex<Option<Payload>>,
    /// Signalled when the last thread leaves a closed task.
    left: (Mutex<()>, Condvar),
    /// One for each worker.
    sleepers: Vec<Sleeper>,
}

/// How a worker is woken.
struct Sleeper {
    /// Whether it sleeps or is about to.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
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
            state: Apart(AtomicU64::new(0)),
            waking: Apart(AtomicUsize::new(0)),
            useful: AtomicUsize::new(0),
            task: UnsafeCell::new(None),
            panic: Mutex::new(None),
            left: (Mutex::new(()), Condvar::new()),
            sleepers: (1..threads)
                .map(|_| Sleeper { asleep: AtomicBool::new(false), thread: OnceLock::new() })
                .collect(),
        });
        let mut pool = Pool { shared, workers: vec![], turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new()
                .name(format!("kernels-{index}"))
                .spawn(move || shared.work(index))
                .map_err(|error| KernelError::Spawn { index, threads, error })?;
            pool.shared.sleepers[index - 1].thread.get_or_init(|| worker.thread().clone());
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Workers and the caller.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task` on the calling thread and on every worker that comes before the caller is done;
    /// returns when none is inside any more. The task must share its work out, in `parts`, so that
    /// any one of them could do all of it; no more threads are woken than there are parts. From
    /// inside a task, of this pool or another, it is run by the calling thread alone. A panic in the
    /// task reaches the caller, and the pool stays usable.
    pub(crate) fn run(&self, parts: usize, task: &(dyn Fn(usize) + Sync)) {
        if let Some(index) = INDEX.get() {
            return task(index % self.threads());
        }
        if self.workers.is_empty() || parts <= 1 {
            return self.alone(task);
        }
        let turn = lock(&self.turn);
        self.open(parts, task);
        let own = catch_unwind(AssertUnwindSafe(|| inside(0, task)));
        self.close();
        let theirs = lock(&self.shared.panic).take();
        drop(turn);
        if let Some(payload) = own.err().or(theirs) {
            resume_unwind(payload);
        }
    }

    /// By the calling thread, under the index that it has in every task of its own: other callers
    /// wait, as for a task of all threads.
    fn alone(&self, task: &(dyn Fn(usize) + Sync)) {
        let _turn = lock(&self.turn);
        inside(0, task);
    }

    fn open<'t>(&self, parts: usize, task: &'t (dyn Fn(usize) + Sync + 't)) {
        // SAFETY: only the lifetime changes. The pointer is called only by threads inside the
        // task, and `run` returns, by whatever way, only after `close` has seen all of them leave.
        let task =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 't), *const Task>(task) };
        // SAFETY: this is the only caller (`turn`), and the last task was closed and left.
        unsafe { *self.shared.task.get() = Some(task) };
        self.shared.useful.store(parts - 1, Ordering::Relaxed);
        // `OPEN` is not set. Threads that come too late for the last task may be counted still.
        self.shared.state.0.fetch_add(TASK + OPEN, Ordering::SeqCst);
        self.shared.waking.0.store(0, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Lets nobody in any more and waits until all have left.
    fn close(&self) {
        let state = &self.shared.state.0;
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
        self.shared.state.0.fetch_or(STOP, Ordering::SeqCst);
        for worker in &self.workers {
            worker.thread().unpark();
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
            let (state, slept) = self.wait(index, last);
            if state & STOP != 0 {
                return;
            }
            let state = self.state.0.fetch_add(1, Ordering::AcqRel);
            if state & OPEN == 0 {
                // Closed in between: whoever counts will not take this thread for one inside.
                self.leave();
                continue;
            }
            if slept {
                self.wake();
            }
            last = state / TASK;
            // SAFETY: this thread is inside, so the caller has written the task and keeps what it
            // points to until this thread has left.
            let task = unsafe { (*self.task.get()).map(|task| &*task) };
            let task = task.expect("a task is stored before it is opened");
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| inside(index, task))) {
                lock(&self.panic).get_or_insert(payload);
            }
            self.leave();
        }
    }

    fn leave(&self) {
        let before = self.state.0.fetch_sub(1, Ordering::AcqRel);
        if before & INSIDE == 1 && before & OPEN == 0 {
            // The caller may be about to wait: it looks at the state under this lock.
            drop(lock(&self.left.0));
            self.left.1.notify_all();
        }
    }

    /// Wakes workers that sleep until enough of them were looked at, by whomever.
    fn wake(&self) {
        let useful = self.useful.load(Ordering::Relaxed).min(self.sleepers.len());
        while self.waking.0.load(Ordering::Relaxed) < useful {
            let next = self.waking.0.fetch_add(1, Ordering::SeqCst);
            // A worker says that it sleeps and then looks at the state; we do both in the other
            // order, so that one of us sees the other.
            let Some(sleeper) = self.sleepers.get(next) else { return };
            if sleeper.asleep.load(Ordering::SeqCst)
                && let Some(thread) = sleeper.thread.get()
            {
                thread.unpark();
            }
        }
    }

    /// The state once there is another open task than `last`, or the end; and whether this worker
    /// slept until then.
    fn wait(&self, index: usize, last: u64) -> (u64, bool) {
        let found = || {
            let state = self.state.0.load(Ordering::SeqCst);
            (state & STOP != 0 || (state & OPEN != 0 && state / TASK != last)).then_some(state)
        };
        spin(|| found().is_some());
        let asleep = &self.sleepers[index - 1].asleep;
        let mut slept = false;
        loop {
            if let Some(state) = found() {
                return (state, slept);
            }
            asleep.store(true, Ordering::SeqCst);
            if found().is_none() {
                thread::park();
                slept = true;
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
        // Whoever we wait for may want this very core, where there are more threads than cores.
        thread::yield_now();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
