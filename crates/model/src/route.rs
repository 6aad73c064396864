//! The router: probabilities of all experts, and the choice of each row.

use engine::ForwardError;
use kernels::{Precision, Product};

use crate::config::Config;
use crate::error::ModelError;
use crate::hooks::Hooks;
use crate::moe::Moe;
use crate::scratch::MoeScratch;
use crate::tap::Tap;

impl Moe<'_> {
    /// The choice of every row.
    pub(crate) fn route(
        &self,
        rows: usize,
        normed: &[f32],
        s: &mut MoeScratch,
        hooks: &mut Hooks,
    ) -> Result<(), ForwardError> {
        let Config { experts, experts_per_token: chosen, .. } = *self.config;
        let logits = &mut s.router[..rows * experts];
        // A choice is all or nothing: what a rounded input would change here, nothing mends.
        let matrix = self.weights.matrix(&self.layer.router);
        self.cpu.matmul_in(Precision::Exact, &mut [Product { matrix, x: normed, out: logits }]);
        hooks.tap(Tap::RouterLogits { layer: self.index, values: logits });
        let choices = s.experts.chunks_exact_mut(chosen).zip(s.weights.chunks_exact_mut(chosen));
        let rows_of = logits.chunks_exact_mut(experts).zip(self.positions);
        for ((logits, &position), (ids, weights)) in rows_of.zip(choices) {
            self.cpu.kernels().softmax(logits);
            match &mut hooks.routing {
                None => choose(logits, ids),
                Some(routing) => {
                    routing.choose(position, self.index, ids);
                    check(ids, experts)?;
                }
            }
            weigh(logits, ids, weights, self.config.renormalize);
        }
        let (experts, weights) = (&s.experts[..rows * chosen], &s.weights[..rows * chosen]);
        hooks.tap(Tap::Routes { layer: self.index, experts, weights });
        Ok(())
    }
}

/// What chose in place of the router has to choose what there is, and nothing twice.
fn check(ids: &[u32], experts: usize) -> Result<(), ModelError> {
    let wrong = |(n, id): (usize, &u32)| *id as usize >= experts || ids[..n].contains(id);
    match ids.iter().enumerate().find(|&one| wrong(one)) {
        None => Ok(()),
        Some((_, &found)) => Err(ModelError::Routing { found, experts }),
    }
}

/// The most probable experts, by descending probability, lower id first on a tie.
pub(crate) fn choose(probabilities: &[f32], ids: &mut [u32]) {
    let mut order: Vec<u32> = (0..).take(probabilities.len()).collect();
    let before = |a: &u32, b: &u32| {
        let (p, q) = (probabilities[*a as usize], probabilities[*b as usize]);
        q.total_cmp(&p).then(a.cmp(b))
    };
    let chosen = ids.len();
    if chosen < order.len() {
        order.select_nth_unstable_by(chosen, before);
    }
    order.truncate(chosen);
    order.sort_unstable_by(before);
    ids.copy_from_slice(&order);
}

/// The weight of each chosen expert.
fn weigh(probabilities: &[f32], ids: &[u32], weights: &mut [f32], renormalise: bool) {
    for (weight, &id) in weights.iter_mut().zip(ids) {
        *weight = probabilities[id as usize];
    }
    if renormalise {
        let sum: f32 = weights.iter().sum();
        // Experts that the router did not choose may all have no probability that can be told.
        let (sum, each) = (sum.max(f32::MIN_POSITIVE), 1.0 / ids.len() as f32);
        let vanished = weights.iter().all(|weight| *weight < f32::MIN_POSITIVE);
        weights.iter_mut().for_each(|w| *w = if vanished { each } else { *w / sum });
    }
}

#[cfg(test)]
mod tests {
    use super::{check, choose, weigh};

    fn chosen(probabilities: &[f32], count: usize, renormalise: bool) -> (Vec<u32>, Vec<f32>) {
        let (mut ids, mut weights) = (vec![0; count], vec![0.0; count]);
        choose(probabilities, &mut ids);
        weigh(probabilities, &ids, &mut weights, renormalise);
        (ids, weights)
    }

    #[test]
    fn a_route_names_what_there_is_once() {
        assert!(check(&[0, 2, 1], 3).is_ok(), "all of three");
        assert!(check(&[0, 3], 3).is_err() && check(&[2, 0, 2], 3).is_err(), "unknown, twice");
    }

    #[test]
    fn what_has_no_probability_is_weighed_alike() {
        let mut weights = [9.0; 2];
        weigh(&[1.0, 0.0, 0.0], &[1, 2], &mut weights, true);
        assert_eq!(weights, [0.5, 0.5], "not 0 / 0");
    }

    #[test]
    fn by_probability_then_by_id() {
        let p = [0.125, 0.25, 0.125, 0.25, 0.25];
        let (ids, weights) = chosen(&p, 4, false);
        assert_eq!(ids, [1, 3, 4, 0], "ties go to the lower id");
        assert_eq!(weights, [0.25, 0.25, 0.25, 0.125], "as they are");
        let (ids, weights) = chosen(&p, 2, true);
        assert_eq!((ids, weights), (vec![1, 3], vec![0.5, 0.5]), "weights that sum to one");
        let (ids, _) = chosen(&p, 5, true);
        assert_eq!(ids, [1, 3, 4, 0, 2], "all of them");
    }
}
