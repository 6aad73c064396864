//! The command `bench` and its flags: what is measured, how often, and on which prompts.

mod cache;
mod ladder;

use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use cache::{Announced, CacheArgs, PhaseChoice, PolicyChoice};
use clap::{Args, Subcommand, ValueEnum};
pub(crate) use ladder::KernelsArgs;

use super::values::{number, positive};
use super::{MachineArgs, ModelArgs};
use crate::size::Size;

const DECODE_HELP: &str = "\
Examples:
  flash-moe bench decode -m DIR --memory 8GiB
  flash-moe bench decode -m DIR -n 512 --prompts cold --repeat 5
  flash-moe bench decode -m DIR --sweep 4GiB,6GiB,8GiB --json

Random ids are read, then each next id is the likeliest that was not among the 64 before. t/s is the
median of the repeats, ± their deviation; p5 and p95 are those of single tokens. The bound is what
memory and disk, measured in the same run, would allow if nothing else took time.";

const PREFILL_HELP: &str = "\
Examples:
  flash-moe bench prefill -m DIR -p 512
  flash-moe bench prefill -m DIR -p 2048 --prompts cold";

const DISK_HELP: &str = "\
Example:
  flash-moe bench disk -m DIR

Whole experts are read without a pause, at random, with so many reads under way: as they lie in the
files, and as they would lie if each were one aligned piece.";

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Speed of decoding: one token after the other
    #[command(after_long_help = DECODE_HELP, after_help = DECODE_HELP)]
    Decode(DecodeArgs),
    /// Speed of reading a prompt
    #[command(after_long_help = PREFILL_HELP, after_help = PREFILL_HELP)]
    Prefill(PrefillArgs),
    /// Speed of the disk in reading this model's experts
    #[command(after_long_help = DISK_HELP, after_help = DISK_HELP)]
    Disk(DiskArgs),
    /// Speed of the arithmetic beside that of memory, in several forms
    #[command(after_long_help = ladder::EXAMPLES, after_help = ladder::EXAMPLES)]
    Kernels(KernelsArgs),
    /// Replay a trace of chosen experts against caches: hit rate by policy and capacity
    #[command(after_long_help = cache::EXAMPLES, after_help = cache::EXAMPLES)]
    Cache(CacheArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DecodeArgs {
    /// Tokens to decode in each repeat
    #[arg(short = 'n', long, value_name = "N", default_value = "128", value_parser = positive)]
    pub(crate) max_tokens: usize,
    /// Tokens of the prompt before them
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = positive)]
    pub(crate) prompt_tokens: usize,
    #[command(flatten)]
    pub(crate) speed: SpeedArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PrefillArgs {
    /// Tokens of the prompt
    #[arg(short, long, value_name = "N", default_value = "512", value_parser = positive)]
    pub(crate) prompt_tokens: usize,
    #[command(flatten)]
    pub(crate) speed: SpeedArgs,
}

/// What decoding and prefill have in common.
#[derive(Args, Debug)]
pub(crate) struct SpeedArgs {
    /// How often it is measured
    #[arg(long, value_name = "R", default_value = "3", value_parser = positive)]
    pub(crate) repeat: usize,
    /// Repeats before the first that counts [default: 1, or 0 for cold prompts]
    #[arg(long, value_name = "W")]
    pub(crate) warmup: Option<usize>,
    /// What the cache knows of a prompt
    #[arg(long, value_name = "KIND", default_value = "rotating")]
    pub(crate) prompts: Prompts,
    /// Who chooses the experts: model, synthetic (as local and uneven as real routers), or the
    /// routes in trace:FILE
    #[arg(long, value_name = "WHO", default_value = "model")]
    pub(crate) router: Router,
    /// Write which experts were chosen, one JSON object a token
    #[arg(long, value_name = "FILE", conflicts_with = "sweep")]
    pub(crate) dump_routing: Option<PathBuf>,
    /// Where the random ids begin
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Measure with each of these budgets in turn, as --memory has them
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', conflicts_with = "memory")]
    pub(crate) sweep: Vec<Size>,
    /// Draw speed, latencies and where the time went
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Prompts {
    /// The cache is empty at the start of each
    Cold,
    /// The same prompt again
    Warm,
    /// Another prompt each time
    Rotating,
}

impl Prompts {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Rotating => "rotating",
        }
    }
}

/// Who chooses the experts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Router {
    /// The model's own routers.
    Model,
    /// Routes that are made up.
    Synthetic,
    /// Routes from a file.
    Trace(PathBuf),
}

impl Router {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Synthetic => "synthetic",
            Self::Trace(_) => "trace",
        }
    }
}

impl FromStr for Router {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "model" => Ok(Self::Model),
            "synthetic" => Ok(Self::Synthetic),
            other => match other.strip_prefix("trace:") {
                Some(file) if !file.is_empty() => Ok(Self::Trace(file.into())),
                _ => Err("accepted: model, synthetic, trace:FILE".to_owned()),
            },
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct DiskArgs {
    /// How long each measurement takes
    #[arg(long, value_name = "S", default_value = "0.5")]
    #[arg(value_parser = |text: &str| number(text, &(0.01..=60.0)))]
    pub(crate) seconds: f32,
    /// Where chance begins
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}
