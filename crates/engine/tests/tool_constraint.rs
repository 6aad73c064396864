//! Constrained calls: a model that knows nothing still calls well.

mod text_fixtures;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use engine::testing::{ScriptedForward, byte_tokenizer, plain_byte_tokenizer};
use engine::{
    CallConstraint, CallEvent, CallForm, CallReader, CallTokens, ConstraintError, Control, Event,
    GenerateError, Heard, Mask, SampleError, Sampling, Session, Settings, StopReason, Tokenizer,
    ToolDeclaration, Tools, Turn, generate,
};
use serde_json::{Value, json};

const IM_END: u32 = 258;
const THINK: (u32, u32) = (259, 260);
const OPEN: u32 = 261;
const CLOSE: u32 = 262;

fn declare(name: &str, parameters: Value) -> ToolDeclaration {
    ToolDeclaration { name: name.to_owned(), description: "For tests.".to_owned(), parameters }
}

/// One tool with every kind of value that is short by itself.
fn short() -> Tools {
    let parameters = json!({"properties": {
        "kind": {"enum": ["a b", 7, null]}, "on": {"type": "boolean"},
        "n": {"type": "integer", "minimum": -20, "maximum": 300},
        "word": {"type": "string", "minLength": 2, "maxLength": 5},
        "list": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
    }, "required": ["n", "word"]});
    Tools::new(vec![declare("short", parameters), declare("none", json!(null))]).expect("good")
}

/// Whether a mask lets a whole text pass, byte by byte, behind the opening mark, and where not.
fn passes(tokenizer: &Tokenizer, constraint: &CallConstraint, ids: &[u32]) -> Result<(), usize> {
    let mut mask = constraint.mask(&[OPEN]);
    for (at, id) in ids.iter().enumerate() {
        let mut row = vec![0.0; tokenizer.size()];
        mask.allow(&mut row);
        if row[*id as usize] == f32::NEG_INFINITY {
            return Err(at);
        }
        mask.accept(*id);
        assert_eq!(mask.error(), None, "what was allowed is accepted");
    }
    assert!(!mask.inside(), "the call is over");
    Ok(())
}

#[test]
fn what_fits_passes_and_what_does_not_stops_where_it_goes_wrong() {
    let tokenizer = byte_tokenizer();
    let tokens = CallTokens::new(&tokenizer).expect("marks are tokens");
    let constraint =
        CallConstraint::new(&tokens, &Arc::new(short()), CallForm::Tagged).expect("compiles");
    let try_body = |body: &str| {
        let mut ids = tokenizer.encode_text(body).expect("bytes");
        ids.push(CLOSE);
        passes(&tokenizer, &constraint, &ids).map_err(|at| body[..at.min(body.len())].to_owned())
    };
    let argument = |name: &str, value: &str| format!("<parameter={name}>\n{value}\n</parameter>\n");
    let call = |arguments: &str| format!("\n<function=short>\n{arguments}</function>\n");
    let (n, word) = (argument("n", "42"), argument("word", "añ"));
    for good in [
        "\n<function=none>\n</function>\n".to_owned(),
        call(&format!("{n}{word}")),
        call(&format!("{word}{n}")),
        call(&format!("{}{word}{}{n}", argument("on", "True"), argument("kind", "a b"))),
        call(&format!("{n}{word}{}{}", argument("list", "[1, 2, 3]"), argument("kind", "null"))),
        call(&format!("{n}{}", argument("word", "\n<a>\n"))),
    ] {
        assert_eq!(try_body(&good), Ok(()), "{good:?}");
    }
    for (bad, stops) in [
        ("\n<function=other>\n".to_owned(), "\n<function="),
        ("\n<function=short>\n</function>\n".to_owned(), "\n<function=short>\n<"),
        (call(&n), "42\n</parameter>\n<"),
        (call(&format!("{n}{n}")), "42\n</parameter>\n<parameter="),
        (call(&argument("n", "301")), "<parameter=n>\n30"),
        (call(&argument("n", "1.5")), "<parameter=n>\n1"),
        (call(&argument("word", "a")), "<parameter=word>\na\n</p"),
        (call(&argument("word", "abcdef")), "<parameter=word>\nabcde"),
        (call(&argument("kind", "8")), "<parameter=kind>\n"),
        (call(&argument("list", "[1, 2, 3, 4]")), "[1, 2, 3"),
        (call(&argument("town", "x")), "<parameter="),
        (call(&format!("{n}{word}</function>")), "</function>"),
    ] {
        let found = try_body(&bad).expect_err("it does not fit");
        assert!(found.ends_with(stops), "{bad:?} stops after {found:?}");
    }
    let ids =
        [&tokenizer.encode_text("\n<function=none>\n").expect("bytes")[..], &[IM_END]].concat();
    assert_eq!(passes(&tokenizer, &constraint, &ids), Err(ids.len() - 1), "no end inside a call");
}

