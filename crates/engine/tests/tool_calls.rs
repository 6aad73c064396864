//! Calls out of text: both forms, every split, everything that is not quite a call.

use std::sync::Arc;

use engine::{
    CALL_BYTES_DEFAULT, CallEvent, CallForm, CallParser, Ended, Malformed, Piece, ToolCall,
    ToolDeclaration, Tools,
};
use serde_json::{Value, json};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

fn tools() -> Arc<Tools> {
    let declare = |name: &str, parameters: Value| ToolDeclaration {
        name: name.to_owned(),
        description: "For tests.".to_owned(),
        parameters,
    };
    let weather = json!({"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9},
    }, "required": ["city"]});
    let all = json!({"properties": {
        "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"},
        "b": {"type": "boolean"}, "z": {"type": "null"}, "l": {"type": "array"},
        "o": {"type": "object"}, "e": {"enum": ["a b", 7, true]}, "u": {"type": ["string", "null"]},
        "x": {},
    }});
    let list = vec![declare("get_weather", weather), declare("all", all)];
    Arc::new(Tools::new(list).expect("good declarations"))
}

/// A text as pieces: with marks as tokens, where they stand between `\u{1}` and `\u{2}`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    for part in text.split_inclusive(['\u{1}', '\u{2}']) {
        let (text, mark) = match part.char_indices().last() {
            Some((at, '\u{1}')) => (&part[..at], Some(Piece::Open)),
            Some((at, '\u{2}')) => (&part[..at], Some(Piece::Close)),
            _ => (part, None),
        };
        out.extend((!text.is_empty()).then_some(Piece::Text(text)).into_iter().chain(mark));
    }
    out
}

fn run<'a>(
    parser: &mut CallParser,
    pieces: impl IntoIterator<Item = Piece<'a>>,
    ended: Ended,
) -> Vec<CallEvent> {
    let mut events: Vec<CallEvent> = pieces.into_iter().flat_map(|p| parser.push(p)).collect();
    events.extend(parser.finish(ended));
    let mut joined: Vec<CallEvent> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(CallEvent::Text(before)), CallEvent::Text(text)) => before.push_str(&text),
            (_, event) => joined.push(event),
        }
    }
    joined
}

/// Parses with tokens for marks, whole, letter by letter and in every two parts: always the same.
fn parse_in(form: CallForm, limit: usize, text: &str, ended: Ended) -> Vec<CallEvent> {
    let tools = tools();
    let parser = |tokens: bool| CallParser::new(Arc::clone(&tools), form, tokens, limit);
    let whole = run(&mut parser(true), pieces(text), ended);
    let letters: Vec<&str> = text.split_inclusive(|_: char| true).collect();
    let by_letter = run(&mut parser(true), letters.iter().flat_map(|l| pieces(l)), ended);
    assert_eq!(by_letter, whole, "letter by letter: {text:?}");
    for (cut, _) in text.char_indices() {
        let (a, b) = text.split_at(cut);
        let parts = run(&mut parser(true), pieces(a).into_iter().chain(pieces(b)), ended);
        assert_eq!(parts, whole, "cut at {cut}: {text:?}");
    }
    // The same with marks as text, where no text spells one.
    if !text.contains("tool_call>") {
        let text = text.replace('\u{1}', OPEN).replace('\u{2}', CLOSE);
        let whole_text = run(&mut parser(false), [Piece::Text(&text)], ended);
        for (cut, _) in text.char_indices() {
            let (a, b) = text.split_at(cut);
            let parts = run(&mut parser(false), [Piece::Text(a), Piece::Text(b)], ended);
            assert_eq!(parts, whole_text, "marks as text, cut at {cut}: {text:?}");
        }
        let kinds = |events: &[CallEvent]| -> Vec<_> {
            events.iter().map(std::mem::discriminant).collect()
        };
        // What no longer fits is a mark in one way and a part of one in the other.
        if limit > text.len() {
            assert_eq!(kinds(&whole_text), kinds(&whole), "marks as text: {text:?}");
        }
    }
    whole
}

