//! The same question to both builds of the binary, in every arithmetic that it offers: the same bytes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{CPUS, TARGET, Tools, not_started};

const BINARY: [&str; 5] = ["--quiet", "--release", "--package", "flash-moe", "--"];
/// Two threads, so that work is shared, and reads that an emulator passes on.
const QUESTION: [&str; 13] = [
    "run",
    "What is a glacier?",
    "--max-tokens",
    "16",
    "--temp",
    "0",
    "--think",
    "off",
    "--stats",
    "json",
    "--threads",
    "2",
    "--io=buffered",
];
/// Flags that change the arithmetic. Their values are asked of the binary itself.
const ARITHMETIC: [&str; 2] = ["--precision", "--kv"];

/// What a build says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    text: String,
    /// Of the last position's logits: it differs where a single bit does.
    logits_hash: String,
}

/// Asks both builds; whether all answers were the same.
pub(super) fn compare(root: &Path, tools: &Tools) -> Result<bool, String> {
    let native = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root).arg("run").args(BINARY);
        cargo
    };
    let mut all_same = true;
    for flag in ARITHMETIC {
        for value in values(&mut native(), flag)? {
            let choice = format!("{flag}={value}");
            let (wanted, isa) = ask(native().args(QUESTION).arg(&choice))?;
            println!("{choice}: {:?} #{} ({isa})", wanted.text, wanted.logits_hash);
            for cpu in CPUS {
                let mut cargo = tools.cargo(root, cpu);
                cargo.args(["run", "--target", TARGET]).args(BINARY).args(QUESTION).arg(&choice);
                let (found, isa) = ask(&mut cargo)?;
                let same = found == wanted;
                all_same &= same;
                match same {
                    true => println!("  {cpu}: the same ({isa})"),
                    false => println!("  {cpu}: DIFFERS ({isa}): {found:?}"),
                }
            }
        }
    }
    Ok(all_same)
}

/// The values that the binary accepts for a flag: it names them when it refuses another.
fn values(command: &mut Command, flag: &str) -> Result<Vec<String>, String> {
    command.args(["run", "x", flag, "no-such-value"]);
    let done = command.output().map_err(|error| not_started(command, &error))?;
    let told = String::from_utf8_lossy(&done.stderr);
    possible(&told).ok_or_else(|| format!("{flag}: no possible values in {told:?}"))
}

fn possible(told: &str) -> Option<Vec<String>> {
    let (_, list) = told.split_once("[possible values: ")?;
    let (list, _) = list.split_once(']')?;
    Some(list.split(',').map(|value| value.trim().to_owned()).collect())
}

/// The answer, and which instructions gave it.
fn ask(command: &mut Command) -> Result<(Answer, String), String> {
    let done = command.output().map_err(|error| not_started(command, &error))?;
    let told = String::from_utf8_lossy(&done.stderr);
    let stats = told.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let named = |name: &str| Some(stats.as_ref()?.get(name)?.as_str()?.to_owned());
    match (done.status.success(), named("logits_hash"), named("isa")) {
        (true, Some(logits_hash), Some(isa)) => {
            let text = String::from_utf8_lossy(&done.stdout).into_owned();
            Ok((Answer { text, logits_hash }, isa))
        }
        _ => Err(format!("no answer ({}): {}", done.status, told.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_a_refusal_names() {
        let told = "error: invalid value 'x' for '--kv <TYPE>' [possible values: f32, f16, q8]\n";
        assert_eq!(possible(told), Some(["f32", "f16", "q8"].map(str::to_owned).to_vec()), "three");
        assert_eq!(possible("error: no"), None, "none are told");
    }

    #[cfg(unix)]
    #[test]
    fn an_answer_is_what_a_program_says_with_its_hash() {
        let stats = r#"{"logits_hash":"0a1b","isa":"neon"}"#;
        let script = format!("printf text; echo note >&2; echo '{stats}' >&2");
        let (answer, isa) = ask(Command::new("sh").args(["-c", &script])).expect("an answer");
        assert_eq!((&*answer.text, &*answer.logits_hash, &*isa), ("text", "0a1b", "neon"), "told");
        let failed = ask(Command::new("sh").args(["-c", &format!("{script}; exit 1")]));
        assert!(failed.is_err_and(|why| why.contains("note")), "a program that fails");
        let silent = ask(Command::new("sh").args(["-c", "echo text"]));
        assert!(silent.is_err(), "a program that tells no hash");
    }
}