/// What a turn of a model without a mind comes to, under the mask or not.
fn babble(
    tools: &Arc<Tools>,
    form: CallForm,
    seed: u64,
    constrained: bool,
    scripted: &str,
) -> (Vec<Heard>, StopReason) {
    let t = byte_tokenizer();
    let prompt = t.encode_markup("<|im_start|>assistant\n<think>\n\n</think>\n\n").expect("ids");
    let mut script = t.encode_markup(scripted).expect("ids");
    script.push(OPEN);
    let mut forward = ScriptedForward::new(265, 700).answering(prompt.clone(), script);
    let mut session = Session::new(&forward, 700).expect("room");
    let sampling = Sampling { temperature: 1.5, seed, ..Sampling::default() };
    let settings = Settings { stop_ids: vec![IM_END], sampling, ..Settings::default() };
    let turn = Turn { prompt: prompt.clone(), checkpoint_at: None };
    let tokens = CallTokens::new(&t).expect("marks");
    let constraint = CallConstraint::new(&tokens, tools, form).expect("compiles");
    let mut mask = constraint.mask(&prompt);
    let mut reader = CallReader::new(&t, &prompt, &[], Arc::clone(tools), form);
    let mut heard = Vec::new();
    let cancel = AtomicBool::new(false);
    let generated = {
        let mut sink = |event| {
            if let Event::Id { id, .. } = event {
                heard.extend(reader.push(id));
            }
            let over = |h: &Heard| {
                matches!(h, Heard::Answer(CallEvent::Call(_) | CallEvent::Malformed(_)))
            };
            if heard.iter().any(over) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mask = constrained.then_some(&mut mask as &mut dyn Mask);
        let control = Control::new(&cancel);
        generate(&mut forward, &mut session, &t, &turn, &settings, &control, mask, &mut sink)
    };
    let stop = generated.expect("a turn").stop;
    heard.extend(reader.finish(&stop));
    (heard, stop)
}

#[test]
fn a_model_without_a_mind_calls_well() {
    let tools = Arc::new(short());
    let (mut calls, mut unconstrained) = (0, 0);
    for form in [CallForm::Tagged, CallForm::Json] {
        for seed in 0..30 {
            let (heard, stop) = babble(&tools, form, seed, true, "Well. ");
            match heard.last() {
                Some(Heard::Answer(CallEvent::Call(call))) => {
                    calls += 1;
                    let checked = tools.check(&call.name, &call.arguments);
                    assert_eq!(checked, Ok(()), "{form:?} {seed}: {call:?}");
                }
                other => panic!("{form:?} {seed}: {other:?}, {stop:?}"),
            }
            let (heard, _) = babble(&tools, form, seed, false, "Well. ");
            let call = |h: &Heard| matches!(h, Heard::Answer(CallEvent::Call(_)));
            unconstrained += usize::from(heard.iter().any(call));
        }
    }
    assert_eq!((calls, unconstrained), (60, 0), "every turn, and none without the mask");
}

#[test]
fn free_text_is_cut_by_the_limit_and_said_to_be() {
    let parameters = json!({"properties": {"text": {"type": "string"}}, "required": ["text"]});
    let tools = Arc::new(Tools::new(vec![declare("write", parameters)]).expect("good"));
    let (heard, stop) = babble(&tools, CallForm::Tagged, 1, true, "");
    assert_eq!(stop, StopReason::Length, "bytes at random never spell the closing tag");
    let Some(Heard::Answer(CallEvent::Cut { raw })) = heard.last() else { panic!("{heard:?}") };
    assert!(raw.starts_with("<tool_call>\n<function=write>\n<parameter=text>\n"), "{raw:?}");
}

#[test]
fn outside_of_calls_nothing_is_forbidden() {
    let t = byte_tokenizer();
    let tokens = CallTokens::new(&t).expect("marks");
    let constraint =
        CallConstraint::new(&tokens, &Arc::new(short()), CallForm::Tagged).expect("compiles");
    let free = |mask: &mut engine::CallMask<'_>| {
        let mut row = vec![0.5; t.size()];
        mask.allow(&mut row);
        row.iter().all(|logit| *logit == 0.5)
    };
    let mut mask = constraint.mask(&[THINK.0]);
    for id in [u32::from(b'a'), OPEN, CLOSE, u32::from(b'b')] {
        assert!(free(&mut mask) && !mask.inside(), "a mark in reasoning is text");
        mask.accept(id);
    }
    mask.accept(THINK.1);
    assert!(free(&mut mask), "after reasoning");
    mask.accept(OPEN);
    let mut row = vec![0.5; t.size()];
    mask.allow(&mut row);
    let allowed: Vec<usize> = (0..row.len()).filter(|id| row[*id] == 0.5).collect();
    assert_eq!(allowed, [usize::from(b'\n')], "a call begins with a line end");
    for id in t.encode_text("\n<function=none>\n</function>\n").expect("bytes") {
        assert!(mask.inside() && !free(&mut mask), "inside");
        mask.accept(id);
    }
    mask.accept(CLOSE);
    assert!(free(&mut mask) && !mask.inside(), "after the call, the end of the turn included");
    // An id that was forced on it: the turn ends with an error, and the reason is kept.
    mask.accept(OPEN);
    mask.accept(u32::from(b'x'));
    let mut row = vec![0.5; t.size()];
    mask.allow(&mut row);
    assert!(row.iter().all(|logit| *logit == f32::NEG_INFINITY), "nothing is allowed");
    assert!(mask.error().is_some_and(|what| !what.contains('\n')), "{:?}", mask.error());
}