fn parse(text: &str) -> Vec<CallEvent> {
    parse_in(CallForm::Tagged, CALL_BYTES_DEFAULT, text, Ended::Whole)
}

fn text(text: &str) -> CallEvent {
    CallEvent::Text(text.to_owned())
}

fn call(name: &str, arguments: Value) -> CallEvent {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    CallEvent::Call(ToolCall { name: name.to_owned(), arguments })
}

/// A call of `all` with one argument.
fn one(name: &str, value: &str) -> String {
    format!("\u{1}\n<function=all>\n<parameter={name}>\n{value}\n</parameter>\n</function>\n\u{2}")
}

#[test]
fn calls_between_text() {
    let input = "Let me look.\n\n\u{1}\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n\
        <parameter=days>\n3\n</parameter>\n</function>\n\u{2}\n\u{1}\n<function=all>\n</function>\n\u{2} done";
    let want = [
        text("Let me look.\n\n"),
        CallEvent::Began,
        call("get_weather", json!({"city": "Paris", "days": 3})),
        text("\n"),
        CallEvent::Began,
        call("all", json!({})),
        text(" done"),
    ];
    assert_eq!(parse(input), want, "two calls");
    assert_eq!(parse("no call <tool_cal"), [text("no call <tool_cal")], "half a mark is text");
    assert_eq!(parse(""), [], "nothing");
}

#[test]
fn arguments_are_typed_by_the_schema() {
    for (name, written, value) in [
        ("s", "5", json!("5")),
        ("s", " two\n\nlines ", json!(" two\n\nlines ")),
        ("s", "\"quoted\"", json!("\"quoted\"")),
        ("s", "", json!("")),
        ("s", "</function>\n</parameter", json!("</function>\n</parameter")),
        ("s", "a</parameter>\nb", json!("a</parameter>\nb")),
        ("i", "-12", json!(-12)),
        ("i", " 12 ", json!(12)),
        ("n", "1.5e3", json!(1500.0)),
        ("n", "7", json!(7)),
        ("b", "true", json!(true)),
        ("b", "False", json!(false)),
        ("z", "None", json!(null)),
        ("z", "null", json!(null)),
        ("l", "[1, \"é\", {\"a\": [null]}]", json!([1, "é", {"a": [null]}])),
        ("o", "{\"k\": \"v\\n</parameter>\"}", json!({"k": "v\n</parameter>"})),
        ("e", "a b", json!("a b")),
        ("e", "7", json!(7)),
        ("e", "True", json!(true)),
        ("u", "null", json!(null)),
        ("u", "nul", json!("nul")),
        ("x", "[1]", json!([1])),
        ("x", "[1", json!("[1")),
    ] {
        let want = [CallEvent::Began, call("all", json!({name: value}))];
        assert_eq!(parse(&one(name, written)), want, "{name}: {written:?}");
    }
    // One line end is as good as two for the empty string.
    let input = "\u{1}\n<function=all>\n<parameter=s>\n</parameter>\n</function>\n\u{2}";
    assert_eq!(parse(input), [CallEvent::Began, call("all", json!({"s": ""}))], "empty");
}

/// Text of all kinds that looks like the format is a value like any other.
#[test]
fn marks_and_tags_inside_a_value() {
    let hostile = "a\n\u{2}\n\u{1}\n<function=all>\n<|im_end|>\n<parameter=s>\u{1b}[2J</tool_call>";
    let parts = pieces_of(&one("s", hostile));
    let want = hostile.replace('\u{1}', OPEN).replace('\u{2}', CLOSE);
    let want = [CallEvent::Began, call("all", json!({"s": want}))];
    let mut parser = CallParser::new(tools(), CallForm::Tagged, true, CALL_BYTES_DEFAULT);
    assert_eq!(run(&mut parser, parts.iter().map(Piece::from), Ended::Whole), want, "tokens");
    let written = one("s", hostile).replace('\u{1}', OPEN).replace('\u{2}', CLOSE);
    let mut parser = CallParser::new(tools(), CallForm::Tagged, false, CALL_BYTES_DEFAULT);
    assert_eq!(run(&mut parser, [Piece::Text(&written)], Ended::Whole), want, "text");
    // With tokens for marks, text that spells one opens nothing.
    let spelled = format!("{OPEN}\n<function=all>\n</function>\n{CLOSE}");
    let mut parser = CallParser::new(tools(), CallForm::Tagged, true, CALL_BYTES_DEFAULT);
    assert_eq!(
        run(&mut parser, [Piece::Text(&spelled)], Ended::Whole),
        [text(&spelled)],
        "spelled"
    );
    assert_eq!(parse("a\u{2}b"), [text(&format!("a{CLOSE}b"))], "a closing mark of nothing");
}

