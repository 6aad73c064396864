//! Traces of one row for each token, layer and expert, with `#` lines that say what the model is.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{
    ACCEPTED, CHOICES_MAX, EXPERTS_MAX, IDS_MAX, LAYERS_MAX, Lines, Phase, Trace, brief, check_next,
};

/// Where the columns are that matter.
struct Columns {
    turn: Option<usize>,
    phase: usize,
    step: usize,
    layer: usize,
    expert: usize,
}

/// Turn, phase and step: one token.
type Place = (u32, Phase, u32);

/// Reads on from a line that is there already. Rows may come layer by layer or token by token.
pub(super) fn read(mut lines: Lines<impl BufRead>) -> Result<Trace, String> {
    let (mut layers, mut experts) = (None, None);
    let mut columns: Option<Columns> = None;
    let mut tokens: BTreeMap<Place, Vec<Vec<u32>>> = BTreeMap::new();
    let (mut rows, mut choices) = (0, 0);
    loop {
        let line = lines.again()?;
        let at = |why: String| format!("line {}: {why}", lines.number);
        if let Some(comment) = line.strip_prefix('#') {
            layers = said(comment, "n_layer", LAYERS_MAX).map_err(at)?.or(layers);
            experts = said(comment, "n_expert", EXPERTS_MAX).map_err(at)?.or(experts);
        } else if let Some(columns) = &columns
            && !line.is_empty()
        {
            let (place, layer, expert) = row(line, columns).map_err(at)?;
            if layer >= layers.unwrap_or(LAYERS_MAX) {
                let end = layers.unwrap_or(LAYERS_MAX);
                return Err(at(format!("layer {layer}; accepted: below {end}")));
            }
            let token = tokens.entry(place).or_default();
            choices += (layer + 1).saturating_sub(token.len());
            token.resize_with(token.len().max(layer + 1), Vec::new);
            check_next(&token[layer], expert, experts).map_err(at)?;
            token[layer].push(expert);
            rows += 1;
            if rows > IDS_MAX || choices > CHOICES_MAX {
                return Err(at(format!("too many rows; accepted: up to {IDS_MAX}")));
            }
        } else if !line.is_empty() {
            columns = Some(head(line).map_err(at)?);
        }
        if lines.next()?.is_none() {
            break;
        }
    }
    let layers = layers.or_else(|| tokens.values().map(Vec::len).max()).unwrap_or(0);
    // Tokens whose last layers are missing get empty choices there, all of them counted.
    if layers.saturating_mul(tokens.len()) > CHOICES_MAX {
        return Err(format!("too many tokens; accepted: up to {CHOICES_MAX} choices"));
    }
    let highest = tokens.values().flatten().flatten().max().copied().unwrap_or(0);
    let mut trace = Trace::new(layers, experts.unwrap_or(highest as usize + 1));
    trace.experts_known = experts.is_some();
    for ((_, phase, _), token) in &tokens {
        let missing = std::iter::repeat_n(&[][..], layers.saturating_sub(token.len()));
        trace.push(Some(*phase), token.iter().map(Vec::as_slice).chain(missing));
    }
    Ok(trace)
}

/// `name=number` in a comment.
fn said(comment: &str, name: &str, max: usize) -> Result<Option<usize>, String> {
    let mut pairs = comment.split_whitespace().filter_map(|word| word.split_once('='));
    let Some((_, value)) = pairs.find(|(key, _)| *key == name) else { return Ok(None) };
    let number = value.parse().ok().filter(|number| (1..=max).contains(number));
    number.map(Some).ok_or_else(|| format!("{name} is {}; accepted: 1 to {max}", brief(value)))
}

fn head(line: &str) -> Result<Columns, String> {
    let names: Vec<&str> = line.split(',').map(str::trim).collect();
    let place = |name: &str| names.iter().position(|found| *found == name);
    let needed = |name: &str| {
        place(name).ok_or_else(|| format!("no column {name} in {}; {ACCEPTED}", brief(line)))
    };
    Ok(Columns {
        turn: place("turn"),
        phase: needed("phase")?,
        step: needed("step")?,
        layer: needed("layer")?,
        expert: needed("expert")?,
    })
}

fn row(line: &str, columns: &Columns) -> Result<(Place, usize, u32), String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |at: usize, name: &str| {
        let cell = cells.get(at).copied().unwrap_or_default();
        let number = cell.parse::<u32>();
        number.map_err(|_| format!("{name} is {}; accepted: a whole number", brief(cell)))
    };
    let phase = match number(columns.phase, "phase")? {
        0 => Phase::Prefill,
        1 => Phase::Decode,
        other => return Err(format!("phase is {other}; accepted: 0 (prefill), 1 (decode)")),
    };
    let turn = columns.turn.map_or(Ok(0), |at| number(at, "turn"))?;
    let place = (turn, phase, number(columns.step, "step")?);
    let layer = number(columns.layer, "layer")? as usize;
    Ok((place, layer, number(columns.expert, "expert")?))
}
