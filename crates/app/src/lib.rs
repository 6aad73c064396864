//! Everything that the binary `flash-moe` does: the command line and all that a person or a script sees; a library so that tests can put a scripted model behind the chat.

#![forbid(unsafe_code)]

mod bench;
mod chat;
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
mod saved;
mod say;
mod size;
mod speed;
mod synth;
mod table;
mod tool;
mod verify;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use clap::error::ErrorKind;
use cli::{Cli, Command, Evaluation};
use fault::Fault;

/// Holds `chat` with a model that is there already, so that screens can be tested with one whose
/// answers are known. `arguments` are those of the command.
#[must_use]
pub fn chat_with<F: engine::Forward>(
    arguments: &[String],
    model: F,
    tokenizer: engine::Tokenizer,
    template: engine::ChatTemplate,
) -> ExitCode {
    let line = ["flash-moe", "chat"].into_iter().map(str::to_owned);
    let cli = match Cli::try_parse_from(line.chain(arguments.iter().cloned())) {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let Command::Chat(args) = cli.command else { return ExitCode::from(2) };
    ended(chat::chat_with(&args, model, tokenizer, template))
}

/// The program: reads the command line, does what it says, and tells how that went.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(ended) = tool::as_guard() {
        return ended;
    }
    let start = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let done = match cli.command {
        Command::Run(args) => run::run(&args, start),
        Command::Chat(args) => chat::chat(&args, start),
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
    ended(done)
}

fn ended(done: Result<(), Fault>) -> ExitCode {
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
