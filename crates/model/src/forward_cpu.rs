//! The walk of a pass on the CPU, top to bottom: embed, then layer by layer norm, mixer, add, norm, experts, add.

use std::time::Instant;

use engine::{Control, ForwardError, Progress, Step};

use crate::attention::{Attention, rotation};
use crate::batch::Part;
use crate::deltanet::DeltaNet;
use crate::error::ModelError;
use crate::hooks::{Clock, Hooks};
use crate::layers::Mixer;
use crate::loaded::CpuModel;
use crate::look_ahead::look_ahead;
use crate::moe::Moe;
use crate::scratch::Scratch;
use crate::state::{LayerState, Sequence};
use crate::tap::Tap;

/// One pass: the ids of `parts` go through all layers together. Afterwards `scratch.hidden` holds
/// the residual stream of every row, and the sequences have grown by their rows.
pub(crate) fn walk(
    model: &CpuModel,
    parts: &[Part],
    batch: &mut [Step<'_, Sequence>],
    scratch: &mut Scratch,
    pass: &Pass<'_>,
    hooks: &mut Hooks,
) -> Result<(), ForwardError> {
    let (config, cpu) = (&model.config, &model.cpu);
    let rows = parts.last().map_or(0, |part| part.rows.end);
    let width = rows * config.hidden_size;
    let Scratch { hidden, normed, added, attention: full, linear, moe } = scratch;
    let (hidden, normed, added) = (&mut hidden[..width], &mut normed[..width], &mut added[..width]);

    // Embed, and turn positions into rotations.
    embed(model, parts, batch, hidden);
    rotations(model, parts, batch, &mut full.cos, &mut full.sin);
    let positions = positions(parts, batch);
    hooks.tap(Tap::Embedded { values: hidden });

    for (index, layer) in model.layers.iter().enumerate() {
        pass.stage(index)?;
        let mut begun = Instant::now();

        // Mix the positions: each sequence by itself, projections of all rows together.
        norm_rows(model, hidden, &layer.input_norm, normed);
        match &layer.mixer {
            Mixer::Full(layer) => {
                let mixer = Attention { cpu, config, weights: &model.weights, layer };
                mixer.project(rows, normed, full);
                for (part, sequence) in sequences(parts, batch) {
                    if let LayerState::Full(cache) = &mut sequence.layers[index] {
                        mixer.attend(part, sequence.position, cache, full);
                    }
                }
                mixer.finish(rows, full, added);
            }
            Mixer::Linear(layer) => {
                let mixer = DeltaNet { cpu, config, weights: &model.weights, layer };
                mixer.project(rows, normed, linear);
                for (part, sequence) in sequences(parts, batch) {
                    if let LayerState::Linear(state) = &mut sequence.layers[index] {
                        mixer.recur(part, sequence.pending, state, linear);
                    }
                }
                mixer.finish(parts, linear, added);
            }
        }
        cpu.kernels().add(hidden, added);
        Clock::lap(&mut hooks.clock.mixing, &mut begun);

        // The experts: announced together, multiplied as they arrive.
        norm_rows(model, hidden, &layer.post_norm, normed);
        let (weights, cache, control) = (&model.weights, &model.cache, pass.control);
        let (layer, positions) = (&layer.experts, &positions[..]);
        let is_last = pass.done + 1 == pass.passes;
        let experts =
            Moe { cpu, config, weights, cache, layer, index, positions, is_last, control };
        experts.run(rows, normed, moe, added, hooks)?;
        cpu.kernels().add(hidden, added);
        Clock::lap(&mut hooks.clock.experts, &mut begun);

        // A damaged weight shows here and not as a wrong answer.
        check_finite(model, index, hidden)?;
        hooks.tap(Tap::Hidden { layer: index, values: hidden });
        look_ahead(model, index + 1, positions, hidden, normed, moe, hooks);
    }
    grow(parts, batch);
    Ok(())
}

/// Where each row stands in its sequence.
fn positions(parts: &[Part], batch: &[Step<'_, Sequence>]) -> Vec<usize> {
    let of_part = |part: &Part| {
        let first = batch[part.step].sequence.position;
        first..first + part.rows.len()
    };
    parts.iter().flat_map(of_part).collect()
}

/// The rows of a pass are now part of their sequences.
fn grow(parts: &[Part], batch: &mut [Step<'_, Sequence>]) {
    for (part, sequence) in sequences(parts, batch) {
        let split = part.split(sequence.pending);
        sequence.pending = split.held + split.window;
        sequence.position += part.rows.len();
    }
}

/// Each part with the sequence that it belongs to. No two parts of a pass have the same.
fn sequences<'a>(
    parts: &'a [Part],
    batch: &'a mut [Step<'_, Sequence>],
) -> impl Iterator<Item = (&'a Part, &'a mut Sequence)> {
    let first = parts.first().map_or(0, |part| part.step);
    parts.iter().zip(batch[first..].iter_mut().map(|step| &mut *step.sequence))
}

fn check_finite(model: &CpuModel, layer: usize, hidden: &[f32]) -> Result<(), ModelError> {
    if model.cpu.kernels().finite(hidden) {
        return Ok(());
    }
    Err(ModelError::NotFiniteLayer { path: model.path.clone(), layer })
}

/// Where a pass stands in the whole call.
pub(crate) struct Pass<'a> {
    pub(crate) control: &'a Control<'a>,
    /// Passes before this one.
    pub(crate) done: usize,
    /// Passes in all.
    pub(crate) passes: usize,
    /// Ids of the passes before this one.
    pub(crate) tokens_done: usize,
    /// Ids in all.
    pub(crate) tokens: usize,
    pub(crate) layers: usize,
}

impl Pass<'_> {
    fn stage(&self, layer: usize) -> Result<(), ForwardError> {
        self.control.stage(Progress {
            tokens_done: self.tokens_done,
            tokens: self.tokens,
            stages_done: self.done * self.layers + layer,
            stages: self.passes * self.layers,
        })
    }
}

fn embed(model: &CpuModel, parts: &[Part], batch: &[Step<'_, Sequence>], hidden: &mut [f32]) {
    let width = model.config.hidden_size;
    let matrix = model.weights.matrix(&model.embed);
    for part in parts {
        let ids = &batch[part.step].tokens[part.first..part.end()];
        let rows = &mut hidden[part.rows.start * width..part.rows.end * width];
        for (id, row) in ids.iter().zip(rows.chunks_exact_mut(width)) {
            model.cpu.kernels().decode_row(&matrix, *id as usize, row);
        }
    }
}

fn rotations(
    model: &CpuModel,
    parts: &[Part],
    batch: &[Step<'_, Sequence>],
    cos: &mut [f32],
    sin: &mut [f32],
) {
    let pairs = model.frequencies.len();
    for part in parts {
        for (n, row) in part.rows.clone().enumerate() {
            let position = batch[part.step].sequence.position + n;
            let at = row * pairs..(row + 1) * pairs;
            rotation(&model.frequencies, position, &mut cos[at.clone()], &mut sin[at]);
        }
    }
}

/// Norms every row.
pub(crate) fn norm_rows(model: &CpuModel, rows: &[f32], weight: &[f32], out: &mut [f32]) {
    let (width, eps) = (model.config.hidden_size, model.config.rms_norm_eps);
    let k = model.cpu.kernels();
    let mut pairs: Vec<(&[f32], &mut [f32])> =
        rows.chunks_exact(width).zip(out.chunks_exact_mut(width)).collect();
    model.cpu.each_of(3 * width, &mut pairs, |_, (row, out)| k.rms_norm(row, weight, eps, out));
}
