//! Where the integers of a packed block lie: shuffles and shifts that are computed at build time.

use crate::lanes::LANES;

/// For each integer the shift that brings it to bit 0 once `places` has moved its bytes.
pub(super) const fn shifts<const BITS: usize>() -> [i32; LANES] {
    let mut shifts = [0; LANES];
    let mut l = 0;
    while l < LANES {
        shifts[l] = ((l * BITS) % 8) as i32;
        l += 1;
    }
    shifts
}

/// Where the second eight integers are read from when a block is more than eight bytes: its last
/// eight, which hold all of them.
pub(super) const fn last_eight<const BITS: usize>() -> usize {
    if BITS > 4 { 2 * BITS - 8 } else { 0 }
}

/// For each integer the two bytes of a register that hold it, then two that give zero. The block
/// begins at byte 0; its last eight bytes, if they are read apart, lie at byte `second`.
pub(super) const fn places<const BITS: usize>(second: usize) -> [i8; 4 * LANES] {
    let mut places = [-1; 4 * LANES];
    let mut l = 0;
    while l < LANES {
        let byte = l * BITS / 8;
        let byte = if l < 8 { byte } else { byte - last_eight::<BITS>() + second };
        places[4 * l] = byte as i8;
        places[4 * l + 1] = byte as i8 + 1;
        l += 1;
    }
    places
}

/// The four bytes from `at` on.
#[inline(always)]
pub(super) fn word32(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(*bytes[at..].first_chunk().expect("a whole block is always passed"))
}

/// The eight bytes from `at` on.
#[inline(always)]
pub(super) fn word64(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(*bytes[at..].first_chunk().expect("a whole block is always passed"))
}
