//! Rows of keys or values become f32, a piece of a cache at a time, with the bits of `KvType::read`.

use crate::KvType;
use crate::float::{F16, F32, Storage, bf16_to_f32};
use crate::kv::GROUP;
use crate::lanes::{LANES, Lanes};

/// Decodes rows of `dim` elements into rows of whole blocks, filled up with zeros.
#[inline(always)]
pub(super) fn decode<L: Lanes>(kind: KvType, rows: &[u8], dim: usize, out: &mut [f32]) {
    let stride = dim.next_multiple_of(LANES);
    for (row, out) in rows.chunks_exact(kind.row_bytes(dim)).zip(out.chunks_exact_mut(stride)) {
        match kind {
            KvType::F32 => plain::<L, F32>(row, out),
            KvType::F16 => plain::<L, F16>(row, out),
            KvType::Q8 => scaled::<L>(row, dim, out),
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

#[inline(always)]
fn scaled<L: Lanes>(row: &[u8], dim: usize, out: &mut [f32]) {
    let (bytes, scales) = row.split_at(dim);
    let (scales, _) = scales.as_chunks::<2>();
    let (groups, rest) = bytes.as_chunks::<GROUP>();
    let (whole, last) = out.split_at_mut(groups.len() * GROUP);
    for ((bytes, raw), out) in groups.iter().zip(scales).zip(whole.as_chunks_mut::<GROUP>().0) {
        let scale = L::splat(bf16_to_f32(u16::from_le_bytes(*raw)));
        let (first, second) = out.split_at_mut(LANES);
        let (blocks, _) = bytes.as_chunks::<LANES>();
        L::from_i8(&blocks[0]).mul(scale).write(first);
        L::from_i8(&blocks[1]).mul(scale).write(second);
    }
    if let Some(raw) = scales.get(groups.len()) {
        let scale = L::splat(bf16_to_f32(u16::from_le_bytes(*raw)));
        for (bytes, out) in rest.chunks(LANES).zip(last.chunks_exact_mut(LANES)) {
            let mut block = [0; LANES];
            block[..bytes.len()].copy_from_slice(bytes);
            L::from_i8(&block).mul(scale).write(out);
        }
        // The scale may be NaN.
        last[rest.len()..].fill(0.0);
    }
}
