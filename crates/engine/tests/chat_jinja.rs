//! Templates against Jinja2 as transformers sets it up, and templates that are out to break something.

mod text_fixtures;

use std::time::{Duration, Instant, SystemTime};

use engine::{ChatError, Conversation};
use serde_json::{Value, json};
use text_fixtures::{json as fixture, mini, qwen, template};

/// Variables for a template that looks at no messages.
fn with(kwargs: &Value) -> Conversation {
    let kwargs = kwargs.as_object().cloned().unwrap_or_default();
    let message = json!({"role": "user", "content": "hi"});
    Conversation { messages: vec![message], kwargs, ..Default::default() }
}

/// Recorded cases in which we are known to differ, and how.
const DIFFERENT: [(&str, Option<&str>); 2] = [
    // No `%` on strings: an error.
    ("{{ '%s=%d' % ('a', 3) }}", None),
    // `~` prints very large and very small floats without an exponent.
    ("{{ 'a' ~ big ~ l[:2] }}", Some("a100000000000000000000.0[1, 'é']")),
];

#[test]
fn small_templates_as_jinja_renders_them() {
    let tokenizer = mini();
    let file = fixture("chat/jinja_cases.json");
    let cases = file["cases"].as_array().expect("a list");
    assert!(cases.len() > 80, "all recorded cases");
    let mut wrong = Vec::new();
    for case in cases {
        let text = case["template"].as_str().expect("text");
        let source = engine::TemplateSource {
            origin: "test".to_owned(),
            default: text.to_owned(),
            ..Default::default()
        };
        let found = engine::ChatTemplate::new(source, &tokenizer)
            .and_then(|template| template.render(&with(&file["variables"])));
        let want = DIFFERENT.iter().find(|(name, _)| *name == text).map(|(_, want)| *want);
        let want = want.unwrap_or_else(|| case["output"].as_str());
        match (&found, want) {
            (Ok(found), Some(want)) if found.text == want => {}
            (Err(_), None) => {}
            _ => wrong.push(format!("{text:?}\n  wanted {want:?}\n  found  {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_date_is_that_of_the_conversation() {
    let template = template("{{ strftime_now('%d %b %Y') }}", &mini());
    let now = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400));
    let rendered = template.render(&Conversation { now, ..with(&json!(null)) }).expect("text");
    assert_eq!(rendered.text, "29 Feb 2000", "as told");
    let today = template.render(&with(&json!(null))).expect("text").text;
    assert!(
        today.len() == 11 && today.ends_with(|c: char| c.is_ascii_digit()),
        "the system's clock: {today}"
    );
}

#[test]
fn templates_that_run_on_end_with_an_error() {
    let tokenizer = mini();
    let twice = |end: &str| {
        let grow = "{% set ns = namespace(l=['x']) %}{% for i in range(60) %}\
            {% set ns.l = [ns.l, ns.l] %}{% endfor %}";
        grow.to_owned() + end
    };
    for (what, text) in [
        (
            "loops",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}\
            {{ a }}{% endfor %}{% endfor %}{% endfor %}",
        ),
        (
            "doubling",
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}\
            {% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        ),
        (
            "replacing",
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}\
            {% set ns.x = ns.x.replace('a', 'aaaaaaaa') %}{% endfor %}",
        ),
        (
            "joining",
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}\
            {% set ns.x = ns.x.join(['a', 'b', 'c', 'd']) %}{% endfor %}",
        ),
        ("many times", "{{ 'aaaaaaaaaaaaaaaaaaaaaaaa' * 99999999999 }}"),
        ("recursion", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"),
        (
            "a value inside itself",
            "{% set ns = namespace() %}{% set ns.l = [ns] %}{{ [ns.l]|tojson }}",
        ),
        (
            "a deep value",
            "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}\
            {% set ns.l = [ns.l] %}{% endfor %}{{ ns.l|tojson }}",
        ),
        (
            "a deep value, printed",
            "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}\
            {% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        ),
        ("a value that holds itself twice", &twice("{{ ns.l|tojson }}")),
        ("the same printed", &twice("{{ ns.l }}")),
        ("the same as text", &twice("{{ ns.l|string|length }}")),
        ("the same raised", &twice("{{ raise_exception(ns.l) }}")),
    ] {
        let started = Instant::now();
        let error = template(text, &tokenizer).render(&with(&json!(null))).expect_err(what);
        assert!(matches!(error, ChatError::Template { .. }), "{what}: {error}");
        assert!(!error.to_string().contains('\n'), "{what}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{what} took {:?}", started.elapsed());
    }
}

#[test]
fn sources_that_are_no_templates_are_errors() {
    let tokenizer = mini();
    let open = "{% if x %}".repeat(5000);
    let brackets = format!("{{{{ {} }}}}", "(".repeat(100_000));
    for text in ["{% for %}", "{{ x", "{% endif %}", "{{ 'a }}", "{% macro %}", &open, &brackets] {
        let source = engine::TemplateSource {
            origin: "bad.jinja".to_owned(),
            default: text.to_owned(),
            ..Default::default()
        };
        let error = engine::ChatTemplate::new(source, &tokenizer).expect_err("no template");
        assert!(error.to_string().starts_with("bad.jinja:"), "{error}");
    }
}

#[test]
fn a_deep_value_is_refused_and_a_long_conversation_is_not() {
    let tokenizer = mini();
    let template = qwen(&tokenizer);
    let mut deep = json!("x");
    for _ in 0..500 {
        deep = json!([deep]);
    }
    let message = json!({"role": "user", "content": deep});
    let conversation = Conversation { messages: vec![message], ..Default::default() };
    let error = template.render(&conversation).expect_err("too deep");
    assert!(matches!(error, ChatError::Deep { .. }), "{error}");
    let mut messages = Vec::new();
    for i in 0..2000 {
        messages.push(json!({"role": "user", "content": format!("question {i}")}));
        messages.push(json!({"role": "assistant", "content": "<think>\na\n</think>\n\nanswer"}));
    }
    messages.push(json!({"role": "user", "content": "x".repeat(1 << 20)}));
    let conversation = Conversation { messages, ..Default::default() };
    let rendered = template.render(&conversation).expect("long, but real");
    assert!(rendered.text.len() > 1 << 20, "all of it");
}

#[test]
fn messages_of_odd_shapes_are_errors_or_text_but_no_panic() {
    let tokenizer = mini();
    let template = qwen(&tokenizer);
    for message in [
        json!(null),
        json!(3),
        json!("text"),
        json!([]),
        json!({}),
        json!({"role": 3}),
        json!({"role": "user"}),
        json!({"role": "user", "content": 3}),
        json!({"role": "user", "content": {"a": 1}}),
        json!({"role": "user", "content": [3]}),
        json!({"role": "user", "content": [{"type": "odd"}]}),
        json!({"role": "assistant", "tool_calls": 3}),
        json!({"role": "assistant", "tool_calls": [3]}),
        json!({"role": "assistant", "tool_calls": [{"function": null}]}),
        json!({"role": "assistant", "tool_calls": [{"function": {"name": 3, "arguments": []}}]}),
    ] {
        let messages = vec![json!({"role": "user", "content": "x"}), message.clone()];
        match template.render(&Conversation { messages, ..Default::default() }) {
            Ok(rendered) => assert!(rendered.text.starts_with("<|im_start|>user"), "{message}"),
            Err(error) => assert!(!error.to_string().contains('\n'), "{message}: {error}"),
        }
    }
}
