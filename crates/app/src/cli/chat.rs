//! Flags of `chat`, and the examples in its help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{Text, positive, text_or_file};
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
    /// Go on with a saved session: its name, the beginning of it, or last
    #[arg(long, value_name = "NAME")]
    pub(crate) resume: Option<String>,
    /// Directory of saved sessions [default: in the user's data directory]
    #[arg(long, value_name = "DIR", conflicts_with = "no_save")]
    pub(crate) sessions: Option<PathBuf>,
    /// Keep nothing on disk
    #[arg(long, conflicts_with = "resume")]
    pub(crate) no_save: bool,
    #[command(flatten)]
    pub(crate) tools: ToolArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// What the model may call. Every call is shown and asked about first, but for what is allowed here.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tools")]
pub(crate) struct ToolArgs {
    /// bash, read_file, write_file, list_dir, http_get, and TOML files that declare others
    #[arg(id = "tool_list", long = "tools", value_name = "LIST", value_delimiter = ',')]
    pub(crate) list: Vec<String>,
    /// Run tools that change nothing without asking
    #[arg(long, requires = "tool_list")]
    pub(crate) allow_read_only: bool,
    /// Let calls be anything, instead of holding them to the tools' schemas
    #[arg(long, requires = "tool_list")]
    pub(crate) unconstrained_tools: bool,
    /// Directory in which tools work, and which files they see [default: the present one]
    #[arg(long, value_name = "DIR", requires = "tool_list")]
    pub(crate) tools_dir: Option<PathBuf>,
    /// What keeps commands inside it
    #[arg(long, value_name = "KIND", default_value = "auto", requires = "tool_list")]
    pub(crate) sandbox: Sandbox,
    /// Let commands in a sandbox reach the network
    #[arg(long, requires = "tool_list")]
    pub(crate) tools_network: bool,
    /// Let http_get ask this machine and its neighbours
    #[arg(long, requires = "tool_list")]
    pub(crate) tools_private_addresses: bool,
    /// Seconds after which a call is ended
    #[arg(long, value_name = "N", default_value_t = 60, requires = "tool_list")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) tool_timeout: u32,
    /// Rounds of calls that one message may cause
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = positive, requires = "tool_list")]
    pub(crate) tool_rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Sandbox {
    /// The best that is there; /tools says which
    Auto,
    /// bubblewrap or nothing runs
    Bubblewrap,
    /// landlock and seccomp or nothing runs
    Landlock,
    Off,
}
