//! The command line of the fuzzer, called by `cargo xtask fuzz`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use fuzz::Request;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let done = match args.split_first() {
        // How the fuzzer calls itself: one target in a process of its own.
        Some((first, rest)) if first == fuzz::ONE => {
            Request::parse(rest).and_then(|request| fuzz::run_one(root, &request))
        }
        _ => Request::parse(&args).and_then(|request| fuzz::run(root, &request)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
