//! The experts of a layer as records: which extents of which tensors belong to each of them.

use std::sync::Arc;

use format::{Catalog, SourceLayout, TensorInfo};
use kernels::Quant;
use store::Extent;

use super::bind::{Binder, check_shape, part, unknown};
use super::matrix::{self, Found};
use super::{ExpertSource, Piece, Plane, repacked};
use crate::error::ModelError;

/// How a checkpoint stores its experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Two tensors of floats a layer, gate and up rows in one.
    Stacked,
    /// MLX: a stack for each of the three matrices.
    Switch,
    /// Every matrix of every expert a tensor of its own.
    Each,
    /// Record files; the trunk is that of the layout which they were made from.
    Repacked(SourceLayout),
}

impl Form {
    const PUBLISHED: [Form; 3] = [Form::Stacked, Form::Switch, Form::Each];

    /// The first tensor of this form, below a layer's name.
    const fn sign(self) -> &'static str {
        match self {
            Form::Stacked => "mlp.experts.gate_up_proj",
            Form::Switch | Form::Repacked(_) => "mlp.switch_mlp.gate_proj.weight",
            Form::Each => "mlp.experts.0.gate_proj.weight",
        }
    }

    /// The form that the layer `at` has.
    pub(super) fn of(catalog: &Catalog, at: &str) -> Result<Form, ModelError> {
        if let Some(repacked) = &catalog.repacked {
            return Ok(Form::Repacked(repacked.layout));
        }
        let named = |form: Form| format!("{at}{}", form.sign());
        let form = Form::PUBLISHED.into_iter().find(|form| catalog.get(&named(*form)).is_some());
        form.ok_or_else(|| {
            unknown(catalog, "the experts of a layer", Form::PUBLISHED.into_iter().map(named))
        })
    }

    /// Only MLX's converter writes this form, and it stores norms as `1 + w`.
    pub(super) fn is_mlx(self) -> bool {
        matches!(self, Form::Switch | Form::Repacked(SourceLayout::Mlx))
    }
}

/// The three matrices of an expert and their names.
pub(super) const MATRICES: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// The experts below `at`, the name of a layer's feed-forward part.
pub(super) fn bind(
    binder: &mut Binder<'_>,
    form: Form,
    at: &str,
) -> Result<ExpertSource, ModelError> {
    match form {
        Form::Stacked => stacked(binder, at),
        Form::Switch => switch(binder, at),
        Form::Each => each(binder, at),
        Form::Repacked(_) => repacked::bind(binder, at),
    }
}

fn stacked(binder: &mut Binder<'_>, at: &str) -> Result<ExpertSource, ModelError> {
    let config = binder.config;
    let (experts, hidden, inner) =
        (config.experts, config.hidden_size, config.moe_intermediate_size);
    let gate_up = binder.take(&format!("{at}experts.gate_up_proj"))?;
    let down = binder.take(&format!("{at}experts.down_proj"))?;
    let quants = [matrix::float(binder.catalog, gate_up)?, matrix::float(binder.catalog, down)?];
    check_shape(binder.catalog, gate_up, &[experts, 2 * inner, hidden])?;
    check_shape(binder.catalog, down, &[experts, hidden, inner])?;
    let extents = records(binder.catalog, &[gate_up, down], experts)?;
    let (both, down_bytes) = (extents[0].bytes, extents[1].bytes);
    let piece = |quant, rows, cols, extent, range| Piece {
        quant: Quant::Plain(quant),
        rows,
        cols,
        weights: Plane { extent, range },
        scales: None,
        biases: None,
    };
    Ok(ExpertSource {
        gate: piece(quants[0], inner, hidden, 0, 0..both / 2),
        up: piece(quants[0], inner, hidden, 0, both / 2..both),
        down: piece(quants[1], hidden, inner, 1, 0..down_bytes),
        extents_per_record: 2,
        extents,
        tensors: 2,
        checksums: Arc::default(),
    })
}

