//! Sequences as bytes: a header that says whose they are, the arrays, and a checksum over all of it.

use std::io::{self, Read, Write};

use engine::ForwardError;
use kernels::{KvType, Precision};
use sha2::{Digest, Sha256};

use crate::state::{CUT_MAX, LayerState, Sequence};

const MAGIC: &[u8; 8] = b"fmoe-seq";
const VERSION: u32 = 2;
/// Precisions, each at its number.
const PRECISIONS: [Precision; 2] = [Precision::Exact, Precision::Fast];
/// Types of keys and values, each at its number.
const KV_TYPES: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Q8];
/// Bytes before the counts.
const HEAD_BYTES: usize = 52;
/// Floats that are turned into bytes at a time.
const BLOCK_FLOATS: usize = 4096;

/// The model that a sequence is of.
pub(crate) struct Origin<'a> {
    pub(crate) fingerprint: &'a [u8; 32],
    pub(crate) precision: Precision,
    /// The type of keys and values, and how many elements each has.
    pub(crate) kv: KvType,
    pub(crate) head_dim: usize,
}

/// Writes a sequence. Little-endian: magic, version, precision, type of keys and values,
/// fingerprint of the model, position, pending ids, ids of the last step, then every layer's arrays in order (keys and
/// values up to the position only), then SHA-256 of all of that.
pub(crate) fn write(
    origin: &Origin<'_>,
    sequence: &Sequence,
    out: &mut dyn Write,
) -> io::Result<()> {
    if sequence.poisoned {
        return Err(io::Error::other(ForwardError::Poisoned));
    }
    let mut out = Summed { out, sum: Sha256::new() };
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&number_of(&PRECISIONS, origin.precision).to_le_bytes())?;
    out.write_all(&number_of(&KV_TYPES, origin.kv).to_le_bytes())?;
    out.write_all(origin.fingerprint)?;
    for count in [sequence.position, sequence.pending, sequence.last_step] {
        out.write_all(&(count as u64).to_le_bytes())?;
    }
    let row_bytes = origin.kv.row_bytes(origin.head_dim);
    for layer in &sequence.layers {
        match layer {
            LayerState::Full(cache) => {
                for array in [&cache.keys, &cache.values] {
                    for head in array.chunks_exact((sequence.capacity * row_bytes).max(1)) {
                        out.write_all(&head[..sequence.position * row_bytes])?;
                    }
                }
            }
            LayerState::Linear(state) => {
                for array in state.arrays() {
                    write_floats(&mut out, array)?;
                }
            }
        }
    }
    let sum = out.sum.clone().finalize();
    out.out.write_all(&sum)
}

/// Reads what [`write()`] wrote into an empty sequence.
pub(crate) fn read(
    origin: &Origin<'_>,
    mut sequence: Sequence,
    from: &mut dyn Read,
) -> Result<Sequence, ForwardError> {
    let mut from = Summing { from, sum: Sha256::new() };
    let mut head = [0; HEAD_BYTES];
    from.take(&mut head)?;
    if &head[..8] != MAGIC {
        return refuse("it does not begin as a snapshot does");
    }
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(8) != VERSION {
        return refuse(format!("version {}, accepted is {VERSION}", number(8)));
    }
    if number(12) != number_of(&PRECISIONS, origin.precision) {
        let found = usize::try_from(number(12)).ok().and_then(|n| PRECISIONS.get(n));
        let found = found.map_or_else(|| number(12).to_string(), Precision::to_string);
        return refuse(format!("precision {found}, accepted is {}", origin.precision));
    }
    check_kv(number(16), origin.kv)?;
    if &head[20..] != origin.fingerprint {
        return refuse("it was made by another model, or by the same with other settings");
    }
    let position = from.count()?;
    let (pending, last_step) = (from.count()?, from.count()?);
    if position > sequence.capacity {
        return Err(ForwardError::Context { wanted: position, capacity: sequence.capacity });
    }
    if pending > CUT_MAX.min(position) || last_step > position {
        return refuse(format!("{pending} pending ids and a step of {last_step} in {position}"));
    }
    let (capacity, row_bytes) = (sequence.capacity, origin.kv.row_bytes(origin.head_dim));
    for layer in &mut sequence.layers {
        match layer {
            LayerState::Full(cache) => {
                for array in [&mut cache.keys, &mut cache.values] {
                    for head in array.chunks_exact_mut((capacity * row_bytes).max(1)) {
                        from.take(&mut head[..position * row_bytes])?;
                    }
                }
            }
            LayerState::Linear(state) => {
                for array in state.arrays_mut() {
                    from.floats(array)?;
                }
            }
        }
    }
    let sum = from.sum.clone().finalize();
    let mut found = [0; 32];
    from.take(&mut found)?;
    if found[..] != sum[..] {
        return refuse("its checksum is wrong: it is damaged");
    }
    (sequence.position, sequence.pending, sequence.last_step) = (position, pending, last_step);
    Ok(sequence)
}

/// Which number stands for one of `all`.
fn number_of<T: PartialEq>(all: &[T], one: T) -> u32 {
    let at = all.iter().position(|other| *other == one).expect("every one has a number");
    u32::try_from(at).expect("there are few")
}

fn check_kv(found: u32, kept: KvType) -> Result<(), ForwardError> {
    let named = usize::try_from(found).ok().and_then(|found| KV_TYPES.get(found));
    match named {
        Some(found) if *found == kept => Ok(()),
        Some(found) => refuse(format!("its keys and values are {found}, accepted is {kept}")),
        None => refuse(format!("keys and values of type {found}, accepted is {kept}")),
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, ForwardError> {
    Err(ForwardError::Snapshot(why.into()))
}

/// A writer that sums what goes through.
struct Summed<'a> {
    out: &'a mut dyn Write,
    sum: Sha256,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_floats(out: &mut Summed<'_>, floats: &[f32]) -> io::Result<()> {
    for block in floats.chunks(BLOCK_FLOATS) {
        let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// A reader that sums what comes through.
struct Summing<'a> {
    from: &'a mut dyn Read,
    sum: Sha256,
}

impl Summing<'_> {
    fn take(&mut self, into: &mut [u8]) -> Result<(), ForwardError> {
        let read = self.from.read_exact(into);
        read.map_err(|error| ForwardError::Snapshot(format!("it cannot be read: {error}")))?;
        self.sum.update(into);
        Ok(())
    }

    fn count(&mut self) -> Result<usize, ForwardError> {
        let mut bytes = [0; 8];
        self.take(&mut bytes)?;
        let count = u64::from_le_bytes(bytes);
        usize::try_from(count).or_else(|_| refuse(format!("a count of {count}")))
    }

    fn floats(&mut self, into: &mut [f32]) -> Result<(), ForwardError> {
        let mut bytes = vec![0; 4 * BLOCK_FLOATS.min(into.len())];
        for block in into.chunks_mut(BLOCK_FLOATS) {
            let bytes = &mut bytes[..4 * block.len()];
            self.take(bytes)?;
            for (value, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }
}
