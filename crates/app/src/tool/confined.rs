//! A directory that paths cannot lead out of, whatever links lie in it.
//!
//! On Linux the kernel walks the path and refuses to leave (`openat2` with `RESOLVE_BENEATH`), so that
//! nothing can be exchanged between a look and a step. Elsewhere, and where the kernel is older, the
//! canonical path is held against the directory's own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use crate::fault::Fault;

/// The directory.
#[derive(Debug)]
pub(super) struct Confined {
    /// Canonical.
    root: PathBuf,
    #[cfg(target_os = "linux")]
    handle: File,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Other,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
}

impl Confined {
    /// # Errors
    /// A path that is no directory.
    pub(super) fn new(directory: &Path) -> Result<Self, Fault> {
        let failed = |error| Fault::failed(format!("{}: {error}", directory.display()));
        let root = fs::canonicalize(directory).map_err(failed)?;
        if !root.is_dir() {
            return Err(Fault::failed(format!("{}: is no directory", directory.display())));
        }
        Ok(Self {
            #[cfg(target_os = "linux")]
            handle: File::open(&root).map_err(failed)?,
            root,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a plain file to read it.
    ///
    /// # Errors
    /// One line: it is not there, lies outside, or is of another kind.
    pub(super) fn open(&self, path: &str) -> Result<File, String> {
        let found = self.find(path)?;
        match (found.kind, found.file) {
            (Kind::File, Some(file)) => Ok(file),
            (Kind::Directory, _) => Err(format!("{path}: is a directory")),
            _ => Err(format!("{path}: is no plain file")),
        }
    }

    /// # Errors
    /// As [`Confined::open`].
    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, String> {
        let found = self.find(path)?;
        if found.kind != Kind::Directory {
            return Err(format!("{path}: is no directory"));
        }
        let entries = fs::read_dir(&found.place).map_err(|error| self.told(path, &error))?;
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.told(path, &error))?;
            // Of the entry itself: where a link leads to is not looked at. It may be gone by now.
            let Ok(inside) = entry.metadata() else { continue };
            listed.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind: kind_of(inside.file_type()),
                bytes: inside.len(),
            });
        }
        Ok(listed)
    }

    /// Puts a file at `path` in one step; directories that are missing are made. A link there is
    /// refused, not followed.
    ///
    /// # Errors
    /// One line: it lies outside, is no plain file, or cannot be written.
    pub(super) fn replace(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let inner = self.inner(path)?;
        let Some(name) = inner.file_name() else { return Err(format!("{path}: names no file")) };
        let parent = inner.parent().unwrap_or(Path::new(""));
        let directory = self.make(parent).map_err(|error| self.told(path, &error))?;
        let target = directory.place.join(name);
        let permissions = match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.told(path, &error)),
            Ok(found) if found.is_symlink() => {
                return Err(format!("{path}: is a link, which is not followed to write"));
            }
            Ok(found) if !found.is_file() => return Err(format!("{path}: is no plain file")),
            Ok(found) => Some(found.permissions()),
        };
        let written = write_beside(&directory.place, &target, content, permissions);
        written.map_err(|error| self.told(path, &error))
    }

    fn find(&self, path: &str) -> Result<Opened, String> {
        let inner = self.inner(path)?;
        self.open_inner(&inner).map_err(|error| self.told(path, &error))
    }

    /// The path below the directory, without a leading root; whether it stays there is seen on the way.
    fn inner(&self, path: &str) -> Result<PathBuf, String> {
        if path.contains('\0') {
            return Err("a path with a zero byte".to_owned());
        }
        let path = Path::new(path);
        let inner = if path.is_absolute() {
            path.strip_prefix(&self.root).map_err(|_| self.outside(path))?
        } else {
            path
        };
        let mut depth = 0_i32;
        for part in inner.components() {
            depth += match part {
                Component::ParentDir => -1,
                Component::Normal(_) => 1,
                Component::CurDir => 0,
                Component::RootDir | Component::Prefix(_) => return Err(self.outside(path)),
            };
            if depth < 0 {
                return Err(self.outside(path));
            }
        }
        Ok(inner.to_owned())
    }

    fn outside(&self, path: &Path) -> String {
        format!("{}: lies outside of {}", path.display(), self.root.display())
    }

    /// Makes the directories that are missing, one after the other.
    fn make(&self, inner: &Path) -> io::Result<Opened> {
        let mut way = PathBuf::new();
        let mut directory = self.open_inner(&way)?;
        for part in inner.components() {
            way.push(part);
            directory = match self.open_inner(&way) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(directory.place.join(part))?;
                    self.open_inner(&way)?
                }
                opened => opened?,
            };
        }
        if directory.kind == Kind::Directory {
            Ok(directory)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    #[cfg(target_os = "linux")]
    fn open_inner(&self, inner: &Path) -> io::Result<Opened> {
        use std::os::fd::AsRawFd as _;

        use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
        let path = if inner.as_os_str().is_empty() { Path::new(".") } else { inner };
        // Without waiting: a pipe that nobody writes to would hold us.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file: File = match openat2(&self.handle, path, flags, Mode::empty(), resolve) {
            Ok(file) => file.into(),
            Err(rustix::io::Errno::NOSYS) => return open_canonical(&self.root, inner),
            Err(rustix::io::Errno::XDEV) => return Err(outside()),
            Err(error) => return Err(error.into()),
        };
        let kind = kind_of(file.metadata()?.file_type());
        // It means this very directory, whatever its name becomes.
        let place = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Opened { file: Some(file), place, kind })
    }

    #[cfg(not(target_os = "linux"))]
    fn open_inner(&self, inner: &Path) -> io::Result<Opened> {
        open_canonical(&self.root, inner)
    }

    fn told(&self, path: &str, error: &io::Error) -> String {
        if error.kind() == io::ErrorKind::CrossesDevices {
            return self.outside(Path::new(path));
        }
        format!("{path}: {error}")
    }
}

/// What was opened.
struct Opened {
    /// Always there for plain files.
    file: Option<File>,
    /// A path that leads to it.
    place: PathBuf,
    kind: Kind,
}

/// The plain way: what the path really is must begin with what the directory really is.
fn open_canonical(root: &Path, inner: &Path) -> io::Result<Opened> {
    let place = fs::canonicalize(root.join(inner))?;
    if !place.starts_with(root) {
        return Err(outside());
    }
    let kind = kind_of(fs::metadata(&place)?.file_type());
    let file = (kind == Kind::File).then(|| File::open(&place)).transpose()?;
    Ok(Opened { file, place, kind })
}

fn outside() -> io::Error {
    io::ErrorKind::CrossesDevices.into()
}

fn kind_of(found: fs::FileType) -> Kind {
    if found.is_file() {
        Kind::File
    } else if found.is_dir() {
        Kind::Directory
    } else {
        Kind::Other
    }
}

/// A new file takes the old one's place and permissions when it is on the disk, not before.
fn write_beside(
    place: &Path,
    target: &Path,
    content: &[u8],
    permissions: Option<fs::Permissions>,
) -> io::Result<()> {
    let mut beside = tempfile::Builder::new();
    beside.prefix(".flash-moe-");
    #[cfg(unix)]
    let usual = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    beside.permissions(usual);
    let mut beside = beside.tempfile_in(place)?;
    beside.write_all(content)?;
    if let Some(permissions) = permissions {
        beside.as_file().set_permissions(permissions)?;
    }
    beside.as_file().sync_all()?;
    beside.persist(target).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests;
