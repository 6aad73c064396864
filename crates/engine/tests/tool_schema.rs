//! Declarations: what is accepted, and what is refused by name.

use engine::{ToolDeclaration, Tools, ToolsError};
use serde_json::{Map, Value, json};

fn declare(name: &str, parameters: Value) -> ToolDeclaration {
    ToolDeclaration { name: name.to_owned(), description: "For tests.".to_owned(), parameters }
}

/// One tool with one argument `x` of this schema.
fn with(schema: Value) -> Result<Tools, String> {
    let tools = Tools::new(vec![declare("f", json!({"properties": {"x": schema}}))]);
    tools.map_err(|error| error.to_string())
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (schema, words) in [
        (
            json!({"type": "string", "pattern": "a+"}),
            "parameters.properties.x: the schema keyword \"pattern\"",
        ),
        (json!({"$ref": "#/$defs/a"}), "\"$ref\" is not supported"),
        (json!({"oneOf": []}), "\"oneOf\" is not supported"),
        (
            json!({"type": "array", "items": {"multipleOf": 2}}),
            "x.items: the schema keyword \"multipleOf\"",
        ),
        (json!({"anyOf": [{"not": {}}]}), "x.anyOf.0: the schema keyword \"not\""),
        (json!({"type": "text"}), "x.type: has to be null, boolean"),
        (json!({"type": []}), "x.type: has to be"),
        (json!({"enum": []}), "nothing fits: enum is empty"),
        (json!({"type": "integer", "enum": [1, "a"]}), "expected one of 1, \"a\", found"),
        (json!({"enum": [1], "const": 1}), "stands beside another keyword"),
        (json!({"minimum": 1, "exclusiveMinimum": 0}), "stands beside another keyword"),
        (json!({"minimum": 2, "maximum": 1}), "a lower bound lies above"),
        (json!({"exclusiveMinimum": 1, "maximum": 1}), "a lower bound lies above"),
        (json!({"maximum": "1"}), "x.maximum: has to be a number"),
        (json!({"minLength": -1}), "x.minLength: has to be a whole number"),
        (json!({"maxLength": 5000}), "x.maxLength: has to be a whole number from 0 to 1000"),
        (json!({"anyOf": []}), "x.anyOf: has to hold at least one schema"),
        (json!({"anyOf": [{}], "type": "string"}), "anyOf is supported only without"),
        (json!({"required": ["a"]}), "required names \"a\", which is no property"),
        (json!({"const": "a\n</parameter>\nb"}), "holds the line </parameter>"),
        (json!("string"), "a schema has to be an object"),
    ] {
        let error = with(schema.clone()).err().unwrap_or_else(|| panic!("{schema} was accepted"));
        assert!(error.contains(words), "{schema}: {error}");
        assert!(error.starts_with("tool f: parameters") && !error.contains('\n'), "{error}");
    }
    let mut deep = json!({"type": "string"});
    (0..40).for_each(|_| deep = json!({"type": "array", "items": deep}));
    assert!(with(deep).is_err_and(|error| error.contains("nested more than")), "deep");
    for (parameters, words) in [
        (json!({"type": "string"}), "arguments have to be of type object"),
        (json!({"anyOf": [{"type": "object"}]}), "arguments have to be of type object"),
        (json!({"additionalProperties": true}), "only false is supported here"),
        (json!({"properties": {"a b": {}}}), "an argument's name has 1 to 64"),
        (json!({"properties": 3}), "parameters.properties: has to be an object"),
        (json!([]), "a schema has to be an object"),
    ] {
        let error = Tools::new(vec![declare("f", parameters.clone())]).expect_err("refused");
        assert!(error.to_string().contains(words), "{parameters}: {error}");
    }
}

