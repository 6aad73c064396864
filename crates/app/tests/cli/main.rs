//! The binary as users and scripts meet it: streams, exit codes, names, and the demo model's answers.

#[cfg(feature = "demo")]
mod answers;
mod bench_cache;
mod bench_kernels;
mod benches;
#[cfg(feature = "demo")]
mod chat;
mod checkpoints;
#[cfg(feature = "demo")]
mod interruptions;
#[cfg(feature = "demo")]
mod kl;
#[cfg(all(feature = "demo", target_os = "linux"))]
mod limited;
#[cfg(feature = "demo")]
mod machine;
mod program;
#[cfg(feature = "demo")]
mod refusals;
#[cfg(feature = "demo")]
mod repacked;
mod synthetic;
#[cfg(not(feature = "demo"))]
mod without_demo;
