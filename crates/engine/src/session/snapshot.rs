//! A session on disk: its ids and its last logits in front of the model's own snapshot.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::Session;
use crate::forward::{Forward, ForwardError};

/// Says what the file is, and its version.
const MAGIC: &[u8; 8] = b"fmturns1";

impl<F: Forward> Session<F> {
    /// Writes the session so that [`Session::restore`] brings it back bit for bit; checkpoints are
    /// left out.
    ///
    /// Little-endian: `fmturns1`, number of ids (u64), of logits (u64, 0 when they are not at
    /// hand), ids (u32), logits (f32), SHA-256 of all that, then the model's own snapshot.
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::InvalidData`] for a session that lost its sequence.
    pub fn snapshot(&self, forward: &F, out: &mut dyn Write) -> io::Result<()> {
        let Some(sequence) = &self.sequence else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, ForwardError::Poisoned));
        };
        let row = self.logits().unwrap_or_default();
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&(self.ids.len() as u64).to_le_bytes());
        head.extend_from_slice(&(row.len() as u64).to_le_bytes());
        head.extend(self.ids.iter().flat_map(|id| id.to_le_bytes()));
        head.extend(row.iter().flat_map(|logit| logit.to_le_bytes()));
        out.write_all(&head)?;
        out.write_all(&Sha256::digest(&head))?;
        forward.snapshot(sequence, out)
    }

    /// Reads a snapshot into a session with room for `capacity` ids. It begins with one checkpoint,
    /// where it stands.
    ///
    /// # Errors
    /// [`ForwardError::Snapshot`] when it is damaged or of another model, and
    /// [`ForwardError::Context`] when it holds more than `capacity` ids.
    pub fn restore(
        forward: &F,
        from: &mut dyn Read,
        capacity: usize,
        checkpoints_max: usize,
    ) -> Result<Self, ForwardError> {
        let (ids, row) = read_head(from, forward.facts().vocabulary, capacity)?;
        let sequence = forward.restore(from, capacity)?;
        let (found, told) = (forward.position(&sequence), ids.len());
        if found != told {
            return Err(refused(format!("the state holds {found} tokens, its list has {told}")));
        }
        let point = forward.checkpoint(&sequence)?;
        let (empty, mut checkpoints) =
            if ids.is_empty() { (Some(point), Vec::new()) } else { (None, vec![point]) };
        checkpoints.truncate(checkpoints_max);
        Ok(Self {
            sequence: Some(sequence),
            capacity,
            ids,
            empty,
            checkpoints,
            checkpoints_max,
            row_holds: !row.is_empty(),
            row,
        })
    }
}

fn refused(why: impl Into<String>) -> ForwardError {
    ForwardError::Snapshot(why.into())
}

/// The ids and the logits, after all that they say of themselves was checked.
fn read_head(
    from: &mut dyn Read,
    vocabulary: usize,
    capacity: usize,
) -> Result<(Vec<u32>, Vec<f32>), ForwardError> {
    let mut head = vec![0; 24];
    fill(from, &mut head, "its head")?;
    let (magic, counts) = head.split_at(8);
    if magic != MAGIC {
        return Err(refused(format!("begins with {magic:?}, accepted is {MAGIC:?}")));
    }
    let (ids, logits) = (count(&counts[..8]), count(&counts[8..]));
    if ids > capacity as u64 {
        let wanted = usize::try_from(ids).unwrap_or(usize::MAX);
        return Err(ForwardError::Context { wanted, capacity });
    }
    if logits != 0 && logits != vocabulary as u64 {
        return Err(refused(format!("{logits} logits, the model has {vocabulary}")));
    }
    // Both counts are bounded by what the model has.
    let (ids, logits) = (ids as usize, logits as usize);
    head.resize(24 + 4 * (ids + logits), 0);
    fill(from, &mut head[24..], "its tokens and logits")?;
    let mut sum = [0; 32];
    fill(from, &mut sum, "the checksum of its tokens")?;
    if Sha256::digest(&head).as_slice() != sum {
        return Err(refused("its tokens and logits do not fit their checksum"));
    }
    let (ids, row) = head[24..].split_at(4 * ids);
    let ids: Vec<u32> = words(ids).map(u32::from_le_bytes).collect();
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
        return Err(refused(format!("token id {id}, the vocabulary has {vocabulary}")));
    }
    Ok((ids, words(row).map(f32::from_le_bytes).collect()))
}

fn fill(from: &mut dyn Read, into: &mut [u8], what: &str) -> Result<(), ForwardError> {
    from.read_exact(into).map_err(|error| refused(format!("{what} cannot be read: {error}")))
}

fn count(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.as_chunks::<4>().0.iter().copied()
}
