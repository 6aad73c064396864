//! The command `plan`: where every byte of memory would go, and whether that is enough.

use std::io::{Write as _, stdout};

use serde_json::{Value, json};

use crate::bench::bound::Speeds;
use crate::cli::PlanArgs;
use crate::fault::Fault;
use crate::open::{Checkpoint, Plan, Planned, Texts};
use crate::size::shown;
use crate::speed::{self, Asked, Prediction};
use crate::table::Table;

/// Runs the command.
pub(crate) fn plan(args: &PlanArgs) -> Result<(), Fault> {
    let checkpoint = Checkpoint::open(&args.model)?;
    let planned = checkpoint.plan(&args.machine, Texts::Needed, None)?;
    let extents = checkpoint.inspection().record_extents;
    let io_mode = planned.io_mode();
    let speeds = Speeds {
        ram: speed::ram(planned.threads(), planned.plan.budget_bytes)?,
        disk: planned.reading.gb_per_s.map(|rate| 1e9 * rate),
    };
    let predicted = speed::predict(&Asked::of(&checkpoint, &planned), &speeds);
    let text = if args.json {
        format!("{}\n", json(&planned.plan, extents, io_mode, predicted))
    } else {
        table(&planned, extents, io_mode, &speed::shown(predicted, &speeds))
    };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}

/// The plan under the names that all commands share.
fn json(plan: &Plan, record_extents: usize, io_mode: &str, predicted: Option<Prediction>) -> Value {
    json!({
        "floor_bytes": plan.floor_bytes,
        "cycle_bytes": plan.cycle_bytes,
        "trunk_bytes": plan.trunk_bytes,
        "state_bytes": plan.state_bytes,
        "kv_bytes": plan.kv_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "io_bytes": plan.io_bytes,
        "process_bytes": plan.process_bytes,
        "slot_bytes": plan.slot_bytes,
        "slot_count": plan.slot_count,
        "record_bytes": plan.record_bytes,
        "record_extents": record_extents,
        "plan_bytes": plan.plan_bytes,
        "budget_bytes": plan.budget_bytes,
        "ctx": plan.ctx,
        "io_mode": io_mode,
        "predicted_tok_per_s": predicted.map(|predicted| predicted.tok_per_s),
    })
}

fn table(planned: &Planned, extents: usize, io_mode: &str, speed: &str) -> String {
    let plan = &planned.plan;
    let slots_bytes = plan.slot_bytes * plan.slot_count as u64;
    let chunk = format!("a pass of up to {} tokens, {} threads", plan.chunk, planned.threads());
    let context = format!("keys and values of {} tokens, {}", plan.ctx, planned.kv());
    let slots = format!(
        "{} experts of {}, {extents} {} each",
        plan.slot_count,
        shown(plan.record_bytes),
        if extents == 1 { "read" } else { "reads" },
    );
    let mut table = Table::new(&[true, false, true]);
    for (name, bytes, what) in [
        ("trunk", plan.trunk_bytes, "weights that every token needs"),
        ("state", plan.state_bytes, "recurrent state, and one copy of it"),
        ("kv", plan.kv_bytes, &context),
        ("scratch", plan.scratch_bytes, &chunk),
        ("io", plan.io_bytes, &format!("reads under way, {io_mode}")),
        ("process", plan.process_bytes, "code, tokenizer, tables, logits"),
        ("slots", slots_bytes, &slots),
        ("plan", plan.plan_bytes, "all of it"),
        ("budget", plan.budget_bytes, "what it may take"),
    ] {
        table.row([name, &shown(bytes), what]);
    }
    table.row(["", "", ""]);
    table.row(["floor", &shown(plan.floor_bytes), "the least that runs with this context"]);
    table.row(["cycle", &shown(plan.cycle_bytes), "the experts that one whole token reads"]);
    let mut out = table.lines();
    let reading = &planned.reading;
    let measured = reading.gb_per_s.map_or(String::new(), |rate| format!(" at {rate:.2} GB/s"));
    out += &format!("\nreads  {io_mode}{measured}: {}\n", reading.reason);
    if let Some((now, then)) = reading.gb_per_s.zip(reading.one_piece_gb_per_s) {
        let gain = 100.0 * (then / now - 1.0);
        out += &format!(
            "       {then:.2} GB/s ({gain:+.0} %) if each expert were one piece, as repack makes them\n"
        );
    }
    out += &format!("speed  {speed}\n");
    let warnings = planned.warnings();
    if warnings.is_empty() {
        out += "It runs: a whole token's experts fit in the slots.\n";
    } else {
        warnings.iter().for_each(|line| out += &format!("It runs, but {line}.\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_every_command() {
        let plan = Plan {
            floor_bytes: 1,
            cycle_bytes: 2,
            trunk_bytes: 3,
            state_bytes: 4,
            kv_bytes: 5,
            scratch_bytes: 6,
            io_bytes: 7,
            process_bytes: 8,
            slot_bytes: 9,
            slot_count: 10,
            record_bytes: 11,
            plan_bytes: 13,
            budget_bytes: 14,
            ctx: 15,
            chunk: 16,
            warnings: Vec::new(),
        };
        let want = "{\"floor_bytes\":1,\"cycle_bytes\":2,\"trunk_bytes\":3,\"state_bytes\":4,\
                    \"kv_bytes\":5,\"scratch_bytes\":6,\"io_bytes\":7,\"process_bytes\":8,\
                    \"slot_bytes\":9,\"slot_count\":10,\"record_bytes\":11,\"record_extents\":12,\
                    \"plan_bytes\":13,\"budget_bytes\":14,\"ctx\":15,\"io_mode\":\"buffered\",\
                    \"predicted_tok_per_s\":null}";
        let found = json(&plan, 12, "buffered", None).to_string();
        assert_eq!(found, want, "one line of known names");
    }
}
