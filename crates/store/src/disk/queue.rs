//! Reads that are handed over and come back later, without a thread for each.

use std::io;
use std::sync::Arc;

use crate::Buffer;

/// A read that is handed over.
#[derive(Debug)]
pub struct Order {
    /// Comes back with the read; whoever orders chooses it.
    pub ticket: u64,
    pub file: usize,
    /// From the start of the file, a multiple of the disk's alignment.
    pub offset: u64,
    /// How much is wanted, from the start of `into`: whole blocks, or up to the end of the file.
    pub bytes: usize,
    /// Begins at a multiple of the alignment, and has room for `bytes` rounded up to one.
    pub into: Buffer,
}

/// A read that came back.
#[derive(Debug)]
pub struct Done {
    pub ticket: u64,
    pub into: Buffer,
    /// As [`Disk::read_at`](crate::Disk::read_at) has it.
    pub outcome: io::Result<()>,
}

/// Ends a [`ReadQueue::wait`] from another thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Reads under way, as many as were agreed on when it was made.
///
/// Dropping it waits until nobody writes to the buffers any more.
pub trait ReadQueue: Send {
    /// Hands a read over; it may begin with the next [`ReadQueue::wait`] only.
    fn push(&mut self, order: Order);

    /// Blocks until a read came back or the waker was called: since the last wait, or while this
    /// one lasts. Everything that came back.
    fn wait(&mut self) -> Vec<Done>;

    fn waker(&self) -> Waker;
}
