//! A model that is ready to run on the CPU: trunk in memory, experts behind the cache.

use std::path::PathBuf;

use engine::Facts;
use kernels::{Cpu, KvType};
use store::{Cache, Locking};

use crate::config::Config;
use crate::hooks::Hooks;
use crate::layers::Layer;
use crate::resident::{Placed, Resident};
use crate::routing::Routing;
use crate::scratch::Scratch;
use crate::tap::Listener;

/// The weights, the threads, and the buffers of a pass. Sequences are their caller's.
pub struct CpuModel {
    pub(crate) facts: Facts,
    pub(crate) config: Config,
    /// The directory, for errors.
    pub(crate) path: PathBuf,
    pub(crate) weights: Resident,
    pub(crate) locking: Locking,
    /// `[vocabulary, hidden]`
    pub(crate) embed: Placed,
    /// `[vocabulary, hidden]`; the embedding again where they are tied.
    pub(crate) head: Placed,
    /// `[hidden]`, as it multiplies.
    pub(crate) norm: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    /// How fast each pair of rotary dimensions turns.
    pub(crate) frequencies: Vec<f32>,
    /// One bank a layer, one record an expert.
    pub(crate) cache: Cache,
    pub(crate) record_bytes: u64,
    pub(crate) cpu: Cpu,
    /// The type of keys and values.
    pub(crate) kv: KvType,
    /// Rows of a pass at most.
    pub(crate) chunk: usize,
    /// `None` only while a pass runs.
    pub(crate) scratch: Option<Box<Scratch>>,
    pub(crate) hooks: Hooks,
}

impl CpuModel {
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the trunk is locked in memory, and if not, why.
    pub fn locking(&self) -> &Locking {
        &self.locking
    }

    /// The instruction set that multiplies.
    pub fn isa(&self) -> kernels::Isa {
        self.cpu.kernels().isa()
    }

    /// What the store counted since the model was loaded.
    pub fn counters(&self) -> store::Counters {
        self.cache.counters()
    }

    /// Says who listens to the values inside the walk from now on, and returns who did.
    pub fn listen(&mut self, listener: Option<Listener>) -> Option<Listener> {
        std::mem::replace(&mut self.hooks.listener, listener)
    }

    /// Says who chooses the experts from now on, `None` for the model's own router, and returns who
    /// did. What the model then says is no answer of the model.
    pub fn route_by(&mut self, routing: Option<Box<dyn Routing>>) -> Option<Box<dyn Routing>> {
        std::mem::replace(&mut self.hooks.routing, routing)
    }
}
