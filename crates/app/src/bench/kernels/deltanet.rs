//! One step of the gated delta rule on the states of a layer: a plain loop, passes, and fused.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use kernels::ladder::{delta_loop, delta_passes};
use kernels::{Cpu, DeltaStep, tolerances};

use super::rings::Chance;
use super::{ROUNDS, Row, TURN_SHARE, Turn, checked};
use crate::fault::Fault;
use crate::interrupt;

const HEADS: usize = 32;
/// Rows and columns of a head's state.
const DIM: usize = 128;
const STATE: usize = HEADS * DIM * DIM;
const STATE_BYTES: usize = STATE * size_of::<f32>();
const DECAY: f32 = 0.95;
const BETA: f32 = 0.6;

/// A form of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delta {
    Scalar,
    Blas,
    Fused,
}

impl Delta {
    pub(super) const ALL: [Self; 3] = [Self::Scalar, Self::Blas, Self::Fused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "deltanet_scalar",
            Self::Blas => "deltanet_blas",
            Self::Fused => "deltanet_fused",
        }
    }

    fn run(self, cpu: &Cpu, inputs: &Inputs, head: &mut Head<'_>, index: usize) {
        let span = index * DIM..(index + 1) * DIM;
        let (q, k, v) = (&inputs.q[span.clone()], &inputs.k[span.clone()], &inputs.v[span]);
        let step = DeltaStep { q, k, v, decay: DECAY, beta: BETA };
        let Head { state, u, out } = head;
        match self {
            Self::Scalar => delta_loop(state, &step, u, out),
            Self::Blas => delta_passes(cpu.kernels(), state, &step, u, out),
            Self::Fused => cpu.kernels().delta_step(state, &step, u, out),
        }
    }

    /// All heads, on all threads.
    fn step(self, cpu: &Cpu, inputs: &Inputs, state: &mut [f32], results: &mut Results) {
        let states = state.chunks_exact_mut(DIM * DIM);
        let results = results.u.chunks_exact_mut(DIM).zip(results.out.chunks_exact_mut(DIM));
        let mut heads: Vec<Head<'_>> =
            states.zip(results).map(|(state, (u, out))| Head { state, u, out }).collect();
        cpu.each(&mut heads, |index, head| self.run(cpu, inputs, head, index));
    }
}

struct Head<'a> {
    state: &'a mut [f32],
    u: &'a mut [f32],
    out: &'a mut [f32],
}

/// Of all heads, one after the other.
struct Inputs {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

struct Results {
    u: Vec<f32>,
    out: Vec<f32>,
}

impl Inputs {
    fn new(chance: &mut Chance) -> Self {
        // Keys of at most the length 1, so that states stay as large as values.
        let size = 1.0 / (DIM as f32).sqrt();
        let [q, k] = [0, 1].map(|_| chance.floats(HEADS * DIM, size));
        Self { q, k, v: chance.floats(HEADS * DIM, 1.0) }
    }
}

/// Every form on every number of threads; none asked for, none measured.
pub(super) fn measure(
    forms: &[Delta],
    cpus: &[Cpu],
    ring_bytes: u64,
    cancel: &AtomicBool,
) -> Result<Vec<Row>, Fault> {
    if forms.is_empty() {
        return Ok(Vec::new());
    }
    let mut chance = Chance::new(7);
    let inputs = Inputs::new(&mut chance);
    let mut rows = check(forms, cpus, &inputs, &mut chance)?;
    let mut results = Results { u: vec![0.0; HEADS * DIM], out: vec![0.0; HEADS * DIM] };
    let bytes = usize::try_from(ring_bytes).map_err(Fault::failed)?;
    let count = bytes.div_ceil(STATE_BYTES);
    let mut ring: Vec<f32> = Vec::new();
    ring.try_reserve_exact(count * STATE).map_err(|error| {
        Fault::failed(format!("no memory for {count} states of {STATE_BYTES} bytes: {error}"))
    })?;
    ring.extend((0..count * STATE).map(|_| chance.float()));
    let calls = (count / TURN_SHARE).max(1);
    let mut next = 0;
    for _ in 0..ROUNDS {
        interrupt::check(cancel)?;
        let mut each_row = rows.iter_mut();
        for cpu in cpus {
            for (form, row) in forms.iter().zip(each_row.by_ref()) {
                let begun = Instant::now();
                for _ in 0..calls {
                    let state = &mut ring[next * STATE..][..STATE];
                    next = (next + 1) % count;
                    form.step(cpu, &inputs, state, &mut results);
                }
                let seconds = begun.elapsed().as_secs_f64();
                // Read and written.
                row.turns.push(Turn { calls, bytes: 2 * calls * STATE_BYTES, seconds });
            }
        }
    }
    Ok(rows)
}

/// The rows in the order in which they are measured, each held against f64.
fn check(
    forms: &[Delta],
    cpus: &[Cpu],
    inputs: &Inputs,
    chance: &mut Chance,
) -> Result<Vec<Row>, Fault> {
    let state = chance.floats(STATE, 1.0);
    let truth = truth(&state, inputs);
    let mut rows = Vec::new();
    for cpu in cpus {
        for form in forms {
            let (kernel, threads) = (form.name(), cpu.threads());
            let is_turned = *form == Delta::Scalar;
            let mut found = if is_turned { transposed(&state) } else { state.clone() };
            let nothing = || vec![f32::NAN; HEADS * DIM];
            let mut results = Results { u: nothing(), out: nothing() };
            form.step(cpu, inputs, &mut found, &mut results);
            let found = if is_turned { transposed(&found) } else { found };
            let found = [found, results.u, results.out].concat();
            let bound = tolerances::LADDER.bound;
            let max_abs_err = checked(kernel, threads, &found, &truth, bound)?;
            rows.push(Row { kernel, bits: 32, threads, max_abs_err, turns: Vec::new() });
        }
    }
    Ok(rows)
}

/// Every head's state with rows and columns exchanged.
fn transposed(state: &[f32]) -> Vec<f32> {
    let heads = state.chunks_exact(DIM * DIM);
    heads.flat_map(|head| (0..DIM * DIM).map(|at| head[at % DIM * DIM + at / DIM])).collect()
}

/// States, updates and outputs by the definition, in f64.
fn truth(state: &[f32], inputs: &Inputs) -> Vec<f64> {
    let (decay, beta) = (f64::from(DECAY), f64::from(BETA));
    let mut states: Vec<f64> = state.iter().map(|s| decay * f64::from(*s)).collect();
    let (mut updates, mut outputs) = (Vec::new(), Vec::new());
    for (head, state) in states.chunks_exact_mut(DIM * DIM).enumerate() {
        let of = |values: &[f32], at: usize| f64::from(values[head * DIM + at]);
        for j in 0..DIM {
            let kv: f64 = (0..DIM).map(|i| of(&inputs.k, i) * state[i * DIM + j]).sum();
            let u = beta * (of(&inputs.v, j) - kv);
            (0..DIM).for_each(|i| state[i * DIM + j] += of(&inputs.k, i) * u);
            updates.push(u);
            outputs.push((0..DIM).map(|i| of(&inputs.q, i) * state[i * DIM + j]).sum());
        }
    }
    [states, updates, outputs].concat()
}