#[test]
fn a_mask_that_forbids_all_ends_the_turn() {
    struct Nothing;
    impl Mask for Nothing {
        fn allow(&mut self, logits: &mut [f32]) {
            logits.fill(f32::NEG_INFINITY);
        }
        fn accept(&mut self, _: u32) {}
    }
    let t = byte_tokenizer();
    let mut forward = ScriptedForward::new(265, 50);
    let mut session = Session::new(&forward, 50).expect("room");
    let turn = Turn::raw(&t, "x").expect("ids");
    let cancel = AtomicBool::new(false);
    let control = Control::new(&cancel);
    let mut sink = |_| ControlFlow::Continue(());
    let settings = Settings::default();
    let error = generate(
        &mut forward,
        &mut session,
        &t,
        &turn,
        &settings,
        &control,
        Some(&mut Nothing),
        &mut sink,
    );
    let forbidden =
        matches!(error, Err(GenerateError::Sample { source: SampleError::AllForbidden, .. }));
    assert!(forbidden, "{error:?}");
}

#[test]
fn what_cannot_be_constrained_is_refused() {
    assert_eq!(CallTokens::new(&plain_byte_tokenizer()).err(), Some(ConstraintError::NoMarks));
    let tokens = CallTokens::new(&byte_tokenizer()).expect("marks");
    let none = CallConstraint::new(&tokens, &Arc::default(), CallForm::Tagged);
    assert_eq!(none.err(), Some(ConstraintError::NoTools), "nothing to call");
}

