//! Which instructions are used, chosen at run time: one table of functions for each.

#![allow(unsafe_code, reason = "functions with target features are called through the tables")]

use std::fmt;

/// The instructions of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust, compiled for the baseline of the target.
    Scalar,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // There the baseline has vectors and fused multiply-add, and the compiler uses them.
            Isa::Scalar if cfg!(target_arch = "aarch64") => "neon",
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

/// Short names for what operations take, so that the table below can be read.
pub(crate) mod types {
    use crate::rows::Part;
    use crate::{DeltaStep, DeltaUpdate, Matrix};

    pub(crate) type M<'a> = &'a Matrix<'a>;
    pub(crate) type P<'a, 'p> = &'a mut Part<'p>;
    pub(crate) type In<'a> = &'a [f32];
    pub(crate) type Out<'a> = &'a mut [f32];
    pub(crate) type S<'a> = &'a DeltaStep<'a>;
    pub(crate) type U<'a> = &'a DeltaUpdate<'a>;
}

use types::{In, M, Out, P, S, U};

use crate::DeltaStep;

type Attend = fn(In<'_>, In<'_>, In<'_>, f32, Out<'_>);

/// A table of functions. What each computes, and that lengths fit, is said at the methods.
pub struct Kernels {
    pub(crate) isa: Isa,
    pub(crate) decode_row: fn(M<'_>, usize, Out<'_>),
    pub(crate) one_vector: fn(M<'_>, In<'_>, P<'_, '_>),
    pub(crate) decoded_rows: fn(In<'_>, usize, In<'_>, usize, P<'_, '_>),
    pub(crate) dot: fn(In<'_>, In<'_>) -> f32,
    pub(crate) rms_norm: fn(In<'_>, In<'_>, f32, Out<'_>),
    pub(crate) l2_norm: fn(Out<'_>, f32, f32),
    pub(crate) silu: fn(Out<'_>),
    pub(crate) silu_mul: fn(Out<'_>, In<'_>),
    pub(crate) sigmoid_mul: fn(Out<'_>, In<'_>),
    pub(crate) add: fn(Out<'_>, In<'_>),
    pub(crate) add_scaled: fn(Out<'_>, f32, In<'_>),
    pub(crate) softmax: fn(Out<'_>),
    pub(crate) rope: fn(Out<'_>, In<'_>, In<'_>),
    pub(crate) conv_silu: fn(In<'_>, &[&[f32]], Out<'_>),
    pub(crate) delta_steps: fn(Out<'_>, &[DeltaStep<'_>], Out<'_>, Out<'_>),
    pub(crate) delta_read: fn(Out<'_>, S<'_>, Out<'_>, Out<'_>),
    pub(crate) delta_apply: fn(Out<'_>, U<'_>),
    pub(crate) delta_apply_read: fn(Out<'_>, U<'_>, S<'_>, Out<'_>, Out<'_>),
    pub(crate) attend: Attend,
}

impl Kernels {
    /// Every table that this machine can run, the plain one first, the best one last.
    pub fn available() -> Vec<&'static Kernels> {
        let mut tables = vec![&crate::portable::TABLE];
        #[cfg(target_arch = "x86_64")]
        tables.extend(crate::x86::available());
        tables
    }

    /// The fastest table that this machine can run.
    pub fn best() -> &'static Kernels {
        Kernels::available().pop().unwrap_or(&crate::portable::TABLE)
    }

    /// The table of that name, as [`Isa`] prints it, if this machine can run it.
    pub fn named(name: &str) -> Option<&'static Kernels> {
        Kernels::available().into_iter().find(|table| table.isa.to_string() == name)
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.isa)
    }
}

/// A generic operation, compiled for a list of target features; without any it is taken as it is.
macro_rules! operation {
    ([], $path:path, ($($argument:ident: $type:ty),*) $(-> $out:ty)?) => {
        $path
    };
    ([$features:literal], $path:path, ($($argument:ident: $type:ty),*) $(-> $out:ty)?) => {{
        use $crate::table::types::*;
        #[target_feature(enable = $features)]
        fn compiled($($argument: $type),*) $(-> $out)? {
            $path($($argument),*)
        }
        // SAFETY: `x86::available` hands this table out only where the features were detected.
        |$($argument),*| unsafe { compiled($($argument),*) }
    }};
}

/// Defines `TABLE`: every operation for one lane type and the target features that it needs.
macro_rules! table {
    ($isa:ident, $lanes:ty, $features:tt) => {
        pub(crate) static TABLE: $crate::Kernels = {
            use $crate::ops::*;
            use $crate::table::operation;
            $crate::Kernels {
                isa: Isa::$isa,
                decode_row: operation!(
                    $features, matmul::decode_row::<$lanes>, (m: M<'_>, row: usize, out: Out<'_>)
                ),
                one_vector: operation!(
                    $features, matmul::one_vector::<$lanes>, (m: M<'_>, x: In<'_>, part: P<'_, '_>)
                ),
                decoded_rows: operation!(
                    $features, matmul::decoded_rows::<$lanes>,
                    (decoded: In<'_>, first: usize, x: In<'_>, cols: usize, part: P<'_, '_>)
                ),
        dot: operation!($features, sums::dot::<$lanes>, (a: In<'_>, b: In<'_>) -> f32),
                rms_norm: operation!(
                    $features, sums::rms_norm::<$lanes>,
                    (x: In<'_>, weight: In<'_>, eps: f32, out: Out<'_>)
                ),
                l2_norm: operation!(
                    $features, sums::l2_norm::<$lanes>, (x: Out<'_>, eps: f32, scale: f32)
                ),
        silu: operation!($features, elements::silu::<$lanes>, (x: Out<'_>)),
                silu_mul: operation!(
                    $features, elements::silu_mul::<$lanes>, (gate: Out<'_>, up: In<'_>)
                ),
                sigmoid_mul: operation!(
                    $features, elements::sigmoid_mul::<$lanes>, (x: Out<'_>, gate: In<'_>)
                ),
        add: operation!($features, elements::add::<$lanes>, (x: Out<'_>, y: In<'_>)),
                add_scaled: operation!(
                    $features, elements::add_scaled::<$lanes>,
                    (x: Out<'_>, scale: f32, y: In<'_>)
                ),
        softmax: operation!($features, sums::softmax::<$lanes>, (x: Out<'_>)),
                rope: operation!(
                    $features, elements::rope::<$lanes>,
                    (head: Out<'_>, cos: In<'_>, sin: In<'_>)
                ),
                conv_silu: operation!(
                    $features, elements::conv_silu::<$lanes>,
                    (taps: In<'_>, window: &[&[f32]], out: Out<'_>)
                ),
                delta_steps: operation!(
                    $features, delta::delta_steps::<$lanes>,
                    (state: Out<'_>, steps: &[$crate::DeltaStep<'_>], u: Out<'_>, out: Out<'_>)
                ),
                delta_read: operation!(
                    $features, delta::delta_read::<$lanes>,
                    (state: Out<'_>, step: S<'_>, u: Out<'_>, out: Out<'_>)
                ),
                delta_apply: operation!(
                    $features, delta::delta_apply::<$lanes>, (state: Out<'_>, update: U<'_>)
                ),
                delta_apply_read: operation!(
                    $features, delta::delta_apply_read::<$lanes>,
                    (state: Out<'_>, before: U<'_>, step: S<'_>, u: Out<'_>, out: Out<'_>)
                ),
                attend: operation!(
                    $features, attend::attend::<$lanes>,
                    (q: In<'_>, keys: In<'_>, values: In<'_>, scale: f32, out: Out<'_>)
                ),
            }
        };
    };
}

pub(crate) use {operation, table};