#[test]
fn names_are_short_plain_and_different() {
    for name in ["", "a b", "a>", "é", "a\n", &"x".repeat(65)] {
        let error = Tools::new(vec![declare(name, json!(null))]).expect_err("refused");
        assert!(matches!(&error, ToolsError::Name { name: found } if found == name), "{error}");
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
    let twice = vec![declare("a.b-c_1", json!(null)), declare("a.b-c_1", json!({}))];
    let duplicate = ToolsError::Duplicate { name: "a.b-c_1".to_owned() };
    assert_eq!(Tools::new(twice).err(), Some(duplicate), "twice");
    let many = (0..200).map(|n| declare(&format!("f{n}"), json!(null))).collect();
    assert_eq!(Tools::new(many).err(), Some(ToolsError::Many { found: 200 }), "too many");
}

#[test]
fn arguments_are_checked_whoever_made_them() {
    let schema = json!({"type": "object", "properties": {
        "title": {"type": "string", "minLength": 2, "maxLength": 4, "description": "A title."},
        "size": {"type": "number", "exclusiveMinimum": 0, "maximum": 1.5, "default": 1},
        "tags": {"type": "array", "items": {"enum": ["a", 1]}, "minItems": 1, "maxItems": 2},
        "who": {"anyOf": [{"type": "null"}, {"properties": {"id": {"type": "integer"}},
            "required": ["id"], "additionalProperties": {"type": "boolean"}}]},
    }, "required": ["title"], "additionalProperties": false, "$schema": "https://json-schema.org"});
    let tools = Tools::new(vec![declare("f", schema)]).expect("good");
    let check = |arguments: Value| {
        let arguments: Map<String, Value> = arguments.as_object().expect("an object").clone();
        tools.check("f", &arguments)
    };
    for good in [
        json!({"title": "éé"}),
        json!({"title": "abcd", "size": 1.5, "tags": ["a", 1.0], "who": null}),
        json!({"title": "ab", "size": 1, "who": {"id": 7, "admin": true}}),
    ] {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (bad, words) in [
        (json!({}), "f: title is missing"),
        (json!({"title": "é"}), "argument title: expected at least 2 characters, found 1"),
        (json!({"title": "abcde"}), "expected at most 4 characters"),
        (json!({"title": 3}), "argument title: expected string, found 3"),
        (json!({"title": "ab", "size": 0}), "argument size: expected more than 0, found 0"),
        (json!({"title": "ab", "size": 1.6}), "expected at most 1.5, found 1.6"),
        (json!({"title": "ab", "tags": []}), "at least 1 items"),
        (
            json!({"title": "ab", "tags": ["b"]}),
            "argument tags[0]: expected one of \"a\", 1, found \"b\"",
        ),
        (json!({"title": "ab", "who": {"id": 1.5}}), "argument who: expected null or object"),
        (json!({"title": "ab", "who": {"id": 1, "x": 1}}), "argument who: expected null or object"),
        (
            json!({"title": "ab", "no": 1}),
            "there is no argument \"no\", there are: title, size, tags, who",
        ),
    ] {
        let error = check(bad.clone()).expect_err("it does not fit");
        assert!(error.contains(words) && !error.contains('\n'), "{bad}: {error}");
    }
    let error = tools.check("g", &Map::new()).expect_err("unknown");
    assert_eq!(error, "there is no function \"g\", there are: f", "unknown");
}

#[test]
fn the_template_sees_the_declarations_as_they_are() {
    let parameters = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {}}});
    let tools = Tools::new(vec![declare("f", parameters.clone()), declare("g", json!(null))]);
    let tools = tools.expect("good");
    let want = json!([
        {"type": "function", "function": {"name": "f", "description": "For tests.", "parameters": parameters}},
        {"type": "function", "function": {"name": "g", "description": "For tests.",
            "parameters": {"type": "object", "properties": {}}}},
    ]);
    assert_eq!(tools.for_template().map(Value::Array), Some(want), "in their order");
    assert_eq!(Tools::default().for_template(), None, "no tools");
    assert_eq!(tools.get("g").map(|found| found.name.as_str()), Some("g"), "by name");
    assert!(tools.get("h").is_none() && !tools.is_empty(), "and no other");
    assert_eq!(tools.declarations().len(), 2, "all of them");
}
