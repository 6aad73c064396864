//! Flags of `synth`, which writes random weights in the shape of a real model.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::positive;

pub(crate) const EXAMPLES: &str = "\
How fast will my machine be, before I download 209 GB? The weights are random and the answers mean
nothing, but every read and every product is as large as the real model's.

Examples:
  flash-moe synth --like 397b --distinct-layers 4 --out DIR   60 layers on 16 GB of disk
  flash-moe plan -m DIR --memory 16GiB
  flash-moe run -m DIR --raw --temp 0 -n 32 \"a b c\"

With --distinct-layers the other layers read the bytes of the stored ones. Memory and work stay
those of the whole model, and so do reads that pass by the page cache; what a page cache keeps is
shared by several layers, and those reads are faster than the real model's would be. What was
written is kept: the same command goes on where it was interrupted.";

#[derive(Args, Debug)]
pub(crate) struct SynthArgs {
    /// Model whose shape is wanted
    #[arg(long, value_name = "MODEL")]
    pub(crate) like: Shape,
    /// Layers, instead of the model's own number
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) layers: Option<usize>,
    /// Layers that get weights of their own; the others share them, so that less disk is needed
    #[arg(long, value_name = "M", value_parser = positive)]
    pub(crate) distinct_layers: Option<usize>,
    /// Bits of a weight; routers have 8
    #[arg(long, value_name = "BITS", default_value = "4")]
    pub(crate) bits: Bits,
    /// Directory to write, empty or begun with the same flags
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Number that the weights follow from: the same gives the same bytes
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Qwen3.5-397B-A17B
    #[value(name = "397b")]
    Large,
    /// Qwen3.5-122B-A10B
    #[value(name = "122b")]
    Middle,
    /// Qwen3.5-35B-A3B
    #[value(name = "35b")]
    Small,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bits {
    #[value(name = "2")]
    Two,
    #[value(name = "4")]
    Four,
    #[value(name = "8")]
    Eight,
}

impl Bits {
    pub(crate) fn count(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}
