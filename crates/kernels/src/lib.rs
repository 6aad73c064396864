//! Arithmetic on slices: quantised matrices times vectors, norms, attention, delta rule.
//!
//! One arithmetic: every table of [`Kernels`] returns the same bits. Sums of products run in 16
//! virtual lanes, element i in lane i mod 16, each step one fused multiply-add; then lane l takes
//! lane l+8, l+4, l+2, l+1 in turn. A last part of fewer than 16 elements is filled with zeros.
//! Exponentials are our own formulas in the same operations. Where a result is NaN every table
//! says NaN, but sign and payload of a NaN are not promised.
//!
//! Lengths that do not fit together are mistakes of the calling code and panic with both lengths.

mod activations;
#[cfg(target_arch = "aarch64")]
mod arm;
mod attention;
mod cpu;
mod dots;
mod error;
mod float;
mod kv;
pub mod ladder;
mod lanes;
mod math;
mod matrix;
mod operations;
mod ops;
mod pairs;
mod pool;
mod portable;
mod quant;
mod rows;
mod scratch;
mod table;
pub mod tolerances;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use attention::{Past, Queries};
pub use cpu::{Cpu, Precision, Product};
pub use error::KernelError;
pub use float::{Float, all_finite};
pub use kv::KvType;
pub use math::{exp, sigmoid, softplus};
pub use matrix::{Matrix, Planes};
pub use ops::delta::{DeltaStep, DeltaUpdate};
pub use quant::Quant;
pub use table::{Isa, Kernels};
