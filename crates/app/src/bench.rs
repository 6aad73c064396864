//! The command `bench`: what this machine allows, measured, and how much of it the engine reaches.

pub(crate) mod bound;
mod cache;
pub(crate) mod ceilings;
mod charts;
mod disk;
mod feed;
mod figures;
mod json;
mod kernels;
mod locality;
mod plot;
mod records;
mod report;
mod routing;
mod run;
mod trace;

use std::io::{Write as _, stdout};

use run::Test;

use crate::cli::BenchCommand;
use crate::fault::Fault;

/// Runs the command.
pub(crate) fn bench(command: &BenchCommand) -> Result<(), Fault> {
    let text = match command {
        BenchCommand::Decode(args) => {
            let test = Test::new(args.prompt_tokens, args.max_tokens, &args.speed);
            run::all(&test, &args.speed)?
        }
        BenchCommand::Prefill(args) => {
            run::all(&Test::new(args.prompt_tokens, 0, &args.speed), &args.speed)?
        }
        BenchCommand::Disk(args) => disk::disk(args)?,
        BenchCommand::Kernels(args) => kernels::kernels(args)?,
        BenchCommand::Cache(args) => return cache::cache(args),
    };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}
