//! Every departure from the house rules that was argued for, in one table.

use super::Exception;

/// Sorted by rule. An entry that nothing needs any more is a finding.
pub(super) const ALL: [Exception; 20] = [
    Exception {
        rule: "environment",
        path: "crates/app/src/tool/environment.rs",
        item: "",
        limit: 0,
        reason: "what a command may see of our environment is taken from it; it sets nothing of ours",
    },
    Exception {
        rule: "environment",
        path: "crates/app/src/tool/tests/commands.rs",
        item: "",
        limit: 0,
        reason: "the test first makes sure that there is something to hide",
    },
    unsafe_in(
        "crates/kernels/src/pool.rs",
        "a task borrows from its caller, who waits until every thread has left it",
    ),
    unsafe_in(
        "crates/kernels/src/rows.rs",
        "several threads write disjoint elements of one slice, each given out once",
    ),
    unsafe_in(
        "crates/kernels/src/table.rs",
        "functions with target features are called through tables made after detection",
    ),
    unsafe_in("crates/kernels/src/arm/dots.rs", "intrinsics, used by those tables alone"),
    unsafe_in(
        "crates/kernels/src/x86/amx.rs",
        "instructions without intrinsics, for its table alone",
    ),
    unsafe_in("crates/kernels/src/x86/amx/beside.rs", "intrinsics, used by that table alone"),
    unsafe_in("crates/kernels/src/x86/amx/next.rs", "an intrinsic that touches nothing"),
    unsafe_in("crates/kernels/src/x86/amx/rows.rs", "intrinsics, used by that table alone"),
    unsafe_in("crates/kernels/src/x86/amx/sums.rs", "intrinsics, used by that table alone"),
    unsafe_in("crates/kernels/src/x86/avx2.rs", "intrinsics, used by that table alone"),
    unsafe_in("crates/kernels/src/x86/avx512.rs", "intrinsics, used by that table alone"),
    unsafe_in("crates/kernels/src/x86/dots.rs", "intrinsics, used by those tables alone"),
    unsafe_in("crates/kernels/src/x86/tiles.rs", "intrinsics, used by those tables alone"),
    unsafe_in("crates/kernels/src/x86/unpack.rs", "intrinsics, used by those tables alone"),
    unsafe_in("crates/store/src/buffer.rs", "owned pieces of one allocation, split and joined"),
    unsafe_in("crates/store/src/disk/mapped.rs", "a mapped file is copied from a raw address"),
    unsafe_in("crates/store/src/disk/ring.rs", "the kernel is given addresses to write to"),
    unsafe_in("crates/store/src/pages.rs", "mapping, unmapping and locking of pages"),
];

const fn unsafe_in(path: &'static str, reason: &'static str) -> Exception {
    Exception { rule: "unsafe", path, item: "", limit: 0, reason }
}