/// Pieces that own their text.
enum Part {
    Text(String),
    Mark(bool),
}

impl<'a> From<&'a Part> for Piece<'a> {
    fn from(part: &'a Part) -> Self {
        match part {
            Part::Text(text) => Piece::Text(text),
            Part::Mark(true) => Piece::Open,
            Part::Mark(false) => Piece::Close,
        }
    }
}

fn pieces_of(text: &str) -> Vec<Part> {
    let own = |piece| match piece {
        Piece::Text(text) => Part::Text(text.to_owned()),
        Piece::Open => Part::Mark(true),
        Piece::Close => Part::Mark(false),
    };
    pieces(text).into_iter().map(own).collect()
}

#[test]
fn what_is_wrong_is_said() {
    let body = |body: &str| format!("\u{1}{body}\u{2}");
    let weather =
        |arguments: &str| body(&format!("\n<function=get_weather>\n{arguments}</function>\n"));
    for (input, words) in [
        (body(""), "expected <function=NAME>, found </tool_call>"),
        (body("\nhello"), "expected <function=NAME>, found \"h\""),
        (body("<function=>"), "expected <function=NAME>, found \"<function=>\""),
        (body("<function=a b>"), "expected <function=NAME>, found \"<function=a \""),
        (
            body(&format!("<function={}>", "x".repeat(65))),
            "expected <function=NAME>, found \"<func",
        ),
        (
            body("<function=nope></function>"),
            "there is no function \"nope\", there are: get_weather, all",
        ),
        (body("<function=all>"), "expected <parameter=NAME> or </function>, found </tool_call>"),
        (
            body("<function=all></func"),
            "expected <parameter=NAME> or </function>, found </tool_call>",
        ),
        (body("<function=all></func>"), "found \"</func>\""),
        (body("<function=all></function>x"), "expected </tool_call>, found \"x\""),
        (weather(""), "get_weather: city is missing, it is required"),
        (
            weather("<parameter=town>\nx\n</parameter>\n"),
            "there is no argument \"town\", there are: city, days",
        ),
        (
            weather("<parameter=city>x</parameter>\n"),
            "the value of city has to begin on the line behind",
        ),
        (
            weather("<parameter=city>\nx\n</parameter>\n<parameter=city>\ny\n</parameter>\n"),
            "city is given twice",
        ),
        (
            weather("<parameter=days>\nthree\n</parameter>\n"),
            "argument days: expected integer, found \"three\"",
        ),
        (
            weather("<parameter=days>\n3.5\n</parameter>\n"),
            "argument days: expected integer, found 3.5",
        ),
        (
            weather("<parameter=days>\n10\n</parameter>\n"),
            "argument days: expected at most 9, found 10",
        ),
        (one("i", "12345678901234567890123"), "argument i: expected integer"),
        (one("n", "1e999"), "argument n: expected number"),
        (one("l", "[1"), "argument l: expected array"),
        (one("e", "b"), "argument e: expected one of \"a b\", 7, true"),
    ] {
        let found = parse(&input);
        let Some(CallEvent::Malformed(Malformed { raw, error })) = found.last() else {
            panic!("{input:?}: {found:?}");
        };
        assert!(error.contains(words) && !error.contains('\n'), "{input:?}: {error}");
        assert_eq!(*raw, input.replace('\u{1}', OPEN).replace('\u{2}', CLOSE), "all of it");
        assert_eq!(found.len(), 2, "began, malformed: {found:?}");
    }
}

