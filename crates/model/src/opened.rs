//! A checkpoint whose headers were read: what it holds, what it needs, and how it is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use format::Catalog;
use kernels::{Cpu, Kernels, KvType, Precision, Quant};
use store::{Bank, Disk, Files, IoMode, Needs, Plan, PolicyKind, probe};

use crate::config::Config;
use crate::error::ModelError;
use crate::governor::LookAhead;
use crate::inspect::Inspection;
use crate::loaded::CpuModel;
use crate::resident::Pieces;
use crate::scratch::Scratch;
use crate::sizes::Sizes;
use crate::weights::{LayerSource, MixerSource, Projection, Weights};

/// Rows of a pass that a plan may choose from.
const CHUNKS: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/// Stack and bookkeeping of one reader, as far as it is ever touched.
const READER_BYTES: u64 = 128 << 10;

/// A checkpoint, not loaded yet.
#[derive(Debug)]
pub struct Opened {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    /// What config.json says, where it was overridden.
    published_experts_per_token: usize,
    pub(crate) catalog: Catalog,
    pub(crate) weights: Weights,
}

/// How a model is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub threads: usize,
    /// How keys and values are kept.
    pub kv: KvType,
    pub kernels: &'static Kernels,
    /// How packed weights are multiplied.
    pub precision: Precision,
    /// Memory of the process beside the model: code, tokenizer, answers.
    pub process_bytes: u64,
    /// Sequences that live at the same time.
    pub sequences: usize,
    /// Checkpoints that they keep, all together.
    pub checkpoints: usize,
    /// Reads that are under way at the same time.
    pub readers: usize,
    /// Whether records are read on a guess of the next layer's router, in some of the slots.
    pub look_ahead: LookAhead,
    /// Who leaves when a slot is needed.
    pub policy: PolicyKind,
    /// How files are read: a mode that they can be opened in.
    pub io: IoMode,
}

