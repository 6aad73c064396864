//! How `config.json` says that the weights are quantised; the tensors' shapes have to agree with it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::fields::{Fields, describe};
use crate::error::{ModelError, quoted};

/// What the config says of the quantised matrices. Those that it does not quantise are floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// None: every matrix is stored as floats.
    None,
    /// MLX: scale and bias for each group of a row.
    Affine(AffineConfig),
    /// Block-FP8: E4M3 with one scale for each block of `block_rows` x `block_cols`.
    Fp8 { block_rows: usize, block_cols: usize },
}

/// Width and group of affine quantised matrices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffineConfig {
    pub default: AffineWidth,
    /// By module, which is a tensor's name without `.weight`; `None` keeps it as floats.
    pub modules: BTreeMap<String, Option<AffineWidth>>,
}

/// Bits of one weight, and how many weights of a row share a scale and a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffineWidth {
    pub bits: usize,
    pub group: usize,
}

impl fmt::Display for AffineWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits in groups of {}", self.bits, self.group)
    }
}

const BITS: [usize; 6] = [2, 3, 4, 5, 6, 8];
const GROUPS: [usize; 3] = [32, 64, 128];

/// `quantization` is how MLX spells it, and what counts for MLX where both are given: its tools
/// carry a `quantization_config` along.
pub(super) fn read(root: &Fields<'_>, text: &Fields<'_>) -> Result<Quantization, ModelError> {
    for fields in [root, text] {
        if let Some(affine) = fields.object("quantization", "quantization.")? {
            return read_affine(&affine);
        }
    }
    for fields in [root, text] {
        if let Some(config) = fields.object("quantization_config", "quantization_config.")? {
            return match config.get("quant_method") {
                None if config.get("bits").is_some() => read_affine(&config),
                _ => read_fp8(&config),
            };
        }
    }
    Ok(Quantization::None)
}

fn read_affine(fields: &Fields<'_>) -> Result<Quantization, ModelError> {
    fields.only("mode", "affine".into())?;
    let default = AffineWidth {
        bits: one_of(fields, "bits", fields.get("bits"), &BITS)?,
        group: one_of(fields, "group_size", fields.get("group_size"), &GROUPS)?,
    };
    let mut modules = BTreeMap::new();
    for (module, value) in fields.iter() {
        let own = match value {
            Value::Bool(true) => Some(default),
            Value::Bool(false) => None,
            Value::Object(_) => Some(own_width(fields, module, value)?),
            // A number or a name is a setting and not a module.
            _ => continue,
        };
        modules.insert(module.clone(), own);
    }
    Ok(Quantization::Affine(AffineConfig { default, modules }))
}

/// The width of one module.
fn own_width(fields: &Fields<'_>, module: &str, value: &Value) -> Result<AffineWidth, ModelError> {
    let named = |key: &str| format!("{}.{key}", quoted(module));
    if let Some(mode) = value.get("mode").filter(|mode| *mode != "affine") {
        let found = describe(Some(mode));
        return Err(fields.refuse_found(&named("mode"), found, "\"affine\", or nothing"));
    }
    let number =
        |key: &str, accepted: &[usize]| one_of(fields, &named(key), value.get(key), accepted);
    Ok(AffineWidth { bits: number("bits", &BITS)?, group: number("group_size", &GROUPS)? })
}

fn read_fp8(fields: &Fields<'_>) -> Result<Quantization, ModelError> {
    let method = "\"fp8\" with weight_block_size, or MLX's \"quantization\"";
    if fields.get("quant_method").and_then(Value::as_str) != Some("fp8") {
        return Err(fields.refuse("quant_method", method));
    }
    fields.only("activation_scheme", "dynamic".into())?;
    fields.only("fmt", "e4m3".into())?;
    let block = fields.get("weight_block_size").and_then(Value::as_array);
    let accepted = "two whole numbers from 1 to 65536, the second a multiple of 16";
    let Some([rows, cols]) = block.map(Vec::as_slice) else {
        return Err(fields.refuse("weight_block_size", accepted));
    };
    let side = |side: &Value| side.as_u64().filter(|side| (1..=65536).contains(side));
    match (side(rows), side(cols)) {
        (Some(rows), Some(cols)) if cols.is_multiple_of(16) => {
            Ok(Quantization::Fp8 { block_rows: rows as usize, block_cols: cols as usize })
        }
        _ => {
            let found = format!("[{}, {}]", describe(Some(rows)), describe(Some(cols)));
            Err(fields.refuse_found("weight_block_size", found, accepted))
        }
    }
}

/// A number out of a short list.
fn one_of(
    fields: &Fields<'_>,
    named: &str,
    value: Option<&Value>,
    accepted: &[usize],
) -> Result<usize, ModelError> {
    let number = value.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    number.filter(|number| accepted.contains(number)).ok_or_else(|| {
        fields.refuse_found(named, describe(value), format_args!("one of {accepted:?}"))
    })
}
