//! Which directory is meant: the one that was named, or the built-in model.

use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};

use crate::fault::Fault;
#[cfg(feature = "demo")]
use crate::{demo, say};

/// The directory of a checkpoint.
///
/// # Errors
/// A name that is no directory; no name in a binary without the built-in model.
pub(crate) fn directory(named: Option<&Path>) -> Result<PathBuf, Fault> {
    let Some(path) = named else { return built_in() };
    let accepted = "accepted: a directory with config.json and safetensors files";
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(path.to_owned()),
        Ok(_) => Err(Fault::failed(format!("{}: is no directory; {accepted}", path.display()))),
        Err(error) => Err(Fault::failed(format!("{}: {error}; {accepted}", path.display()))),
    }
}

/// Where this program keeps what it can make again; `None` where the system has no such place.
pub(crate) fn cache() -> Option<PathBuf> {
    Some(choose_native_strategy().ok()?.cache_dir().join("flash-moe"))
}

#[cfg(feature = "demo")]
fn built_in() -> Result<PathBuf, Fault> {
    say::note("no model named: the built-in demo model");
    demo::directory()
}

#[cfg(not(feature = "demo"))]
fn built_in() -> Result<PathBuf, Fault> {
    let why = "no model named: -m DIR is needed, this binary was built without the demo model";
    Err(Fault::command_line(why))
}
