//! Rows of keys or values become f32, a piece of a cache at a time, with the bits of `KvType::read`.

use crate::KvType;
use crate::float::{F16, F32, Storage};
use crate::lanes::{LANES, Lanes};

/// Decodes rows of `dim` elements into rows of whole blocks, filled up with zeros.
#[inline(always)]
pub(super) fn decode<L: Lanes>(kind: KvType, rows: &[u8], dim: usize, out: &mut [f32]) {
    let stride = dim.next_multiple_of(LANES);
    for (row, out) in rows.chunks_exact(kind.row_bytes(dim)).zip(out.chunks_exact_mut(stride)) {
        match kind {
            KvType::F32 => plain::<L, F32>(row, out),
            KvType::F16 => plain::<L, F16>(row, out),
            KvType::Q8 => unreachable!("bytes are multiplied as integers"),
        }
    }
}

#[inline(always)]
fn plain<L: Lanes, S: Storage>(row: &[u8], out: &mut [f32]) {
    let block_bytes = LANES * S::BYTES;
    let blocks = row.chunks_exact(block_bytes);
    let rest = blocks.remainder();
    let mut out = out.chunks_exact_mut(LANES);
    for (block, out) in blocks.zip(&mut out) {
        S::lanes::<L>(block).write(out);
    }
    if let Some(out) = out.next() {
        let mut raw = [0; 4 * LANES];
        raw[..rest.len()].copy_from_slice(rest);
        S::lanes::<L>(&raw[..block_bytes]).write(out);
    }
}
