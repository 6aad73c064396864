//! Files that declare tools, good ones and others.

use serde_json::json;

use super::*;

const GOOD: &str = r#"
[[tool]]
name = "weather"
description = "The weather"
command = ["./weather.sh", "--days={days}", "--", "{city}"]
timeout_seconds = 10
read_only = true
variables = ["WEATHER_KEY"]
parameters = { type = "object", properties = { city = { type = "string" }, days = { type = "integer" } }, required = ["city"] }

[[tool]]
name = "sum"
description = "A sum"
command = ["sum"]
input = "json"

[[mcp]]
name = "files"
command = "mcp-server-files"
args = ["--root", "."]
"#;

#[test]
fn a_good_file_is_read() {
    let file = parse(GOOD).expect("good");
    let weather = CommandTool::new(&file.tool[0]).expect("good");
    assert!(file.tool[0].read_only && file.tool[0].sandbox && !file.tool[1].read_only, "flags");
    assert_eq!(weather.timeout, Some(Duration::from_secs(10)), "timeout");
    let arguments = json!({"city": "-rf; ls", "days": 2});
    let line = weather.arguments(arguments.as_object().expect("an object"));
    assert_eq!(line, ["--days=2", "--", "-rf; ls"], "no shell, no splitting");
    let sum = CommandTool::new(&file.tool[1]).expect("good");
    assert!(sum.input && sum.parts.is_empty(), "stdin");
    assert_eq!((file.mcp.len(), file.mcp[0].args.len(), file.mcp[0].sandbox), (1, 2, false), "mcp");
    let readme = include_str!("../declared.rs");
    let example: String = readme
        .lines()
        .skip_while(|line| !line.contains("```toml"))
        .skip(1)
        .take_while(|line| !line.contains("```"))
        .map(|line| format!("{}\n", line.trim_start_matches("//!").trim_start()))
        .collect();
    assert!(example.contains("[[mcp]]"), "{example}");
    parse(&example).expect("the example of the documentation is good");
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("[[tool]]", "missing field"),
        ("x = 1", "unknown field"),
        ("[[tool", "unclosed"),
        (&GOOD.replace("name = \"sum\"", "name = \"a b\""), "the name \"a b\""),
        (&GOOD.replace("name = \"sum\"", "nom = \"sum\""), "unknown field `nom`"),
        (&GOOD.replace("\"{city}\"", "\"{town}\""), "tool weather: command: {town} is none"),
        (&GOOD.replace("\"./weather.sh\"", "\"{city}\""), "the program itself"),
        (&GOOD.replace("\"{city}\"", "\"{city\""), "accepted: {name}"),
        (&GOOD.replace("command = [\"sum\"]", "command = []"), "begins with a program"),
        (&GOOD.replace("= 10", "= 0"), "timeout_seconds: 0; accepted"),
        (&GOOD.replace("input = \"json\"", "input = \"xml\""), "unknown variant"),
        (&GOOD.replace("type = \"object\",", "type = \"array\","), "of type \"object\""),
    ];
    for (text, why) in cases {
        let told = parse(text).map(|_| ()).expect_err(why);
        assert!(told.contains(why), "{why}: {told}");
    }
}

#[test]
fn no_cut_of_a_file_is_a_panic() {
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        let _ = parse(&GOOD[..end]);
    }
}

#[test]
fn a_file_that_is_missing_or_huge_is_named() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("tools.toml");
    let missing = read(&path).expect_err("missing");
    assert!(missing.line().is_some_and(|line| line.contains("tools.toml")), "{missing:?}");
    fs::write(&path, vec![b'#'; 2 << 20]).expect("written");
    let huge = read(&path).expect_err("huge");
    assert!(huge.line().is_some_and(|line| line.contains("2097152 bytes")), "{huge:?}");
}
