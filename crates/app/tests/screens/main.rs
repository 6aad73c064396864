//! The screens of `chat` as a terminal has them: keys go in through tmux, pictures come out and are held against files.
//!
//! `cargo test --test screens` compares, `cargo test --test screens -- bless` writes the pictures
//! anew: look at what changed before it is committed.

mod cases;
mod played;
mod terminal;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        // The program that is shown is this test in another role.
        Some(played::ROLE) => return played::play(&words[1..]),
        // A tool's guard is the program that called it.
        Some("tool-guard") => return flash_moe::main(),
        _ => {}
    }
    let bless = words.first().is_some_and(|word| word == "bless");
    words.drain(..usize::from(bless));
    let arguments = Arguments::from_iter(["screens".to_owned()].into_iter().chain(words));
    if let Err(why) = terminal::version() {
        println!("SKIP no screens are looked at: {why}");
        return ExitCode::SUCCESS;
    }
    let trial = |(name, case): (&'static str, cases::Case)| {
        Trial::test(name, move || case(name, bless).map_err(Into::into))
    };
    let trials = cases::ALL.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
