//! Reads through io_uring: one thread hands them to the kernel, which writes straight into slots.

#![allow(unsafe_code, reason = "the kernel is given addresses to write to")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use io_uring::types::{Fd, Fixed};
use io_uring::{IoUring, opcode, squeue};
use rustix::event::{EventfdFlags, eventfd};

use super::queue::{Done, Order, ReadQueue, Waker};
use crate::ShortRead;

/// What one request asks for at most: a multiple of every alignment.
const REQUEST_BYTES: usize = 1 << 30;
/// The mark of the request that waits for the waker.
const WAKE: u64 = u64::MAX;
/// How often a request is repeated that the kernel put off.
const REPEATS: u32 = 100;

/// Reads under way in one ring.
pub(super) struct Ring {
    ring: IoUring,
    /// Readable once the waker was called.
    wake: Arc<OwnedFd>,
    /// Whether the ring looks at `wake`.
    listening: bool,
    align: usize,
    /// What the kernel may write to; a request's mark is its place here.
    orders: Vec<Option<UnderWay>>,
}

struct UnderWay {
    order: Order,
    /// Bytes that were read already.
    found: usize,
    repeats: u32,
}

impl Ring {
    /// For `depth` reads at the same time from `files`, which are known by their place here.
    pub(super) fn new<'a>(
        files: impl Iterator<Item = &'a File>,
        depth: usize,
        align: usize,
    ) -> io::Result<Ring> {
        let handles: Vec<RawFd> = files.map(|file| file.as_raw_fd()).collect();
        let entries = u32::try_from(depth + 1).map_err(io::Error::other)?.next_power_of_two();
        let ring = IoUring::new(entries)?;
        if !handles.is_empty() {
            ring.submitter().register_files(&handles)?;
        }
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let orders = (0..depth).map(|_| None).collect();
        Ok(Ring { ring, wake: Arc::new(wake), listening: false, align, orders })
    }

    /// Gives the kernel an entry; it begins with the next `enter` at the latest.
    fn submit(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: a read names memory of a buffer in `orders`, which stays there until its
            // completion was seen, also when the ring is dropped; the poll names no memory.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // Full: `enter` takes all of it.
            self.enter(0);
        }
    }

    /// Hands over what was submitted and waits for `wanted` completions.
    fn enter(&mut self, wanted: usize) {
        while let Err(error) = self.ring.submit_and_wait(wanted) {
            if error.kind() != ErrorKind::Interrupted {
                // The kernel is short of memory, or has completions that must be taken first. What
                // it began goes on, so there is nothing to give up; but it needs time.
                thread::sleep(Duration::from_millis(1));
                return;
            }
        }
    }

    /// Asks for what is still missing of the read at `place`.
    fn request(&mut self, place: usize) {
        let align = self.align;
        let under_way = self.orders[place].as_mut().expect("it was just put there");
        let UnderWay { order, found, .. } = under_way;
        let rest = (order.bytes - *found).next_multiple_of(align).min(REQUEST_BYTES);
        // The whole blocks fit: `push` looked.
        let start = order.into[*found..*found + rest].as_mut_ptr();
        let entry = opcode::Read::new(Fixed(order.file as u32), start, rest as u32)
            .offset(order.offset + *found as u64)
            .build()
            .user_data(place as u64);
        self.submit(&entry);
    }

    /// What the completion of a request means: the end of its read, or nothing yet.
    fn complete(&mut self, place: usize, result: i32) -> Option<Done> {
        let align = self.align;
        let under_way = self.orders[place].as_mut()?;
        let outcome = match usize::try_from(result) {
            Err(_) => {
                let error = io::Error::from_raw_os_error(-result);
                let again = [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind());
                under_way.repeats += 1;
                if again && under_way.repeats < REPEATS {
                    self.request(place);
                    return None;
                }
                Err(error)
            }
            Ok(bytes) => {
                under_way.found += bytes;
                let found = under_way.found;
                if found >= under_way.order.bytes {
                    Ok(())
                } else if bytes == 0 || !found.is_multiple_of(align) {
                    Err(ShortRead::error(found))
                } else {
                    self.request(place);
                    return None;
                }
            }
        };
        let Order { ticket, into, .. } = self.orders[place].take()?.order;
        Some(Done { ticket, into, outcome })
    }

    /// Everything that came back; whether the waker was called.
    fn reap(&mut self) -> (Vec<Done>, bool) {
        let completions: Vec<(u64, i32)> =
            self.ring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
        let woken = completions.iter().any(|&(mark, _)| mark == WAKE);
        if woken {
            self.listening = false;
            // It says how often; that there is nothing to read is no harm.
            let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        }
        let reads = completions.into_iter().filter(|&(mark, _)| mark != WAKE);
        let mut done = Vec::new();
        for (place, result) in reads {
            done.extend(self.complete(place as usize, result));
        }
        (done, woken)
    }
}

impl ReadQueue for Ring {
    fn push(&mut self, order: Order) {
        let room = order.bytes.next_multiple_of(self.align);
        assert!(room <= order.into.len(), "no room for whole blocks: {order:?}");
        let under_way = Some(UnderWay { order, found: 0, repeats: 0 });
        let place = match self.orders.iter().position(Option::is_none) {
            Some(place) => place,
            None => {
                self.orders.push(None);
                self.orders.len() - 1
            }
        };
        self.orders[place] = under_way;
        self.request(place);
    }

    fn wait(&mut self) -> Vec<Done> {
        loop {
            if !self.listening {
                let flags = rustix::event::PollFlags::IN.bits();
                let wake = Fd(self.wake.as_raw_fd());
                let entry = opcode::PollAdd::new(wake, u32::from(flags)).build().user_data(WAKE);
                self.submit(&entry);
                self.listening = true;
            }
            self.enter(1);
            let (done, woken) = self.reap();
            if woken || !done.is_empty() {
                return done;
            }
        }
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        // It can only fail when it was called 2^64 times without a wait in between.
        Arc::new(move || {
            let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
        })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel may write to the buffers until it says that it is done with them.
        while self.orders.iter().any(Option::is_some) {
            self.enter(1);
            self.reap();
        }
    }
}
