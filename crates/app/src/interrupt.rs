//! Ctrl-C: the first ends the work cleanly at its next stage, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::Fault;

static CANCEL: AtomicBool = AtomicBool::new(false);

/// Begins to listen, and returns the flag that the first Ctrl-C sets.
pub(crate) fn watch() -> Result<&'static AtomicBool, Fault> {
    let on_signal = || {
        if CANCEL.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Fault::Interrupted.code()));
        }
    };
    ctrlc::set_handler(on_signal)
        .map_err(|error| Fault::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(&CANCEL)
}

/// An interruption, if the flag is set.
pub(crate) fn check(cancel: &AtomicBool) -> Result<(), Fault> {
    if cancel.load(Ordering::Relaxed) { Err(Fault::Interrupted) } else { Ok(()) }
}
