//! Commands that begin with a slash: what there is, what each takes, and how a beginning is completed.

use std::path::PathBuf;

use super::wire::{Command, Form};
use crate::tool::{escaped_line, shortened};

/// Of what is no command, this much is said.
const NAME_CHARS: usize = 40;

/// A command as `/help` shows it.
struct Entry {
    name: &'static str,
    takes: &'static str,
    does: &'static str,
    read: fn(&'static str, Option<&str>) -> Result<Command, String>,
}

const fn entry(
    name: &'static str,
    takes: &'static str,
    does: &'static str,
    read: fn(&'static str, Option<&str>) -> Result<Command, String>,
) -> Entry {
    Entry { name, takes, does, read }
}

/// In the order in which help tells them. What sets generation is called as its flag.
const ALL: [Entry; 28] = [
    entry("help", "", "these lines", |_, _| Ok(Command::Help)),
    entry("new", "", "a new conversation, with the same settings", |_, _| Ok(Command::New)),
    entry("system", "[TEXT|@FILE|off]", "the system message", |_, rest| {
        Ok(Command::System(rest.map(|text| if text == "off" { "" } else { text }.to_owned())))
    }),
    entry("think", "[on|off|N]", "reasoning, or its budget in tokens", set),
    entry("temp", "[T]", "temperature, 0 is greedy", set),
    entry("top-p", "[P]", "the fewest tokens with this probability together", set),
    entry("top-k", "[N]", "the N most likely tokens", set),
    entry("min-p", "[P]", "tokens with this share of the highest probability", set),
    entry("presence-penalty", "[X]", "against tokens of this answer", set),
    entry("repeat-penalty", "[X]", "against tokens of prompt and answer", set),
    entry("seed", "[N]", "where chance begins", set),
    entry("max-tokens", "[N]", "tokens of an answer at most", set),
    entry("model", "[DIR]", "which model, or another one", |_, rest| {
        Ok(Command::Model(rest.map(PathBuf::from)))
    }),
    entry("tools", "", "what the model may call, and under which rules", |_, _| Ok(Command::Tools)),
    entry("save", "[NAME]", "keep this conversation under a name", |_, rest| {
        Ok(Command::Save(rest.map(str::to_owned)))
    }),
    entry("load", "NAME", "go on with a saved conversation", |name, rest| {
        needed(name, rest, Command::Load)
    }),
    entry("title", "TEXT", "what this conversation is called in the list", |name, rest| {
        needed(name, rest, Command::Title)
    }),
    entry("delete", "NAME", "delete a saved conversation", |name, rest| {
        needed(name, rest, Command::Delete)
    }),
    entry("sessions", "", "saved conversations", |_, _| Ok(Command::Sessions)),
    entry("retry", "", "answer the last message again", |_, _| Ok(Command::Retry)),
    entry("continue", "", "go on with an answer that was cut off", |_, _| Ok(Command::Continue)),
    entry("undo", "", "forget the last message and its answer", |_, _| Ok(Command::Undo)),
    entry("edit", "[TEXT]", "change the last message, or replace it by a text", |_, rest| {
        Ok(Command::Edit(rest.map(str::to_owned)))
    }),
    entry("tokens", "", "what fills the context", |_, _| Ok(Command::Tokens)),
    entry("stats", "", "what the last answer and this session cost", |_, _| Ok(Command::Stats)),
    entry("export", "md|json [FILE]", "write the conversation out", |_, rest| export(rest)),
    entry("quit", "", "leave", |_, _| Ok(Command::Quit)),
    entry("exit", "", "the same", |_, _| Ok(Command::Quit)),
];

fn set(name: &'static str, rest: Option<&str>) -> Result<Command, String> {
    Ok(Command::Set(name, rest.map(str::to_owned)))
}

fn needed(
    name: &str,
    rest: Option<&str>,
    command: impl FnOnce(String) -> Command,
) -> Result<Command, String> {
    let rest = rest.map(|rest| command(rest.to_owned()));
    rest.ok_or_else(|| format!("/{name} takes something, as /help shows"))
}

fn export(rest: Option<&str>) -> Result<Command, String> {
    let (form, file) = rest.map_or(("", None), |rest| match rest.split_once(' ') {
        Some((form, file)) => (form, Some(PathBuf::from(file.trim()))),
        None => (rest, None),
    });
    match form {
        "md" => Ok(Command::Export(Form::Markdown, file)),
        "json" => Ok(Command::Export(Form::Json, file)),
        _ => Err("accepted: /export md or /export json, and perhaps the name of a file".to_owned()),
    }
}

/// Reads a line that was typed: `None` for a message, which is all that begins otherwise. Two
/// slashes begin a message with one.
pub(crate) fn read(line: &str) -> Option<Result<Command, String>> {
    let typed = line.strip_prefix('/')?;
    if typed.starts_with('/') {
        return None;
    }
    let (name, rest) = match typed.split_once(char::is_whitespace) {
        Some((name, rest)) => (name, Some(rest.trim()).filter(|rest| !rest.is_empty())),
        None => (typed.trim(), None),
    };
    let Some(entry) = ALL.iter().find(|entry| entry.name == name) else {
        let name = shortened(&escaped_line(name), NAME_CHARS);
        return Some(Err(format!(
            "/{name} is no command; accepted: those that /help lists, or // for a message that \
             begins with a slash"
        )));
    };
    if let (true, Some(rest)) = (entry.takes.is_empty(), rest) {
        let rest = shortened(&escaped_line(rest), NAME_CHARS);
        return Some(Err(format!("/{name} takes nothing, found `{rest}`")));
    }
    Some((entry.read)(entry.name, rest))
}

/// The text of a message: without the slash that hides another.
pub(crate) fn message(line: &str) -> &str {
    if line.starts_with("//") { &line[1..] } else { line }
}

/// Commands that begin like this, slash included.
pub(crate) fn completions(typed: &str) -> Vec<String> {
    let Some(begin) = typed.strip_prefix('/') else { return Vec::new() };
    let fits = ALL.iter().filter(|entry| entry.name.starts_with(begin));
    fits.map(|entry| format!("/{}", entry.name)).collect()
}

/// What `/help` says.
pub(crate) fn help() -> String {
    let line = |entry: &Entry| {
        let left = format!("/{} {}", entry.name, entry.takes);
        format!("{left:<26} {}", entry.does)
    };
    let mut lines: Vec<String> = ALL.iter().map(line).collect();
    lines.push(String::new());
    lines.push("@FILE in a message puts the text of a file there.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_what_they_take() {
        let ok = |line| read(line).expect("a command").expect("a good one");
        assert_eq!(ok("/help"), Command::Help, "alone");
        assert_eq!(ok("/temp 0.7"), Command::Set("temp", Some("0.7".into())), "a value");
        assert_eq!(ok("/temp  "), Command::Set("temp", None), "none");
        assert_eq!(ok("/system be  brief"), Command::System(Some("be  brief".into())), "a text");
        assert_eq!(ok("/system off"), Command::System(Some(String::new())), "taken away");
        let file = Some(PathBuf::from("a b.md"));
        assert_eq!(ok("/export md a b.md"), Command::Export(Form::Markdown, file), "a file");
    }

    #[test]
    fn what_is_no_command_is_a_message_or_refused() {
        assert_eq!(read("hello /help"), None, "a message");
        assert_eq!(read("//usr is a folder"), None, "a hidden slash");
        assert_eq!(message("//usr"), "/usr", "which is shown");
        assert_eq!(message("usr"), "usr", "nothing to hide");
        for (line, want) in [
            ("/hlep", "/hlep is no command"),
            ("/quit now", "/quit takes nothing, found `now`"),
            ("/load", "/load takes something"),
            ("/export pdf", "accepted: /export md"),
            ("/\u{1b}[2J", "/\\u{1b}[2J is no command"),
        ] {
            let error = read(line).expect("a command").expect_err("not a good one");
            assert!(error.starts_with(want), "{line}: {error}");
        }
    }

    #[test]
    fn beginnings_are_completed() {
        assert_eq!(completions("/to"), ["/top-p", "/top-k", "/tools", "/tokens"], "several");
        assert_eq!(completions("/q"), ["/quit"], "one");
        assert!(completions("q").is_empty(), "no command");
        assert!(help().lines().all(|line| line.chars().count() < 80), "help fits a screen");
    }
}
