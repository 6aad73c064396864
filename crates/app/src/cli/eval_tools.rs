//! Flags of `eval tools`.

use std::path::PathBuf;

use clap::Args;

use super::values::{number, positive};
use super::{MachineArgs, ModelArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  flash-moe eval tools --cases demo/eval/eval.json
  flash-moe eval tools -m DIR --cases cases.json --temp 1 --seed 1 --every 4 --json

Every case is asked twice: free, and with calls constrained to what is declared. The file holds
{\"cases\": [{\"messages\": [...], \"tools\": [...], \"rule\": \"calls\", \"gen\": \"think\" or \"nothink\",
\"expect\": {\"calls\": [[NAME, {ARGUMENTS}], ...]}}]}; cases of another rule are left out. Valid is a
turn whose calls are all well-formed and fit their schemas, exact one that calls what was expected
(arguments compared as text). With --force the opening mark is written for the model and reasoning
is off, so every turn calls.";

#[derive(Args, Debug)]
pub(crate) struct EvalToolsArgs {
    /// JSON file of conversations that should end in calls
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: PathBuf,
    /// Every Nth case only
    #[arg(long, value_name = "N", value_parser = positive, default_value = "1")]
    pub(crate) every: usize,
    /// Begin every answer with the mark that opens a call
    #[arg(long)]
    pub(crate) force: bool,
    /// Tokens of an answer at most
    #[arg(short = 'n', long, value_name = "N", value_parser = positive, default_value = "400")]
    pub(crate) max_tokens: usize,
    /// Temperature, 0 is greedy
    #[arg(long, value_name = "T", allow_negative_numbers = true, default_value = "0")]
    #[arg(value_parser = |text: &str| number(text, &(0.0..=100.0)))]
    pub(crate) temp: f32,
    /// Where chance begins
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print one line of JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
