//! Flags of `eval kl`, and how a configuration is written down.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, ValueEnum};

use super::values::positive;
use super::{KvType, MachineArgs, ModelArgs, Precision};

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe eval kl -m DIR -f book.txt --with experts-per-token=4
  flash-moe eval kl --ids ids.json --with precision=exact --json
  flash-moe eval kl -m DIR -f book.txt --against experts-per-token=8 --with experts-per-token=6,kv=f32

SETTINGS is a list of precision=..., kv=... and experts-per-token=..., with the values of the flags
of these names. The reference (--against) is exact, f32 and all of the model's experts where it says
nothing else; the candidate (--with) is what the flags of the command line say.

The text is cut into windows of --ctx tokens, each of which begins anew. Every token but the first of
the text is predicted once, from those before it in its window, or, at a border, from the window
before. Both models are in memory, each with half of --memory, and go through the text side by side.
Divergences are sums over the ids that the tokenizer has, in nats; ids above them only fill the
matrix and are left out.";

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("text").required(true).args(["file", "ids"])))]
pub(crate) struct KlArgs {
    /// Text to predict; - is stdin
    #[arg(short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// JSON list of token ids to predict, instead of a text
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// Configuration that is right by definition [default: precision=exact,kv=f32]
    #[arg(long, value_name = "SETTINGS", default_value = "", hide_default_value = true)]
    pub(crate) against: Variant,
    /// Configuration that is compared with it [default: as the other flags say]
    #[arg(long, value_name = "SETTINGS", default_value = "", hide_default_value = true)]
    pub(crate) with: Variant,
    /// Tokens of the text at most
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) tokens: Option<usize>,
    /// Tokens that go through both models at a time [default: what 32 MiB of logits hold, at most 64]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) chunk: Option<usize>,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Settings that change what a model computes, as far as they are said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) precision: Option<Precision>,
    pub(crate) kv: Option<KvType>,
    pub(crate) experts_per_token: Option<usize>,
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut variant = Self::default();
        for setting in text.split(',').filter(|_| !text.is_empty()) {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| format!("{setting:?} is no setting; accepted: {ACCEPTED}"))?;
            let twice = match name {
                "precision" => variant.precision.replace(choice(name, value)?).is_some(),
                "kv" => variant.kv.replace(choice(name, value)?).is_some(),
                "experts-per-token" => {
                    let count = positive(value).map_err(|why| format!("{setting}: {why}"))?;
                    variant.experts_per_token.replace(count).is_some()
                }
                _ => return Err(format!("{name:?} is no setting; accepted: {ACCEPTED}")),
            };
            if twice {
                return Err(format!("{name} is there twice; accepted: each setting once"));
            }
        }
        Ok(variant)
    }
}

const ACCEPTED: &str = "precision=..., kv=..., experts-per-token=... with commas between them";

/// A value of the flag of that name.
fn choice<T: ValueEnum>(name: &str, value: &str) -> Result<T, String> {
    T::from_str(value, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(T::to_possible_value);
        let values: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        format!("{name}={value}: accepted: {name}={}", values.join(&format!(", {name}=")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_the_names_and_values_of_the_flags() {
        let found: Variant = "kv=f32,experts-per-token=4,precision=exact".parse().expect("good");
        let want = Variant {
            precision: Some(Precision::Exact),
            kv: Some(KvType::F32),
            experts_per_token: Some(4),
        };
        assert_eq!(found, want, "all of them, in any order");
        assert_eq!("".parse(), Ok(Variant::default()), "nothing said");
        for value in Precision::value_variants() {
            let name = value.to_possible_value().expect("each has a name").get_name().to_owned();
            let found: Variant = format!("precision={name}").parse().expect("it is a value");
            assert_eq!(found.precision, Some(*value), "{name}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for (text, parts) in [
            ("precision", &["\"precision\"", "precision=..."][..]),
            ("kv=f32,", &["\"\"", "kv=..."]),
            ("threads=2", &["\"threads\"", "experts-per-token=..."]),
            ("precision=rough", &["precision=rough", "precision=exact"]),
            ("precision=EXACT", &["precision=EXACT", "precision=exact"]),
            ("kv=", &["kv=", "kv=f32"]),
            ("experts-per-token=0", &["experts-per-token=0", "from 1"]),
            ("experts-per-token=four", &["four", "from 1"]),
            ("kv=f32,kv=f32", &["kv", "twice", "once"]),
        ] {
            let why = text.parse::<Variant>().expect_err(text);
            for part in parts {
                assert!(why.contains(part), "{text:?}: {part:?} in {why:?}");
            }
        }
    }
}
