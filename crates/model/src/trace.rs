//! `eval logits`: a pass over given ids with everything that an oracle compares, written as safetensors while it is computed.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Control, Forward, ForwardError, Step, Want};
use serde_json::{Map, json};

use crate::loaded::CpuModel;
use crate::tap::Tap;

/// Rows of logits that exist at the same time.
const ROWS: usize = 4;
/// Values that are turned into bytes at a time.
const BLOCK: usize = 16 << 10;

/// Why a trace was not written.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{}: cannot be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },

    #[error("there are no ids: at least one is needed")]
    NoIds,

    #[error(transparent)]
    Forward(#[from] ForwardError),
}

/// Runs `ids` through a new sequence, then `decode` greedy steps (ends of turns ignored), and
/// writes f32 `logits [T, V]`, f32 `hidden.layer{i} [T, H]`, i32 `layer{i}.router_index [T, K]`
/// and, with `decode`, i32 `decode.ids [N]`. The file appears only when it is whole.
///
/// # Errors
/// A file that cannot be written, ids that do not fit, and what stops a pass.
pub fn write_logits(
    model: &mut CpuModel,
    ids: &[u32],
    decode: usize,
    out: &Path,
    control: &Control<'_>,
) -> Result<(), TraceError> {
    if ids.is_empty() {
        return Err(TraceError::NoIds);
    }
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let failed = |error| TraceError::Write { path: partial.clone(), error };
    let file = TraceFile::create(model, ids.len(), decode, &partial).map_err(failed)?;
    let file = Arc::new(Mutex::new(file));
    let written = fill(model, ids, decode, &file, control);
    let finished = written.and_then(|()| lock(&file).finish().map_err(failed));
    if let Err(error) = finished {
        // What is half written helps nobody.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, out)
        .map_err(|error| TraceError::Write { path: out.to_path_buf(), error })
}

fn fill(
    model: &mut CpuModel,
    ids: &[u32],
    decode: usize,
    file: &Arc<Mutex<TraceFile>>,
    control: &Control<'_>,
) -> Result<(), TraceError> {
    let mut sequence = model.sequence(ids.len() + decode.saturating_sub(1))?;
    let listener = Arc::clone(file);
    let before = model.listen(Some(Box::new(move |tap: Tap<'_>| lock(&listener).hear(tap))));
    let mut pass = |model: &mut CpuModel, ids: &[u32]| -> Result<Vec<f32>, ForwardError> {
        let step = Step { sequence: &mut sequence, tokens: ids, logits: Want::None, hidden: false };
        model.forward(&mut [step], control)?;
        Ok(logits(model, ids.len(), file))
    };
    let mut run = || -> Result<(), ForwardError> {
        let mut last = Vec::new();
        for ids in ids.chunks(model.chunk) {
            last = pass(model, ids)?;
        }
        for n in 0..decode {
            let id = greedy(&last);
            lock(file).ids("decode.ids", n, &[id]);
            if n + 1 < decode {
                last = pass(model, &[id])?;
            }
        }
        Ok(())
    };
    let ran = run();
    model.listen(before);
    Ok(ran?)
}

/// Multiplies the rows that a pass left in the scratch, a few at a time: the logits of all of them
/// together could be larger than the plan. Returns the last one.
fn logits(model: &CpuModel, rows: usize, file: &Arc<Mutex<TraceFile>>) -> Vec<f32> {
    let (hidden, vocabulary) = (model.facts.hidden, model.facts.vocabulary);
    let normed = model.scratch.as_ref().map_or(&[][..], |scratch| &scratch.normed);
    let head = model.weights.matrix(&model.head);
    let mut logits = vec![0.0; ROWS.min(rows) * vocabulary];
    for rows in normed[..rows * hidden].chunks(ROWS * hidden) {
        let count = rows.len() / hidden;
        logits.truncate(count * vocabulary);
        model.cpu.matmul(&head, rows, &mut logits);
        let mut file = lock(file);
        file.floats("logits", &logits);
        file.row += count;
    }
    logits.split_off(logits.len() - vocabulary)
}

/// The likeliest id, the lowest on a tie.
fn greedy(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0
}

fn lock(file: &Arc<Mutex<TraceFile>>) -> std::sync::MutexGuard<'_, TraceFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A safetensors file whose tensors are filled row by row.
struct TraceFile {
    file: File,
    /// Name, where its data begins, bytes of one row.
    tensors: Vec<(String, u64, u64)>,
    /// The next row of the ids.
    row: usize,
    rows: usize,
    /// The first write that failed.
    error: Option<io::Error>,
}

impl TraceFile {
    fn create(model: &CpuModel, rows: usize, decode: usize, path: &Path) -> io::Result<TraceFile> {
        let config = model.config();
        let mut shapes = vec![("logits".to_owned(), "F32", rows, config.vocab_size)];
        for layer in 0..config.layers() {
            shapes.push((format!("hidden.layer{layer}"), "F32", rows, config.hidden_size));
            let chosen = config.experts_per_token;
            shapes.push((format!("layer{layer}.router_index"), "I32", rows, chosen));
        }
        let mut header = Map::new();
        let (mut at, mut tensors) = (0, Vec::new());
        for (name, dtype, rows, width) in shapes {
            let (begin, row_bytes) = (at, 4 * width as u64);
            at += row_bytes * rows as u64;
            let entry =
                json!({"dtype": dtype, "shape": [rows, width], "data_offsets": [begin, at]});
            header.insert(name.clone(), entry);
            tensors.push((name, begin, row_bytes));
        }
        if decode > 0 {
            let (begin, end) = (at, at + 4 * decode as u64);
            let entry = json!({"dtype": "I32", "shape": [decode], "data_offsets": [begin, end]});
            header.insert("decode.ids".to_owned(), entry);
            tensors.push(("decode.ids".to_owned(), begin, 4));
            at = end;
        }
        let mut header = serde_json::Value::Object(header).to_string();
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let data = 8 + header.len() as u64;
        tensors.iter_mut().for_each(|(_, begin, _)| *begin += data);
        let mut file = File::create(path)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        file.set_len(data + at)?;
        Ok(TraceFile { file, tensors, row: 0, rows, error: None })
    }

    /// Values of the walk, for the rows from the next one on.
    fn hear(&mut self, tap: Tap<'_>) {
        match tap {
            Tap::Hidden { layer, values } => self.floats(&format!("hidden.layer{layer}"), values),
            Tap::Routes { layer, experts, .. } => {
                self.ids(&format!("layer{layer}.router_index"), self.row, experts);
            }
            _ => {}
        }
    }

    fn floats(&mut self, name: &str, values: &[f32]) {
        self.put(name, self.row, values, |value| value.to_le_bytes());
    }

    fn ids(&mut self, name: &str, row: usize, ids: &[u32]) {
        // Ids and experts are bounded far below 2^31: the bits are those of an i32.
        self.put(name, row, ids, |id| id.to_le_bytes());
    }

    /// Writes rows of a tensor, from `row` on. The first error is kept for the end.
    fn put<T: Copy>(&mut self, name: &str, row: usize, values: &[T], raw: fn(T) -> [u8; 4]) {
        let Some((_, begin, row_bytes)) = self.tensors.iter().find(|(known, ..)| known == name)
        else {
            return;
        };
        // Steps of decoding are computed like ids, but only which ids they were is kept.
        if self.row >= self.rows && name != "decode.ids" {
            return;
        }
        let at = SeekFrom::Start(begin + row_bytes * row as u64);
        let mut write = || -> io::Result<()> {
            self.file.seek(at)?;
            for block in values.chunks(BLOCK) {
                let bytes: Vec<u8> = block.iter().flat_map(|value| raw(*value)).collect();
                self.file.write_all(&bytes)?;
            }
            Ok(())
        };
        if let Err(error) = write() {
            self.error.get_or_insert(error);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::greedy;

    #[test]
    fn the_lowest_id_wins_a_tie() {
        assert_eq!(greedy(&[1.0, 3.0, 3.0]), 1, "tie");
        assert_eq!(greedy(&[-1.0]), 0, "one");
    }
}
