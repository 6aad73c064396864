//! Looking ahead: what the next layer's router makes of the state before that layer's mixer, so that the disk has work while the trunk is multiplied.

use crate::forward_cpu::norm_rows;
use crate::hooks::Hooks;
use crate::loaded::CpuModel;
use crate::route::choose;
use crate::scratch::MoeScratch;

/// Rows of a pass that are looked ahead for: those of decoding. Many rows want most experts anyway.
pub(crate) const ROWS_AHEAD: usize = 4;

/// Tells the store which records `layer` will probably want, the likeliest first. `hidden` is the
/// residual stream; `normed` is overwritten.
pub(crate) fn look_ahead(
    model: &CpuModel,
    layer: usize,
    positions: &[usize],
    hidden: &[f32],
    normed: &mut [f32],
    s: &mut MoeScratch,
    hooks: &mut Hooks,
) {
    let rows = positions.len();
    let looks = rows <= ROWS_AHEAD && hooks.governor.is_on();
    let Some(next) = model.layers.get(layer).filter(|_| looks) else { return };
    let (experts, chosen) = (model.config.experts, model.config.experts_per_token);
    let guesses = &mut s.experts[..rows * chosen];
    let told = hooks.routing.as_mut().is_some_and(|routing| {
        let rows = positions.iter().zip(guesses.chunks_exact_mut(chosen));
        rows.into_iter().all(|(&position, ids)| routing.guess(position, layer, ids))
    });
    if !told {
        norm_rows(model, hidden, &next.post_norm, normed);
        let logits = &mut s.router[..rows * experts];
        model.cpu.matmul(&model.weights.matrix(&next.experts.router), normed, logits);
        for (logits, ids) in logits.chunks_exact(experts).zip(guesses.chunks_exact_mut(chosen)) {
            choose(logits, ids);
        }
    }
    // The first choices of all rows, then their second ones, and so on.
    let by_rank = |n: usize| guesses[n % rows * chosen + n / rows] as usize;
    let records: Vec<usize> = (0..rows * chosen).map(by_rank).collect();
    model.cache.guess(layer, &records);
}
