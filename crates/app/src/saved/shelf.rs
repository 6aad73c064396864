//! All sessions of a user: made, found by name, listed and deleted.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};

use super::open::{Saved, lock};
use super::text::{Head, ModelMark, Settings, Transcript};
use super::whole;
use crate::fault::Fault;

pub(super) const TEXT: &str = "session.jsonl";
pub(super) const STATE: &str = "state.snapshot";
/// The name that means the session which was used last.
const LAST: &str = "last";
const NAME_BYTES_MAX: usize = 64;
/// A conversation has some megabytes.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// The directory that holds all sessions.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    directory: PathBuf,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The title, or why the session cannot be read.
    pub(crate) title: Result<String, String>,
    pub(crate) changed: SystemTime,
    pub(crate) messages: usize,
    pub(crate) tokens: u64,
    pub(crate) text_bytes: u64,
    /// 0 without a snapshot.
    pub(crate) state_bytes: u64,
}

impl Shelf {
    /// Where sessions lie: in the directory that was named, or in the user's data directory.
    ///
    /// # Errors
    /// A system that has no such place.
    pub(crate) fn open(named: Option<&Path>) -> Result<Self, Fault> {
        if let Some(directory) = named {
            return Ok(Self { directory: directory.to_owned() });
        }
        let data = choose_native_strategy().map_err(|error| {
            Fault::failed(format!("sessions: {error}; accepted: --sessions DIR"))
        })?;
        Ok(Self { directory: data.data_dir().join("flash-moe").join("sessions") })
    }

    /// A new session without messages, named after the present time.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn create(&self, model: ModelMark, settings: Settings) -> Result<Saved, Fault> {
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let failed = |error| at(&self.directory, &error);
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let base = name_of(now);
        let mut name = base.clone();
        let mut count = 1;
        let folder = loop {
            let folder = self.directory.join(&name);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    count += 1;
                    name = format!("{base}-{count}");
                }
                made => {
                    made.map_err(|error| at(&folder, &error))?;
                    break folder;
                }
            }
        };
        let head = Head::new(model, settings, seconds);
        let transcript = Transcript { head, messages: Vec::new(), partial: None, note: None };
        let path = folder.join(TEXT);
        let written = whole::write(&path, |out| out.write_all(&transcript.bytes()))
            .and_then(|_| whole::sync_directory(&self.directory));
        written.map_err(|error| at(&path, &error))?;
        Ok(self.opened(name)?.0)
    }

    /// Opens a session to go on with it: by its name, the beginning of its name, or `last`. With it
    /// comes a line about what could not be read of it, if anything.
    ///
    /// # Errors
    /// No such session or several, a session that another process has open, one whose first line
    /// cannot be read, and those of the disk.
    pub(crate) fn resume(&self, wished: &str) -> Result<(Saved, Option<String>), Fault> {
        self.opened(self.find(wished)?)
    }

    fn opened(&self, name: String) -> Result<(Saved, Option<String>), Fault> {
        let folder = self.directory.join(&name);
        let lock = lock(&folder, &name)?;
        let transcript = read(&folder).map_err(|why| broken(&folder, &why))?;
        Saved::open(folder, name, lock, transcript)
    }

    /// All sessions, the one that was used last first. What cannot be read is listed with the reason.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Entry>, Fault> {
        let mut entries: Vec<Entry> =
            self.names()?.into_iter().map(|name| self.entry(name)).collect();
        entries.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| b.name.cmp(&a.name)));
        Ok(entries)
    }

    /// Deletes a session, found as [`Shelf::resume`] finds it. Returns its name.
    ///
    /// # Errors
    /// As [`Shelf::resume`], but a damaged session can be deleted too.
    pub(crate) fn delete(&self, wished: &str) -> Result<String, Fault> {
        let name = self.find(wished)?;
        let folder = self.directory.join(&name);
        let mut held = Some(lock(&folder, &name)?);
        if cfg!(windows) {
            // There nothing can be moved that is open.
            held = None;
        }
        // Out of the list first: a half deleted session is none.
        let gone = self.directory.join(format!(".deleted-{name}"));
        let removed = fs::rename(&folder, &gone).and_then(|()| fs::remove_dir_all(&gone));
        removed.map_err(|error| at(&folder, &error))?;
        drop(held);
        Ok(name)
    }

    /// The name that is meant.
    ///
    /// # Errors
    /// None, or several.
    pub(crate) fn find(&self, wished: &str) -> Result<String, Fault> {
        let names = self.names()?;
        if wished == LAST {
            let last =
                names.into_iter().max_by_key(|name| (self.entry_changed(name), name.clone()));
            return last.ok_or_else(|| self.none("there is no session"));
        }
        if names.iter().any(|name| name == wished) {
            return Ok(wished.to_owned());
        }
        let mut fitting: Vec<String> =
            names.into_iter().filter(|name| name.starts_with(wished)).collect();
        match (fitting.len(), fitting.pop()) {
            (1, Some(name)) => Ok(name),
            (0, _) => Err(self.none(&format!("no session is called {wished:?}"))),
            (count, _) => Err(self.none(&format!("{count} sessions begin with {wished:?}"))),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn none(&self, what: &str) -> Fault {
        let place = self.directory.display();
        Fault::failed(format!(
            "{place}: {what}; accepted: a name, the beginning of one alone, or {LAST}"
        ))
    }

    /// Names of folders that hold a text.
    fn names(&self) -> Result<Vec<String>, Fault> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| at(&self.directory, &error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| at(&self.directory, &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_name(&name) && entry.path().join(TEXT).is_file() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn entry_changed(&self, name: &str) -> SystemTime {
        let text = fs::metadata(self.directory.join(name).join(TEXT));
        text.and_then(|text| text.modified()).unwrap_or(UNIX_EPOCH)
    }

    fn entry(&self, name: String) -> Entry {
        let folder = self.directory.join(&name);
        let bytes = |file: &str| fs::metadata(folder.join(file)).map_or(0, |file| file.len());
        let (text_bytes, state_bytes) = (bytes(TEXT), bytes(STATE));
        let changed = self.entry_changed(&name);
        let (title, messages, tokens) = match read(&folder) {
            Ok(read) => {
                let tokens = read.messages.iter().map(|message| message.tokens).sum();
                (Ok(read.head.title), read.messages.len(), tokens)
            }
            Err(why) => (Err(why), 0, 0),
        };
        Entry { name, title, changed, messages, tokens, text_bytes, state_bytes }
    }
}

/// Whether a session may be called that: it is a folder's name on every system, hidden on none.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(fits)
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && name != LAST
}

fn read(folder: &Path) -> Result<Transcript, String> {
    let file = File::open(folder.join(TEXT)).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(format!("more than the {TEXT_BYTES_MAX} bytes that are accepted"));
    }
    Transcript::parse(&bytes)
}

/// The present second in UTC, as a name that sorts: `2026-01-31-235959`.
fn name_of(now: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(now).to_string();
    text.replace(':', "").replace('T', "-").trim_end_matches('Z').to_owned()
}

pub(super) fn at(path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed(format!("{}: {error}", path.display()))
}

fn broken(folder: &Path, why: &str) -> Fault {
    Fault::failed(format!("{}: {why}", folder.join(TEXT).display()))
}
