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
    /// AVX2 and AVX-VNNI.
    AvxVnni,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-512 VNNI, and AMX for bytes.
    Amx,
    /// NEON with dot products of bytes.
    Dotprod,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // There the baseline has vectors and fused multiply-add, and the compiler uses them.
            Isa::Scalar if cfg!(target_arch = "aarch64") => "neon",
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512vnni",
            Isa::Amx => "amx",
            Isa::Dotprod => "neon-dotprod",
        })
    }
}

/// Short names for what operations take, so that the table below can be read.
pub(crate) mod types {
    use crate::activations::{Quantised, Row};
    use crate::ops::ahead::Ahead;
    use crate::ops::attend::{Block, Room};
    use crate::ops::integers::TileScratch;
    use crate::rows::Part;
    use crate::{DeltaStep, DeltaUpdate, Matrix};

    pub(crate) type M<'a> = &'a Matrix<'a>;
    pub(crate) type P<'a, 'p> = &'a mut Part<'p>;
    pub(crate) type X<'a> = &'a Quantised<'a>;
    pub(crate) type R<'a, 'x, 'r> = &'a mut Row<'x, 'r>;
    pub(crate) type S<'a> = &'a mut TileScratch;
    pub(crate) type In<'a> = &'a [f32];
    pub(crate) type Out<'a> = &'a mut [f32];
    pub(crate) type Bytes<'a> = &'a [u8];
    pub(crate) type A<'a> = &'a mut Ahead;
    pub(crate) type B<'a, 'b> = &'a Block<'b>;
    pub(crate) type O<'a, 'r> = &'a mut Room<'r>;
    pub(crate) type D<'a> = &'a DeltaStep<'a>;
    pub(crate) type U<'a> = &'a DeltaUpdate<'a>;
}

use types::{A, B, D, In, M, O, Out, P, R, S, U, X};

use crate::DeltaStep;

