//! The command `repack`: the same weights, each expert in one piece.

use std::sync::atomic::AtomicBool;

use crate::cli::RepackArgs;
use crate::fault::Fault;
use crate::open::repack::{self, Done, RepackError};
use crate::progress::{Progress, Unit};
use crate::size::shown;
use crate::{interrupt, place, say};

/// Runs the command.
pub(crate) fn repack(args: &RepackArgs) -> Result<(), Fault> {
    let source = place::directory(args.model.as_deref())?;
    let cancel = interrupt::watch()?;
    let progress = Progress::new("repacking", Unit::Bytes);
    let tell = |done: u64, total: u64| {
        progress.tell(done, total, done as f64 / total.max(1) as f64);
    };
    let repacked = repack::repack(&source, &args.out, &tell, cancel);
    progress.clear();
    let done = repacked.map_err(|error| match error {
        RepackError::Cancelled => {
            say::note("cut off; the same command goes on where it ended");
            Fault::Interrupted
        }
        error => fault(error, cancel),
    })?;
    let out = args.out.display();
    for line in lines(&done, &out.to_string()) {
        say::note(line);
    }
    Ok(())
}

/// What a failure of this work means for a script.
pub(crate) fn fault(error: RepackError, cancel: &AtomicBool) -> Fault {
    if let Err(interrupted) = interrupt::check(cancel) {
        return interrupted;
    }
    match &error {
        RepackError::Full { path, needed_bytes, free_bytes } => Fault::refused(format!(
            "{}: {} are needed, {} are free",
            path.display(),
            shown(*needed_bytes),
            shown(*free_bytes)
        )),
        _ => Fault::failed(error),
    }
}

/// What was done, for people.
fn lines(done: &Done, out: &str) -> Vec<String> {
    let size = shown(done.bytes);
    if done.already {
        return vec![format!("{out}: already done, {size} in {} record files", done.layers)];
    }
    let mut lines = Vec::new();
    if !done.space_known {
        lines.push("warning: this system does not tell how much room there is".to_owned());
    }
    if done.started_over {
        lines.push(format!("{out}: held a part of another checkpoint, begun anew"));
    }
    let kept = match done.layers_kept {
        0 => String::new(),
        kept => format!(", {kept} of them from an earlier run"),
    };
    lines.push(format!("{out}: {size}, {} record files{kept}", done.layers));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_a_refusal_with_both_numbers() {
        let path = "out".into();
        let full = RepackError::Full { path, needed_bytes: 3 << 30, free_bytes: 1 << 20 };
        let fault = fault(full, &AtomicBool::new(false));
        assert_eq!(fault.code(), 3, "{fault:?}");
        assert_eq!(fault.line(), Some("out: 3.00 GiB are needed, 1.00 MiB are free"), "{fault:?}");
    }

    #[test]
    fn what_was_kept_and_thrown_away_is_said() {
        let done = Done {
            already: false,
            started_over: true,
            space_known: false,
            layers: 8,
            layers_kept: 3,
            bytes: 1 << 30,
        };
        let said = lines(&done, "out").join("\n");
        for part in ["room", "begun anew", "1.00 GiB, 8 record files, 3 of them"] {
            assert!(said.contains(part), "{part:?} in {said:?}");
        }
        let already = lines(&Done { already: true, ..done }, "out").join("\n");
        assert!(already.contains("already done"), "{already}");
    }
}
