//! One record on its way from disk: which pieces of its slot are out, and who waits for it.

use crate::{Buffer, StoreError};

/// Whoever announced something and has not heard of all of it yet.
pub(super) type Waiter = u64;

/// A record that is being read.
#[derive(Debug)]
pub(super) struct Flight {
    /// One entry for each time that it was announced.
    pub(super) waiters: Vec<Waiter>,
    /// Of the slot, in its order; `None` while a reader has one.
    pieces: Vec<Option<Buffer>>,
    /// Whether a reader has begun: then it is not called off any more.
    pub(super) begun: bool,
    /// The first thing that went wrong.
    pub(super) error: Option<StoreError>,
}

impl Flight {
    /// All pieces of the slot are out.
    pub(super) fn new(waiters: Vec<Waiter>, pieces: usize) -> Flight {
        let pieces = std::iter::repeat_with(|| None).take(pieces).collect();
        Flight { waiters, pieces, begun: false, error: None }
    }

    /// A piece is back. Whether all are.
    pub(super) fn land(&mut self, place: usize, piece: Buffer) -> bool {
        self.pieces[place] = Some(piece);
        self.pieces.iter().all(Option::is_some)
    }

    /// The whole slot again, once all pieces are back.
    pub(super) fn take_slot(&mut self) -> Option<Buffer> {
        self.pieces.drain(..).flatten().reduce(Buffer::join)
    }
}

/// The pieces of `slot`, which begin at 0 and at each of `inner_edges`. The last one takes what is
/// left.
pub(super) fn cut(slot: Buffer, inner_edges: impl Iterator<Item = usize>) -> Vec<Buffer> {
    let mut pieces = Vec::new();
    let (mut rest, mut at) = (slot, 0);
    for edge in inner_edges {
        let (piece, after) = rest.split_at(edge - at);
        pieces.push(piece);
        (rest, at) = (after, edge);
    }
    pieces.push(rest);
    pieces
}
