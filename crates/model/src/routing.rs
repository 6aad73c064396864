//! Choosing experts in place of the router: for measuring with routes of another making.

/// Chooses instead of the router. The router is computed all the same, and the weights of the
/// chosen are what it gives them.
pub trait Routing: Send {
    /// The experts for the id at `position` in `layer`, all different; `experts` has a place for
    /// each. An expert that the model does not have, or one named twice, ends the pass with an error.
    fn choose(&mut self, position: usize, layer: usize, experts: &mut [u32]);

    /// What looking ahead guesses that `choose` will say, and `true`; `false` leaves it to the
    /// model's own router.
    fn guess(&mut self, position: usize, layer: usize, experts: &mut [u32]) -> bool {
        let _ = (position, layer, experts);
        false
    }
}
