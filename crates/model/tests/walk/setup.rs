//! How the tests load a model and run ids through it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::{Control, Forward, ForwardError, Step, StepOutput, Want};
use kernels::{Kernels, KvType, Precision};
use model::{CpuModel, LookAhead, Opened, Settings};
use store::{Disk, Plan, PolicyKind, Wish};

/// The checkpoints with references.
pub(crate) const FIXTURES: [&str; 5] = [
    "tiny-qwen35moe-hf",
    "tiny-qwen35moe-mlx4",
    "tiny-qwen35moe-mlx4-uniform",
    "tiny-qwen35moe-fp8",
    "tiny-qwen3next-hf",
];

/// Room enough for every tiny model whole.
pub(crate) const PLENTY_BYTES: u64 = 4 << 30;

/// What may not change a single bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrangement {
    pub(crate) budget: Budget,
    pub(crate) threads: usize,
    pub(crate) chunk: Option<usize>,
    pub(crate) kernels: &'static Kernels,
    pub(crate) precision: Precision,
    pub(crate) kv: KvType,
    pub(crate) look_ahead: LookAhead,
    pub(crate) policy: PolicyKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// The least that runs.
    Floor,
    /// Half of the records of one whole token.
    HalfCycle,
    /// So many times the records of one whole token.
    Cycles(usize),
    /// Everything resident.
    Plenty,
}

impl Default for Arrangement {
    fn default() -> Self {
        Self {
            budget: Budget::Plenty,
            threads: 1,
            chunk: None,
            kernels: Kernels::best(),
            precision: Precision::Exact,
            kv: KvType::F32,
            look_ahead: LookAhead::Off,
            policy: PolicyKind::default(),
        }
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    fixtures().join(name)
}

pub(crate) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/demo-4bit")
}

pub(crate) fn settings(arrangement: &Arrangement) -> Settings {
    Settings {
        threads: arrangement.threads,
        kv: arrangement.kv,
        kernels: arrangement.kernels,
        precision: arrangement.precision,
        process_bytes: 0,
        sequences: 1,
        checkpoints: 2,
        readers: 2,
        look_ahead: arrangement.look_ahead,
        policy: arrangement.policy,
        io: store::IoMode::Buffered,
    }
}

/// The plan of an arrangement, for 640 ids. A chunk is what was asked for, planned or not.
pub(crate) fn plan(opened: &Opened, arrangement: &Arrangement) -> Plan {
    let needs = opened.needs(&settings(arrangement)).expect("the files are there");
    let make = |budget_bytes| {
        let wish = Wish { budget_bytes, ctx: Some(640), chunk: None };
        Plan::make(&needs, &wish).expect("the budget is above the floor")
    };
    let floor = make(PLENTY_BYTES).floor_bytes;
    let mut plan = match arrangement.budget {
        Budget::Plenty => make(PLENTY_BYTES),
        Budget::Floor => make(floor),
        Budget::Cycles(cycles) => {
            let records = needs.banks * needs.records_per_step * cycles;
            make(floor + records as u64 * needs.slot_bytes)
        }
        Budget::HalfCycle => {
            let half = needs.banks * needs.records_per_step / 2;
            make(floor + half as u64 * needs.slot_bytes)
        }
    };
    plan.chunk = arrangement.chunk.unwrap_or(plan.chunk);
    plan
}

pub(crate) fn load(dir: &Path, arrangement: &Arrangement) -> CpuModel {
    let opened = Opened::open(dir, None).expect("a good checkpoint");
    let disk = Arc::new(opened.files(store::IoMode::Buffered).expect("the files are there"));
    load_from(opened, disk, arrangement)
}

pub(crate) fn load_from(
    opened: Opened,
    disk: Arc<dyn Disk>,
    arrangement: &Arrangement,
) -> CpuModel {
    let plan = plan(&opened, arrangement);
    let cancel = AtomicBool::new(false);
    let settings = settings(arrangement);
    opened.load_from(disk, &plan, &settings, &|_, _| (), &cancel).expect("it loads")
}

/// Appends ids to a sequence and returns the answer.
pub(crate) fn step(
    model: &mut CpuModel,
    sequence: &mut model::Sequence,
    ids: &[u32],
    logits: Want,
) -> Result<StepOutput, ForwardError> {
    let cancel = AtomicBool::new(false);
    let step = Step { sequence, tokens: ids, logits, hidden: true };
    let mut output = model.forward(&mut [step], &Control::new(&cancel))?;
    Ok(output.steps.pop().expect("one step, one answer"))
}

pub(crate) fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    u32::try_from(best).expect("ids fit")
}

/// Prompt logits (all rows) and `count` greedy ids with the logits that chose them.
pub(crate) struct Told {
    pub(crate) logits: Vec<f32>,
    pub(crate) ids: Vec<u32>,
    pub(crate) decoded: Vec<Vec<f32>>,
}

pub(crate) fn tell(model: &mut CpuModel, ids: &[u32], count: usize) -> Told {
    let mut sequence = model.sequence(ids.len() + count).expect("there is room");
    let logits = step(model, &mut sequence, ids, Want::All).expect("it runs").logits;
    let vocabulary = model.facts().vocabulary;
    let mut told = Told { ids: Vec::new(), decoded: Vec::new(), logits };
    let mut last = told.logits[told.logits.len() - vocabulary..].to_vec();
    for _ in 0..count {
        let id = argmax(&last);
        told.ids.push(id);
        told.decoded.push(last);
        last = step(model, &mut sequence, &[id], Want::Last).expect("it runs").logits;
    }
    told
}

/// The bits, so that a NaN would be seen and -0 is not 0.
pub(crate) fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|value| value.to_bits()).collect()
}
