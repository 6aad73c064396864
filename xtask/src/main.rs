//! The command line of the project's chores: `cargo xtask`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

use xtask::{aarch64, manifest, tidy};

const USAGE: &str = "\
cargo xtask tidy              the house rules that no compiler checks, and lines per crate
cargo xtask fuzz [TARGET...]  mutated inputs for every parser; what breaks lies in target/fuzz-crashes
                              --seconds N (10, each target)  --seed N (1)  --iteration N (replay)
cargo xtask aarch64           the 64-bit ARM build under qemu: kernel tests, oracle tests, and answers of
                              the built-in model byte for byte; --install fetches what it needs
cargo xtask demo-manifest     lengths and hashes of demo/demo-4bit into demo/manifest.json
The gate is .ci/run.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("tidy") => tidy(root),
        Some("fuzz") => fuzz(root, rest),
        Some("aarch64") => aarch64::run(root, rest),
        Some("demo-manifest") => manifest::write(root).map(|()| true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
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

/// Builds the fuzzer, which needs every crate, and runs it.
fn fuzz(root: &Path, args: &[String]) -> Result<bool, String> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--package", "fuzz", "--"]).args(args);
    let status = command.current_dir(root).status();
    Ok(status.map_err(|error| format!("cargo cannot be started: {error}"))?.success())
}

fn tidy(root: &Path) -> Result<bool, String> {
    let findings = tidy::check(root);
    for finding in &findings {
        println!("{finding}");
    }
    let census = tidy::census(root)?;
    for (name, files, lines) in &census.crates {
        println!("{name:16} {files:3} files {lines:6} lines");
    }
    println!("median file {} lines, {} findings", census.median_lines, findings.len());
    Ok(findings.is_empty())
}
