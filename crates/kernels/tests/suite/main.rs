//! One binary for all tests of the crate, so that one file can be carried to another machine.

mod naive;
mod numbers;

mod attention;
mod fast;
mod hand_made;
mod kept;
mod ladder;
mod layouts;
mod math;
mod mlx_vectors;
mod pool;
mod products;
mod refusals;
mod tables;
