//! Tables for x86-64, handed out only where the processor has the instructions.

use crate::table::Kernels;

mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512;
mod bits;
mod dots;
mod rows;
mod tiles;
mod unpack;

/// The tables whose target features this processor and its system have, the best one last.
pub(crate) fn available() -> Vec<&'static Kernels> {
    let mut tables = Vec::new();
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    if avx2 {
        tables.push(&avx2::TABLE);
    }
    if avx2 && is_x86_feature_detected!("avxvnni") {
        tables.push(&avx2::vnni::TABLE);
    }
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    if avx2 && avx512 {
        tables.push(&avx512::TABLE);
        if is_x86_feature_detected!("avx512vnni") {
            tables.push(&avx512::vnni::TABLE);
            if amx::is_permitted() {
                tables.push(&amx::TABLE);
            }
        }
    }
    tables
}
