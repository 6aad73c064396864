//! Which experts were chosen, written to a file token by token: what traces are made of.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{CpuModel, Tap};
use serde_json::{Value, json};

use crate::fault::Fault;

/// A file that grows by a line for each token that goes through the model.
pub(crate) struct Dump {
    path: PathBuf,
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    file: BufWriter<File>,
    layers: usize,
    experts: usize,
    chosen: usize,
    /// The routes of the pass so far, a layer after the other: experts and weights.
    pass: Vec<(Vec<u32>, Vec<f32>)>,
    /// The first write that failed.
    failed: Option<std::io::Error>,
}

impl Dump {
    /// A new file, for all that `model` does from now on.
    pub(crate) fn begin(model: &mut CpuModel, path: &Path) -> Result<Self, Fault> {
        let failed = |error| Fault::failed(format!("{}: {error}", path.display()));
        let config = model.config();
        let lines = Arc::new(Mutex::new(Lines {
            file: BufWriter::new(File::create(path).map_err(failed)?),
            layers: config.layers(),
            experts: config.experts,
            chosen: config.experts_per_token,
            pass: Vec::new(),
            failed: None,
        }));
        let heard = Arc::clone(&lines);
        model.listen(Some(Box::new(move |tap: Tap<'_>| {
            if let Tap::Routes { experts, weights, .. } = tap {
                lock(&heard).hear(experts, weights);
            }
        })));
        Ok(Self { path: path.to_owned(), lines })
    }

    /// What is left is written.
    pub(crate) fn end(self) -> Result<(), Fault> {
        let mut lines = lock(&self.lines);
        let flushed = lines.file.flush();
        lines.failed.take().map_or(flushed, Err).map_err(|error| {
            Fault::failed(format!("{}: cannot be written: {error}", self.path.display()))
        })
    }
}

impl Lines {
    /// The routes of the next layer, of all rows of a pass.
    fn hear(&mut self, experts: &[u32], weights: &[f32]) {
        self.pass.push((experts.to_vec(), weights.to_vec()));
        if self.pass.len() < self.layers {
            return;
        }
        let pass = std::mem::take(&mut self.pass);
        let rows = experts.len() / self.chosen;
        // A pass of one row is a step of decoding, or a prompt that has nothing else.
        let phase = if rows > 1 { "prefill" } else { "decode" };
        for row in 0..rows {
            let at = row * self.chosen..(row + 1) * self.chosen;
            let ids: Vec<&[u32]> = pass.iter().map(|(ids, _)| &ids[at.clone()]).collect();
            let weights: Vec<&[f32]> = pass.iter().map(|(_, w)| &w[at.clone()]).collect();
            let line: Value = json!({
                "phase": phase, "experts": self.experts, "layers": ids, "weights": weights,
            });
            if let Err(error) = writeln!(self.file, "{line}") {
                self.failed.get_or_insert(error);
            }
        }
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
