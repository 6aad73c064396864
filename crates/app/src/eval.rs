//! The commands below `eval`: what a model computes for given ids, for comparison with other implementations and with itself.

mod kl;
mod tools;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use engine::Control;
use serde_json::Value;

use crate::cli::{LogitsArgs, Precision};
use crate::fault::Fault;
use crate::open::{self, Checkpoint, Texts};
use crate::progress::{Progress, Unit};
use crate::{interrupt, language, say};

pub(crate) use kl::kl;
pub(crate) use tools::tools;

/// Runs `eval logits`.
pub(crate) fn logits(args: &LogitsArgs) -> Result<(), Fault> {
    let ids = ids(&args.ids)?;
    let cancel = interrupt::watch()?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let wanted = ids.len().saturating_add(args.decode);
    if let Some(ctx) = args.machine.ctx.filter(|ctx| *ctx < wanted) {
        let why = format!(
            "--ctx: {} ids and {} to decode, the context holds {ctx}; accepted: --ctx {wanted} or more",
            ids.len(),
            args.decode
        );
        return Err(Fault::refused(why));
    }
    let mut machine = args.machine.clone();
    machine.precision.get_or_insert(Precision::Exact);
    let planned = checkpoint.plan(&machine, Texts::None, Some(wanted))?;
    planned.warnings().iter().for_each(say::warning);
    let mut model = checkpoint.load(&planned, cancel)?;
    write(&mut model, &ids, args, cancel)
}

fn write(
    model: &mut open::Model,
    ids: &[u32],
    args: &LogitsArgs,
    cancel: &AtomicBool,
) -> Result<(), Fault> {
    let progress = Progress::new("evaluating", Unit::Tokens);
    let tell = |told: engine::Progress| {
        // A pass of a single id is a step of decoding, a small part of the whole.
        if told.tokens == 1 {
            return;
        }
        let share = told.stages_done as f64 / told.stages.max(1) as f64;
        progress.tell(told.tokens_done as u64, told.tokens as u64, share);
    };
    let control = Control { cancel, progress: Some(&tell) };
    open::write_logits(model, ids, args.decode, &args.out, &control)
}

/// A JSON list of ids.
fn ids(path: &Path) -> Result<Vec<u32>, Fault> {
    let name = path.display();
    let accepted = "accepted: a JSON list of token ids, at least one";
    let list = match language::json(path)? {
        None => return Err(Fault::failed(format!("{name}: no such file; {accepted}"))),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(Value::Array(_)) => {
            return Err(Fault::failed(format!("{name}: an empty list; {accepted}")));
        }
        Some(_) => return Err(Fault::failed(format!("{name}: no list; {accepted}"))),
    };
    let id = |(at, value): (usize, &Value)| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| {
            let found: String = value.to_string().chars().take(60).collect();
            Fault::failed(format!("{name}: element {at} is {found}; {accepted}"))
        })
    };
    list.iter().enumerate().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn only_a_list_of_ids_is_read() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("ids.json");
        std::fs::write(&path, b"[1, 2, 4294967295]").expect("write");
        assert_eq!(ids(&path), Ok(vec![1, 2, u32::MAX]), "a list of ids");
        for (text, what) in [
            ("[]", "empty"),
            ("{}", "no list"),
            ("3", "no list"),
            ("[1, -2]", "element 1 is -2"),
            ("[1.5]", "element 0 is 1.5"),
            ("[4294967296]", "element 0"),
            ("[\"a\"]", "element 0 is \"a\""),
            ("[1, ", "line 1"),
        ] {
            std::fs::write(&path, text).expect("write");
            let fault = ids(&path).expect_err(text);
            let line = fault.line().expect("it says why");
            assert!(line.contains(what) && line.contains("ids.json"), "{text}: {line}");
            assert_eq!(fault.code(), 1, "{text}");
        }
        let fault = ids(&folder.path().join("none.json")).expect_err("missing");
        assert!(fault.line().is_some_and(|line| line.contains("none.json")), "{fault:?}");
    }
}