/// More arguments than come in any order: the declared one, optional ones left out.
#[test]
fn many_arguments_come_in_their_order() {
    let t = byte_tokenizer();
    let properties: serde_json::Map<String, Value> =
        (0..8).map(|i| (format!("p{i}"), json!({"type": "boolean"}))).collect();
    let parameters = json!({"properties": properties, "required": ["p3", "p6"]});
    let tools = Arc::new(Tools::new(vec![declare("many", parameters)]).expect("good"));
    let tokens = CallTokens::new(&t).expect("marks");
    let constraint = CallConstraint::new(&tokens, &tools, CallForm::Tagged).expect("compiles");
    for (given, fits) in [
        (&[3, 6][..], true),
        (&[0, 1, 2, 3, 4, 5, 6, 7], true),
        (&[1, 3, 6, 7], true),
        (&[6, 3], false),
        (&[3], false),
        (&[3, 3, 6], false),
    ] {
        let arguments: String =
            given.iter().map(|i| format!("<parameter=p{i}>\ntrue\n</parameter>\n")).collect();
        let mut ids =
            t.encode_text(&format!("\n<function=many>\n{arguments}</function>\n")).expect("bytes");
        ids.push(CLOSE);
        assert_eq!(passes(&t, &constraint, &ids).is_ok(), fits, "{given:?}");
    }
}

/// Wherever a walk over the mask goes, the parser reads the same call: the end of a value above all.
#[test]
fn mask_and_parser_agree_where_values_end() {
    let t = byte_tokenizer();
    let tokens = CallTokens::new(&t).expect("marks");
    let parameters = json!({"properties": {
        "free": {"type": "string"}, "most": {"type": "string", "maxLength": 25},
        "least": {"type": "string", "minLength": 3},
        "both": {"type": "string", "minLength": 1, "maxLength": 30},
    }, "required": ["free", "most", "least", "both"]});
    let tools = Arc::new(Tools::new(vec![declare("texts", parameters)]).expect("good"));
    let constraint = CallConstraint::new(&tokens, &tools, CallForm::Tagged).expect("compiles");
    let mut seed = 3u64;
    let mut next = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % n
    };
    let words =
        ["\n</parameter>\n", "</parameter>", "\n</param", "a", "\n", "é", "</function>", "<", ">"];
    let mut empty = 0;
    for round in 0..150 {
        let mut mask = constraint.mask(&[OPEN]);
        let mut reader = CallReader::new(&t, &[OPEN], &[], Arc::clone(&tools), CallForm::Tagged);
        let (mut heard, mut wanted, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = vec![0.0; t.size()];
        while mask.inside() {
            row.fill(0.0);
            mask.allow(&mut row);
            let allowed: Vec<u32> =
                (0..).zip(&row).filter(|(_, l)| **l == 0.0).map(|(id, _)| id).collect();
            assert!(!allowed.is_empty(), "round {round}: {:?}", mask.error());
            if wanted.is_empty() {
                wanted = t.encode_text(words[next(words.len())]).expect("bytes");
                wanted.reverse();
            }
            // The next byte of a word while that may come, else any byte.
            let id = match wanted.pop() {
                Some(id) if allowed.contains(&id) => id,
                _ => {
                    wanted.clear();
                    allowed[next(allowed.len())]
                }
            };
            heard.extend(reader.push(id));
            mask.accept(id);
            said.push(id);
            assert!(said.len() < 5000, "round {round}: {:?}", t.decode(&said, false));
        }
        assert_eq!(mask.error(), None, "round {round}");
        let [Heard::Answer(CallEvent::Call(call))] = &heard[..] else {
            panic!("{round}: {heard:?}")
        };
        empty += usize::from(call.arguments["free"] == "");
        assert_eq!(tools.check(&call.name, &call.arguments), Ok(()), "round {round}");
    }
    assert!(empty > 5, "empty values are among them: {empty}");
}

