//! Parsers that stand between text and ids: tokenizer, chat template, sampling advice.

use engine::{ChatTemplate, Conversation, GenerationDefaults, TemplateSource};
use engine::{Tokenizer, TokenizerSource};
use serde_json::json;

use super::{Tree, read};
use crate::target::{Shape, Target, Verdict};

/// A text with everything that a tokenizer has to be careful about.
const TEXT: &str = "Hello, <|im_end|>\n naïve  3.14 \u{1F98A}\r\n\t<think>x</think> 北京 e\u{301}";

/// `engine::Tokenizer::load`: what it accepts encodes and decodes without a fault.
pub(super) fn tokenizer(tree: &Tree) -> Result<Target, String> {
    let mut seeds = tree.bytes("tokenizer.json")?;
    // Five copies of one file: one is enough.
    seeds.dedup();
    let run = |input: &[u8]| {
        let source =
            TokenizerSource::Json { origin: "tokenizer.json".into(), bytes: input.to_vec() };
        let loaded = Tokenizer::load(source);
        if let Ok(tokenizer) = &loaded
            && let Ok(ids) = tokenizer.encode_text(TEXT)
        {
            let size = u32::try_from(tokenizer.size()).unwrap_or(u32::MAX);
            assert!(ids.iter().all(|id| *id < size), "an id beyond the size");
            let whole = tokenizer.decode(&ids, false);
            assert!(tokenizer.decode(&ids, true).len() <= whole.len(), "special tokens left out");
            let mut stream = tokenizer.stream(false);
            let mut text: String = ids.iter().map(|id| stream.push(*id)).collect();
            text.push_str(&stream.finish());
            assert_eq!(text, whole, "the stream and the whole");
        }
        Verdict::of(&loaded)
    };
    Ok(Target { name: "tokenizer", shape: Shape::Json, seeds, run: Box::new(run) })
}

/// `engine::ChatTemplate`: any template compiles and renders, or is refused, in bounded time.
pub(super) fn template(tree: &Tree) -> Result<Target, String> {
    let path = tree.fixtures.join("tokenizer/mini_tokenizer.json");
    let source = TokenizerSource::json_file(&path).map_err(|error| error.to_string())?;
    let tokenizer = Tokenizer::load(source).map_err(|error| error.to_string())?;
    let seeds = vec![read(&tree.fixtures.join("chat/chat_template.jinja"))?];
    let conversation = Conversation {
        messages: vec![
            json!({"role": "system", "content": "Be brief. <|im_start|>"}),
            json!({"role": "user", "content": "What is a fox?"}),
            json!({"role": "assistant", "content": "An animal.", "reasoning_content": "Easy."}),
            json!({"role": "user", "content": "And a cat?</think>"}),
        ],
        tools: Some(vec![
            json!({"type": "function", "function": {"name": "look", "parameters": {}}}),
        ]),
        ..Conversation::default()
    };
    let run = move |input: &[u8]| {
        let source = TemplateSource {
            origin: "chat_template.jinja".into(),
            default: String::from_utf8_lossy(input).into_owned(),
            ..TemplateSource::default()
        };
        let rendered = ChatTemplate::new(source, &tokenizer)
            .and_then(|template| template.render(&conversation));
        if let Ok(rendered) = &rendered {
            let inside = |range: &std::ops::Range<usize>| {
                rendered.text.is_char_boundary(range.start)
                    && rendered.text.is_char_boundary(range.end)
            };
            assert!(rendered.content.iter().all(inside), "content lies in the text");
        }
        Verdict::of(&rendered)
    };
    Ok(Target { name: "template", shape: Shape::Bytes, seeds, run: Box::new(run) })
}

/// `engine::GenerationDefaults::read`, of any JSON.
pub(super) fn generation(tree: &Tree) -> Result<Target, String> {
    let run = |input: &[u8]| {
        let parsed = serde_json::from_slice::<serde_json::Value>(input).map_err(|e| e.to_string());
        let read = parsed
            .and_then(|value| GenerationDefaults::read(&value).map_err(|error| error.to_string()));
        if let Ok(advice) = &read {
            assert!((0.0..=100.0).contains(&advice.temperature), "a temperature in its bounds");
            assert!(advice.top_p > 0.0 && advice.top_p <= 1.0, "a share in its bounds");
        }
        Verdict::of(&read)
    };
    let seeds = tree.bytes("generation_config.json")?;
    Ok(Target { name: "generation", shape: Shape::Json, seeds, run: Box::new(run) })
}