impl Opened {
    /// Reads config and headers of the checkpoint in `dir` and checks them against each other. With
    /// `experts_per_token` the router chooses so many, and not as many as config.json says.
    ///
    /// # Errors
    /// A file that cannot be read or lies, a config that is not run, tensors that do not fit it.
    pub fn open(dir: &Path, experts_per_token: Option<usize>) -> Result<Opened, ModelError> {
        let mut config = Config::open(dir)?;
        let catalog = Catalog::open(dir)?;
        let weights = Weights::bind(&config, &catalog)?;
        let published_experts_per_token = config.experts_per_token;
        if let Some(count) = experts_per_token {
            if count == 0 || count > config.experts {
                let experts = config.experts;
                return Err(ModelError::ExpertsPerToken { found: count, experts });
            }
            config.experts_per_token = count;
        }
        Ok(Opened { dir: dir.into(), config, published_experts_per_token, catalog, weights })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The model's own number, whatever it was overridden by.
    pub fn published_experts_per_token(&self) -> usize {
        self.published_experts_per_token
    }

    /// Layers that have tensors of their own: fewer than all in a synthetic checkpoint, where
    /// several layers then read the same bytes of the disk.
    pub fn distinct_layers(&self) -> usize {
        self.config.distinct_layers()
    }

    /// What the checkpoint holds.
    pub fn inspection(&self) -> Inspection {
        Inspection::new(&self.config, &self.catalog, &self.weights)
    }

    /// The memory that the model asks for, for `store::Plan::make`.
    ///
    /// # Errors
    /// When a file is not there any more, or cannot be read as the settings say.
    pub fn needs(&self, settings: &Settings) -> Result<Needs, ModelError> {
        let banks = self.banks()?;
        let align = self.files(settings.io)?.align();
        let sizes = Sizes::of(&self.config);
        let layers = self.config.full_layers();
        let full = layers.iter().filter(|full| **full).count() as u64;
        let linear = layers.len() as u64 - full;
        let mut pieces = Pieces::default();
        for matrix in self.weights.matrices() {
            pieces.place(matrix);
        }
        let state_bytes = linear * sizes.recurrent_bytes();
        let scratch = |rows: usize| (rows, self.pass_bytes(settings, rows));
        Ok(Needs {
            trunk_bytes: store::Trunk::memory_bytes(&pieces.extents, align) + self.vector_bytes(),
            state_bytes: state_bytes * settings.sequences as u64,
            kv_bytes_per_position: full
                * sizes.kv_bytes_per_position(settings.kv)
                * settings.sequences as u64,
            fixed_bytes: settings.process_bytes + self.table_bytes() + self.policy_bytes(settings),
            scratch: CHUNKS.into_iter().map(scratch).collect(),
            io_bytes: settings.readers as u64 * (READER_BYTES + settings.io.passing_bytes()),
            slot_bytes: store::slot_bytes(&banks, align) as u64,
            records_per_step: self.config.experts_per_token,
            banks: banks.len(),
            records_per_bank: self.config.experts,
            record_bytes: banks.first().map_or(0, Bank::record_bytes),
            checkpoint_bytes: state_bytes,
            checkpoints: settings.checkpoints,
            context_max: self.config.max_positions,
        })
    }

    /// Loads the trunk and makes the slots of `plan`. `progress` hears of (bytes done, bytes in
    /// all); `cancel` ends it between two reads.
    ///
    /// # Errors
    /// What the disk or the system refuses, and weights that are no finite numbers.
    pub fn load(
        self,
        plan: &Plan,
        settings: &Settings,
        progress: &dyn Fn(u64, u64),
        cancel: &AtomicBool,
    ) -> Result<CpuModel, ModelError> {
        let disk: Arc<dyn Disk> = Arc::new(self.files(settings.io)?);
        self.load_from(disk, plan, settings, progress, cancel)
    }

    /// The files of the checkpoint, for a disk that stands between them and the model.
    ///
    /// # Errors
    /// A file that is not there any more, or that cannot be read in this mode.
    pub fn files(&self, io: IoMode) -> Result<Files, ModelError> {
        Ok(Files::of(&self.catalog, io)?)
    }

    /// The mode that the files can be read in, and a line if it is not the one that was wished.
    ///
    /// # Errors
    /// A file that is not there any more.
    pub fn settle_io(&self, wished: IoMode) -> Result<(IoMode, Option<String>), ModelError> {
        let (files, note) = Files::settle(&self.catalog, wished)?;
        Ok((files.mode(), note))
    }

    /// A short name of the disk and of the pattern of reads that a record is; `None` where the
    /// system does not name its disks.
    ///
    /// # Errors
    /// A file that is not there any more.
    pub fn io_pattern(&self) -> Result<Option<String>, ModelError> {
        Ok(probe::pattern(&self.catalog, &self.banks()?)?)
    }

    /// Which mode reads the records fastest; takes some three times `time`.
    ///
    /// # Errors
    /// As `store::probe::choose`.
    pub fn probe_io(
        &self,
        in_flight: usize,
        time: Duration,
        seed: u64,
    ) -> Result<probe::Verdict, ModelError> {
        Ok(probe::choose(&self.catalog, &self.banks()?, in_flight, time, seed)?)
    }

    /// What the disk would give if each record were one aligned extent; `None` where it is one.
    ///
    /// # Errors
    /// As `store::probe::measure`.
    pub fn probe_one_piece(
        &self,
        io: IoMode,
        in_flight: usize,
        time: Duration,
        seed: u64,
    ) -> Result<Option<probe::Rate>, ModelError> {
        let banks = self.banks()?;
        if banks.iter().all(|bank| bank.extents_per_record() == 1) {
            return Ok(None);
        }
        let files = self.files(io)?;
        let pieces = probe::as_one_extent(&files, &banks);
        let mut sequence = probe::Sequence::new(&pieces, seed);
        let measure = probe::Measure { in_flight, time };
        Ok(Some(probe::measure(&files, &pieces, &mut sequence, &measure)?))
    }

    /// The experts as the store sees them: one bank a layer, one record an expert.
    ///
    /// # Errors
    /// Records of one layer that differ in size.
    pub fn banks(&self) -> Result<Vec<Bank>, ModelError> {
        self.weights.layers.iter().map(|layer| layer.experts.bank()).collect()
    }

    /// Bytes of state that one id moves when the sequence holds `position` ids before it: recurrent
    /// states are read and written, keys and values of all positions are read.
    pub fn state_bytes_per_token(&self, kv: KvType, position: usize) -> u64 {
        let sizes = Sizes::of(&self.config);
        let layers = self.config.full_layers();
        let full = layers.iter().filter(|full| **full).count() as u64;
        let linear = layers.len() as u64 - full;
        let recurrent = 2 * 4 * (sizes.state_floats + sizes.columns_floats) as u64;
        linear * recurrent + full * sizes.kv_bytes_per_position(kv) * (position as u64 + 1)
    }

    /// Whether a layer has Qwen3-Next's fused projections.
    pub(crate) fn is_fused(&self) -> bool {
        let fused = |layer: &LayerSource| {
            matches!(
                &layer.mixer,
                MixerSource::Linear(linear) if matches!(linear.projection, Projection::Fused { .. })
            )
        };
        self.weights.layers.iter().any(fused)
    }

    /// What the policy knows of the records, with a slot for each.
    fn policy_bytes(&self, settings: &Settings) -> u64 {
        let records = self.config.layers() * self.config.experts;
        settings.policy.memory_bytes(records, records)
    }

    /// Buffers of a pass of `rows` rows, and of the threads that run it.
    fn pass_bytes(&self, settings: &Settings, rows: usize) -> u64 {
        let matrices = self.weights.matrices().map(|matrix| (matrix.quant, matrix.cols));
        let experts = self.weights.layers.iter().flat_map(|layer| layer.experts.pieces());
        let all: Vec<(Quant, usize)> =
            matrices.chain(experts.map(|piece| (piece.quant, piece.cols))).collect();
        let quants: Vec<Quant> = all.iter().map(|(quant, _)| *quant).collect();
        let cols = all.iter().map(|(_, cols)| *cols).max().unwrap_or(0);
        // A single row goes through all its experts together, several through as many at a time.
        let sets = self.config.experts_per_token;
        let vectors = rows.max(sets);
        let Settings { precision, threads, .. } = *settings;
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        Scratch::bytes(&self.config, self.is_fused(), rows)
            + Cpu::scratch_bytes(precision, (vectors, sets, cols), &quants, threads) as u64
            + Cpu::attend_bytes(heads, kv_heads, head_dim, settings.threads) as u64
    }

    /// Short vectors as f32, and what stands beside them.
    fn vector_bytes(&self) -> u64 {
        let floats: usize = self.weights.vectors().map(|vector| vector.len).sum();
        4 * floats as u64
    }

    /// Catalog and lists of extents: names are the larger part of them.
    fn table_bytes(&self) -> u64 {
        let extent = size_of::<store::Extent>();
        let extents: usize =
            self.weights.layers.iter().map(|layer| layer.experts.extents.len()).sum();
        let names: usize = self.catalog.iter().map(|tensor| tensor.name.len()).sum();
        // Each list exists twice while the model is loaded; a catalog entry is kept in a map node.
        let tensors = self.catalog.len() * (size_of::<format::TensorInfo>() + 96);
        (2 * extents * extent + 2 * names + tensors + self.record_table_bytes()) as u64
    }

    /// What the headers of record files say: twelve planes a layer at most, and the checksums, once
    /// in the catalog and once where records are checked.
    fn record_table_bytes(&self) -> usize {
        let records = self.catalog.repacked.iter().flat_map(|repacked| &repacked.records);
        let bytes = |record: &format::RecordFile| {
            let names: usize = record.header.planes().map(|plane| plane.name.len()).sum();
            let planes = record.header.planes().count() * (size_of::<format::TensorInfo>() + 64);
            names + planes + 2 * 8 * record.header.records
        };
        records.map(bytes).sum()
    }
}
