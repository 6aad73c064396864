//! From a checkpoint to a model that runs: the trunk is read, short vectors are decoded, slots are made.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::Facts;
use kernels::Cpu;
use sha2::{Digest, Sha256};
use store::{Cache, Disk, HostMemory, Key, Plan, RecordView, Trunk};

use crate::attention::inverse_frequencies;
use crate::config::Config;
use crate::error::ModelError;
use crate::governor::LookAhead;
use crate::hooks::Hooks;
use crate::layers::{Experts, Full, Layer, Linear, Mixer, Projection};
use crate::loaded::CpuModel;
use crate::opened::{Opened, Settings};
use crate::record::RecordLayout;
use crate::resident::{Pieces, Resident};
use crate::scratch::Scratch;
use crate::state::CUT_MAX;
use crate::vectors::Vectors;
use crate::weights::{self, FullSource, LayerSource, LinearSource, MixerSource};

/// Looking ahead may take this part of the slots.
const RESERVE_SHARE: usize = 8;

/// Changes whenever the same weights may give other bits.
const ARITHMETIC: &str = "exact f32, 16 lanes, 2";

impl Opened {
    /// As [`Opened::load`], from a disk whose files are those of the catalog, in its order: how
    /// tests make reads fail.
    ///
    /// # Errors
    /// As [`Opened::load`].
    pub fn load_from(
        self,
        disk: Arc<dyn Disk>,
        plan: &Plan,
        settings: &Settings,
        progress: &dyn Fn(u64, u64),
        cancel: &AtomicBool,
    ) -> Result<CpuModel, ModelError> {
        let fingerprint = fingerprint(&self);
        let banks = self.banks()?;
        let fused = self.is_fused();
        let Opened { dir, config, weights, catalog, .. } = self;
        let vectors = Vectors::read(&*disk, &weights, &dir, cancel)?;
        let mut placing =
            Placing { vectors, pieces: Pieces::default(), channels: config.conv_channels() };
        let embed = placing.pieces.place(&weights.embed);
        let layers: Vec<Layer> = weights.layers.iter().map(|layer| placing.layer(layer)).collect();
        let head = weights.head.as_ref().map(|head| placing.pieces.place(head));
        let norm = placing.vectors.take(&weights.norm);
        let pieces = placing.pieces;
        // Names and extents of the trunk are not needed any more: the plan counts them once.
        drop((weights, catalog));

        let trunk = Trunk::load(&*disk, &pieces.extents, settings.readers, progress, cancel)?;
        let locking = trunk.lock();
        let weights = Resident::new(trunk, &pieces, &dir)?;
        let record_bytes = banks.first().map_or(0, store::Bank::record_bytes);
        let cycle = config.layers() * config.experts_per_token;
        let cache = cache(disk, banks, &layers, plan, settings, cycle)?;
        let reserve = match settings.look_ahead {
            LookAhead::Off => 0,
            LookAhead::On | LookAhead::Auto => reserve(&config, plan),
        };
        let cache = cache.with_reserve(reserve);
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        Ok(CpuModel {
            facts: Facts { vocabulary, context: plan.ctx, hidden, cut_max: CUT_MAX, fingerprint },
            path: dir,
            weights,
            locking,
            head: head.unwrap_or_else(|| embed.clone()),
            embed,
            norm,
            layers,
            frequencies: inverse_frequencies(&config),
            cache,
            record_bytes,
            cpu: Cpu::new(settings.kernels, settings.threads, settings.precision)?,
            kv: settings.kv,
            chunk: plan.chunk,
            scratch: Some(Box::new(Scratch::new(&config, fused, plan.chunk))),
            hooks: Hooks::new(settings.look_ahead),
            config,
        })
    }
}

