//! The conversations that `eval tools` asks.

use std::path::Path;
use std::sync::Arc;

use engine::{Conversation, ToolDeclaration, Tools};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::language;

/// Calls as pairs of a name and arguments, in order.
pub(super) type Calls = Vec<(String, Map<String, Value>)>;

/// One conversation that should end in calls.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) conversation: Conversation,
    pub(super) tools: Arc<Tools>,
    pub(super) expected: Calls,
}

/// Reads every `every`th case that expects calls.
pub(super) fn read(path: &Path, every: usize) -> Result<Vec<Case>, Fault> {
    let failed = |why: String| Fault::failed(format!("{}: {why}", path.display()));
    let file = language::json(path)?.ok_or_else(|| failed("no such file".to_owned()))?;
    let Some(cases) = file.get("cases").and_then(Value::as_array) else {
        return Err(failed("no list \"cases\"; accepted: see eval tools --help".to_owned()));
    };
    let calls = cases.iter().enumerate().filter(|(_, case)| case["rule"] == "calls");
    let cases: Result<Vec<Case>, Fault> = calls
        .step_by(every)
        .map(|(n, value)| {
            let name = value["id"].as_str().map_or_else(|| format!("case {n}"), str::to_owned);
            case(&name, value).map_err(|why| failed(format!("{name}: {why}")))
        })
        .collect();
    cases.and_then(|cases| match cases.is_empty() {
        true => Err(failed("none of the cases has \"rule\": \"calls\"".to_owned())),
        false => Ok(cases),
    })
}

fn case(name: &str, value: &Value) -> Result<Case, String> {
    let list = |key: &str| {
        let list = value[key].as_array().filter(|list| !list.is_empty());
        list.ok_or_else(|| format!("no list {key:?}"))
    };
    let declarations: Result<Vec<_>, String> = list("tools")?.iter().map(declaration).collect();
    let tools = Tools::new(declarations?).map_err(|error| error.to_string())?;
    let messages: Result<Vec<Value>, String> = list("messages")?.iter().map(message).collect();
    let mut kwargs = Map::new();
    kwargs.insert("enable_thinking".to_owned(), (value["gen"] == "think").into());
    let conversation =
        Conversation { messages: messages?, tools: tools.for_template(), kwargs, now: None };
    let expected = calls(&value["expect"]["calls"])?;
    Ok(Case { name: name.to_owned(), conversation, tools: Arc::new(tools), expected })
}

fn declaration(tool: &Value) -> Result<ToolDeclaration, String> {
    let function = &tool["function"];
    let name = function["name"].as_str().ok_or("a tool without a name")?.to_owned();
    let description = function["description"].as_str().unwrap_or_default().to_owned();
    Ok(ToolDeclaration { name, description, parameters: function["parameters"].clone() })
}

/// A message as templates read it: `calls` are pairs here.
fn message(message: &Value) -> Result<Value, String> {
    let mut message = message.as_object().ok_or("a message is an object")?.clone();
    if let Some(pairs) = message.shift_remove("calls") {
        let one = |(name, arguments)| json!({"type": "function", "function": {"name": name, "arguments": Value::Object(arguments)}});
        let calls: Vec<Value> = calls(&pairs)?.into_iter().map(one).collect();
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Ok(Value::Object(message))
}

fn calls(pairs: &Value) -> Result<Calls, String> {
    let one = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_object()?.clone()));
    let calls = pairs.as_array().and_then(|pairs| pairs.iter().map(one).collect());
    calls.ok_or_else(|| "calls are a list of pairs of a name and arguments".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_or_refused_by_name() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("cases.json");
        let good = json!({"id": "a", "rule": "calls", "gen": "nothink",
            "messages": [{"role": "user", "content": "go"},
                {"role": "assistant", "content": "", "calls": [["f", {"x": 1}]]},
                {"role": "tool", "content": "1"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters":
                {"type": "object", "properties": {"x": {"type": "integer"}}}}}],
            "expect": {"calls": [["f", {"x": 2}]]}});
        let write = |value: &Value| std::fs::write(&path, value.to_string()).expect("write");
        write(&json!({"cases": [good, {"rule": "overlap"}, good, good]}));
        let cases = read(&path, 2).unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!(cases.len(), 2, "every second of those that call");
        let call = json!([{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]);
        assert_eq!(cases[0].conversation.messages[1]["tool_calls"], call, "as templates read it");
        assert_eq!(cases[0].expected[0].1["x"], 2, "what is expected");
        let change = |key: &str, value: Value| {
            let mut bad = good.clone();
            bad[key] = value;
            json!({"cases": [bad]})
        };
        for (bad, words) in [
            (json!([]), "no list \"cases\""),
            (json!({"cases": [{"rule": "overlap"}]}), "none of the cases"),
            (change("tools", json!([])), "a: no list \"tools\""),
            (change("messages", json!([1])), "a: a message is an object"),
            (change("expect", json!({})), "a: calls are a list"),
        ] {
            write(&bad);
            let fault = read(&path, 1).err().unwrap_or_else(|| panic!("{bad} was read"));
            assert!(fault.line().is_some_and(|line| line.contains(words)), "{fault:?}");
        }
    }
}
