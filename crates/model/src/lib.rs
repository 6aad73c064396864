//! Qwen3.5 MoE: config, weights, state and the walk of a pass, behind the engine's socket.

#![forbid(unsafe_code)]

mod attention;
mod batch;
mod checksum;
mod config;
mod deltanet;
mod error;
mod forward_cpu;
mod governor;
mod hooks;
mod inspect;
mod layers;
mod lineage;
mod loaded;
mod loading;
mod look_ahead;
mod moe;
mod opened;
mod peek;
mod record;
pub mod repack;
mod resident;
mod route;
mod routing;
mod scratch;
mod sizes;
mod snapshot;
mod socket;
mod sources;
mod state;
pub mod synth;
mod tap;
pub mod tiny;
mod trace;
mod vectors;
mod weights;

pub use checksum::checksum;
pub use config::{AffineConfig, AffineWidth, Config, Family, KeyHeadRule, Mixer, Quantization};
pub use error::ModelError;
pub use governor::LookAhead;
pub use inspect::{Class, ClassSize, Ignored, Inspection};
pub use loaded::CpuModel;
pub use opened::{Opened, Settings};
pub use peek::LayerValues;
pub use routing::Routing;
pub use state::{CUT_MAX, Sequence};
pub use tap::{Listener, Tap};
pub use trace::{TraceError, write_logits};
pub use weights::{
    ExpertSource, FullSource, LayerSource, LinearSource, MatrixSource, MixerSource, Piece, Plane,
    Projection, RowOrder, SharedSource, Unused, UnusedKind, VectorSource, Weights,
};
