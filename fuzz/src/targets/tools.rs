//! What strangers say of tools: declarations, and calls as a model writes them.

use std::sync::Arc;

use engine::testing::byte_tokenizer;
use engine::{
    CallConstraint, CallEvent, CallForm, CallParser, CallTokens, ConstraintError, Ended, Mask,
    Piece, ToolDeclaration, Tools,
};
use serde_json::{Value, json};

use crate::target::{Shape, Target, Verdict};

/// Bytes of a call; short, so that inputs get past it.
const LIMIT: usize = 300;
const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

fn declarations() -> Value {
    json!([
        {"name": "get_weather", "description": "Tells the weather.", "parameters": {
            "type": "object", "properties": {
                "city": {"type": "string", "description": "Where.", "minLength": 1},
                "days": {"type": "integer", "minimum": 1, "exclusiveMaximum": 15},
                "unit": {"enum": ["C", "F", null]},
            }, "required": ["city"]}},
        {"name": "write_file", "description": "", "parameters": {
            "properties": {
                "path": {"type": ["string", "null"], "maxLength": 40}, "text": {},
                "lines": {"type": "array", "items": {"type": "number"}, "maxItems": 4},
                "how": {"anyOf": [{"type": "boolean"}, {"type": "object",
                    "properties": {"mode": {"const": 7}}, "additionalProperties": false}]},
            }, "required": ["text"], "additionalProperties": false}},
    ])
}

fn read(declarations: &Value) -> Option<Vec<ToolDeclaration>> {
    let text = |one: &Value, key: &str| Some(one.get(key)?.as_str()?.to_owned());
    let one = |one: &Value| {
        Some(ToolDeclaration {
            name: text(one, "name")?,
            description: text(one, "description")?,
            parameters: one.get("parameters")?.clone(),
        })
    };
    declarations.as_array()?.iter().map(one).collect()
}

/// `engine::Tools` and the constraint that is made of them: whatever is declared can be held to, or
/// is refused.
pub(super) fn tools() -> Result<Target, String> {
    let tokenizer = byte_tokenizer();
    let tokens = CallTokens::new(&tokenizer).map_err(|error| error.to_string())?;
    let open = tokenizer.id_of(OPEN).ok_or("no token for a call")?;
    let run = move |input: &[u8]| {
        let read = serde_json::from_slice(input).ok().as_ref().and_then(read);
        let Some(declarations) = read else { return Verdict::Refused };
        let tools = Tools::new(declarations);
        let verdict = Verdict::of(&tools);
        let Ok(tools) = tools.map(Arc::new) else { return verdict };
        for form in [CallForm::Tagged, CallForm::Json] {
            let constraint = CallConstraint::new(&tokens, &tools, form);
            let Ok(constraint) = &constraint else {
                let none = matches!(constraint, Err(ConstraintError::NoTools));
                assert_eq!(none, tools.is_empty(), "no tools");
                assert_eq!(Verdict::of(&constraint), Verdict::Refused, "a readable refusal");
                continue;
            };
            let mut mask = constraint.mask(&[open]);
            let mut row = vec![0.0; 265];
            mask.allow(&mut row);
            let allowed = row.iter().filter(|logit| **logit == 0.0).count();
            assert!(
                allowed == 1 && row[usize::from(b'\n')] == 0.0,
                "a call begins with a line end"
            );
        }
        verdict
    };
    let seeds = vec![declarations().to_string().into_bytes(), b"[]".to_vec()];
    Ok(Target { name: "tools", shape: Shape::Json, seeds, run: Box::new(run) })
}

