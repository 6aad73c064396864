//! Bounded mutation fuzzing of every parser that reads a stranger's file, on stable Rust alone.
//!
//! Each target runs in a process of its own, so that even an abort or an overflowing stack is
//! reported with the input that did it.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

mod bytes;
mod drive;
mod json;
mod rng;
mod target;
mod targets;

pub use drive::{Broken, Options, Seen, drive};
pub use rng::Rng;
pub use target::{Run, Shape, Target, Verdict};

/// The argument by which the program calls itself for one target.
pub const ONE: &str = "fuzz-one";
/// One input may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// All inputs are small: nobody needs more than this to refuse one.
const MEMORY_BYTES: u64 = 2 << 30;

/// What the command line asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Empty: all of them.
    pub targets: Vec<String>,
    /// For each target.
    pub seconds: u64,
    /// Where all chance begins.
    pub seed: u64,
    /// Replays this one alone.
    pub iteration: Option<u64>,
}

impl Request {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The argument that is not understood.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut request = Self { targets: Vec::new(), seconds: 10, seed: 1, iteration: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut number = || {
                let text = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
                text.parse::<u64>().map_err(|_| format!("{arg} needs a number, not `{text}`"))
            };
            match arg.as_str() {
                "--seconds" => request.seconds = number()?,
                "--seed" => request.seed = number()?,
                "--iteration" => request.iteration = Some(number()?),
                flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}")),
                name => request.targets.push(name.to_owned()),
            }
        }
        Ok(request)
    }
}

/// Runs the targets one after the other, each in a process of its own. `true`: nothing broke.
///
/// # Errors
/// An unknown target, or a process that cannot be started.
pub fn run(root: &Path, request: &Request) -> Result<bool, String> {
    let known = targets::NAMES;
    if let Some(name) = request.targets.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown target {name}; there are {}", known.join(", ")));
    }
    let exe = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let mut good = true;
    for name in known {
        if !request.targets.is_empty() && !request.targets.iter().any(|asked| asked == name) {
            continue;
        }
        let mut command = Command::new(&exe);
        command.args([ONE, name, "--seconds", &request.seconds.to_string()]);
        command.args(["--seed", &request.seed.to_string()]).current_dir(root);
        if let Some(iteration) = request.iteration {
            command.args(["--iteration", &iteration.to_string()]);
        }
        let status = command.status().map_err(|error| format!("{}: {error}", exe.display()))?;
        let orderly = matches!(status.code(), Some(0 | 1));
        if !orderly {
            tell_of_death(root, name, request, &status.to_string());
        }
        good &= status.success();
    }
    Ok(good)
}

/// The process died without a word: the mark that it left says at which input.
fn tell_of_death(root: &Path, name: &str, request: &Request, how: &str) {
    let mark = drive::mark_path(&folder(root), name);
    let iteration = fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse().ok());
    let Some(iteration) = iteration else {
        println!("{name}: BROKEN before its first input: the process ended with {how}");
        return;
    };
    let saved = targets::named(root, name).and_then(|target| {
        drive::save(&target, &options(root, request), iteration).map_err(|e| e.to_string())
    });
    let path = saved.map_or_else(|error| error, |path| path.display().to_string());
    println!("{name}: BROKEN at iteration {iteration}: the process ended with {how}\n  {path}");
}

/// Runs one target in this process and prints one line about it. `true`: nothing broke.
///
/// # Errors
/// When its true inputs cannot be read or the folder for faults cannot be written.
pub fn run_one(root: &Path, request: &Request) -> Result<bool, String> {
    let [name] = request.targets.as_slice() else { return Err("name one target".to_owned()) };
    let target = Arc::new(targets::named(root, name)?);
    let options = options(root, request);
    let seen = drive(&target, &options).map_err(|error| error.to_string())?;
    let Seen { inputs, accepted, broken } = seen;
    let counts = format!("{inputs} inputs, {accepted} accepted, {} refused", inputs - accepted);
    let Some(broken) = broken else {
        println!("{name}: {counts}, seed {}", request.seed);
        return Ok(true);
    };
    println!(
        "{name}: BROKEN at iteration {} (seed {}) after {counts}\n  {}\n  {}",
        broken.iteration,
        request.seed,
        broken.how,
        broken.path.display()
    );
    Ok(false)
}

fn folder(root: &Path) -> PathBuf {
    root.join("target/fuzz-crashes")
}

fn options(root: &Path, request: &Request) -> Options {
    Options {
        time: Duration::from_secs(request.seconds),
        inputs: if request.iteration.is_some() { 1 } else { u64::MAX },
        first: request.iteration.unwrap_or(0),
        seed: request.seed,
        patience: PATIENCE,
        memory_bytes: MEMORY_BYTES,
        folder: folder(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_read() {
        let asked = parse("index --seconds 3 --seed 9 config --iteration 4").expect("good");
        let targets = vec!["index".to_owned(), "config".to_owned()];
        assert_eq!(asked, Request { targets, seconds: 3, seed: 9, iteration: Some(4) }, "all");
        for bad in ["--seconds", "--seconds x", "--speed 3"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    /// The true inputs of every target are read, and a first handful of lies breaks nothing.
    #[test]
    fn every_target_takes_its_true_inputs_and_some_lies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        for name in targets::NAMES {
            let target = targets::named(root, name).expect("its true inputs are in the tree");
            for (n, seed) in target.seeds.iter().enumerate() {
                assert_eq!((target.run)(seed), Verdict::Accepted, "{name}: true input {n}");
            }
            for iteration in 0..200 {
                let _ = (target.run)(&target.input(1, iteration));
            }
        }
    }
}
