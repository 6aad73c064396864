//! Reading memory and nothing else.

use crate::lanes::{LANES, Lanes};

/// Bytes of sixteen lanes.
const BLOCK: usize = 4 * LANES;
/// Blocks of one step, so that none waits for the one before it.
const WIDE: usize = 4;

/// The exclusive or of all words of 4 bytes. Adding random floats may cost more than reading them,
/// and of plain integers the compiler makes gathers, which are slower than memory.
#[inline(always)]
pub(crate) fn read<L: Lanes>(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (steps, last) = blocks.as_chunks::<WIDE>();
    let mut all = [L::splat(0.0); WIDE];
    for step in steps {
        for w in 0..WIDE {
            all[w] = all[w].xor(L::from_f32(&step[w]));
        }
    }
    for (all, block) in all.iter_mut().zip(last) {
        *all = all.xor(L::from_f32(block));
    }
    let mut lanes = [0.0; LANES];
    all[0].xor(all[1]).xor(all[2].xor(all[3])).write(&mut lanes);
    let rest = rest.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    lanes.into_iter().map(f32::to_bits).chain(rest).fold(0, |all, word| all ^ word)
}
