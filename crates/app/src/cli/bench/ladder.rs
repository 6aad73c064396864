//! The flags of `bench kernels`: how much memory, how many threads, which rows of the table.

use clap::Args;

use crate::size::Size;

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe bench kernels
  flash-moe bench kernels --threads 4 --json
  flash-moe bench kernels --only deltanet --isa avx2

One thread and all of them read memory that no cache holds, then multiply it: 4-bit and 2-bit
matrices (groups of 64, scales and biases in BF16) times one vector, in the form that the engine
uses (exact) and in others: naive (q·scale+bias)·x, fma(q, scale·x, bias·x), algebraic
scale·Σqx + bias·Σx, lut (weights looked up in a register). The delta rule runs on states of
32 heads of 128 x 128 as a plain loop, in passes like those of BLAS, and fused as the engine does
it. All take turns over several rounds; every form is held against f64 first. GB/s is the median,
± the deviation of the rounds; of a state, bytes read and written.";

#[derive(Args, Debug)]
pub(crate) struct KernelsArgs {
    /// Threads beside the single one [default: one a core]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Memory that is gone through before any of it is used again, twice at a time
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub(crate) bytes: Size,
    /// Measure only what has a name that begins so, such as lut, deltanet, fork_join
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// Instructions to use: scalar, avx2, avxvnni, avx512, avx512vnni, amx [default: the best that are there]
    #[arg(long, value_name = "NAME")]
    pub(crate) isa: Option<String>,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}
