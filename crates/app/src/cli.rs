//! The command line: every command, every flag, and what their help says.

mod bench;
mod chat;
mod eval_tools;
mod generation;
mod kl;
mod machine;
mod repack;
mod synth;
mod values;

use std::path::PathBuf;

pub(crate) use bench::{
    Announced, BenchCommand, CacheArgs, DiskArgs, KernelsArgs, PhaseChoice, PolicyChoice, Prompts,
    Router, SpeedArgs,
};
pub(crate) use chat::{ChatArgs, Sandbox, ToolArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use eval_tools::EvalToolsArgs;
pub(crate) use generation::{GenerationArgs, ThinkChoice};
pub(crate) use kl::KlArgs;
pub(crate) use machine::{IoMode, KvType, LookAhead, MachineArgs, Policy, Precision};
pub(crate) use repack::{RepackArgs, VerifyArgs};
pub(crate) use synth::{Shape, SynthArgs};
pub(crate) use values::Text;
use values::{positive, text_or_file};

const EXAMPLES: &str = "\
Examples:
  flash-moe run \"What is a glacier?\"              ask the built-in demo model
  flash-moe run -m DIR \"Explain entropy.\" -n 200  a checkpoint as it was published
  flash-moe plan -m DIR --memory 8GiB             where every byte would go
  flash-moe inspect -m DIR                        what a checkpoint holds

The answer goes to stdout; reasoning, progress, warnings and the last line go to stderr.
Exit codes: 0 done, 1 the work failed, 2 the command line is wrong, 3 it does not fit (memory,
disk, context), 130 after Ctrl-C.";

const RUN_EXAMPLES: &str = "\
Examples:
  flash-moe run \"What is a glacier?\"
  flash-moe run -m DIR --temp 0 -n 100 \"Explain quantum computing.\"
  flash-moe run -m DIR --think 200 --system @rules.txt -f question.txt
  git diff | flash-moe run -m DIR --memory 8GiB --system \"Review this change.\"
  flash-moe run -m DIR --raw --temp 0 -n 32 \"Once upon a time\"

The last line on stderr tells what it cost:
  128 tok · 11.9 tok/s · 84 ms/tok · 0.43 GB/tok read (1.21 touched) · hit 61 % · disk 2.1 GB/s · cpu avx2 exact · #a1b2c3d4
Tokens made; speed of decoding alone; bytes a token read from disk and used; records found in
memory; speed of the reads; device, instructions, precision; hash of the last logits.

With --stats json, start_seconds counts from the start of the program until the prompt is read,
ttft_seconds from there to the first token. decode.tokens are passes: the last token needs none.";

/// Runs Mixture-of-Experts models that are larger than memory: what every token needs stays in
/// memory, experts are read from disk when they are chosen.
#[derive(Debug, Parser)]
#[command(name = "flash-moe", version, after_long_help = EXAMPLES, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer one prompt
    #[command(after_long_help = RUN_EXAMPLES, after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Talk with a model in the terminal
    #[command(after_long_help = chat::EXAMPLES, after_help = chat::EXAMPLES)]
    Chat(Box<ChatArgs>),
    /// Show where every byte of memory would go, without loading anything
    Plan(PlanArgs),
    /// Show what a checkpoint holds: numbers, storage, bytes a token touches
    Inspect(InspectArgs),
    /// Write random weights in the shape of a real model: how fast will this machine be?
    #[command(after_long_help = synth::EXAMPLES, after_help = synth::EXAMPLES)]
    Synth(SynthArgs),
    /// Measure: tokens a second beside what the machine allows
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Rewrite a checkpoint so that each expert is one aligned, checked piece of a file
    #[command(after_long_help = repack::EXAMPLES, after_help = repack::EXAMPLES)]
    Repack(RepackArgs),
    /// Read a checkpoint again and compare it with its checksums
    Verify(VerifyArgs),
    /// Evaluate a model
    #[command(subcommand)]
    Eval(Evaluation),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Evaluation {
    /// Write logits, hidden states and router choices of given ids as safetensors
    Logits(LogitsArgs),
    /// How far one configuration of a model is from another: KL divergence and top-1 agreement
    #[command(after_long_help = kl::EXAMPLES, after_help = kl::EXAMPLES)]
    Kl(Box<KlArgs>),
    /// How often tool calls are valid, free and constrained to what is declared
    #[command(after_long_help = eval_tools::EXAMPLES, after_help = eval_tools::EXAMPLES)]
    Tools(Box<EvalToolsArgs>),
}

/// Which model, and how many of its experts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Directory of a checkpoint; without it the built-in demo model is used
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Experts per token, instead of the model's own number; the last line names it
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) experts_per_token: Option<usize>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// What to ask; - or a pipe reads it from stdin
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Option<String>,
    /// Read the prompt from a file; - is stdin
    #[arg(short, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) file: Option<PathBuf>,
    /// System message; @FILE reads it from a file
    #[arg(long, value_name = "TEXT", value_parser = text_or_file, conflicts_with = "raw")]
    pub(crate) system: Option<Text>,
    /// Give the prompt to the model as it is, without chat template
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print reasoning to stderr even if that is no terminal
    #[arg(long)]
    pub(crate) show_thinking: bool,
    /// Print what it cost as one line of JSON on stderr, instead of the last line
    #[arg(long, value_name = "FORM")]
    pub(crate) stats: Option<StatsForm>,
    /// Print where the time of decoding went, one more line before the last
    #[arg(long)]
    pub(crate) timing: bool,
    /// Write which experts were chosen, one JSON object a token
    #[arg(long, value_name = "FILE")]
    pub(crate) dump_routing: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsForm {
    /// One line; bytes and seconds
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Print one line of JSON instead of the tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LogitsArgs {
    /// JSON list of token ids
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: PathBuf,
    /// Safetensors file to write: logits, hidden.layer{i}, layer{i}.router_index, decode.ids
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Greedy tokens to decode after the ids, ends of turns ignored
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) decode: usize,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// What clap has to say, in one line and without the usage that follows it.
pub(crate) fn brief(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let message = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let message: Vec<&str> = message.filter(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    message.strip_prefix("error: ").unwrap_or(&message).to_owned()
}

#[cfg(test)]
mod tests;
