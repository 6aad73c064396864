//! Reading memory and nothing else.

use crate::lanes::Lanes;

/// Words of one step: several registers, so that no sum waits for the one before it.
const WORDS: usize = 32;

/// The sum of the words of 8 bytes. Integers, because adding random floats may cost more than
/// reading them; compiled with the table's features, so in its registers.
#[inline(always)]
pub(crate) fn read<L: Lanes>(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    let (blocks, rest) = words.as_chunks::<WORDS>();
    let mut sums = [0_u64; WORDS];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    let rest = rest.iter().map(|word| u64::from_le_bytes(*word));
    sums.into_iter().chain(rest).fold(0, u64::wrapping_add)
}