#[test]
fn after_a_wrong_call_comes_the_next_one() {
    let good = one("i", "1");
    for bad in ["\u{1}\nnothing\u{2}", "\u{1}\n<function=all>\n<parameter>\n", "\u{1}"] {
        let found = parse(&format!("{bad}{good}"));
        let want = [CallEvent::Began, call("all", json!({"i": 1}))];
        assert_eq!(found[2..], want, "after {bad:?}: {found:?}");
        assert!(matches!(found[1], CallEvent::Malformed(_)), "after {bad:?}: {found:?}");
    }
}

#[test]
fn a_turn_that_ends_inside_a_call() {
    let whole = one("s", "value");
    for (end, _) in whole.char_indices().skip(1) {
        let part = &whole[..end];
        let raw = part.replace('\u{1}', OPEN);
        let cut = parse_in(CallForm::Tagged, CALL_BYTES_DEFAULT, part, Ended::Cut);
        assert_eq!(cut, [CallEvent::Began, CallEvent::Cut { raw: raw.clone() }], "cut at {end}");
        let ended = parse(part);
        let Some(CallEvent::Malformed(found)) = ended.last() else { panic!("{ended:?}") };
        assert!(found.error.starts_with("the turn ended inside a call, where"), "{}", found.error);
        assert_eq!(found.raw, raw, "ended at {end}");
    }
    let wrong = parse_in(CallForm::Tagged, CALL_BYTES_DEFAULT, "\u{1}wrong", Ended::Cut);
    assert!(matches!(wrong[1], CallEvent::Malformed(_)), "no token could mend it: {wrong:?}");
}

