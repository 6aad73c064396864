//! The 64-bit ARM build under an emulator: kernel tests, oracle tests, and a short answer of the built-in model.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

mod answer;
mod needs;

use needs::Tools;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Processors that the emulator plays: one with every extension that a table may ask for, and one
/// with the baseline alone, so that the choice at run time is tested too.
const CPUS: [&str; 2] = ["max", "cortex-a72"];

/// Doctests are left out: they would run on the machine that builds. So are the transcripts of the
/// built-in model, which take an emulator many minutes: its answers are compared instead.
const TESTS: [(&str, &[&str]); 2] = [
    ("kernel tests", &["-p", "kernels", "--lib", "--tests"]),
    (
        "oracle tests",
        &["-p", "model", "--test", "walk", "oracle", "--", "--skip", "the_demo_model"],
    ),
];

/// Builds and runs all of it; whether everything held.
///
/// # Errors
/// What is missing on this machine and how to install it, a command that cannot be started, or an
/// argument that is not known.
pub fn run(root: &Path, args: &[String]) -> Result<bool, String> {
    let install = match args {
        [] => false,
        [flag] if flag == "--install" => true,
        _ => return Err(format!("aarch64: found `{}`, accepted: --install", args.join(" "))),
    };
    let tools = needs::find(install)?;
    println!("{tools}");
    let mut steps: Vec<(String, bool, f64)> = Vec::new();
    let mut step = |name: String, work: &mut dyn FnMut() -> Result<bool, String>| {
        println!("\n== {name}");
        let begun = Instant::now();
        let held = work()?;
        steps.push((name, held, begun.elapsed().as_secs_f64()));
        Ok::<(), String>(())
    };
    for cpu in CPUS {
        for (name, test) in TESTS {
            let mut cargo = tools.cargo(root, cpu);
            cargo.args(["test", "--release", "--target", TARGET]).args(test);
            step(format!("{name} on {cpu}"), &mut || succeeds(&mut cargo))?;
        }
    }
    step("answers of both builds".to_owned(), &mut || answer::compare(root, &tools))?;
    println!();
    for (name, held, seconds) in &steps {
        println!("{} {name} ({seconds:.0} s)", if *held { "held  " } else { "FAILED" });
    }
    Ok(steps.iter().all(|(_, held, _)| *held))
}

fn succeeds(command: &mut Command) -> Result<bool, String> {
    command.status().map(|status| status.success()).map_err(|error| not_started(command, &error))
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("{} cannot be started: {error}", command.get_program().display())
}

impl Tools {
    /// Cargo, set up to build for the target and to run what it built on this processor.
    fn cargo(&self, root: &Path, cpu: &str) -> Command {
        let variable = |name: &str| {
            format!("CARGO_TARGET_{}_{name}", TARGET.to_ascii_uppercase().replace('-', "_"))
        };
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root).env("RUSTC", &self.rustc);
        cargo.env(variable("LINKER"), &self.linker);
        // Linked dynamically, a program that starts a thread spins for ever in qemu 7.2.
        cargo.env(variable("RUSTFLAGS"), "-C target-feature=+crt-static");
        cargo.env(variable("RUNNER"), format!("{} -cpu {cpu}", self.emulator));
        cargo
    }
}
