//! The command `verify`: is every byte of a checkpoint what it should be.

use std::io::{Write as _, stdout};

use crate::cli::VerifyArgs;
use crate::fault::Fault;
use crate::open::repack::{self, Verified};
use crate::progress::{Progress, Unit};
use crate::size::shown;
use crate::{interrupt, place};

/// Runs the command.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Fault> {
    let directory = place::directory(args.model.as_deref())?;
    let source = args.source.as_deref().map(|named| place::directory(Some(named))).transpose()?;
    let cancel = interrupt::watch()?;
    let progress = Progress::new("verifying", Unit::Bytes);
    let tell = |done: u64, total: u64| {
        progress.tell(done, total, done as f64 / total.max(1) as f64);
    };
    let verified = repack::verify(&directory, source.as_deref(), &tell, cancel);
    progress.clear();
    let verified = verified.map_err(|error| crate::repack::fault(error, cancel))?;
    let line = format!("{}: {}\n", directory.display(), said(&verified));
    stdout().lock().write_all(line.as_bytes()).map_err(|error| Fault::output(&error))
}

fn said(verified: &Verified) -> String {
    match *verified {
        Verified::Whole { records, files, bytes, compared } => {
            let size = shown(bytes);
            let source = if compared { ", the same bytes as the source" } else { "" };
            format!("good, {size}: {records} records and {files} files have their sums{source}")
        }
        Verified::Headers { tensors, files } => format!(
            "{tensors} tensors in {files} files: headers, lengths, index and config fit together; \
             the bytes were not compared, since a checkpoint that is not repacked has no checksums"
        ),
    }
}
