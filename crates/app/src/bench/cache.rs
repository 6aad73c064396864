//! The command `bench cache`: what caches of several sizes and policies get out of the same routes.

use std::io::{Write as _, stdout};
use std::path::Path;

use serde_json::{Value, json};
use store::{Belady, Key, Policy, PolicyKind, Replay, Replayed, Stay};

use super::locality::{DISTANCES, Locality};
use super::plot::{Chart, Line, Mark};
use super::routing::{Shape, map, synthetic};
use super::trace::{Phase, Trace};
use crate::cli::{Announced, CacheArgs, PhaseChoice, PolicyChoice};
use crate::fault::Fault;
use crate::say;
use crate::table::Table;

/// Routes to be made up at most.
const IDS_MAX: usize = 1 << 25;

/// Runs the command.
pub(crate) fn cache(args: &CacheArgs) -> Result<(), Fault> {
    let routes = Routes::of(args)?;
    let capacities = capacities(args, &routes.trace);
    let points = |&policy: &PolicyChoice| Curve {
        policy,
        points: capacities
            .iter()
            .map(|&slots| (slots, count(&routes.trace, policy, slots, args.announce)))
            .collect(),
    };
    let curves: Vec<Curve> = args.policy.iter().map(points).collect();
    if let Some(path) = &args.plot {
        plot(&routes, &curves, args.announce, path)?;
    }
    let text = match args.json {
        true => format!("{}\n", object(&routes, &curves, args.announce)),
        false => table(&routes, &curves, args.announce),
    };
    stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::output(&error))
}

/// What is replayed, and where it comes from.
struct Routes {
    trace: Trace,
    name: String,
    phase: PhaseChoice,
    /// What was changed about it.
    departure: Option<String>,
}

impl Routes {
    fn of(args: &CacheArgs) -> Result<Self, Fault> {
        if let Some(sizes) = args.synthetic {
            return made_up(sizes, args.tokens, args.seed);
        }
        // The command line has either of them.
        let path = args.trace.as_deref().unwrap_or(Path::new(""));
        let mut trace = Trace::open(path)?;
        if let Some(experts) = args.experts {
            if experts < trace.experts || (trace.experts_known && experts != trace.experts) {
                let (found, least) = (path.display(), trace.experts);
                let why = format!("--experts {experts}: {found} has {least}; accepted: as many");
                return Err(Fault::command_line(if trace.experts_known {
                    why
                } else {
                    format!("{why} or more")
                }));
            }
            (trace.experts, trace.experts_known) = (experts, true);
        }
        let default = if trace.has_phases() { PhaseChoice::Decode } else { PhaseChoice::All };
        let phase = args.phase.unwrap_or(default);
        let trace = match phase {
            PhaseChoice::All => trace,
            PhaseChoice::Decode => trace.only(Phase::Decode),
            PhaseChoice::Prefill => trace.only(Phase::Prefill),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if trace.tokens() == 0 {
            let why = format!("{name}: no tokens of phase {}; accepted: --phase all", phase.name());
            return Err(Fault::failed(why));
        }
        let Some(sizes) = args.fit else {
            return Ok(Self { trace, name, phase, departure: None });
        };
        let shape = shape(sizes);
        bounded(shape, trace.tokens(), "--fit")?;
        let mapped = map(&trace, shape);
        if let Some(departure) = &mapped.departure {
            say::warning(departure);
        }
        Ok(Self { trace: mapped.trace, name, phase, departure: mapped.departure })
    }
}

fn shape([layers, experts, chosen]: [usize; 3]) -> Shape {
    Shape { layers, experts, chosen }
}

fn made_up(sizes: [usize; 3], tokens: usize, seed: u64) -> Result<Routes, Fault> {
    bounded(shape(sizes), tokens, "--tokens")?;
    let [layers, experts, chosen] = sizes;
    let name = format!("synthetic {layers}x{experts}x{chosen}, seed {seed}");
    let trace = synthetic(shape(sizes), tokens, seed);
    Ok(Routes { trace, name, phase: PhaseChoice::All, departure: None })
}

fn bounded(shape: Shape, tokens: usize, flag: &str) -> Result<(), Fault> {
    let ids = (shape.layers * shape.chosen).saturating_mul(tokens);
    if ids > IDS_MAX {
        let why =
            format!("{flag}: {ids} routes; accepted: up to {IDS_MAX}, so fewer tokens or layers");
        return Err(Fault::command_line(why));
    }
    Ok(())
}

/// In slots, ascending.
fn capacities(args: &CacheArgs, trace: &Trace) -> Vec<usize> {
    let of_share = |share: &f64| ((share * trace.records() as f64).round() as usize).max(1);
    let mut capacities = match args.slots.is_empty() {
        true => args.share.iter().map(of_share).collect(),
        false => args.slots.clone(),
    };
    capacities.sort_unstable();
    capacities.dedup();
    capacities
}

/// What one policy counted with each number of slots.
struct Curve {
    policy: PolicyChoice,
    points: Vec<(usize, Replayed)>,
}

fn count(trace: &Trace, policy: PolicyChoice, slots: usize, announced: Announced) -> Replayed {
    let mut replay = Replay::new(make(trace, policy, slots), slots);
    for (bank, ids) in trace.steps() {
        let records = ids.iter().map(|&id| id as usize);
        match announced {
            Announced::Layer => replay.announce(bank, records, Stay::Usual),
            Announced::Record => records.for_each(|id| replay.announce(bank, [id], Stay::Usual)),
        }
    }
    replay.counted()
}

fn make(trace: &Trace, policy: PolicyChoice, slots: usize) -> Box<dyn Policy> {
    let kind = match policy {
        PolicyChoice::Lru => PolicyKind::Lru,
        PolicyChoice::Clock => PolicyKind::Clock,
        PolicyChoice::Lfu => PolicyKind::Lfu,
        PolicyChoice::Belady => {
            let of_bank = |(bank, ids): (usize, &[u32])| {
                let keys = ids.iter().map(|&id| Key { bank, record: id as usize });
                keys.collect::<Vec<_>>()
            };
            return Box::new(Belady::new(trace.steps().flat_map(of_bank)));
        }
    };
    kind.make(slots, trace.cycle())
}

fn percent(slots: usize, trace: &Trace) -> f64 {
    100.0 * slots as f64 / trace.records() as f64
}

/// What is above it no cache hits: experts that are chosen for the first time.
fn ceiling(locality: &Locality) -> f64 {
    1.0 - locality.first
}

fn table(routes: &Routes, curves: &[Curve], announced: Announced) -> String {
    let trace = &routes.trace;
    let locality = Locality::of(trace);
    let guessed = if trace.experts_known { "" } else { " (highest id and one)" };
    let mut out = format!(
        "{}: {} tokens ({}), {} layers of {} experts{guessed}, {} chosen\n",
        routes.name,
        trace.tokens(),
        routes.phase.name(),
        trace.layers,
        trace.experts,
        trace.chosen(),
    );
    out += &format!(
        "chosen again by the next token {:.3}, within 16 tokens {:.3}, ever {:.3}; top tenth {:.3}\n\n",
        locality.mean_overlap(),
        locality.reuse[4],
        ceiling(&locality),
        locality.top_tenth,
    );
    let mut table = Table::new(&[vec![false; curves.len() + 2], vec![true]].concat());
    let names = curves.iter().map(|curve| curve.policy.name());
    table.row_of(["slots", "share"].into_iter().chain(names).map(str::to_owned).collect());
    let rows = curves.first().map_or(0, |curve| curve.points.len());
    let cycle = trace.cycle();
    for row in 0..rows {
        let slots = curves[0].points[row].0;
        let mut cells = vec![slots.to_string(), format!("{:.2} %", percent(slots, trace))];
        cells.extend(curves.iter().map(|curve| rate(&curve.points[row].1)));
        cells.push((if slots < cycle { "below a cycle" } else { "" }).to_owned());
        table.row_of(cells);
    }
    out += &table.lines();
    let share = percent(cycle, trace);
    out += &format!("\ncycle  {cycle} slots ({share:.2} %): the experts of one whole token\n");
    out += match announced {
        Announced::Record => {
            "hits of experts announced one by one; --announce layer as this program does\n"
        }
        Announced::Layer => "hits of experts announced by layer, as this program does\n",
    };
    out
}

fn rate(replayed: &Replayed) -> String {
    replayed.hit_rate().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.3}"))
}

