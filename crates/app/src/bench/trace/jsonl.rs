//! Traces of one JSON object a token: what `--dump-routing` writes, and what others have published.

use std::io::BufRead;

use serde_json::Value;

use super::{
    ACCEPTED, CHOICES_MAX, EXPERTS_MAX, IDS_MAX, LAYERS_MAX, Lines, Phase, Trace, brief,
    check_choice,
};

/// Reads on from a line that is there already.
pub(super) fn read(mut lines: Lines<impl BufRead>) -> Result<Trace, String> {
    let mut trace = Trace::default();
    let mut told: Option<usize> = None;
    let mut highest = 0;
    loop {
        let line = lines.again()?;
        if !line.is_empty() {
            let at = |why: String| format!("line {}: {why}", lines.number);
            let token = Token::parse(line).map_err(at)?;
            if trace.tokens() == 0 {
                trace.layers = token.layers.len();
                told = token.experts;
            }
            if token.layers.len() != trace.layers {
                let (found, wanted) = (token.layers.len(), trace.layers);
                return Err(at(format!("{found} layers; accepted: {wanted}, as before")));
            }
            for ids in &token.layers {
                check_choice(ids, told).map_err(at)?;
                highest = ids.iter().copied().max().unwrap_or(0).max(highest);
            }
            trace.push(token.phase, token.layers.iter().map(Vec::as_slice));
            if trace.ids.len() > IDS_MAX || trace.ends.len() > CHOICES_MAX {
                return Err(at(format!("too many routes; accepted: up to {IDS_MAX} experts")));
            }
        }
        if lines.next()?.is_none() {
            break;
        }
    }
    trace.experts = told.unwrap_or(highest as usize + 1);
    trace.experts_known = told.is_some();
    Ok(trace)
}

struct Token {
    layers: Vec<Vec<u32>>,
    phase: Option<Phase>,
    experts: Option<usize>,
}

impl Token {
    fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| format!("no JSON in column {}; {ACCEPTED}", error.column()))?;
        let layers = match value.get("layers") {
            Some(Value::Array(layers)) if (1..=LAYERS_MAX).contains(&layers.len()) => layers,
            Some(Value::Array(layers)) => {
                return Err(format!("{} layers; accepted: 1 to {LAYERS_MAX}", layers.len()));
            }
            _ => return Err(format!("no list \"layers\"; {ACCEPTED}")),
        };
        let layers: Vec<Vec<u32>> = layers.iter().map(ids).collect::<Result<_, _>>()?;
        if let Some(weights) = value.get("weights") {
            check_weights(weights, &layers)?;
        }
        let phase = match value.get("phase") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if name == "prefill" || name == "prompt" => {
                Some(Phase::Prefill)
            }
            Some(Value::String(name)) if name == "decode" => Some(Phase::Decode),
            Some(other) => {
                let found = brief(&other.to_string());
                return Err(format!("phase {found}; accepted: prefill, decode"));
            }
        };
        let experts = match value.get("experts") {
            None => None,
            Some(found) => Some(number(found, "experts", EXPERTS_MAX as u32)? as usize),
        };
        Ok(Self { layers, phase, experts })
    }
}

fn ids(layer: &Value) -> Result<Vec<u32>, String> {
    let Value::Array(list) = layer else {
        let found = brief(&layer.to_string());
        return Err(format!("layer {found}; accepted: a list of expert ids"));
    };
    list.iter().map(|id| number(id, "expert", EXPERTS_MAX as u32 - 1)).collect()
}

fn number(value: &Value, what: &str, max: u32) -> Result<u32, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|&number| number <= max).ok_or_else(|| {
        let found = brief(&value.to_string());
        format!("{what} {found}; accepted: a whole number up to {max}")
    })
}

/// Weights are not used, but a file in which they belong to other experts is not what it says.
fn check_weights(weights: &Value, layers: &[Vec<u32>]) -> Result<(), String> {
    let fits = |(weights, ids): (&Value, &Vec<u32>)| {
        let list = weights.as_array();
        list.is_some_and(|list| list.len() == ids.len() && list.iter().all(Value::is_number))
    };
    let list = weights.as_array().filter(|list| list.len() == layers.len());
    match list {
        Some(list) if list.iter().zip(layers).all(fits) => Ok(()),
        _ => Err("weights that do not fit the layers; accepted: one for each expert".to_owned()),
    }
}