/// Masks that were kept are those that would be made anew: in texts with and without bounds, near
/// the closing tag and in the middle of characters.
#[test]
fn kept_masks_are_the_masks() {
    let tokenizer = text_fixtures::mini();
    let tokens = CallTokens::new(&tokenizer).expect("marks");
    let parameters = json!({"properties": {
        "free": {"type": "string"}, "any": {}, "most": {"type": "string", "maxLength": 60},
        "both": {"type": "string", "minLength": 9, "maxLength": 50},
    }});
    let tools = Arc::new(Tools::new(vec![declare("texts", parameters)]).expect("good"));
    let constraint = CallConstraint::new(&tokens, &tools, CallForm::Tagged).expect("compiles");
    let open = tokenizer.id_of("<tool_call>").expect("a token");
    let text = "naïve <b>\n</p>\n</parameter \n\n</日本>ab";
    let argument = |name: &str| format!("<parameter={name}>\n{text}\n</parameter>\n");
    let all: String = ["free", "most", "any", "both"].map(argument).concat();
    let body = format!("\n<function=texts>\n{all}</function>\n");
    let ids = tokenizer.encode_text(&body).expect("ids");
    let row = |mask: &mut engine::CallMask<'_>| {
        let mut row = vec![0.0; tokenizer.size()];
        mask.allow(&mut row);
        row
    };
    let mut kept = constraint.mask(&[open]);
    for at in 0..ids.len() {
        let mut anew = constraint.mask(&[open]);
        ids[..at].iter().for_each(|id| anew.accept(*id));
        assert!(
            row(&mut kept) == row(&mut anew),
            "before id {at}: {:?}",
            tokenizer.decode(&ids[..at], false)
        );
        kept.accept(ids[at]);
    }
    assert_eq!(kept.error(), None, "all of it fits");
}

/// Tokens of several letters go across tags; says what a mask costs.
#[test]
fn tokens_across_tags_pass_in_the_large_vocabulary() {
    let Some(tokenizer) = text_fixtures::full("masks") else { return };
    let tokens = CallTokens::new(&tokenizer).expect("marks");
    let parameters = json!({"properties": {
        "path": {"type": "string"}, "text": {"type": "string"}, "mode": {"type": "integer"},
    }, "required": ["path", "text"]});
    let tools = Arc::new(Tools::new(vec![declare("write_file", parameters)]).expect("good"));
    let constraint = CallConstraint::new(&tokens, &tools, CallForm::Tagged).expect("compiles");
    let text =
        "fn main() {\n    // <b> & </parameter>\n    println!(\"héllo 日本\");\n}\n".repeat(4);
    let body = format!(
        "\n<function=write_file>\n<parameter=path>\nsrc/main.rs\n</parameter>\n<parameter=text>\n\
         {text}\n</parameter>\n<parameter=mode>\n420\n</parameter>\n</function>\n"
    );
    let mut ids = tokenizer.encode_text(&body).expect("ids");
    let open = tokenizer.id_of("<tool_call>").expect("a token");
    ids.push(tokenizer.id_of("</tool_call>").expect("a token"));
    let mut mask = constraint.mask(&[open]);
    let mut spent = std::time::Duration::ZERO;
    for id in &ids {
        let mut row = vec![0.0; tokenizer.size()];
        let clock = std::time::Instant::now();
        mask.allow(&mut row);
        mask.accept(*id);
        spent += clock.elapsed();
        assert!(row[*id as usize] == 0.0, "{:?} is allowed", tokenizer.decode(&[*id], false));
    }
    assert!(!mask.inside(), "the call is over");
    let mean = spent / u32::try_from(ids.len()).expect("few");
    println!("{} ids, {mean:?} a mask", ids.len());
}