/// The slots, and a look at every record that is read.
fn cache(
    disk: Arc<dyn Disk>,
    banks: Vec<store::Bank>,
    layers: &[Layer],
    plan: &Plan,
    settings: &Settings,
    cycle: usize,
) -> Result<Cache, ModelError> {
    let records: Vec<RecordLayout> =
        layers.iter().map(|layer| layer.experts.record.clone()).collect();
    let check = move |key: Key, view: &RecordView| records[key.bank].check(key.record, view);
    let check = Some(Arc::new(check) as _);
    let slots = plan.slot_count;
    let policy = settings.policy.make(slots, cycle);
    Ok(Cache::new(disk, banks, &HostMemory, slots, policy, settings.readers, check)?)
}

/// Slots for looking ahead: those of one layer's step, as long as that is a small part.
fn reserve(config: &Config, plan: &Plan) -> usize {
    config.experts_per_token.min(plan.slot_count / RESERVE_SHARE)
}

/// Layers in the making: matrices get their places in the trunk, vectors are handed over.
struct Placing {
    vectors: Vectors,
    pieces: Pieces,
    /// Channels of the convolution.
    channels: usize,
}

impl Placing {
    fn layer(&mut self, source: &LayerSource) -> Layer {
        let mixer = match &source.mixer {
            MixerSource::Linear(linear) => Mixer::Linear(self.linear(linear)),
            MixerSource::Full(full) => Mixer::Full(self.full(full)),
        };
        Layer {
            input_norm: self.vectors.take(&source.input_norm),
            post_norm: self.vectors.take(&source.post_norm),
            mixer,
            experts: Experts {
                router: self.pieces.place(&source.router),
                shared_gate_proj: self.pieces.place(&source.shared.gate),
                shared_up_proj: self.pieces.place(&source.shared.up),
                shared_down_proj: self.pieces.place(&source.shared.down),
                shared_gate: self.pieces.place(&source.shared_gate),
                record: RecordLayout::of(&source.experts),
            },
        }
    }

    fn full(&mut self, source: &FullSource) -> Full {
        Full {
            query: self.pieces.place(&source.q),
            key: self.pieces.place(&source.k),
            value: self.pieces.place(&source.v),
            out: self.pieces.place(&source.o),
            query_norm: self.vectors.take(&source.q_norm),
            key_norm: self.vectors.take(&source.k_norm),
        }
    }

    fn linear(&mut self, source: &LinearSource) -> Linear {
        let projection = match &source.projection {
            weights::Projection::Split { qkv, z, b, a } => Projection::Split {
                qkv: self.pieces.place(qkv),
                gate: self.pieces.place(z),
                beta: self.pieces.place(b),
                decay: self.pieces.place(a),
            },
            weights::Projection::Fused { qkvz, qkvz_order, ba, ba_order } => Projection::Fused {
                qkvz: self.pieces.place(qkvz),
                qkvz_order: qkvz_order.clone(),
                ba: self.pieces.place(ba),
                ba_order: ba_order.clone(),
            },
        };
        let rates = self.vectors.take(&source.a_log).into_iter();
        Linear {
            projection,
            taps: transposed(&self.vectors.take(&source.conv), self.channels),
            time_bias: self.vectors.take(&source.dt_bias),
            negative_rate: rates.map(|log| -kernels::exp(log)).collect(),
            norm: self.vectors.take(&source.norm),
            out: self.pieces.place(&source.out),
        }
    }
}

/// `[channels, taps]` as `[taps, channels]`.
fn transposed(conv: &[f32], channels: usize) -> Vec<f32> {
    let taps = conv.len() / channels;
    (0..conv.len()).map(|n| conv[n % channels * taps + n / channels]).collect()
}

/// Same files (by name, length and headers), same numbers of the config, same arithmetic: the
/// same fingerprint. The weights themselves are not summed: that would read the whole model.
fn fingerprint(opened: &Opened) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(ARITHMETIC);
    sum.update(format!("{:?}", opened.config));
    for file in &opened.catalog.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        sum.update(format!("{name} {}\n", file.bytes));
    }
    for tensor in opened.catalog.iter() {
        sum.update(format!("{:?}\n", tensor));
    }
    for checksum in opened.weights.layers.iter().flat_map(|layer| &*layer.experts.checksums) {
        sum.update(checksum.to_le_bytes());
    }
    sum.finalize().into()
}
