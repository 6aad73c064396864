//! The flags of `bench cache`: which routes, which policies, which capacities.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::values::{positive, share, sizes};

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe bench cache --trace routes.jsonl
  flash-moe bench cache --trace routes.jsonl --fit 60x512x10 --plot hits.svg
  flash-moe bench cache --synthetic 60x512x10 --policy lru,lfu --slots 2000,4000 --json

A trace is what run --dump-routing writes (one JSON object a token, \"layers\" with a list of expert
ids for each) or CSV with the columns phase, step, layer, expert. Cold misses count as misses.
By default experts are announced one by one, as published curves count. --announce layer does what
the cache of this program does: those of a layer together, so that none leaves for another one.";

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["trace", "synthetic"])))]
pub(crate) struct CacheArgs {
    /// File of routes
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Routes made up for LAYERSxEXPERTSxCHOSEN, as local and uneven as those of real models
    #[arg(long, value_name = "LxExK", value_parser = sizes)]
    pub(crate) synthetic: Option<[usize; 3]>,
    /// Tokens to make up
    #[arg(long, value_name = "N", default_value_t = 600, conflicts_with = "trace")]
    #[arg(value_parser = positive)]
    pub(crate) tokens: usize,
    /// Makes up other routes
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "trace")]
    pub(crate) seed: u64,
    /// Experts of a layer, if the trace does not say it [default: the highest id and one]
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "synthetic")]
    pub(crate) experts: Option<usize>,
    /// Tokens of which phase [default: decode, if the trace tells phases apart]
    #[arg(long, value_name = "PHASE", conflicts_with = "synthetic")]
    pub(crate) phase: Option<PhaseChoice>,
    /// Map the trace to a model of LAYERSxEXPERTSxCHOSEN
    #[arg(long, value_name = "LxExK", value_parser = sizes, conflicts_with = "synthetic")]
    pub(crate) fit: Option<[usize; 3]>,
    /// Who leaves; belady knows the future and is the bound
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    #[arg(default_value = "lru,clock,lfu,belady")]
    pub(crate) policy: Vec<PolicyChoice>,
    /// Capacities in slots
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = positive)]
    #[arg(conflicts_with = "share")]
    pub(crate) slots: Vec<usize>,
    /// Capacities as shares of all experts of all layers
    #[arg(long, value_name = "P%,P%", value_delimiter = ',', value_parser = share)]
    #[arg(default_value = "3.125%,6.25%,12.5%,18.75%,25%,37.5%,50%")]
    pub(crate) share: Vec<f64>,
    /// What is announced at once
    #[arg(long, value_name = "WHAT", default_value = "record")]
    pub(crate) announce: Announced,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the curves to an SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum PolicyChoice {
    Lru,
    Clock,
    Lfu,
    Belady,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum PhaseChoice {
    Decode,
    Prefill,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Announced {
    /// Each expert by itself
    Record,
    /// All experts that a layer chose for a token
    Layer,
}

impl PolicyChoice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Clock => "clock",
            Self::Lfu => "lfu",
            Self::Belady => "belady",
        }
    }
}

impl PhaseChoice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Prefill => "prefill",
            Self::All => "all",
        }
    }
}

impl Announced {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Layer => "layer",
        }
    }
}