/// `engine::CallParser`: the parts do not matter, calls fit, nothing grows.
pub(super) fn calls() -> Result<Target, String> {
    let declared = read(&declarations()).ok_or("the declarations are declarations")?;
    let tools = Arc::new(Tools::new(declared).map_err(|error| error.to_string())?);
    let run = move |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let mut verdict = Verdict::Refused;
        for form in [CallForm::Tagged, CallForm::Json] {
            for tokens in [true, false] {
                let parse = |cuts: &[usize]| {
                    let mut parser = CallParser::new(Arc::clone(&tools), form, tokens, LIMIT);
                    parsed(&mut parser, &text, cuts, tokens)
                };
                let whole = parse(&[]);
                let cuts: Vec<usize> = (1..8).map(|n| n * text.len() / 8).collect();
                assert_eq!(parse(&cuts), whole, "in eight parts");
                let all: Vec<usize> = (0..text.len()).collect();
                assert_eq!(parse(&all), whole, "letter by letter");
                for event in &whole {
                    match event {
                        CallEvent::Call(call) => {
                            verdict = Verdict::Accepted;
                            let checked = tools.check(&call.name, &call.arguments);
                            assert_eq!(checked, Ok(()), "what is called is what was declared");
                        }
                        CallEvent::Malformed(wrong) => {
                            let most = LIMIT + OPEN.len() + 2 * CLOSE.len();
                            assert!(wrong.raw.len() <= most, "{} bytes kept", wrong.raw.len());
                            Verdict::of(&Err::<(), _>(&wrong.error));
                        }
                        CallEvent::Text(_) | CallEvent::Began | CallEvent::Cut { .. } => {}
                    }
                }
            }
        }
        verdict
    };
    let tagged = "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n\
        <parameter=days>\n3\n</parameter>\n<parameter=unit>\nNone\n</parameter>\n</function>\n</tool_call>\n\
        <tool_call>\n<function=write_file>\n<parameter=text>\na\n</tool_call>\n</parameter>\n<parameter=lines>\n\
        [1, 2.5]\n</parameter>\n<parameter=how>\n{\"mode\": 7}\n</parameter>\n</function>\n</tool_call>";
    let json = "<tool_call>\n{\"name\": \"write_file\", \"arguments\": {\"text\": {\"a\": [1, null, \"}\\\"\"]}, \
        \"path\": \"x\", \"how\": true}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": \
        {\"city\": \"\u{e9}\u{1F98A}\", \"unit\": \"C\"}}\n</tool_call> done";
    let seeds = [tagged, json].map(|seed| seed.as_bytes().to_vec()).to_vec();
    Ok(Target { name: "calls", shape: Shape::Bytes, seeds, run: Box::new(run) })
}

/// The events of a text that arrives cut at these bytes; marks in it are tokens or text.
fn parsed(parser: &mut CallParser, text: &str, cuts: &[usize], tokens: bool) -> Vec<CallEvent> {
    let mut events: Vec<CallEvent> = Vec::new();
    let mut take = |new: Vec<CallEvent>| {
        for event in new {
            match (events.last_mut(), event) {
                (Some(CallEvent::Text(before)), CallEvent::Text(text)) => before.push_str(&text),
                (_, event) => events.push(event),
            }
        }
    };
    let mut at = 0;
    let ends = cuts.iter().copied().filter(|cut| text.is_char_boundary(*cut));
    let mut ends = ends.chain([text.len()]).peekable();
    while at < text.len() {
        while ends.next_if(|end| *end <= at).is_some() {}
        let end = ends.peek().copied().unwrap_or(text.len());
        let rest = &text[at..];
        let marks = [(OPEN, Piece::Open), (CLOSE, Piece::Close)];
        let next = marks.iter().filter_map(|(mark, piece)| Some((rest.find(mark)?, *mark, *piece)));
        match next.min_by_key(|(at, ..)| *at).filter(|_| tokens) {
            // A token arrives whole.
            Some((0, mark, piece)) => {
                take(parser.push(piece));
                at += mark.len();
            }
            found => {
                let end = found.map_or(end, |(before, ..)| end.min(at + before));
                take(parser.push(Piece::Text(&text[at..end])));
                at = end;
            }
        }
    }
    take(parser.finish(Ended::Whole));
    events
}
