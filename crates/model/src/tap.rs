//! Named values inside the walk, for tests and for `eval`: nobody pays for them unless somebody listens.

/// A value that can be looked at, for all positions of one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tap<'a> {
    /// The embedded ids: `[rows, hidden]`.
    Embedded { values: &'a [f32] },
    /// What a layer puts out: `[rows, hidden]`.
    Hidden { layer: usize, values: &'a [f32] },
    /// The router's logits: `[rows, experts]`.
    RouterLogits { layer: usize, values: &'a [f32] },
    /// The chosen experts by descending probability, lower id first on a tie, and their weights:
    /// `[rows, experts_per_token]` both.
    Routes { layer: usize, experts: &'a [u32], weights: &'a [f32] },
    /// After the last norm: `[rows, hidden]`.
    Normed { values: &'a [f32] },
}

/// Who listens. Rows come in the order of the batch, each pass by itself.
pub type Listener = Box<dyn FnMut(Tap<'_>) + Send>;
