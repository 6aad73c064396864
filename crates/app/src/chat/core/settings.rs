//! Settings that change while one talks: each is the flag of its name, with the same bounds.

use clap::Parser;
use engine::Forward;
use serde_json::{Map, Value};

use super::{Core, Done};
use crate::cli::{self, GenerationArgs, ThinkChoice};
use crate::saved;

const THINK: &str = "think";
/// Settings of sampling.
const SAMPLING: [&str; 8] =
    ["temp", "top-p", "top-k", "min-p", "presence-penalty", "repeat-penalty", "seed", "max-tokens"];

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
        self.say_settings();
        let shown = flag(&self.generation, name);
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

/// The value of a setting as its flag takes it; `None` where nobody said one.
fn flag(generation: &GenerationArgs, name: &str) -> Option<String> {
    match name {
        "think" => generation.think.map(|think| match think {
            ThinkChoice::On => "on".to_owned(),
            ThinkChoice::Off => "off".to_owned(),
            ThinkChoice::Budget(tokens) => tokens.to_string(),
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

/// What a session's file says of reasoning and of sampling.
pub(super) fn told(generation: &GenerationArgs) -> (Option<String>, Map<String, Value>) {
    let said = |name: &&str| Some(((*name).to_owned(), Value::String(flag(generation, name)?)));
    (flag(generation, THINK), SAMPLING.iter().filter_map(said).collect())
}

/// Takes up what a session's file says, where nobody said otherwise. What cannot be taken up is as
/// if it had not been said.
pub(super) fn take_up(generation: &mut GenerationArgs, saved: &saved::Settings) {
    let sampling = SAMPLING.iter().map(|name| (*name, saved.sampling.get(*name)));
    let sampling = sampling.map(|(name, value)| (name, value.and_then(Value::as_str)));
    for (name, wished) in sampling.chain([(THINK, saved.think.as_deref())]) {
        if let (None, Some(wished)) = (flag(generation, name), wished) {
            let _unknown_to_this_version = change(generation, name, wished);
        }
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
            ("think", "200", "200"),
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
            assert_eq!(flag(&generation, name).as_deref(), Some(told), "{name}");
        }
        change(&mut generation, "temp", DEFAULT).expect("given back");
        assert_eq!(flag(&generation, "temp"), None, "as the checkpoint advises");
        assert_eq!(flag(&generation, "seed").as_deref(), Some("7"), "the others stay");
    }

    #[test]
    fn what_a_file_says_is_taken_up_where_nobody_said_otherwise() {
        let mut generation = unsaid();
        change(&mut generation, "temp", "0.5").expect("good");
        change(&mut generation, "think", "9").expect("good");
        let (think, sampling) = told(&generation);
        let mut other = unsaid();
        change(&mut other, "temp", "0.1").expect("good");
        take_up(&mut other, &saved::Settings { think, sampling, ..Default::default() });
        assert_eq!(flag(&other, "think").as_deref(), Some("9"), "from the file");
        assert_eq!(flag(&other, "temp").as_deref(), Some("0.1"), "from the flag");
        let lies = [("temp".to_owned(), Value::from("hot")), ("top-k".to_owned(), Value::from(3))];
        let mut other = unsaid();
        let sampling = Map::from_iter(lies);
        take_up(&mut other, &saved::Settings { sampling, ..Default::default() });
        assert_eq!(told(&other), (None, Map::new()), "nonsense is nothing");
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