fn object(routes: &Routes, curves: &[Curve], announced: Announced) -> Value {
    let trace = &routes.trace;
    let locality = Locality::of(trace);
    let point = |(slots, replayed): &(usize, Replayed)| {
        json!({
            "slots": slots,
            "share": *slots as f64 / trace.records() as f64,
            "hit_rate": replayed.hit_rate(),
            "hits": replayed.hits,
            "misses": replayed.misses,
            "evictions": replayed.evictions,
        })
    };
    let curve = |curve: &Curve| {
        let points: Vec<Value> = curve.points.iter().map(point).collect();
        json!({ "policy": curve.policy.name(), "points": points })
    };
    json!({
        "trace": routes.name,
        "phase": routes.phase.name(),
        "departure": routes.departure,
        "tokens": trace.tokens(),
        "layers": trace.layers,
        "experts": trace.experts,
        "experts_per_token": trace.chosen(),
        "cycle_slots": trace.cycle(),
        "announce": announced.name(),
        "ceiling_hit_rate": ceiling(&locality),
        "locality": {
            "overlap": locality.mean_overlap(),
            "overlap_by_layer": locality.overlap,
            "distances": DISTANCES,
            "reused_within": locality.reuse,
            "union": locality.union,
            "top_tenth": locality.top_tenth,
        },
        "curves": curves.iter().map(curve).collect::<Vec<_>>(),
    })
}

fn plot(routes: &Routes, curves: &[Curve], announced: Announced, path: &Path) -> Result<(), Fault> {
    let trace = &routes.trace;
    let line = |curve: &Curve| {
        let points = curve.points.iter().filter_map(|(slots, replayed)| {
            Some((percent(*slots, trace), 100.0 * replayed.hit_rate()?))
        });
        Line { name: curve.policy.name().to_owned(), points: points.collect() }
    };
    let title = format!(
        "Hit rate: {} ({} x {} experts, {} chosen, by {})",
        routes.name,
        trace.layers,
        trace.experts,
        trace.chosen(),
        announced.name(),
    );
    let cycle = percent(trace.cycle(), trace);
    let chart = Chart {
        title: &title,
        x_label: "slots, % of all experts",
        y_label: "hits, % of experts chosen",
        y_end: Some(100.0),
        lines: curves.iter().map(line).collect(),
        marks: vec![Mark { x: cycle, name: "one cycle".to_owned() }],
    };
    chart.write(path)
}
