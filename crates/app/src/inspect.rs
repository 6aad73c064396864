//! The command `inspect`: what a checkpoint holds, how it is stored, and what one token touches.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};

use crate::cli::InspectArgs;
use crate::fault::Fault;
use crate::open::{Checkpoint, ClassSize, Config, Inspection, Mixer, UnusedKind};
use crate::size::shown;
use crate::table::Table;

/// Runs the command.
pub(crate) fn inspect(args: &InspectArgs) -> Result<(), Fault> {
    let checkpoint = Checkpoint::open(&args.model)?;
    let inspection = checkpoint.inspection();
    let text = if args.json {
        format!("{}\n", inspection.to_json())
    } else {
        let name = checkpoint.directory.display().to_string();
        let own = checkpoint.published_experts_per_token();
        [
            numbers(&name, &inspection.config, own),
            classes(&inspection.classes),
            sizes(&inspection),
            ignored(&inspection),
        ]
        .concat()
    };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}

fn numbers(name: &str, config: &Config, own_experts: usize) -> String {
    let c = config;
    let full = c.mixers.iter().filter(|mixer| **mixer == Mixer::Full).count();
    let used = c.experts_per_token;
    let departure = match used == own_experts {
        true => String::new(),
        false => format!(" (of the model's {own_experts})"),
    };
    let mut table = Table::new(&[true, true]);
    let mut row = |name: &str, value: String| table.row([name, &value]);
    row("model", name.to_owned());
    row("hidden size", c.hidden_size.to_string());
    let shared = match c.distinct_layers() {
        own if own == c.layers() => String::new(),
        own => format!("; {own} are stored, the others read the same bytes"),
    };
    let linear = c.layers() - full;
    row("layers", format!("{}: {linear} linear, {full} full attention{shared}", c.layers()));
    row(
        "full attention",
        format!(
            "{} query heads, {} key/value heads of {}, {} rotary dimensions",
            c.heads, c.kv_heads, c.head_dim, c.rotary_dim
        ),
    );
    row(
        "linear attention",
        format!(
            "{} key heads of {}, {} value heads of {}, convolution over {}",
            c.linear_key_heads,
            c.linear_key_dim,
            c.linear_value_heads,
            c.linear_value_dim,
            c.conv_kernel
        ),
    );
    row(
        "experts",
        format!(
            "{} a layer, {used} a token{departure}, size {}, shared {}",
            c.experts, c.moe_intermediate_size, c.shared_intermediate_size
        ),
    );
    let tied = if c.tie_word_embeddings { ", output tied to it" } else { "" };
    row("vocabulary", format!("{}{tied}", c.vocab_size));
    row("context", format!("{} tokens", c.max_positions));
    table.lines()
}

fn classes(classes: &[ClassSize]) -> String {
    let mut table = Table::new(&[true, true, false, false, false, false]);
    table.row(["class", "storage", "bits", "tensors", "weights", "bytes"]);
    for size in classes {
        table.row([
            size.class.name(),
            &size.dtype,
            &format!("{:.2}", size.bits_per_weight()),
            &size.tensors.to_string(),
            &counted(size.weights),
            &shown(size.bytes),
        ]);
    }
    format!("\n{}", table.lines())
}

/// A number of weights, for people.
fn counted(weights: u64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let count = weights as f64;
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{weights}"),
    }
}

fn sizes(inspection: &Inspection) -> String {
    let extents = inspection.record_extents;
    let reads = format!("one expert, {extents} {}", if extents == 1 { "read" } else { "reads" });
    let mut table = Table::new(&[true, false, true]);
    for (name, bytes, what) in [
        ("trunk", inspection.trunk_bytes, "weights that every token needs"),
        ("experts", inspection.expert_bytes, "all of them"),
        ("record", inspection.record_bytes, &*reads),
        ("touched", inspection.touched_bytes_per_token, "trunk and experts that one token uses"),
    ] {
        table.row([name, &shown(bytes), what]);
    }
    format!("\n{}", table.lines())
}

/// What nothing reads: by class, since a vision tower has hundreds of tensors.
fn ignored(inspection: &Inspection) -> String {
    let mut by_class: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for tensor in &inspection.ignored {
        let class = match tensor.kind {
            UnusedKind::Vision => "vision",
            UnusedKind::Mtp => "mtp",
            UnusedKind::Other => "other",
        };
        let sum = by_class.entry(class).or_default();
        *sum = (sum.0 + 1, sum.1 + tensor.bytes);
    }
    // Vision and MTP are known; whatever else is not read may be a surprise.
    let mut rest = inspection.ignored.iter().filter(|tensor| tensor.kind == UnusedKind::Other);
    let unlisted: u64 = inspection.unlisted.iter().map(|tensor| tensor.bytes).sum();
    if !inspection.unlisted.is_empty() {
        by_class.insert("not in the index", (inspection.unlisted.len(), unlisted));
    }
    if by_class.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[true, false, false]);
    table.row(["ignored", "tensors", "bytes"]);
    for (class, (tensors, bytes)) in &by_class {
        table.row([class, &tensors.to_string(), &shown(*bytes)]);
    }
    let named: Vec<String> =
        rest.by_ref().take(8).map(|tensor| format!("  {:?}\n", tensor.name)).collect();
    let more = match rest.count() {
        0 => String::new(),
        more => format!("  and {more} more, see --json\n"),
    };
    format!("\n{}{}{more}", table.lines(), named.concat())
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn weights_are_counted_for_people() {
        for (weights, text) in [(12, "12"), (56_400_000, "56.4 M"), (397_000_000_000, "397.0 G")] {
            assert_eq!(counted(weights), text, "{weights}");
        }
    }
}
