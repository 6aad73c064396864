//! From the one set of noise tensors to those that a layout has: cut, joined and named.

use super::layout::{Form, Layout};
use super::spec::Spec;
use super::weights::{Kind, Part, Tensor};

/// The tensors of `form`, with the names that they have in its files, still in f32.
pub(super) fn arrange(spec: &Spec, form: &Form, tensors: Vec<Tensor>) -> Vec<Tensor> {
    let tensors = if form.layout.is_next() { join_projections(spec, tensors) } else { tensors };
    let mut arranged: Vec<Tensor> =
        tensors.into_iter().flat_map(|tensor| cut_experts(form.layout, tensor)).collect();
    for tensor in &mut arranged {
        tensor.name = format!("{}{}", prefix(form, tensor.part), tensor.name);
    }
    arranged
}

pub(crate) fn prefix(form: &Form, part: Part) -> &'static str {
    match (part, form.layout.is_mlx(), form.multimodal) {
        (Part::Trunk, true, true) => "language_model.model.",
        (Part::Trunk, false, true) => "model.language_model.",
        (Part::Trunk, _, false) => "model.",
        (Part::Head, true, true) => "language_model.",
        (Part::Head, ..) => "",
        (Part::Mtp, ..) => "mtp.",
        (Part::Vision, true, _) => "vision_tower.",
        (Part::Vision, false, _) => "model.visual.",
    }
}

/// The stacked experts as the layout stores them; any other tensor as it is.
fn cut_experts(layout: Layout, tensor: Tensor) -> Vec<Tensor> {
    let stacked = matches!(layout, Layout::HfStacked { .. }) && tensor.part == Part::Trunk;
    let names: &[&str] = match tensor.kind {
        Kind::GateUp => &["gate_proj", "up_proj"],
        Kind::Down => &["down_proj"],
        _ => return vec![tensor],
    };
    if stacked {
        return vec![tensor];
    }
    let at = tensor.name.rsplit_once("experts.").map_or("", |(at, _)| at);
    let experts = tensor.shape[0];
    let (rows, columns) = (tensor.shape[1] / names.len(), tensor.shape[2]);
    // Number `n` of expert `e`, for GateUp the gate (0) or the up rows (1).
    let matrix = |e: usize, n: usize| {
        let start = (e * names.len() + n) * rows * columns;
        &tensor.values[start..start + rows * columns]
    };
    let named = |name: String, shape: Vec<usize>, values: Vec<f32>| Tensor {
        part: tensor.part,
        kind: tensor.kind,
        name,
        shape,
        values,
    };
    let mut cut = Vec::new();
    if layout.is_mlx() {
        for (n, name) in names.iter().enumerate() {
            let values = (0..experts).flat_map(|e| matrix(e, n)).copied().collect();
            let name = format!("{at}switch_mlp.{name}.weight");
            cut.push(named(name, vec![experts, rows, columns], values));
        }
    } else {
        for e in 0..experts {
            for (n, name) in names.iter().enumerate() {
                let name = format!("{at}experts.{e}.{name}.weight");
                cut.push(named(name, vec![rows, columns], matrix(e, n).to_vec()));
            }
        }
    }
    cut
}

/// Qwen3-Next's `in_proj_qkvz` and `in_proj_ba`: for each key head its queries, keys, values and
/// output gates, and its betas and decays.
fn join_projections(spec: &Spec, tensors: Vec<Tensor>) -> Vec<Tensor> {
    let (keys, per_key) = (spec.key_rows(), spec.linear_value_heads / spec.linear_key_heads);
    let (key, value) = (spec.linear_key_dim, per_key * spec.linear_value_dim);
    let mut joined: Vec<Tensor> = Vec::new();
    let mut rest = tensors.into_iter().peekable();
    while let Some(tensor) = rest.next() {
        // The noise draws the partner right after: qkv then z, b then a.
        let (suffix, partner) = match tensor.kind {
            Kind::Qkv => ("in_proj_qkvz.weight", Kind::OutputGate),
            Kind::Beta => ("in_proj_ba.weight", Kind::Decay),
            _ => {
                joined.push(tensor);
                continue;
            }
        };
        let second = rest.next_if(|next| next.kind == partner);
        let second = second.expect("weights::linear_attention draws them in pairs");
        let mut values = Vec::with_capacity(tensor.values.len() + second.values.len());
        for head in 0..spec.linear_key_heads {
            let rows: &[(&Tensor, usize, usize)] = match tensor.kind {
                Kind::Qkv => &[
                    (&tensor, head * key, key),
                    (&tensor, keys + head * key, key),
                    (&tensor, 2 * keys + head * value, value),
                    (&second, head * value, value),
                ],
                _ => &[(&tensor, head * per_key, per_key), (&second, head * per_key, per_key)],
            };
            for &(from, start, count) in rows {
                let columns = from.shape[1];
                values.extend_from_slice(&from.values[start * columns..(start + count) * columns]);
            }
        }
        let at = tensor.name.rsplit_once("in_proj").map_or("", |(at, _)| at);
        let name = format!("{at}{suffix}");
        let shape = vec![tensor.shape[0] + second.shape[0], tensor.shape[1]];
        joined.push(Tensor { part: tensor.part, kind: tensor.kind, name, shape, values });
    }
    joined
}
