//! The bytes of the built-in model, as they lie in the binary.

pub(super) const MANIFEST: &str = include_str!("../../../../demo/manifest.json");

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../../demo/demo-4bit/", $name)))),*]
    };
}

/// Name and content of each file of the manifest.
pub(super) static ALL: [(&str, &[u8]); 8] = embed![
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "mtp.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];
