//! Sequences as bytes: a header that says whose they are, the arrays, and a checksum over all of it.

use std::io::{self, Read, Write};

use engine::ForwardError;
use kernels::Precision;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::state::{CUT_MAX, LayerState, Sequence};

const MAGIC: &[u8; 8] = b"fmoe-seq";
const VERSION: u32 = 1;
/// Floats that are turned into bytes at a time.
const BLOCK_FLOATS: usize = 4096;

/// Writes a sequence. Little-endian: magic, version, precision, fingerprint of the model,
/// position, pending ids, ids of the last step, then every layer's arrays in order (keys and
/// values up to the position only), then SHA-256 of all of that.
pub(crate) fn write(
    config: &Config,
    precision: Precision,
    fingerprint: &[u8; 32],
    sequence: &Sequence,
    out: &mut dyn Write,
) -> io::Result<()> {
    if sequence.poisoned {
        return Err(io::Error::other(ForwardError::Poisoned));
    }
    let mut out = Summed { out, sum: Sha256::new() };
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&code(precision).to_le_bytes())?;
    out.write_all(fingerprint)?;
    for count in [sequence.position, sequence.pending, sequence.last_step] {
        out.write_all(&(count as u64).to_le_bytes())?;
    }
    let used = sequence.position * config.head_dim;
    for layer in &sequence.layers {
        match layer {
            LayerState::Full(cache) => {
                for array in [&cache.keys, &cache.values] {
                    for head in array.chunks_exact((sequence.capacity * config.head_dim).max(1)) {
                        write_floats(&mut out, &head[..used])?;
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
    config: &Config,
    precision: Precision,
    fingerprint: &[u8; 32],
    mut sequence: Sequence,
    from: &mut dyn Read,
) -> Result<Sequence, ForwardError> {
    let mut from = Summing { from, sum: Sha256::new() };
    let mut head = [0; 48];
    from.take(&mut head)?;
    if &head[..8] != MAGIC {
        return refuse("it does not begin as a snapshot does");
    }
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(8) != VERSION {
        return refuse(format!("version {}, accepted is {VERSION}", number(8)));
    }
    if number(12) != code(precision) {
        let (found, accepted) = (named(number(12)), named(code(precision)));
        return refuse(format!("precision {found}, this model runs in {accepted}"));
    }
    if &head[16..] != fingerprint {
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
    let (capacity, used) = (sequence.capacity, position * config.head_dim);
    for layer in &mut sequence.layers {
        match layer {
            LayerState::Full(cache) => {
                for array in [&mut cache.keys, &mut cache.values] {
                    for head in array.chunks_exact_mut((capacity * config.head_dim).max(1)) {
                        from.floats(&mut head[..used])?;
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

/// How a precision is written.
fn code(precision: Precision) -> u32 {
    match precision {
        Precision::Exact => 0,
        Precision::Fast => 1,
    }
}

fn named(code: u32) -> String {
    match code {
        0 => "exact".to_owned(),
        1 => "fast".to_owned(),
        unknown => format!("{unknown} (unknown)"),
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
