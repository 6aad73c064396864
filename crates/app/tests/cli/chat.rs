//! `chat` in a pipe: a message a line, answers on stdout, all else on stderr, nothing asked of anybody.

use std::path::Path;

use crate::program::{Done, cache, command, finish, flash_moe_reading};

/// Runs `chat` on this input, with sessions in this folder.
fn chat(folder: &Path, input: &str, more: &[&str]) -> Done {
    let file = folder.join("input");
    std::fs::write(&file, input).expect("write");
    let sessions = folder.join("sessions").display().to_string();
    let flags = ["chat", "--temp", "0", "--think", "off", "--ctx", "2048", "--sessions", &sessions];
    let stdin = std::fs::File::open(file).expect("open");
    finish(command(&cache()).args([&flags[..], more].concat()).stdin(stdin).current_dir(folder))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

#[test]
fn answers_are_a_line_each_and_all_else_is_on_stderr() {
    let folder = folder();
    let done = chat(folder.path(), "The sea is\nWhat is a glacier?\n/tokens\n", &[]).succeeded();
    let answers: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(answers.len(), 2, "{done:?}");
    assert!(answers[0].starts_with("The sea") && answers[1].contains("glacier"), "{done:?}");
    let costs =
        done.stderr.lines().filter(|line| line.contains(" tok · ") && line.contains(" · #"));
    assert_eq!(costs.count(), 2, "what each cost: {done:?}");
    assert!(done.stderr.contains("  user      What is a glacier?"), "the command: {done:?}");
    assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
}

#[test]
fn the_first_answer_is_that_of_run() {
    let folder = folder();
    let done = chat(folder.path(), "The sea is\n", &["--no-save"]);
    assert_eq!(done.code, 2, "either a place for sessions or none: {done:?}");
    let chatted = chat(folder.path(), "The sea is\n", &[]).succeeded();
    let flags = ["run", "--temp", "0", "--think", "off", "--ctx", "2048", "-"];
    let ran = flash_moe_reading(b"The sea is", &flags).succeeded();
    assert_eq!(chatted.stdout.trim_end(), ran.stdout.trim_end(), "the same text");
    let hash = |done: &Done| done.last_line().rsplit('#').next().map(str::to_owned);
    assert_eq!(hash(&chatted), hash(&ran), "and the same logits: {chatted:?}");
}

#[test]
fn a_session_goes_on_as_if_it_had_never_ended() {
    let (once, twice) = (folder(), folder());
    let whole = chat(once.path(), "The sea is\nWhat is a glacier?\n", &[]).succeeded();
    let first = chat(twice.path(), "The sea is\n/save sea\n", &[]).succeeded();
    assert!(first.stderr.contains("kept as sea"), "{first:?}");
    let second = chat(twice.path(), "What is a glacier?\n", &["--resume", "sea"]).succeeded();
    assert!(second.stderr.contains("session sea: ") && second.stderr.contains("not be read again"));
    assert_eq!(format!("{}{}", first.stdout, second.stdout), whole.stdout, "the same answers");
    let last = |done: &Done| done.last_line().rsplit('#').next().map(str::to_owned);
    assert_eq!(last(&second), last(&whole), "to the bit");
    // Without its state everything is read again, and nothing else changes.
    std::fs::remove_file(twice.path().join("sessions/sea/state.snapshot")).expect("it was kept");
    let input = "/undo\nWhat is a glacier?\n/sessions\n/export md out.md\n";
    let again = chat(twice.path(), input, &["--resume", "last"]).succeeded();
    assert!(again.stderr.contains("everything is read again"), "{again:?}");
    assert_eq!(again.stdout, second.stdout, "the same answer");
    assert!(
        again.stderr.contains("4 messages") && again.stderr.contains("The sea is"),
        "{again:?}"
    );
    let page = std::fs::read_to_string(twice.path().join("out.md")).expect("it was written");
    assert!(page.contains("## User\n\nWhat is a glacier?"), "{page}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let folder = folder();
    std::fs::write(folder.path().join("p.png"), b"\x89PNG\r\n").expect("write");
    for (input, more, code, want) in [
        ("x\n", &["--resume", "nobody"][..], 1, "no session is called"),
        ("x\n", &["--tools", "nothing"], 2, "is no tool"),
        ("x\n", &["--allow-read-only"], 2, "--tools"),
        ("x\n", &["--system", "@nobody.txt"], 1, "nobody.txt"),
        ("look at @p.png\n", &[], 1, "@p.png: an image"),
        ("/nonsense\n", &[], 1, "/nonsense is no command"),
    ] {
        let done = chat(folder.path(), input, more);
        assert_eq!(done.code, code, "{more:?}: {done:?}");
        assert!(done.error().contains(want), "{want}: {done:?}");
        assert!(done.stdout.is_empty(), "{done:?}");
    }
}

#[test]
fn files_that_are_mentioned_are_read() {
    let folder = folder();
    std::fs::write(folder.path().join("f.txt"), "The sea is deep.").expect("write");
    let done = chat(folder.path(), "What is in @f.txt?\n/export json c.json\n", &[]).succeeded();
    let text = std::fs::read(folder.path().join("c.json")).expect("it was written");
    let all: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let said = all["messages"][0]["content"].as_str().expect("a text");
    assert!(said.contains("<file name=\"f.txt\">\nThe sea is deep.\n</file>"), "{said}: {done:?}");
}

#[test]
fn a_line_of_ten_megabytes_is_refused_within_the_plan() {
    let folder = folder();
    let input = format!("{}\nThe sea is\n/stats\n", "x".repeat(10 << 20));
    let done = chat(folder.path(), &input, &["--tools", "bash,read_file", "--sandbox", "off"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.error().contains("10.0 MiB, which no context of 2048 tokens holds"));
    assert!(done.stdout.starts_with("The sea"), "the next message is answered: {}", done.stdout);
    let memory = done.stderr.lines().find(|line| line.starts_with("memory: ")).expect("told");
    let mib = |word: &str| -> f64 {
        let before = memory.split(word).next().and_then(|text| text.split_whitespace().nth_back(1));
        before.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{memory}"))
    };
    assert!(mib(" at most") < mib(" planned"), "measured against the plan: {memory}");
}

#[test]
fn nothing_runs_where_nobody_can_be_asked() {
    let folder = folder();
    let more = ["--tools", "bash,read_file", "--sandbox", "off", "--allow-read-only"];
    let done = chat(folder.path(), "/tools\n", &more).succeeded();
    assert!(done.stderr.contains("bash           asks first · built in"), "{done:?}");
    assert!(done.stderr.contains("read_file      runs unasked · built in"), "{done:?}");
    assert!(done.stderr.contains("no sandbox"), "what is in force is said: {done:?}");
}
