//! The command `bench`: numbers that were measured or replayed, each with what it was made from.

mod cache;
mod locality;
mod plot;
mod routing;
mod trace;

use crate::cli::BenchCommand;
use crate::fault::Fault;

/// Runs the command.
pub(crate) fn bench(what: &BenchCommand) -> Result<(), Fault> {
    match what {
        BenchCommand::Cache(args) => cache::cache(args),
    }
}
