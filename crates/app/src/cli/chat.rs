//! Flags of `chat`, and the examples in its help.

use clap::Args;

use super::values::{Text, text_or_file};
use super::{GenerationArgs, MachineArgs, ModelArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe chat                                     talk with the built-in demo model
  flash-moe chat -m DIR --system @rules.txt --temp 0.7
  flash-moe chat -m DIR --tools read_file,list_dir,bash --allow-read-only
  flash-moe chat --resume last                       go on where you left
  echo \"What is a glacier?\" | flash-moe chat --plain  one message a line, answers on stdout

Keys: Enter sends, M-Enter or \\ and Enter begins a new line, Ctrl-C stops the answer and keeps the
session (twice on an empty line leaves), Ctrl-D on an empty line leaves, Tab completes, PgUp and
PgDn scroll, Ctrl-O opens and folds reasoning. /help lists the commands.
@FILE in a message puts the text of a file there.";

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// System message; @FILE reads it from a file
    #[arg(long, value_name = "TEXT", value_parser = text_or_file)]
    pub(crate) system: Option<Text>,
    /// Lines in, text out, nothing drawn; so it is too where stdin or stdout is no terminal
    #[arg(long)]
    pub(crate) plain: bool,
    /// Show reasoning in the plain form even if stderr is no terminal
    #[arg(long)]
    pub(crate) show_thinking: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
