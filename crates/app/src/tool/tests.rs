//! Tools as a chat calls them.

mod commands;
mod sandboxes;

use serde_json::json;

use super::*;

fn bounds(directory: &Path) -> Bounds {
    let timeout = Duration::from_secs(20);
    Bounds { sandbox: Sandbox::Off, timeout, ..Bounds::new(directory.to_owned()) }
}

fn toolbox(names: &[&str], bounds: Bounds) -> Toolbox {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Toolbox::open(&names, bounds).expect("good names")
}

fn call(toolbox: &mut Toolbox, name: &str, arguments: Value) -> Outcome {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    toolbox.call(name, &arguments, &AtomicBool::new(false))
}

#[test]
fn only_what_was_named_is_there() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut toolbox = toolbox(&["read_file", "list_dir"], bounds(folder.path()));
    let names: Vec<&str> = toolbox.declarations().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["read_file", "list_dir"], "in their order");
    let outcome = call(&mut toolbox, "bash", json!({"command": "touch x"}));
    assert!(
        outcome.failed && outcome.text.contains("there are: read_file, list_dir"),
        "{outcome:?}"
    );
    assert!(!folder.path().join("x").exists(), "nothing ran");
    for (names, why) in
        [(vec!["rm"], "is no tool; accepted: bash"), (vec!["bash", "bash"], "twice")]
    {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let fault = Toolbox::open(&names, bounds(folder.path())).map(|_| ()).expect_err(why);
        assert!(fault.line().is_some_and(|line| line.contains(why)), "{fault:?}");
    }
    let nowhere = Toolbox::open(&[], bounds(&folder.path().join("none"))).map(|_| ());
    assert!(nowhere.is_err(), "a directory that is not there");
}

#[test]
fn files_are_written_read_and_listed() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut tools = toolbox(&["read_file", "write_file", "list_dir"], bounds(folder.path()));
    let content = "one\ntwo\nthree\n";
    let wrote = call(&mut tools, "write_file", json!({"path": "d/f.txt", "content": content}));
    assert_eq!(
        (wrote.failed, wrote.text.as_str()),
        (false, "d/f.txt: 14 bytes written"),
        "written"
    );
    let mut read = |arguments: Value| call(&mut tools, "read_file", arguments);
    assert_eq!(read(json!({"path": "d/f.txt"})).text, content, "whole");
    let part = read(json!({"path": "d/f.txt", "first_line": 2, "lines": 1}));
    assert_eq!(part.text, "two\n", "one line");
    let behind = read(json!({"path": "d/f.txt", "first_line": 9}));
    assert_eq!(behind.text, "error: d/f.txt: has 3 lines, first_line is 9", "behind its end");
    for (arguments, why) in [
        (json!({}), "path is missing"),
        (json!({"path": 1}), "path: accepted: a text"),
        (json!({"path": "d/f.txt", "lines": 0}), "lines: accepted: a whole number"),
        (json!({"path": "d/f.txt", "lines": -1.5}), "lines: accepted: a whole number"),
        (json!({"path": "d"}), "is a directory"),
        (json!({"path": "../x"}), "lies outside"),
    ] {
        let outcome = read(arguments.clone());
        assert!(outcome.failed && outcome.text.contains(why), "{arguments}: {outcome:?}");
    }
    let listed = call(&mut tools, "list_dir", json!({}));
    assert_eq!(listed.text, "d/\n", "the working directory");
    let listed = call(&mut tools, "list_dir", json!({"path": "d"}));
    assert_eq!(listed.text, "f.txt  14 bytes\n", "another");
}

#[test]
fn what_is_no_text_or_too_long_is_said() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let bounds = Bounds { result_bytes: 1000, ..bounds(folder.path()) };
    let mut tools = toolbox(&["read_file", "list_dir"], bounds);
    std::fs::write(folder.path().join("binary"), b"text\n\x00\xFF").expect("written");
    let binary = call(&mut tools, "read_file", json!({"path": "binary"}));
    assert_eq!(binary.text, "error: binary: is no text; accepted: UTF-8", "binary");
    std::fs::write(folder.path().join("long"), "žž\n".repeat(1000)).expect("written");
    let long = call(&mut tools, "read_file", json!({"path": "long"}));
    assert!(long.text.contains("[cut in line 161: 800 bytes are read at a time"), "{}", long.text);
    let huge = std::fs::File::create(folder.path().join("huge")).expect("made");
    huge.set_len((64 << 20) + 1).expect("sparse");
    let huge = call(&mut tools, "read_file", json!({"path": "huge"}));
    assert!(huge.failed && huge.text.contains("has 67108865 bytes"), "{}", huge.text);
    std::fs::write(folder.path().join("line"), "x".repeat(10 << 20)).expect("written");
    let line = call(&mut tools, "read_file", json!({"path": "line"}));
    assert!(line.text.len() < 1000 && line.text.contains("cut in line 1"), "{}", line.text);
    for n in 0..1100 {
        std::fs::write(folder.path().join(format!("f{n}")), "").expect("written");
    }
    let listed = call(&mut tools, "list_dir", json!({}));
    assert!(listed.text.len() < 1100 && listed.text.contains("[104 more]"), "{}", listed.text);
}
