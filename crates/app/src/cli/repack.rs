//! Flags of the commands that rewrite a checkpoint and that check one.

use std::path::PathBuf;

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe repack -m DIR --out DIR2    the same weights, each expert in one piece
  flash-moe verify -m DIR2 --source DIR compare every byte
  flash-moe run -m DIR2 \"What is it?\"   as with the checkpoint itself

It takes as much room as the checkpoint. A repack that was cut off goes on where it ended when the
command is repeated. DIR is not changed, and not needed any more afterwards.";

#[derive(Args, Debug)]
pub(crate) struct RepackArgs {
    /// Directory of a checkpoint; without it the built-in demo model is used
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Directory to write, new, empty, or left by a repack that was cut off
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Directory of a checkpoint; without it the built-in demo model is used
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Checkpoint that it was repacked from: every byte is compared
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
}