/// Rows and columns of the three matrices.
pub(super) fn sides(binder: &Binder<'_>) -> [(usize, usize); 3] {
    let (hidden, inner) = (binder.config.hidden_size, binder.config.moe_intermediate_size);
    [(inner, hidden), (inner, hidden), (hidden, inner)]
}

fn switch(binder: &mut Binder<'_>, at: &str) -> Result<ExpertSource, ModelError> {
    let experts = binder.config.experts;
    let mut tensors = Vec::new();
    let mut founds = Vec::new();
    for (name, (rows, cols)) in MATRICES.into_iter().zip(sides(binder)) {
        let module = format!("{at}switch_mlp.{name}");
        let found = matrix::find(binder, &module, &[experts], rows, cols)?;
        tensors.extend(planes(&found));
        founds.push(found);
    }
    let extents = records(binder.catalog, &tensors, experts)?;
    Ok(source(binder, &founds, extents, tensors.len()))
}

fn each(binder: &mut Binder<'_>, at: &str) -> Result<ExpertSource, ModelError> {
    let mut extents = Vec::new();
    let mut first: Option<Vec<Found<'_>>> = None;
    for expert in 0..binder.config.experts {
        let mut founds = Vec::with_capacity(MATRICES.len());
        for (n, (rows, cols)) in sides(binder).into_iter().enumerate() {
            let module = format!("{at}experts.{expert}.{}", MATRICES[n]);
            let found = matrix::find(binder, &module, &[], rows, cols)?;
            if let Some(first) = &first {
                check_same(binder.catalog, &first[n], &found)?;
            }
            for tensor in planes(&found) {
                extents.push(part(binder.catalog, tensor, 1, 0)?);
            }
            founds.push(found);
        }
        first.get_or_insert(founds);
    }
    let first = first.expect("a config has at least one expert");
    let tensors = extents.len();
    Ok(source(binder, &first, extents, tensors))
}

/// All records of a bank have the same lengths, and one walk multiplies them alike.
fn check_same(catalog: &Catalog, first: &Found<'_>, found: &Found<'_>) -> Result<(), ModelError> {
    if first.quant == found.quant {
        return Ok(());
    }
    Err(ModelError::WrongQuantization {
        path: catalog.path_of(found.weights).into(),
        tensor: found.weights.name.clone(),
        found: found.quant.to_string(),
        accepted: format!("{}, as the first expert of the layer has", first.quant),
    })
}

/// The tensors of a matrix that are there, in the order that records have them.
fn planes<'a>(found: &Found<'a>) -> impl Iterator<Item = &'a TensorInfo> + use<'a> {
    [Some(found.weights), found.scales, found.biases].into_iter().flatten()
}

/// Record by record, the part of each stack that belongs to it.
fn records(
    catalog: &Catalog,
    stacks: &[&TensorInfo],
    experts: usize,
) -> Result<Vec<Extent>, ModelError> {
    let mut extents = Vec::with_capacity(experts * stacks.len());
    for expert in 0..experts {
        for stack in stacks {
            extents.push(part(catalog, stack, experts, expert)?);
        }
    }
    Ok(extents)
}

/// Every plane an extent of its own.
fn source(
    binder: &Binder<'_>,
    founds: &[Found<'_>],
    extents: Vec<Extent>,
    tensors: usize,
) -> ExpertSource {
    let mut next = 0;
    let mut plane = || {
        let extent = next;
        next += 1;
        Plane { extent, range: 0..extents[extent].bytes }
    };
    let mut pieces = founds.iter().zip(sides(binder)).map(|(found, (rows, cols))| Piece {
        quant: found.quant,
        rows,
        cols,
        weights: plane(),
        scales: found.scales.map(|_| plane()),
        biases: found.biases.map(|_| plane()),
    });
    let mut piece = || pieces.next().expect("an expert has three matrices");
    let (gate, up, down) = (piece(), piece(), piece());
    let checksums = Arc::default();
    ExpertSource { gate, up, down, extents_per_record: next, extents, tensors, checksums }
}
