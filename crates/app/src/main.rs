//! The one binary, `flash-moe`: the command line and everything a person or a script sees.

#![forbid(unsafe_code)]

mod bench;
mod cli;
#[cfg(feature = "demo")]
mod demo;
mod eval;
mod fault;
mod inspect;
mod interrupt;
mod language;
mod open;
mod place;
mod plan;
mod print;
mod progress;
mod prompt;
mod repack;
mod report;
mod run;
mod say;
mod size;
mod speed;
mod synth;
mod table;
mod verify;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use clap::error::ErrorKind;
use cli::{Cli, Command, Evaluation};
use fault::Fault;

fn main() -> ExitCode {
    let start = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let done = match cli.command {
        Command::Run(args) => run::run(&args, start),
        Command::Plan(args) => plan::plan(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Synth(args) => synth::synth(&args),
        Command::Bench(command) => bench::bench(&command),
        Command::Repack(args) => repack::repack(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Eval(Evaluation::Logits(args)) => eval::logits(&args),
        Command::Eval(Evaluation::Kl(args)) => eval::kl(&args),
        Command::Eval(Evaluation::Tools(args)) => eval::tools(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => end(&fault),
    }
}

/// Help and version are what was asked for; all else is a command line that is wrong.
fn not_a_command(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A pipe that closes while help is printed is no reason to complain.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        _ => end(&Fault::command_line(cli::brief(error))),
    }
}

fn end(fault: &Fault) -> ExitCode {
    if let Some(line) = fault.line() {
        say::error(line);
    }
    ExitCode::from(fault.code())
}
