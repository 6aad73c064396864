//! Declarations as a grammar: what may stand between the marks of a call.

use std::fmt::Write;

use serde_json::{Value, json};

use super::declare::Tool;
use super::schema::{Additional, Bound, NUMBER_MAX, Schema, Type};
use super::tagged::PARAMETER_END;
use super::{CallForm, Tools};

/// So many arguments may come in any order: a rule for each set of those that are still to come.
/// More than these come in the order of their declaration.
const FREE_ORDER_MAX: usize = 5;

/// The grammar of everything behind the opening mark, the closing one (as this id) included.
pub(super) fn grammar(tools: &Tools, form: CallForm, close: u32) -> String {
    match form {
        CallForm::Tagged => tagged(tools, close),
        CallForm::Json => {
            let calls: Vec<Value> = tools.all().iter().map(json_call).collect();
            format!("start: \"\\n\" {} \"\\n\" <[{close}]>\n", inline(json!({"anyOf": calls})))
        }
    }
}

fn json_call(tool: &Tool) -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"const": tool.declaration.name},
            "arguments": bounded(&tool.schema).to_json(),
        },
        "required": ["name", "arguments"],
        "additionalProperties": false,
    })
}

fn tagged(tools: &Tools, close: u32) -> String {
    let mut rules = Rules::default();
    let functions: Vec<String> = (0..tools.all().len()).map(|n| format!("f{n}")).collect();
    rules.add(
        "start",
        &format!("\"\\n<function=\" ({}) \"\\n\" <[{close}]>", functions.join(" | ")),
    );
    for (n, tool) in tools.all().iter().enumerate() {
        rules.function(n, tool);
    }
    rules.text
}

/// Rules as they are written.
#[derive(Default)]
struct Rules {
    text: String,
    texts: usize,
}

impl Rules {
    fn add(&mut self, name: &str, body: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{name}: {body}");
    }

    fn function(&mut self, n: usize, tool: &Tool) {
        let properties = &tool.schema.properties;
        for (i, (name, schema)) in properties.iter().enumerate() {
            let values = self.values(schema).join(" | ");
            self.add(
                &format!("f{n}_p{i}"),
                &format!("{} ({values})", quoted(&format!("<parameter={name}>"))),
            );
        }
        let required = |i: usize| tool.schema.required.contains(&properties[i].0);
        let head = quoted(&format!("{}>\n", tool.declaration.name));
        if properties.len() <= FREE_ORDER_MAX {
            let all = (1usize << properties.len()) - 1;
            self.add(&format!("f{n}"), &format!("{head} f{n}_s{all}"));
            for left in 0..=all {
                let open = (0..properties.len()).filter(|i| left & (1 << i) != 0);
                let next = |i: usize| format!("f{n}_p{i} f{n}_s{}", left & !(1 << i));
                let mut ways: Vec<String> = open.clone().map(next).collect();
                if !open.clone().any(required) {
                    ways.push("\"</function>\"".to_owned());
                }
                self.add(&format!("f{n}_s{left}"), &ways.join(" | "));
            }
        } else {
            self.add(&format!("f{n}"), &format!("{head} f{n}_s0"));
            for i in 0..properties.len() {
                let skip = if required(i) { String::new() } else { format!(" | f{n}_s{}", i + 1) };
                self.add(&format!("f{n}_s{i}"), &format!("f{n}_p{i} f{n}_s{}{skip}", i + 1));
            }
            self.add(&format!("f{n}_s{}", properties.len()), "\"</function>\"");
        }
    }

    /// The ways in which a value may be written, from the line end before it to the one behind its
    /// closing tag.
    fn values(&mut self, schema: &Schema) -> Vec<String> {
        if !schema.any_of.is_empty() {
            return schema.any_of.iter().flat_map(|one| self.values(one)).collect();
        }
        let framed = |text: &str| quoted(&format!("\n{text}{PARAMETER_END}\n"));
        if let Some(allowed) = &schema.allowed {
            let one = |value: &Value| match value {
                Value::String(text) => framed(text),
                other => framed(&other.to_string()),
            };
            return allowed.iter().map(one).collect();
        }
        if let Some((least, most)) = schema.text_length() {
            return vec![self.text_value(least, most)];
        }
        let mut values = Vec::new();
        for kind in &schema.types {
            match kind {
                Type::String => {
                    let (least, most) = schema.length;
                    values.push(self.text_value(least.unwrap_or(0), most));
                }
                Type::Null => values.extend(["null", "None"].map(framed)),
                Type::Boolean => {
                    values.extend(["true", "false", "True", "False"].map(framed));
                }
                Type::Integer | Type::Number | Type::Array | Type::Object => {
                    let one = Schema { types: vec![*kind], ..bounded(schema) };
                    let end = quoted(&format!("{PARAMETER_END}\n"));
                    values.push(format!("\"\\n\" {} {end}", inline(one.to_json())));
                }
            }
        }
        values
    }

    /// Any text of so many characters in which the closing tag does not come up.
    fn text_value(&mut self, least: u64, most: Option<u64>) -> String {
        let name = format!("text_{}", self.texts);
        self.texts += 1;
        let most = most.map_or_else(String::new, |most| most.to_string());
        // Lazy: the first closing tag ends it, also where the text before it is empty.
        let Some(fewer) = least.checked_sub(1) else {
            let text = format!(r"/\n((?s:.){{0,{most}}}\n)?<\/parameter>/");
            self.add(&format!("{name}[lazy]"), &text);
            return format!("{name} \"\\n\"");
        };
        let upper = name.to_uppercase();
        self.add(&format!("{name}[lazy]"), &upper);
        let text = format!(r"/\n(?s:.){{{least},{most}}}\n<\/parameter>/");
        let early = format!(r"~/\n((?s:.){{0,{fewer}}}\n)?<\/parameter>(?s:.*)/");
        self.add(&upper, &format!("{text} & {early}"));
        format!("{name} \"\\n\"")
    }
}

/// A schema inside a grammar, written as templates write JSON.
fn inline(mut schema: Value) -> String {
    let style = json!({
        "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
    });
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("x-guidance".to_owned(), style);
    }
    format!("%json {schema}")
}

/// The schema with bounds on every number that has none: digits without end are no number that the
/// parser reads.
fn bounded(schema: &Schema) -> Schema {
    let mut out = schema.clone();
    let number = out.types.iter().any(|one| matches!(one, Type::Integer | Type::Number));
    if number && out.allowed.is_none() {
        let bound = |value: f64| Bound { value: json!(value as i64), exclusive: false };
        out.minimum.get_or_insert(bound(-NUMBER_MAX));
        out.maximum.get_or_insert(bound(NUMBER_MAX));
    }
    out.items = out.items.map(|items| Box::new(bounded(&items)));
    for (_, property) in &mut out.properties {
        *property = bounded(property);
    }
    if let Additional::Fit(schema) = &out.additional {
        out.additional = Additional::Fit(Box::new(bounded(schema)));
    }
    out.any_of = out.any_of.iter().map(bounded).collect();
    out
}

/// A literal of the grammar.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}
