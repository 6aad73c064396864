//! What work leaves behind and must not stay: unfinished marks, silenced tests, machine paths.

use super::Finding;
use super::source::{line_of, words};
use super::tree::File;

// Written in two pieces, so that this file does not find itself.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const UNFINISHED_MACROS: [&str; 2] = ["todo", "unimplemented"];
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/bash", "_jobs"),
    concat!("..", "/shared"),
];
const ENVIRONMENT: [&str; 6] = ["var", "var_os", "vars", "vars_os", "set_var", "remove_var"];

pub(super) fn check(file: &File, found: &mut Vec<Finding>) {
    for (at, word) in words(&file.text) {
        if UNFINISHED.contains(&word) {
            let line = line_of(&file.text, at);
            found.push(Finding::at(file, line, "unfinished", format!("`{word}`")).item(word));
        }
    }
    for path in MACHINE_PATHS {
        for (at, _) in file.text.match_indices(path) {
            let what = format!("`{path}` is a place on somebody's machine");
            found.push(Finding::at(file, line_of(&file.text, at), "machine-path", what).item(path));
        }
    }
    if file.is_rust() {
        code(file, found);
    }
}

fn code(file: &File, found: &mut Vec<Finding>) {
    let all: Vec<(usize, &str)> = words(&file.code).collect();
    for (n, &(at, word)) in all.iter().enumerate() {
        let next = all.get(n + 1).map_or("", |&(_, next)| next);
        let after = file.code[at + word.len()..].trim_start();
        let (rule, item, what) = if UNFINISHED_MACROS.contains(&word) && after.starts_with('!') {
            ("unfinished", word, format!("`{word}!`"))
        } else if word == "ignore" && file.code[..at].trim_end().ends_with("#[") {
            ("ignored-test", "", "a test is run or deleted, never ignored".to_owned())
        } else if word == "env" && after.starts_with("::") && ENVIRONMENT.contains(&next) {
            ("environment", "", format!("`env::{next}`: settings are flags, shown by `plan`"))
        } else if word == "unsafe" {
            ("unsafe", "", "only the files named in the exceptions may hold unsafe code".to_owned())
        } else {
            continue;
        };
        found.push(Finding::at(file, line_of(&file.code, at), rule, what).item(item));
    }
}
