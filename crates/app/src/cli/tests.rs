//! The command line as clap sees it: what is accepted, what is refused, and in which words.

use clap::{CommandFactory as _, Parser as _};

use super::*;

fn refused(arguments: &[&str]) -> String {
    let all = ["flash-moe"].iter().chain(arguments);
    let error = Cli::try_parse_from(all).expect_err("this must be refused");
    assert_eq!(error.exit_code(), 2, "{arguments:?}");
    brief(&error)
}

fn run(arguments: &[&str]) -> RunArgs {
    let all = ["flash-moe", "run"].iter().chain(arguments);
    let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    let Command::Run(args) = cli.command else { panic!("{arguments:?} is a run") };
    *args
}

#[test]
fn clap_finds_no_fault_in_it() {
    Cli::command().debug_assert();
}

#[test]
fn each_flag_has_one_line_of_help() {
    fn lines(command: &clap::Command) {
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let name = argument.get_id();
            assert!(!help.is_empty() && !help.contains('\n'), "{}: {name}", command.get_name());
        }
        command.get_subcommands().for_each(lines);
    }
    let mut command = Cli::command();
    command.build();
    lines(&command);
}

#[test]
fn every_flag_of_run_is_read() {
    let args = run(&[
        "-m",
        "DIR",
        "--experts-per-token",
        "4",
        "-n",
        "100",
        "--temp",
        "0.6",
        "--top-p",
        "0.95",
        "--top-k",
        "20",
        "--min-p",
        "0",
        "--presence-penalty",
        "-1.5",
        "--repeat-penalty",
        "1.1",
        "--seed",
        "1",
        "--stop",
        "a",
        "--stop",
        "b",
        "--ignore-eos",
        "--logprobs",
        "3",
        "--think",
        "200",
        "--system",
        "@rules",
        "--precision",
        "exact",
        "--kv",
        "q8",
        "--io",
        "buffered",
        "--backend",
        "cpu",
        "--threads",
        "2",
        "--memory",
        "8GiB",
        "--ctx",
        "64",
        "--stats",
        "json",
        "--show-thinking",
        "what is it",
    ]);
    let sampling = args.generation.sampling();
    assert_eq!(sampling.temperature, Some(0.6), "--temp");
    assert_eq!((sampling.top_k, sampling.top_p), (Some(20), Some(0.95)), "--top-k, --top-p");
    assert_eq!((sampling.min_p, sampling.seed), (Some(0.0), Some(1)), "--min-p, --seed");
    assert_eq!(sampling.presence_penalty, Some(-1.5), "--presence-penalty");
    assert_eq!(sampling.repeat_penalty, Some(1.1), "--repeat-penalty");
    assert_eq!(args.generation.stop, ["a", "b"], "--stop");
    assert_eq!(args.generation.think, Some(ThinkChoice::Budget(200)), "--think");
    assert_eq!(args.system, Some(Text::File("rules".into())), "--system");
    assert_eq!(args.model.experts_per_token, Some(4), "--experts-per-token");
    assert_eq!(args.machine.kv(), KvType::Q8, "--kv");
    assert_eq!((args.machine.ctx, args.machine.threads), (Some(64), Some(2)), "--ctx, --threads");
    assert_eq!(args.stats, Some(StatsForm::Json), "--stats");
    assert_eq!(args.prompt.as_deref(), Some("what is it"), "prompt");
}

#[test]
fn what_cannot_be_done_yet_is_refused_with_what_can() {
    for (flag, value, accepted) in [
        ("--precision", "f16", "exact, fast"),
        ("--kv", "bf16", "f32, f16, q8"),
        ("--io", "fast", "auto, uring, direct, buffered, mmap"),
        ("--policy", "arc", "lru, clock, lfu"),
        ("--look-ahead", "2", "auto, on, off"),
        ("--backend", "gpu", "auto, cpu"),
        ("--stats", "text", "json"),
    ] {
        let line = refused(&["run", flag, value, "x"]);
        assert!(!line.contains('\n'), "{line:?} is one line");
        for part in [flag, value, accepted] {
            assert!(line.contains(part), "{line:?} names {part}");
        }
    }
}

#[test]
fn wrong_values_are_refused_by_flag_value_and_what_is_accepted() {
    for (flag, value, accepted) in [
        ("--memory", "8G", "8GiB"),
        ("--ctx", "0", "from 1"),
        ("--ctx", "many", "from 1"),
        ("--threads", "0", "1..=1024"),
        ("--temp", "-1", "0 to 100"),
        ("--temp", "NaN", "0 to 100"),
        ("--top-p", "0", "above 0, up to 1"),
        ("--min-p", "1.5", "0 to 1"),
        ("--presence-penalty", "-3", "-2 to 2"),
        ("--repeat-penalty", "0", "above 0, up to 100"),
        ("--think", "maybe", "on, off, or a number"),
        ("--experts-per-token", "0", "from 1"),
        ("--stop", "", "not empty"),
        ("--system", "@", "name of a file"),
        ("--logprobs", "1001", "0..=1000"),
    ] {
        let line = refused(&["run", flag, value, "x"]);
        for part in [flag, value, accepted] {
            assert!(line.contains(part), "{line:?} names {part}");
        }
    }
}

#[test]
fn flags_that_exclude_each_other_say_so() {
    for arguments in
        [["--raw", "--think=on", "x"], ["--raw", "--system=y", "x"], ["-f", "file", "x"]]
    {
        let line = refused(&[&["run"], &arguments[..]].concat());
        assert!(line.contains("cannot be used with"), "{line:?}");
    }
}

#[test]
fn only_what_is_there_is_listed() {
    let command = Cli::command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let all = ["run", "chat", "plan", "inspect", "synth", "bench", "repack", "verify", "eval"];
    assert_eq!(names, all, "commands");
    assert!(refused(&["serve"]).contains("serve"), "not there yet");
    assert!(refused(&["run", "--frobnicate"]).contains("--frobnicate"), "unknown flag");
}
