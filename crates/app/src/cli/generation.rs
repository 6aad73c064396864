//! Flags that say how an answer is generated.

use std::str::FromStr;

use clap::Args;
use engine::SamplingOverrides;

use super::values::{above_zero, number};

/// The most likely tokens that can be listed with each token.
const LOGPROBS_MAX: i64 = 1000;

/// What a flag does not say is as the checkpoint's generation_config.json advises.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Generation")]
pub(crate) struct GenerationArgs {
    /// Tokens at most, reasoning included [default: what the context leaves]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Temperature, 0 is greedy [default: the checkpoint's]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| number(text, &(0.0..=100.0)))]
    pub(crate) temp: Option<f32>,
    /// Sample among the N most likely tokens, 0 is off [default: the checkpoint's]
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<u32>,
    /// Sample among the fewest tokens that have this probability together, 1 is off [default: the checkpoint's]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| above_zero(text, 1.0))]
    pub(crate) top_p: Option<f32>,
    /// Sample among tokens with this share of the highest probability, 0 is off [default: the checkpoint's]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| number(text, &(0.0..=1.0)))]
    pub(crate) min_p: Option<f32>,
    /// Taken from the logit of every token generated before, 0 is off [default: the checkpoint's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| number(text, &(-2.0..=2.0)))]
    pub(crate) presence_penalty: Option<f32>,
    /// Weakens every token of prompt and answer by this factor, 1 is off [default: the checkpoint's]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    #[arg(value_parser = |text: &str| above_zero(text, 100.0))]
    pub(crate) repeat_penalty: Option<f32>,
    /// Where chance begins: the same seed gives the same answer [default: another every time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "STR", value_parser = stop)]
    pub(crate) stop: Vec<String>,
    /// Go on past the tokens that end a turn
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// One line of JSON on stderr for each token: id, text, logprob, and the N most likely as top
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=LOGPROBS_MAX))]
    pub(crate) logprobs: Option<u32>,
    /// Reasoning: on, off, or the tokens after which it is closed [default: the template's]
    #[arg(long, value_name = "on|off|N", conflicts_with = "raw")]
    pub(crate) think: Option<ThinkChoice>,
}

impl GenerationArgs {
    pub(crate) fn sampling(&self) -> SamplingOverrides {
        SamplingOverrides {
            temperature: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            repeat_penalty: self.repeat_penalty,
            seed: self.seed,
        }
    }
}

/// Whether to reason before the answer, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThinkChoice {
    On,
    Off,
    /// For so many tokens, then the block is closed.
    Budget(usize),
}

impl ThinkChoice {
    /// What the template's `enable_thinking` is set to.
    pub(crate) fn is_on(self) -> bool {
        self != Self::Off
    }

    pub(crate) fn budget(self) -> Option<usize> {
        match self {
            Self::Budget(tokens) => Some(tokens),
            Self::On | Self::Off => None,
        }
    }
}

impl FromStr for ThinkChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            number => number
                .parse()
                .map(Self::Budget)
                .map_err(|_| "accepted: on, off, or a number of tokens".to_owned()),
        }
    }
}

fn stop(text: &str) -> Result<String, String> {
    match text {
        "" => Err("accepted: a text that is not empty".to_owned()),
        _ => Ok(text.to_owned()),
    }
}
