//! Products of packed matrices with one vector, in every form, beside reading the same bytes.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use kernels::ladder::{self, Rung};
use kernels::{Cpu, Matrix, Precision, tolerances};

use super::rings::Ring;
use super::{Ceiling, ROUNDS, Row, checked};
use crate::fault::Fault;
use crate::interrupt;

const BITS: [usize; 2] = [4, 2];

/// A form of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Ladder(Rung),
    /// The engine's own, in float32.
    Exact,
    /// The engine's own, with integers.
    IntDot,
}

impl Product {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Rung::ALL.into_iter().map(Self::Ladder).chain([Self::Exact, Self::IntDot])
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ladder(rung) => rung.name(),
            Self::Exact => "exact",
            Self::IntDot => "int_dot",
        }
    }

    /// How far its results may lie from those of f64.
    fn bound(self) -> f32 {
        match self {
            Self::Ladder(_) | Self::Exact => tolerances::LADDER.bound,
            Self::IntDot => tolerances::INTEGERS.bound,
        }
    }

    fn run(self, cpu: &Cpu, matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
        match self {
            Self::Ladder(rung) => ladder::product(cpu, rung, matrix, x, out),
            Self::Exact => {
                cpu.matmul_in(
                    Precision::Exact,
                    &mut [kernels::Product { matrix: *matrix, x, out }],
                );
            }
            Self::IntDot => {
                cpu.matmul_in(Precision::Fast, &mut [kernels::Product { matrix: *matrix, x, out }]);
            }
        }
    }
}

/// Every product on every number of threads, and the speed of reading for each.
pub(super) fn measure(
    products: &[Product],
    cpus: &[Cpu],
    ring_bytes: u64,
    cancel: &AtomicBool,
) -> Result<(Vec<Ceiling>, Vec<Row>), Fault> {
    let most = cpus.last().ok_or_else(|| Fault::failed("no threads to measure on"))?;
    let rings: Result<Vec<Ring>, Fault> =
        BITS.iter().map(|bits| Ring::new(*bits, ring_bytes, most)).collect();
    let mut rings = rings?;
    let mut ceilings: Vec<Ceiling> =
        cpus.iter().map(|cpu| Ceiling { threads: cpu.threads(), turns: Vec::new() }).collect();
    let mut rows = check(products, cpus, &rings)?;
    let mut out = vec![0.0; rings.iter().map(Ring::rows).max().unwrap_or(0)];
    for _ in 0..ROUNDS {
        interrupt::check(cancel)?;
        let mut each_row = rows.iter_mut();
        for ring in &mut rings {
            let out = &mut out[..ring.rows()];
            for (cpu, ceiling) in cpus.iter().zip(&mut ceilings) {
                let turn = ring.turn(|_, bytes, _| {
                    black_box(ladder::read(cpu, bytes));
                })?;
                ceiling.turns.push(turn);
                for (product, row) in products.iter().zip(each_row.by_ref()) {
                    row.turns.push(ring.turn(|matrix, _, x| product.run(cpu, matrix, x, out))?);
                }
            }
        }
    }
    Ok((ceilings, rows))
}

/// The rows in the order in which they are measured, each held against f64.
fn check(products: &[Product], cpus: &[Cpu], rings: &[Ring]) -> Result<Vec<Row>, Fault> {
    let mut rows = Vec::new();
    for ring in rings {
        let truth = ring.truth();
        for cpu in cpus {
            for product in products {
                let (kernel, bits, threads) = (product.name(), ring.bits, cpu.threads());
                let mut out = vec![f32::NAN; ring.rows()];
                product.run(cpu, &ring.matrix(0)?, &ring.x, &mut out);
                let max_abs_err = checked(kernel, threads, &out, &truth, product.bound())?;
                rows.push(Row { kernel, bits, threads, max_abs_err, turns: Vec::new() });
            }
        }
    }
    Ok(rows)
}
