//! Settings that change while one talks: each is the flag of its name, with the same bounds.

use clap::Parser;
use engine::Forward;

use super::{Core, Done};
use crate::cli::{self, GenerationArgs, ThinkChoice};

/// The value that gives a setting back to the checkpoint.
const DEFAULT: &str = "default";

/// Flags of generation alone, so that a command is held against the bounds of its flag.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    generation: GenerationArgs,
}

impl<F: Forward> Core<F> {
    /// Changes a setting, or tells it.
    pub(super) fn set(&mut self, name: &'static str, value: Option<&str>) -> Done {
        if let Some(value) = value {
            change(&mut self.generation, name, value)?;
        }
        let shown = shown(&self.generation, name);
        let shown = shown.unwrap_or_else(|| match name {
            "think" => "as the template has it".to_owned(),
            "max-tokens" => "what the context leaves".to_owned(),
            "seed" => "another every time".to_owned(),
            _ => "as the checkpoint advises".to_owned(),
        });
        self.note(format!("{name}: {shown}"))
    }
}

fn change(generation: &mut GenerationArgs, name: &str, value: &str) -> Result<(), String> {
    let flag = format!("--{name}={value}");
    let arguments = if value == DEFAULT { vec!["chat"] } else { vec!["chat", &flag] };
    let new = Flags::try_parse_from(arguments).map_err(|error| cli::brief(&error))?.generation;
    match name {
        "think" => generation.think = new.think,
        "temp" => generation.temp = new.temp,
        "top-p" => generation.top_p = new.top_p,
        "top-k" => generation.top_k = new.top_k,
        "min-p" => generation.min_p = new.min_p,
        "presence-penalty" => generation.presence_penalty = new.presence_penalty,
        "repeat-penalty" => generation.repeat_penalty = new.repeat_penalty,
        "seed" => generation.seed = new.seed,
        "max-tokens" => generation.max_tokens = new.max_tokens,
        other => return Err(format!("{other} is no setting")),
    }
    Ok(())
}

fn shown(generation: &GenerationArgs, name: &str) -> Option<String> {
    match name {
        "think" => generation.think.map(|think| match think {
            ThinkChoice::On => "on".to_owned(),
            ThinkChoice::Off => "off".to_owned(),
            ThinkChoice::Budget(tokens) => format!("at most {tokens} tokens"),
        }),
        "temp" => generation.temp.map(|value| value.to_string()),
        "top-p" => generation.top_p.map(|value| value.to_string()),
        "top-k" => generation.top_k.map(|value| value.to_string()),
        "min-p" => generation.min_p.map(|value| value.to_string()),
        "presence-penalty" => generation.presence_penalty.map(|value| value.to_string()),
        "repeat-penalty" => generation.repeat_penalty.map(|value| value.to_string()),
        "seed" => generation.seed.map(|value| value.to_string()),
        "max-tokens" => generation.max_tokens.map(|value| value.to_string()),
        _ => None,
    }
}

/// Settings as they are without any flag.
#[cfg(test)]
pub(super) fn unsaid() -> GenerationArgs {
    Flags::try_parse_from(["chat"]).expect("no flag is needed").generation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_changed_and_given_back() {
        let mut generation = unsaid();
        for (name, value, told) in [
            ("think", "200", "at most 200 tokens"),
            ("think", "off", "off"),
            ("temp", "0.7", "0.7"),
            ("top-p", "0.9", "0.9"),
            ("top-k", "3", "3"),
            ("min-p", "0.1", "0.1"),
            ("presence-penalty", "-1", "-1"),
            ("repeat-penalty", "1.1", "1.1"),
            ("seed", "7", "7"),
            ("max-tokens", "9", "9"),
        ] {
            change(&mut generation, name, value).expect("a good value");
            assert_eq!(shown(&generation, name).as_deref(), Some(told), "{name}");
        }
        change(&mut generation, "temp", DEFAULT).expect("given back");
        assert_eq!(shown(&generation, "temp"), None, "as the checkpoint advises");
        assert_eq!(shown(&generation, "seed").as_deref(), Some("7"), "the others stay");
    }

    #[test]
    fn bounds_are_those_of_the_flag() {
        let mut generation = unsaid();
        for (name, value) in
            [("temp", "-1"), ("top-p", "0"), ("think", "maybe"), ("seed", "x"), ("logprobs", "1")]
        {
            let error = change(&mut generation, name, value).expect_err("out of bounds");
            assert!(error.contains("accepted") || error.contains(name), "{name}: {error}");
        }
    }
}
