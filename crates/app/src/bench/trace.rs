//! Which experts a model chose, token by token, read from files that anybody may have written.

mod csv;
mod jsonl;

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use crate::fault::Fault;

/// A thousand tokens of the largest models have some 20 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;
const LINE_BYTES_MAX: u64 = 4 << 20;
const LAYERS_MAX: usize = 1024;
const EXPERTS_MAX: usize = 1 << 16;
const CHOSEN_MAX: usize = 1024;
/// Together with the file they were read from, some hundred megabytes.
const IDS_MAX: usize = 1 << 25;
const CHOICES_MAX: usize = 1 << 22;

const ACCEPTED: &str = "accepted: one JSON object a token with \"layers\", a list of expert ids \
                        for each layer, or CSV with the columns phase, step, layer, expert";

/// What a token was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Prefill,
    Decode,
}

/// The choices of every layer for every token, in order of the tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) layers: usize,
    /// All ids are below.
    pub(crate) experts: usize,
    /// Whether the file said how many experts there are; else it is the highest id and one.
    pub(crate) experts_known: bool,
    /// All choices one after the other, and where each ends.
    ids: Vec<u32>,
    ends: Vec<usize>,
    /// Of each token, if the file says it.
    phases: Vec<Option<Phase>>,
}

impl Trace {
    /// Without tokens.
    pub(crate) fn new(layers: usize, experts: usize) -> Self {
        Self { layers, experts, experts_known: true, ..Self::default() }
    }

    /// Adds a token: the ids of each of the trace's layers, none of which has one twice.
    pub(crate) fn push<'a>(
        &mut self,
        phase: Option<Phase>,
        layers: impl IntoIterator<Item = &'a [u32]>,
    ) {
        for ids in layers {
            self.ids.extend_from_slice(ids);
            self.ends.push(self.ids.len());
        }
        self.phases.push(phase);
    }

    pub(crate) fn tokens(&self) -> usize {
        self.phases.len()
    }

    /// What a layer chose for a token; empty if the file does not say it.
    pub(crate) fn choice(&self, token: usize, layer: usize) -> &[u32] {
        let n = token * self.layers + layer;
        let begin = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[begin..self.ends[n]]
    }

    /// The layers of a token, in order.
    pub(crate) fn token(&self, token: usize) -> impl Iterator<Item = &[u32]> {
        (0..self.layers).map(move |layer| self.choice(token, layer))
    }

    /// Every choice with its layer, in the order in which a walk makes them.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (usize, &[u32])> {
        (0..self.tokens()).flat_map(|token| self.token(token).enumerate())
    }

    /// The most experts that a layer chose for a token.
    pub(crate) fn chosen(&self) -> usize {
        self.steps().map(|(_, ids)| ids.len()).max().unwrap_or(0)
    }

    /// The most records that a token needs: below so many slots one that goes by age never hits.
    pub(crate) fn cycle(&self) -> usize {
        let records = |token| self.token(token).map(<[u32]>::len).sum();
        (0..self.tokens()).map(records).max().unwrap_or(0)
    }

    /// Experts of all layers.
    pub(crate) fn records(&self) -> usize {
        self.layers * self.experts
    }

    pub(crate) fn phase(&self, token: usize) -> Option<Phase> {
        self.phases[token]
    }

    pub(crate) fn has_phases(&self) -> bool {
        self.phases.iter().any(Option::is_some)
    }

    /// The tokens of one phase alone.
    pub(crate) fn only(&self, phase: Phase) -> Self {
        let mut kept =
            Self { experts_known: self.experts_known, ..Self::new(self.layers, self.experts) };
        for token in (0..self.tokens()).filter(|&token| self.phases[token] == Some(phase)) {
            kept.push(Some(phase), self.token(token));
        }
        kept
    }

    /// Reads a file of either form.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let failed = |why: String| Fault::failed(format!("{}: {why}", path.display()));
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let bytes = file.metadata().map_or(0, |found| found.len());
        if bytes > FILE_BYTES_MAX {
            return Err(failed(format!("{bytes} bytes; accepted: up to {FILE_BYTES_MAX}")));
        }
        // A file may grow while it is read.
        Self::read(BufReader::new(file.take(FILE_BYTES_MAX))).map_err(failed)
    }

    fn read(from: impl BufRead) -> Result<Self, String> {
        let mut lines = Lines { from, number: 0, line: Vec::new() };
        let trace = loop {
            match lines.next()? {
                None => return Err(format!("no routes in it; {ACCEPTED}")),
                Some("") => {}
                Some(line) if line.starts_with('{') => break jsonl::read(lines)?,
                Some(line) if line.starts_with('#') || line.contains(',') => {
                    break csv::read(lines)?;
                }
                Some(line) => {
                    let found = brief(line);
                    return Err(format!("line {}: found {found}; {ACCEPTED}", lines.number));
                }
            }
        };
        if trace.tokens() == 0 || trace.ids.is_empty() {
            return Err(format!("no routes in it; {ACCEPTED}"));
        }
        Ok(trace)
    }
}

/// The lines of a file, none of them endless.
struct Lines<R> {
    from: R,
    /// Of the line that was read last, from 1.
    number: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without spaces around it.
    fn next(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        let number = self.number + 1;
        let mut limited = (&mut self.from).take(LINE_BYTES_MAX + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        let bytes = read.map_err(|error| format!("line {number}: {error}"))?;
        if bytes as u64 > LINE_BYTES_MAX {
            return Err(format!("line {number}: too long; accepted: up to {LINE_BYTES_MAX} bytes"));
        }
        self.number = number;
        if bytes == 0 {
            return Ok(None);
        }
        self.again().map(Some)
    }

    /// The same line once more.
    fn again(&self) -> Result<&str, String> {
        let text = std::str::from_utf8(&self.line);
        text.map(str::trim).map_err(|_| format!("line {}: not UTF-8; {ACCEPTED}", self.number))
    }
}

/// Checks what one layer chose for one token.
fn check_choice(ids: &[u32], experts: Option<usize>) -> Result<(), String> {
    (0..ids.len()).try_for_each(|n| check_next(&ids[..n], ids[n], experts))
}

/// Checks one more expert of a layer for a token that has these.
fn check_next(before: &[u32], id: u32, experts: Option<usize>) -> Result<(), String> {
    let end = experts.unwrap_or(EXPERTS_MAX);
    if before.len() == CHOSEN_MAX {
        return Err(format!("more experts of a layer; accepted: up to {CHOSEN_MAX}"));
    }
    if id as usize >= end {
        return Err(format!("expert {id}; accepted: below {end}"));
    }
    if before.contains(&id) {
        return Err(format!("expert {id} twice in a layer; accepted: once"));
    }
    Ok(())
}

/// The beginning of what was found.
fn brief(text: &str) -> String {
    let mut found: String = text.chars().take(40).collect();
    if found.len() < text.len() {
        found.push('…');
    }
    format!("{found:?}")
}

#[cfg(test)]
mod tests;
