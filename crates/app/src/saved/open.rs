//! One session that this process writes: appended to as the answer grows, rewritten whole where anything else changes.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::shelf::{Shelf, TEXT, at, is_name};
use super::text::{
    Head, Message, ModelMark, Partial, Piece, Settings, Transcript, message_line, piece_line,
};
use super::whole;
use crate::fault::Fault;

/// Pieces are safe from a kill at once; from a power cut after this long.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// A session that this process has open, and no other.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(super) folder: PathBuf,
    name: String,
    /// Held as long as this lives.
    _lock: File,
    file: File,
    pub(super) transcript: Transcript,
    synced: Instant,
    /// A line may have been written in part: the file has to be made anew.
    torn: bool,
    text_bytes_written: u64,
    pub(super) state_bytes_written: u64,
    /// What the snapshot on disk is of, once that is known.
    pub(super) state_mark: Option<[u8; 32]>,
}

/// Takes the lock of a session's folder.
pub(super) fn lock(folder: &Path, name: &str) -> Result<File, Fault> {
    let path = folder.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| at(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Fault::failed(format!("session {name}: another flash-moe has it open")))
        }
        Err(TryLockError::Error(error)) => Err(at(&path, &error)),
    }
}

impl Saved {
    /// Goes on with what was read. What could not be read is set aside in a file beside.
    pub(super) fn open(
        folder: PathBuf,
        name: String,
        lock: File,
        mut transcript: Transcript,
    ) -> Result<(Self, Option<String>), Fault> {
        let path = folder.join(TEXT);
        let note = match transcript.note.take() {
            Some(note) => {
                let aside = folder.join("session.damaged");
                fs::copy(&path, &aside).map_err(|error| at(&aside, &error))?;
                let bytes = transcript.bytes();
                let written = whole::write(&path, |out| out.write_all(&bytes));
                written.map_err(|error| at(&path, &error))?;
                Some(format!("{}: {note}; the file as it was: {}", path.display(), aside.display()))
            }
            None => None,
        };
        let file = append(&path)?;
        let saved = Self {
            folder,
            name,
            _lock: lock,
            file,
            transcript,
            synced: Instant::now(),
            torn: false,
            text_bytes_written: 0,
            state_bytes_written: 0,
            state_mark: None,
        };
        Ok((saved, note))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn head(&self) -> &Head {
        &self.transcript.head
    }

    pub(crate) fn messages(&self) -> &[Message] {
        &self.transcript.messages
    }

    /// The answer that was cut off, or is growing.
    pub(crate) fn partial(&self) -> Option<&Partial> {
        self.transcript.partial.as_ref()
    }

    /// Bytes of text and of snapshots that this process wrote.
    pub(crate) fn bytes_written(&self) -> (u64, u64) {
        (self.text_bytes_written, self.state_bytes_written)
    }

    /// Adds a whole message; an answer that was growing is given up for it. It is on the disk when
    /// this returns.
    ///
    /// # Errors
    /// Those of the disk; the message counts as added all the same.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Fault> {
        let grown = self.transcript.partial.take().is_some();
        self.transcript.messages.push(message);
        if self.transcript.name_by_first_message() || grown || self.torn {
            return self.rewrite();
        }
        let line = self.transcript.messages.last().map(message_line).unwrap_or_default();
        self.append(&line)?;
        self.sync()
    }

    /// Adds to the answer that grows. It survives the end of this process when this returns.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn grow(&mut self, piece: &Piece) -> Result<(), Fault> {
        if self.torn {
            self.rewrite()?;
        }
        self.append(&piece_line(piece))?;
        self.transcript.partial.get_or_insert_default().add(piece.clone());
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Keeps the first `count` messages alone, without an answer that was growing.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn truncate(&mut self, count: usize) -> Result<(), Fault> {
        if count >= self.transcript.messages.len() && self.transcript.partial.is_none() {
            return Ok(());
        }
        self.transcript.messages.truncate(count);
        self.transcript.partial = None;
        self.rewrite()
    }

    /// Changes what the first line says, where it says something else.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn set(&mut self, model: &ModelMark, settings: &Settings) -> Result<(), Fault> {
        let head = &mut self.transcript.head;
        if head.model == *model && head.settings == *settings {
            return Ok(());
        }
        head.model.clone_from(model);
        head.settings.clone_from(settings);
        self.rewrite()
    }

    /// Gives the session another title.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn entitle(&mut self, title: &str) -> Result<(), Fault> {
        title.clone_into(&mut self.transcript.head.title);
        self.rewrite()
    }

    /// Gives the session another name on its shelf.
    ///
    /// # Errors
    /// A name that is taken or cannot be one, and those of the disk.
    pub(crate) fn rename(&mut self, shelf: &Shelf, name: &str) -> Result<(), Fault> {
        if name == self.name {
            return Ok(());
        }
        if !is_name(name) {
            return Err(Fault::failed(format!(
                "{name:?}: no name for a session; accepted: up to 64 letters, digits, - _ and ."
            )));
        }
        let folder = shelf.directory().join(name);
        if folder.exists() {
            return Err(Fault::failed(format!("{}: is there already", folder.display())));
        }
        let renamed = fs::rename(&self.folder, &folder);
        renamed
            .and_then(|()| whole::sync_directory(shelf.directory()))
            .map_err(|e| at(&folder, &e))?;
        self.folder = folder;
        name.clone_into(&mut self.name);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.folder.join(TEXT)
    }

    /// The whole text anew: what was there stays until the new one is safe.
    fn rewrite(&mut self) -> Result<(), Fault> {
        let (path, bytes) = (self.path(), self.transcript.bytes());
        let written = whole::write(&path, |out| out.write_all(&bytes));
        self.text_bytes_written += written.map_err(|error| at(&path, &error))?;
        self.file = append(&path)?;
        self.synced = Instant::now();
        self.torn = false;
        Ok(())
    }

    /// In one write: a kill falls before or after it.
    fn append(&mut self, line: &[u8]) -> Result<(), Fault> {
        let written = self.file.write_all(line);
        self.torn = written.is_err();
        written.map_err(|error| at(&self.path(), &error))?;
        self.text_bytes_written += line.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.file.sync_data().map_err(|error| at(&self.path(), &error))?;
        self.synced = Instant::now();
        Ok(())
    }
}

fn append(path: &Path) -> Result<File, Fault> {
    File::options().append(true).open(path).map_err(|error| at(path, &error))
}
