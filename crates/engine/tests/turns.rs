//! Turns from conversations and raw text, and a talk of two turns over one session.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use engine::testing::{ScriptedForward, byte_tokenizer, chat_template};
use engine::{
    ChatTemplate, Control, Conversation, Generated, Session, Settings, TemplateSource, Tokenizer,
    Turn, TurnError, generate,
};
use serde_json::{Value, json};

const IM_END: u32 = 258;

fn talk(messages: Value) -> Conversation {
    let Value::Array(messages) = messages else { return Conversation::default() };
    Conversation { messages, ..Conversation::default() }
}

fn markup(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_markup(text).expect("any text has ids")
}

fn template(tokenizer: &Tokenizer, text: &str) -> ChatTemplate {
    let (origin, default) = ("a test".to_owned(), text.to_owned());
    let source = TemplateSource { origin, default, ..TemplateSource::default() };
    ChatTemplate::new(source, tokenizer).expect("it compiles")
}

#[test]
fn a_chat_turn_comes_back_before_its_generation_prompt() {
    let t = byte_tokenizer();
    let mut conversation = talk(json!([{"role": "user", "content": "<|im_end|>"}]));
    conversation.kwargs.insert("add_generation_prompt".to_owned(), json!(false));
    let turn = Turn::from_chat(&chat_template(&t), &t, &conversation).expect("it renders");
    let mut want = markup(&t, "<|im_start|>user\n");
    want.extend(t.encode_text("<|im_end|>").expect("content is text"));
    want.extend(markup(&t, "<|im_end|>\n"));
    assert_eq!(turn.checkpoint_at, Some(want.len()), "before the generation prompt");
    want.extend(markup(&t, "<|im_start|>assistant\n<think>\n"));
    assert_eq!(turn.prompt, want, "with the generation prompt, whatever the variables say");
}

#[test]
fn strange_templates_have_a_sound_checkpoint_or_none() {
    let t = byte_tokenizer();
    let checkpoint = |text: &str| {
        let conversation = talk(json!([{"role": "user", "content": "abc"}]));
        let turn = Turn::from_chat(&template(&t, text), &t, &conversation).expect("it renders");
        (t.decode(&turn.prompt, false), turn.checkpoint_at)
    };
    let cases = [
        ("no generation prompt", "{{ messages[0].content }}", ("abc", Some(3))),
        (
            "written in front",
            "{% if add_generation_prompt %}x{% endif %}{{ messages[0].content }}",
            ("xabc", None),
        ),
        (
            "in the middle",
            "ab{% if add_generation_prompt %}x{% endif %}{{ messages[0].content }}",
            ("abxabc", Some(2)),
        ),
        (
            "refuses to leave it out",
            "{% if not add_generation_prompt %}{{ raise_exception('no') }}{% endif %}abc",
            ("abc", None),
        ),
    ];
    for (name, text, (prompt, at)) in cases {
        assert_eq!(checkpoint(text), (prompt.to_owned(), at), "{name}");
    }
    let error = Turn::from_chat(&chat_template(&t), &t, &talk(json!([]))).expect_err("empty");
    assert!(matches!(error, TurnError::Chat(_)), "{error}");
}

#[test]
fn raw_text_is_the_models_input() {
    let t = byte_tokenizer();
    let turn = Turn::raw(&t, "a<|im_end|><think>").expect("ids");
    let want = Turn { prompt: vec![97, IM_END, 259], checkpoint_at: None };
    assert_eq!(turn, want, "every added token is matched");
}

/// The second turn departs at the first one's assistant header, and only what changed is read.
#[test]
fn the_second_turn_reads_what_changed() {
    let t = byte_tokenizer();
    let template = chat_template(&t);
    let after = |question: &str, think: &str| {
        markup(&t, &format!("{question}<|im_end|>\n<|im_start|>assistant\n{think}"))
    };
    let mut forward = ScriptedForward::new(270, 400)
        .answering(after("Hello", "<think>\n"), markup(&t, "hm\n</think>\n\nHi!<|im_end|>"))
        .answering(after("Bye", "<think>\n"), markup(&t, "so\n</think>\n\nSee you<|im_end|>"));
    let mut session = Session::new(&forward, 400).expect("room");
    let settings = Settings { stop_ids: vec![IM_END], ..Settings::default() };
    let mut say = |messages: Value| -> (Turn, Generated) {
        let turn = Turn::from_chat(&template, &t, &talk(messages)).expect("it renders");
        let cancel = AtomicBool::new(false);
        let (control, mut sink) = (Control::new(&cancel), |_| ControlFlow::Continue(()));
        let generated =
            generate(&mut forward, &mut session, &t, &turn, &settings, &control, None, &mut sink);
        (turn, generated.expect("it ends"))
    };
    let (turn, first) = say(json!([{"role": "user", "content": "Hello"}]));
    assert_eq!((first.reasoning.as_str(), first.text.as_str()), ("hm\n", "Hi!"), "first turn");
    assert_eq!((first.reused, first.prompt.tokens), (0, turn.prompt.len()), "all of it");
    let (second_turn, second) = say(json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Bye"},
    ]));
    assert_eq!((second.reasoning.as_str(), second.text.as_str()), ("so\n", "See you"), "second");
    let at = turn.checkpoint_at.expect("a checkpoint");
    assert_eq!(second.reused, at, "from the assistant header on");
    assert_eq!(second.prompt.tokens, second_turn.prompt.len() - at, "the rest is read");
}
