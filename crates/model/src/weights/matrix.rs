//! One matrix, or a stack of them: which tensors hold it, in which quantisation, checked against the config.

use format::{Catalog, DType, TensorInfo};
use kernels::{Float, Quant};

use super::bind::{Binder, check_shape, wrong_dtype};
use crate::config::{AffineWidth, Config, Quantization};
use crate::error::ModelError;

const FLOATS: &str = "F32, F16, BF16";
const MATRICES: &str = "F32, F16, BF16, U32 (MLX affine), F8_E4M3 (block-FP8)";

/// The tensors of a matrix.
pub(super) struct Found<'a> {
    pub(super) quant: Quant,
    pub(super) weights: &'a TensorInfo,
    pub(super) scales: Option<&'a TensorInfo>,
    pub(super) biases: Option<&'a TensorInfo>,
}

/// The matrix `module`, or a stack of as many as the product of `stack`, each `[rows, cols]`.
pub(super) fn find<'a>(
    binder: &mut Binder<'a>,
    module: &str,
    stack: &[usize],
    rows: usize,
    cols: usize,
) -> Result<Found<'a>, ModelError> {
    let weights = binder.take(&format!("{module}.weight"))?;
    let shape = |rows: usize, cols: usize| [stack, &[rows, cols]].concat();
    match weights.dtype {
        DType::F32 | DType::F16 | DType::BF16 => {
            refuse_companions(binder.config, binder.catalog, module, weights)?;
            check_shape(binder.catalog, weights, &shape(rows, cols))?;
            let quant = Quant::Plain(float(binder.catalog, weights)?);
            Ok(Found { quant, weights, scales: None, biases: None })
        }
        DType::U32 => {
            let scales = binder.take(&format!("{module}.scales"))?;
            let biases = binder.take(&format!("{module}.biases"))?;
            let params = float(binder.catalog, scales)?;
            let width = affine_width(binder, module, weights, cols)?;
            check_affine(binder.catalog, weights, scales, &shape(rows, cols), width)?;
            check_shape(binder.catalog, biases, &scales.shape)?;
            if biases.dtype != scales.dtype {
                let found = format!("{} biases beside {} scales", biases.dtype, scales.dtype);
                return Err(wrong(binder.catalog, biases, found, "one dtype for both"));
            }
            let quant = Quant::Affine { bits: width.bits, group: width.group, params };
            Ok(Found { quant, weights, scales: Some(scales), biases: Some(biases) })
        }
        DType::F8E4M3 => {
            let Quantization::Fp8 { block_rows, block_cols } = binder.config.quantization else {
                let found = "F8_E4M3, which config.json says nothing of";
                let accepted = "a quantization_config with quant_method \"fp8\" beside it";
                return Err(wrong(binder.catalog, weights, found, accepted));
            };
            check_shape(binder.catalog, weights, &shape(rows, cols))?;
            let scales = binder.take(&format!("{module}.weight_scale_inv"))?;
            let params = float(binder.catalog, scales)?;
            let blocks = shape(rows.div_ceil(block_rows), cols.div_ceil(block_cols));
            check_shape(binder.catalog, scales, &blocks)?;
            let quant = Quant::Fp8Block { block_rows, block_cols, params };
            Ok(Found { quant, weights, scales: Some(scales), biases: None })
        }
        _ => Err(wrong_dtype(binder.catalog, weights, MATRICES)),
    }
}

/// The float type of a tensor that is read as one.
pub(super) fn float(catalog: &Catalog, tensor: &TensorInfo) -> Result<Float, ModelError> {
    match tensor.dtype {
        DType::F32 => Ok(Float::F32),
        DType::F16 => Ok(Float::F16),
        DType::BF16 => Ok(Float::Bf16),
        _ => Err(wrong_dtype(catalog, tensor, FLOATS)),
    }
}

/// Plain floats have no scales, and the config does not say that they are quantised.
fn refuse_companions(
    config: &Config,
    catalog: &Catalog,
    module: &str,
    weights: &TensorInfo,
) -> Result<(), ModelError> {
    for companion in ["scales", "biases", "weight_scale_inv"] {
        if let Some(companion) = catalog.get(&format!("{module}.{companion}")) {
            let found = format!("it beside {} weights", weights.dtype);
            let accepted = "quantised weights beside it, or weights alone";
            return Err(wrong(catalog, companion, found, accepted));
        }
    }
    if let Quantization::Affine(affine) = &config.quantization
        && let Some(Some(width)) = affine.modules.get(module)
    {
        let found = format!("{} weights", weights.dtype);
        return Err(wrong(catalog, weights, found, as_configured(*width)));
    }
    Ok(())
}

/// The width that the config gives a module, whose rows have to be whole groups.
fn affine_width(
    binder: &Binder<'_>,
    module: &str,
    weights: &TensorInfo,
    cols: usize,
) -> Result<AffineWidth, ModelError> {
    let refuse = |accepted: String| Err(wrong(binder.catalog, weights, "U32 weights", accepted));
    let Quantization::Affine(affine) = &binder.config.quantization else {
        return refuse("a field \"quantization\" in config.json beside them".to_owned());
    };
    match affine.modules.get(module).copied().unwrap_or(Some(affine.default)) {
        None => refuse("floats, as config.json says".to_owned()),
        Some(AffineWidth { group, .. }) if !cols.is_multiple_of(group) => refuse(format!(
            "floats, since rows of {cols} are not whole groups of {group}, as config.json says"
        )),
        Some(width) => Ok(width),
    }
}

/// The shapes give a width too, and it has to be the one of the config.
fn check_affine(
    catalog: &Catalog,
    weights: &TensorInfo,
    scales: &TensorInfo,
    shape: &[usize],
    width: AffineWidth,
) -> Result<(), ModelError> {
    let (&cols, rows) = shape.split_last().expect("a matrix has two dimensions");
    let with = |last: usize| [rows, &[last]].concat();
    // Groups are multiples of 32, so that rows are whole words at any width.
    let words = cols / 32 * width.bits;
    let (accepted, groups) = (with(words), with(cols / width.group));
    if weights.shape == accepted && scales.shape == groups {
        return Ok(());
    }
    if let Some(derived) = derive(weights, scales, rows, cols) {
        let found = format!(
            "{derived} (rows of {cols} in {:?} words and {:?} scales)",
            weights.shape, scales.shape
        );
        return Err(wrong(catalog, weights, found, as_configured(width)));
    }
    check_shape(catalog, weights, &accepted)?;
    check_shape(catalog, scales, &groups)
}

/// Bits and group as the shapes have them, if they can mean any.
fn derive(
    weights: &TensorInfo,
    scales: &TensorInfo,
    rows: &[usize],
    cols: usize,
) -> Option<AffineWidth> {
    let last = |tensor: &TensorInfo| {
        let (&last, before) = tensor.shape.split_last()?;
        (before == rows && last > 0).then_some(last)
    };
    let (words, groups) = (last(weights)?, last(scales)?);
    let bits = words.checked_mul(32)?;
    let whole = bits.is_multiple_of(cols) && cols.is_multiple_of(groups);
    whole.then_some(AffineWidth { bits: bits / cols, group: cols / groups })
}

fn as_configured(width: AffineWidth) -> String {
    format!("{width}, as config.json says")
}

fn wrong(
    catalog: &Catalog,
    tensor: &TensorInfo,
    found: impl Into<String>,
    accepted: impl Into<String>,
) -> ModelError {
    ModelError::WrongQuantization {
        path: catalog.path_of(tensor).into(),
        tensor: tensor.name.clone(),
        found: found.into(),
        accepted: accepted.into(),
    }
}
