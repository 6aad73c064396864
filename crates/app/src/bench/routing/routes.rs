//! The routes that a run is given in place of its routers' own.

use std::sync::Arc;

use super::{Shape, Trace, map, synthetic};
use crate::cli::Router;
use crate::fault::Fault;
use crate::open::Checkpoint;

/// Tokens that are made up for a run; a longer one begins with them again.
const SYNTHETIC_TOKENS_MAX: usize = 2048;

/// Routes that fit the model.
pub(crate) struct Routes {
    pub(crate) trace: Arc<Trace>,
    /// What had to be done to make them fit.
    pub(crate) departure: Option<String>,
}

impl Routes {
    /// For a run of so many tokens; `None` if the model's routers choose.
    pub(crate) fn of(
        router: &Router,
        checkpoint: &Checkpoint,
        tokens: usize,
        seed: u64,
    ) -> Result<Option<Self>, Fault> {
        let (layers, experts) = (checkpoint.layers(), checkpoint.records() / checkpoint.layers());
        let shape = Shape { layers, experts, chosen: checkpoint.experts_per_token() };
        let (trace, departure) = match router {
            Router::Model => return Ok(None),
            Router::Synthetic => (synthetic(shape, tokens.min(SYNTHETIC_TOKENS_MAX), seed), None),
            Router::Trace(path) => {
                let mapped = map(&Trace::open(path)?, shape);
                (mapped.trace, mapped.departure)
            }
        };
        Ok(Some(Self { trace: Arc::new(trace), departure }))
    }
}
