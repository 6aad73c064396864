//! Flags that say what the machine may be used for. None but the precision and the type of keys and values changes a result.

use clap::{Args, ValueEnum};

use super::values::positive;
use crate::size::Size;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineArgs {
    /// Memory of the whole process at most: 8GiB, 8GB, bytes, or 60% of what is there [default: 70%]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Tokens of prompt and answer together [default: the model's maximum, what fits, at most 32768]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) ctx: Option<usize>,
    /// Threads that calculate [default: one a core]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Arithmetic [default: fast; exact in eval logits]
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision: Option<Precision>,
    /// How keys and values are kept [default: f16; f32 in precision exact]
    #[arg(long, value_name = "TYPE")]
    pub(crate) kv: Option<KvType>,
    /// How experts are read
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub(crate) io: IoMode,
    /// Which experts leave memory first
    #[arg(long, value_name = "NAME", default_value = "lfu")]
    pub(crate) policy: Policy,
    /// Read what the next layer will probably choose while the disk is idle
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) look_ahead: LookAhead,
    /// What calculates
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) backend: Backend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Precision {
    /// Weights times floats of 32 bits
    Exact,
    /// Packed weights times integers of 15 bits
    Fast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum KvType {
    /// As they were computed
    F32,
    /// Half the bytes
    F16,
    /// A quarter: 8 bits, with a scale for every 32
    Q8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum IoMode {
    /// The fastest, as measured once
    Auto,
    /// Past the page cache, with io_uring
    Uring,
    /// Past the page cache, with threads
    Direct,
    /// Through the page cache
    Buffered,
    /// Copied from mapped files
    Mmap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Policy {
    /// The least recently used
    Lru,
    /// Nearly the same, and the frequent stay longer
    Clock,
    /// The least frequent of late
    Lfu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum LookAhead {
    /// As long as it makes decoding faster
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Backend {
    Auto,
    Cpu,
}

impl MachineArgs {
    /// The arithmetic, asked for or not.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or(Precision::Fast)
    }

    /// How keys and values are kept, asked for or not.
    pub(crate) fn kv(&self) -> KvType {
        self.kv.unwrap_or(match self.precision() {
            Precision::Exact => KvType::F32,
            Precision::Fast => KvType::F16,
        })
    }
}

impl Backend {
    /// What really calculates.
    pub(crate) fn device(self) -> &'static str {
        match self {
            Self::Auto | Self::Cpu => "cpu",
        }
    }
}