/// How vectors side by side are multiplied; see [`crate::activations::Quantised`].
pub(crate) struct Blocks {
    /// With fewer vectors the table's other functions are faster.
    pub(crate) from: usize,
    pub(crate) multiply: fn(M<'_>, X<'_>, P<'_, '_>, S<'_>),
}

/// A table of functions. What each computes, and that lengths fit, is said at the methods.
pub struct Kernels {
    pub(crate) isa: Isa,
    pub(crate) decode_row: fn(M<'_>, usize, Out<'_>),
    pub(crate) one_vector: fn(M<'_>, In<'_>, P<'_, '_>),
    pub(crate) decoded_rows: fn(In<'_>, usize, In<'_>, usize, P<'_, '_>),
    pub(crate) quantise: fn(R<'_, '_, '_>),
    pub(crate) few_vectors: fn(M<'_>, X<'_>, P<'_, '_>),
    /// What is few: see [`Dots::ROWS_UP_TO`](crate::dots::Dots::ROWS_UP_TO).
    pub(crate) rows_up_to: usize,
    pub(crate) many_vectors: fn(M<'_>, X<'_>, P<'_, '_>, S<'_>),
    /// Many vectors that lie side by side, if the table wants them so.
    pub(crate) blocks: Option<Blocks>,
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
    pub(crate) delta_gates: fn(Out<'_>, Out<'_>, In<'_>, In<'_>),
    pub(crate) delta_steps: fn(Out<'_>, &[DeltaStep<'_>], Out<'_>, Out<'_>),
    pub(crate) delta_read: fn(Out<'_>, D<'_>, Out<'_>, Out<'_>),
    pub(crate) delta_apply: fn(Out<'_>, U<'_>),
    pub(crate) delta_apply_read: fn(Out<'_>, U<'_>, D<'_>, Out<'_>, Out<'_>),
    pub(crate) attend_score: fn(B<'_, '_>, O<'_, '_>, A<'_>),
    pub(crate) attend_weigh: fn(B<'_, '_>, Out<'_>, Out<'_>),
    pub(crate) attend_gather: fn(B<'_, '_>, O<'_, '_>, Out<'_>, A<'_>),
    pub(crate) score_bytes: fn(B<'_, '_>, O<'_, '_>, A<'_>),
    pub(crate) gather_bytes: fn(B<'_, '_>, O<'_, '_>, Out<'_>, A<'_>),
    pub(crate) merge: fn(Out<'_>, In<'_>),
    pub(crate) ladder: crate::ladder::Ladder,
}

impl Kernels {
    /// Every table that this machine can run, the plain one first, the best one last.
    pub fn available() -> Vec<&'static Kernels> {
        let mut tables = vec![&crate::portable::TABLE];
        #[cfg(target_arch = "x86_64")]
        tables.extend(crate::x86::available());
        #[cfg(target_arch = "aarch64")]
        tables.extend(crate::arm::available());
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

/// Few vectors times packed integers, row by row.
macro_rules! few_vectors {
    ($dots:ty, $features:tt) => {
        $crate::table::operation!(
            $features, $crate::ops::rows::few_vectors::<$dots>,
            (m: M<'_>, x: X<'_>, part: P<'_, '_>)
        )
    };
}

/// Several vectors times packed integers, sixteen rows at a time.
macro_rules! many_vectors {
    ($dots:ty, $features:tt) => {
        $crate::table::operation!(
            $features, $crate::ops::integers::many_vectors::<$dots>,
            (m: M<'_>, x: X<'_>, part: P<'_, '_>, scratch: S<'_>)
        )
    };
}

/// The scores of a block of keys kept as bytes.
macro_rules! score_bytes {
    ($pairs:ty, $features:tt) => {
        $crate::table::operation!(
            $features, $crate::ops::scaled::score::<$pairs>,
            (block: B<'_, '_>, room: O<'_, '_>, next: A<'_>)
        )
    };
}

/// The sums of a block of values kept as bytes.
macro_rules! gather_bytes {
    ($pairs:ty, $features:tt) => {
        $crate::table::operation!(
            $features, $crate::ops::scaled::gather::<$pairs>,
            (block: B<'_, '_>, room: O<'_, '_>, records: Out<'_>, next: A<'_>)
        )
    };
}

/// Defines `TABLE`: every operation for one lane type and the target features that it needs.
macro_rules! table {
    ($isa:ident, $lanes:ty, $dots:ty, $features:tt) => {
        pub(crate) static TABLE: $crate::Kernels = KERNELS;
        pub(crate) const KERNELS: $crate::Kernels = {
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
        quantise: operation!($features, quantise::quantise, (row: R<'_, '_, '_>)),
                few_vectors: $crate::table::few_vectors!($dots, $features),
                rows_up_to: <$dots as $crate::dots::Dots>::ROWS_UP_TO,
                many_vectors: $crate::table::many_vectors!($dots, $features),
                blocks: None,
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
                delta_gates: operation!(
                    $features, elements::delta_gates,
                    (betas: Out<'_>, decays: Out<'_>, biases: In<'_>, rates: In<'_>)
                ),
                delta_steps: operation!(
                    $features, delta::delta_steps::<$lanes>,
                    (state: Out<'_>, steps: &[$crate::DeltaStep<'_>], u: Out<'_>, out: Out<'_>)
                ),
                delta_read: operation!(
                    $features, delta::delta_read::<$lanes>,
                    (state: Out<'_>, step: D<'_>, u: Out<'_>, out: Out<'_>)
                ),
                delta_apply: operation!(
                    $features, delta::delta_apply::<$lanes>, (state: Out<'_>, update: U<'_>)
                ),
                delta_apply_read: operation!(
                    $features, delta::delta_apply_read::<$lanes>,
                    (state: Out<'_>, before: U<'_>, step: D<'_>, u: Out<'_>, out: Out<'_>)
                ),
                attend_score: operation!(
                    $features, attend::attend_score::<$lanes>,
                    (block: B<'_, '_>, room: O<'_, '_>, next: A<'_>)
                ),
                ladder: $crate::table::ladder!($lanes, $features),
                attend_weigh: operation!(
                    $features, attend::attend_weigh::<$lanes>,
                    (block: B<'_, '_>, scores: Out<'_>, records: Out<'_>)
                ),
                attend_gather: operation!(
                    $features, attend::attend_gather::<$lanes>,
                    (block: B<'_, '_>, room: O<'_, '_>, records: Out<'_>, next: A<'_>)
                ),
                score_bytes: $crate::table::score_bytes!($lanes, $features),
                gather_bytes: $crate::table::gather_bytes!($lanes, $features),
        merge: operation!($features, attend::merge::<$lanes>, (into: Out<'_>, from: In<'_>)),
            }
        };
    };
}

/// Defines `TABLE`: another one but for its products of integers.
macro_rules! integers {
    ($isa:ident, $dots:ty, $pairs:ty, $features:tt, $base:path) => {
        pub(crate) static TABLE: $crate::Kernels = KERNELS;
        pub(crate) const KERNELS: $crate::Kernels = {
            $crate::Kernels {
                isa: Isa::$isa,
                few_vectors: $crate::table::few_vectors!($dots, $features),
                rows_up_to: <$dots as $crate::dots::Dots>::ROWS_UP_TO,
                many_vectors: $crate::table::many_vectors!($dots, $features),
                score_bytes: $crate::table::score_bytes!($pairs, $features),
                gather_bytes: $crate::table::gather_bytes!($pairs, $features),
                ..$base
            }
        };
    };
}

/// The forms that the product's own are measured against.
macro_rules! ladder {
    ($lanes:ty, $features:tt) => {{
        use $crate::ladder;
        ladder::Ladder {
            naive: operation!(
                $features, ladder::rows::<$lanes, ladder::Naive>,
                (m: M<'_>, first: usize, x: In<'_>, sums: In<'_>, out: Out<'_>)
            ),
            fma: operation!(
                $features, ladder::rows::<$lanes, ladder::Fma>,
                (m: M<'_>, first: usize, x: In<'_>, sums: In<'_>, out: Out<'_>)
            ),
            algebraic: operation!(
                $features, ladder::rows::<$lanes, ladder::Algebraic>,
                (m: M<'_>, first: usize, x: In<'_>, sums: In<'_>, out: Out<'_>)
            ),
            look_up: operation!(
                $features, ladder::rows::<$lanes, ladder::LookUp>,
                (m: M<'_>, first: usize, x: In<'_>, sums: In<'_>, out: Out<'_>)
            ),
            delta_passes: operation!(
                $features, ladder::passes::<$lanes>,
                (state: Out<'_>, step: D<'_>, u: Out<'_>, out: Out<'_>)
            ),
            stream: operation!($features, ladder::stream::<$lanes>, (bytes: Bytes<'_>) -> u32),
        }
    }};
}

#[cfg(target_arch = "x86_64")]
pub(crate) use integers;
pub(crate) use {few_vectors, gather_bytes, ladder, many_vectors, operation, score_bytes, table};
