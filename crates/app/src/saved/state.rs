//! The model's state beside the text: written when it changed, used when it fits, otherwise done without.
//!
//! `state.snapshot`: `fmsaved1`, bytes of a JSON object (u32, little-endian), that object (the model,
//! the settings that prompts depend on, how many ids), SHA-256 of all that, then what
//! [`Session::snapshot`] wrote, with its own checksums, and nothing behind it.
//!
//! **Where to keep a state**: templates drop the reasoning of earlier turns, so the next turn departs
//! before the generation prompt of the present one. After the last answer of a turn call
//! [`Session::back_to`] with [`engine::Turn::checkpoint_at`] and keep that state: the next turn would
//! go back there anyway, and a resumed one can only go on from where the snapshot stands. Within a
//! long answer or between calls of tools keep the state where it is.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::{Forward, Session};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::open::Saved;
use super::shelf::{STATE, at};
use super::text::{ModelMark, Settings};
use super::whole;
use crate::fault::Fault;

const MAGIC: &[u8; 8] = b"fmsaved1";
/// System prompts can be long.
const HEAD_BYTES_MAX: usize = 16 << 20;
const SUM_BYTES: usize = 32;
const BUFFER_BYTES: usize = 1 << 20;

/// What keeping a state did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The snapshot on disk is of these very ids.
    Unchanged,
    Written {
        bytes: u64,
        took: Duration,
    },
}

/// What became of a snapshot.
pub(crate) enum Restored<F: Forward> {
    /// The session stands where the snapshot was made.
    Whole(Session<F>),
    /// There is none.
    Absent,
    /// Why it cannot be used, in one line: the text has to be read again.
    Unusable(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StateHead {
    model: ModelMark,
    system: Option<String>,
    think: Option<String>,
    tools: Vec<String>,
    ids: u64,
}

impl StateHead {
    fn of(model: &ModelMark, settings: &Settings, ids: usize) -> Self {
        Self {
            model: model.clone(),
            system: settings.system.clone(),
            think: settings.think.clone(),
            tools: settings.tools.clone(),
            ids: ids as u64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("texts and numbers are JSON");
        let mut bytes = MAGIC.to_vec();
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(json);
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    fn read(from: &mut dyn Read) -> Result<Self, String> {
        let mut bytes = vec![0; MAGIC.len() + 4];
        fill(from, &mut bytes)?;
        let (magic, length) = bytes.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(format!("begins with {magic:?}, accepted is {MAGIC:?}"));
        }
        let length = length.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
        if length > HEAD_BYTES_MAX {
            return Err(format!("a head of {length} bytes, accepted are {HEAD_BYTES_MAX}"));
        }
        let start = bytes.len();
        bytes.resize(start + length, 0);
        fill(from, &mut bytes[start..])?;
        let mut sum = [0; SUM_BYTES];
        fill(from, &mut sum)?;
        if Sha256::digest(&bytes).as_slice() != sum {
            return Err("its head does not fit its checksum".to_owned());
        }
        serde_json::from_slice(&bytes[start..]).map_err(|error| format!("its head: {error}"))
    }

    /// Why a snapshot with this head is of no use to a session that wants `wanted`.
    fn differs(&self, wanted: &Self) -> Option<String> {
        if self.model.fingerprint != wanted.model.fingerprint {
            let (found, here) = (&self.model.name, &wanted.model.name);
            return Some(format!(
                "it is of the model {found:?} with other weights or arithmetic than {here:?} now"
            ));
        }
        let different = |what: &str| Some(format!("the {what} changed since"));
        match () {
            () if self.system != wanted.system => different("system prompt"),
            () if self.tools != wanted.tools => different("list of tools"),
            () if self.think != wanted.think => different("setting of reasoning"),
            () => None,
        }
    }
}

impl Saved {
    /// Writes the state beside the text, unless the one that lies there is of the same ids.
    ///
    /// The old snapshot stays until the new one is safe, so the disk needs room for both.
    ///
    /// # Errors
    /// Those of the disk, and a session that lost its sequence.
    pub(crate) fn keep_state<F: Forward>(
        &mut self,
        session: &Session<F>,
        forward: &F,
    ) -> Result<Kept, Fault> {
        let head = &self.transcript.head;
        let mut head = StateHead::of(&head.model, &head.settings, session.position());
        head.model.fingerprint = hex(&forward.facts().fingerprint);
        let mark = mark(&head, session.ids());
        if self.state_mark == Some(mark) {
            return Ok(Kept::Unchanged);
        }
        let (begun, path) = (Instant::now(), self.state_path());
        // Whatever happens now, what lies there is no longer known.
        self.state_mark = None;
        let write = |out: &mut dyn Write| {
            out.write_all(&head.bytes())?;
            session.snapshot(forward, out)
        };
        let bytes = whole::write(&path, write).map_err(|error| at(&path, &error))?;
        self.state_mark = Some(mark);
        self.state_bytes_written += bytes;
        Ok(Kept::Written { bytes, took: begun.elapsed() })
    }

    /// Brings the state back as the head of this session wants it (see [`Saved::set`]); the session
    /// has room for `capacity` ids. It says which ids it holds: [`Session::ids`].
    pub(crate) fn restore_state<F: Forward>(
        &mut self,
        forward: &F,
        capacity: usize,
        checkpoints_max: usize,
    ) -> Restored<F> {
        let file = match File::open(self.state_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Restored::Absent,
            Err(error) => return Restored::Unusable(error.to_string()),
            Ok(file) => file,
        };
        match self.read_state(file, forward, capacity, checkpoints_max) {
            Ok(session) => Restored::Whole(session),
            Err(why) => Restored::Unusable(why),
        }
    }

    fn read_state<F: Forward>(
        &mut self,
        file: File,
        forward: &F,
        capacity: usize,
        checkpoints_max: usize,
    ) -> Result<Session<F>, String> {
        let mut from = BufReader::with_capacity(BUFFER_BYTES, file);
        let found = StateHead::read(&mut from)?;
        let head = &self.transcript.head;
        let mut wanted = StateHead::of(&head.model, &head.settings, 0);
        wanted.model.fingerprint = hex(&forward.facts().fingerprint);
        if let Some(why) = found.differs(&wanted) {
            return Err(why);
        }
        let session = Session::restore(forward, &mut from, capacity, checkpoints_max)
            .map_err(|error| error.to_string())?;
        if session.position() as u64 != found.ids {
            let (told, held) = (found.ids, session.position());
            return Err(format!("its head tells of {told} tokens, it holds {held}"));
        }
        if from.read(&mut [0]).map_err(|error| error.to_string())? != 0 {
            return Err("there is more behind its end".to_owned());
        }
        self.state_mark = Some(mark(&found, session.ids()));
        Ok(session)
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join(STATE)
    }
}

/// Bytes as they are written in texts.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mark(head: &StateHead, ids: &[u32]) -> [u8; 32] {
    let mut sum = Sha256::new_with_prefix(head.bytes());
    ids.iter().for_each(|id| sum.update(id.to_le_bytes()));
    sum.finalize().into()
}

fn fill(from: &mut dyn Read, into: &mut [u8]) -> Result<(), String> {
    from.read_exact(into).map_err(|error| format!("its head cannot be read: {error}"))
}
