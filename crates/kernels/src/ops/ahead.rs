//! Bytes that will be read next are announced a few at a time while others are worked on, so that memory never rests.

use crate::lanes::Lanes;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Where in memory the announcements stand.
pub(crate) struct Ahead {
    at: *const u8,
    left: usize,
}

impl Ahead {
    pub(super) fn new(bytes: &[u8]) -> Ahead {
        Ahead { at: bytes.as_ptr(), left: bytes.len() }
    }

    /// From `distance` bytes behind the beginning of `bytes` on, wherever that is.
    #[inline(always)]
    pub(super) fn from(bytes: &[u8], distance: usize) -> Ahead {
        Ahead { at: bytes.as_ptr().wrapping_add(distance), left: 0 }
    }

    /// Announces the next `bytes`, as far as there are any.
    #[inline(always)]
    pub(super) fn announce<L: Lanes>(&mut self, bytes: usize) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.go_on::<L>(bytes);
    }

    /// Announces the next `bytes`, about so many and at least one line, without a look at where
    /// the end is: to announce what will not be read costs little.
    #[inline(always)]
    pub(super) fn go_on<L: Lanes>(&mut self, bytes: usize) {
        for line in 0..(bytes / LINE).max(1) {
            L::announce(self.at.wrapping_add(line * LINE));
        }
        self.at = self.at.wrapping_add(bytes);
    }

    /// Announces one line and goes on by `bytes`, which are about a line or less: this has no loop
    /// that would stand between multiplications.
    #[inline(always)]
    pub(super) fn line<L: Lanes>(&mut self, bytes: usize) {
        L::announce(self.at);
        self.at = self.at.wrapping_add(bytes);
    }
}