#[test]
fn long_calls_are_refused_at_any_split() {
    let name = "\n<function=all>\n<parameter=s>\n\n</parameter>\n</function>\n".len();
    for size in [10, 29, 30, 31, 60] {
        let input = format!("{}{}", one("s", &"é".repeat(size / 2)), one("i", "1"));
        let found = parse_in(CallForm::Tagged, name + 30, &input, Ended::Whole);
        match &found[1] {
            CallEvent::Call(_) => assert!(size / 2 * 2 <= 30, "{size} is too long"),
            CallEvent::Malformed(found) => {
                assert!(size > 31, "{size} is not too long: {}", found.error);
                assert!(found.error.contains("longer than"), "{}", found.error);
                assert!(found.raw.len() <= name + 30 + OPEN.len() + CLOSE.len(), "cut");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(found[3], call("all", json!({"i": 1})), "and the next call is read: {found:?}");
    }
}

/// Ten megabytes: a value that is kept to the byte under a limit that allows it, and one that is
/// not under the usual one.
#[test]
fn ten_megabytes() {
    let value = "0123456789abcde\n".repeat(10 << 16);
    let input = one("s", &value);
    let pieces = || {
        let parts = input.as_bytes().chunks(7919);
        let texts = parts.map(|part| std::str::from_utf8(part).expect("ASCII"));
        texts.flat_map(pieces)
    };
    let mut parser = CallParser::new(tools(), CallForm::Tagged, true, 11 << 20);
    let found = run(&mut parser, pieces(), Ended::Whole);
    assert_eq!(found, [CallEvent::Began, call("all", json!({"s": value}))], "to the byte");
    let mut parser = CallParser::new(tools(), CallForm::Tagged, true, CALL_BYTES_DEFAULT);
    let found = run(&mut parser, pieces(), Ended::Whole);
    let CallEvent::Malformed(Malformed { raw, error }) = &found[1] else {
        panic!("{error:?}", error = found[1])
    };
    assert_eq!(error, "the call is longer than 1048576 bytes", "said");
    assert!(raw.len() < CALL_BYTES_DEFAULT + 100, "{} bytes are kept", raw.len());
}

#[test]
fn the_json_form() {
    let parse = |text: &str| parse_in(CallForm::Json, CALL_BYTES_DEFAULT, text, Ended::Whole);
    let input = "x\u{1}\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"P}\\\"\", \"days\": 3}}\n\u{2}y";
    let want = [
        text("x"),
        CallEvent::Began,
        call("get_weather", json!({"city": "P}\"", "days": 3})),
        text("y"),
    ];
    assert_eq!(parse(input), want, "a call");
    let mut parser = CallParser::new(tools(), CallForm::Json, true, 1000);
    let mark = "\u{1}{\"name\": \"get_weather\", \"arguments\": {\"city\": \"\u{2}\u{1}\"}}\u{2}";
    let want = [CallEvent::Began, call("get_weather", json!({"city": format!("{CLOSE}{OPEN}")}))];
    assert_eq!(run(&mut parser, pieces(mark), Ended::Whole), want, "marks in a string");
    for (body, words) in [
        ("", "expected a JSON object, found </tool_call>"),
        ("[1]", "expected a JSON object, found \"[\""),
        ("{\"name\": \"all\"", "expected the rest of the JSON object, found </tool_call>"),
        ("{\"name\": <", "expected JSON, found \"<\""),
        ("{\"name\": \"a\nb\"}", "a control character inside a JSON string"),
        ("{]", "no JSON object"),
        ("{}", "\"name\" has to be"),
        ("{\"name\": \"all\"}", "all: \"arguments\" has to be an object"),
        ("{\"name\": \"all\", \"arguments\": {}, \"id\": 1}", "nothing else, not \"id\""),
        ("{\"name\": \"all\", \"arguments\": \"{}\"}", "has to be an object"),
        ("{\"name\": \"no\", \"arguments\": {}}", "there is no function"),
        (
            "{\"name\": \"all\", \"arguments\": {\"i\": \"1\"}}",
            "argument i: expected integer, found \"1\"",
        ),
        ("{\"name\": \"all\", \"arguments\": {}} x", "expected </tool_call>, found \"x\""),
        (&"[".repeat(200).replacen('[', "{\"a\":", 1), "expected JSON, found \"[\""),
    ] {
        let found = parse(&format!("\u{1}{body}\u{2}"));
        let Some(CallEvent::Malformed(Malformed { error, .. })) = found.last() else {
            panic!("{body:?}: {found:?}");
        };
        assert!(error.contains(words) && !error.contains('\n'), "{body:?}: {error}");
    }
}

/// Random pieces of the format in random parts, against the whole.
#[test]
fn parts_do_not_matter() {
    let words = [
        "\u{1}",
        "\u{2}",
        "\n",
        "<function=all>",
        "<function=",
        "</function>",
        "<parameter=s>",
        "<parameter=i>",
        "\n</parameter>\n",
        "</parameter>",
        "1",
        "é",
        "{\"name\": \"all\", ",
        "\"arguments\": {}}",
        "\"",
        "<tool_call>",
        "</tool",
        "_call>",
        " ",
    ];
    let mut seed = 9u64;
    let mut next = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % n
    };
    let (mut calls, mut wrong) = (0, 0);
    for _ in 0..4000 {
        let mut input = String::new();
        if next(2) == 0 {
            input = one("s", "some text");
            if next(2) == 0 {
                let at = next(input.len());
                input.insert_str(at, words[next(words.len())]);
            }
        }
        (0..next(12)).for_each(|_| input.push_str(words[next(words.len())]));
        let form = if next(4) == 0 { CallForm::Json } else { CallForm::Tagged };
        let limit = [40, 90, 1000][next(3)];
        let ended = if next(2) == 0 { Ended::Whole } else { Ended::Cut };
        let found = parse_in(form, limit, &input, ended);
        calls += usize::from(found.iter().any(|event| matches!(event, CallEvent::Call(_))));
        wrong += usize::from(found.iter().any(|event| matches!(event, CallEvent::Malformed(_))));
    }
    assert!(calls > 500 && wrong > 1000, "both are tried: {calls} calls, {wrong} malformed");
}
