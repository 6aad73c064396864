//! Tables for aarch64: NEON is its baseline, the dot product instructions are looked for.

use crate::table::Kernels;

pub(crate) mod dots;

/// The tables whose target features this processor and its system have, the best one last.
pub(crate) fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        tables.push(&dots::TABLE);
    }
    tables
}
