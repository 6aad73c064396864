//! A tokenizer of bytes and a small chat template.

use serde_json::{Map, Value, json};

use crate::chat::{ChatTemplate, TemplateSource};
use crate::tokenizer::{Tokenizer, TokenizerSource};

/// The added tokens of [`byte_tokenizer`], from id 256 on, and whether each is left out of text.
pub const BYTE_TOKENS: [(&str, bool); 9] = [
    ("<|endoftext|>", true),
    ("<|im_start|>", true),
    ("<|im_end|>", true),
    ("<think>", false),
    ("</think>", false),
    ("<tool_call>", false),
    ("</tool_call>", false),
    ("<tool_response>", false),
    ("</tool_response>", false),
];

/// The chat format of the models, without tools.
const TEMPLATE: &str = "{%- for message in messages %}\
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\
    {%- endfor %}\
    {%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}\
    {%- if enable_thinking is defined and enable_thinking is false %}\
    {{- '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{- '<think>\\n' }}{%- endif %}\
    {%- endif %}";

/// A tokenizer in which a byte's id is its value; [`BYTE_TOKENS`] follow.
#[must_use]
pub fn byte_tokenizer() -> Tokenizer {
    tokenizer(&BYTE_TOKENS)
}

/// The same without any added token: think marks are texts in it.
#[must_use]
pub fn plain_byte_tokenizer() -> Tokenizer {
    tokenizer(&[])
}

fn tokenizer(added: &[(&str, bool)]) -> Tokenizer {
    let added: Vec<Value> = (256..)
        .zip(added)
        .map(|(id, (content, special))| json!({"id": id, "content": content, "special": special}))
        .collect();
    let vocab: Map<String, Value> =
        (0..=255u8).map(|byte| (printed(byte).to_string(), Value::from(byte))).collect();
    let file = json!({
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    let bytes = file.to_string().into_bytes();
    let source = TokenizerSource::Json { origin: "byte tokenizer".to_owned(), bytes };
    Tokenizer::load(source).expect("the file was just written in the form that is read")
}

/// The character by which a byte-level vocabulary prints a byte.
fn printed(byte: u8) -> char {
    let visible = |b: &u8| matches!(*b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(&byte) {
        return char::from(byte);
    }
    let unseen_before = (0..byte).filter(|b| !visible(b)).count() as u32;
    char::from_u32(0x100 + unseen_before).expect("these are all letters")
}

/// A template that renders system, user and assistant messages with text content, and opens a think
/// block unless `enable_thinking` is false.
#[must_use]
pub fn chat_template(tokenizer: &Tokenizer) -> ChatTemplate {
    let source = TemplateSource {
        origin: "small template".to_owned(),
        default: TEMPLATE.to_owned(),
        ..TemplateSource::default()
    };
    ChatTemplate::new(source, tokenizer).expect("the template compiles")
}
