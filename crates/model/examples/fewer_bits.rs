//! Writes an MLX affine checkpoint again with fewer bits a weight, to see what that costs: decoded and quantised by the rule of MLX.
//!
//! `cargo run --release -p model --example fewer_bits -- FROM BITS TO [experts]`. Matrices of 4 bits
//! get BITS of 2 or 3, with `experts` only those of routed experts; all else stays as it is.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use half::bf16;
use model::tiny::affine::{Affine, dequantize, quantize};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use serde_json::{Value, json};

/// As they are named in the checkpoint, with dtype, shape and bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (from, bits, to, experts) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [from, bits, to] => (Path::new(from), bits, Path::new(to), false),
        [from, bits, to, "experts"] => (Path::new(from), bits, Path::new(to), true),
        _ => return Err("accepted: FROM BITS TO [experts]".into()),
    };
    let bits: u32 = bits.parse().ok().filter(|bits| [2, 3].contains(bits)).ok_or("BITS: 2 or 3")?;
    let mut config: Value = serde_json::from_slice(&fs::read(from.join("config.json"))?)?;
    let group = config["quantization"]["group_size"].as_u64().ok_or("no quantization")? as usize;
    if config["quantization"]["bits"] != 4 {
        return Err("a checkpoint of 4 bits is needed".into());
    }
    let bytes = fs::read(from.join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let mut out: Vec<Stored> = Vec::new();
    for name in tensors.names() {
        let Some(module) = name.strip_suffix(".weight") else { continue };
        let own = config["quantization"].get(module).is_some();
        let wanted = tensors.tensor(name)?.dtype() == Dtype::U32 && !own;
        if wanted && (!experts || module.contains(".switch_mlp.")) {
            out.extend(again(&tensors, module, bits, group)?);
            for field in ["quantization", "quantization_config"] {
                config[field][module] = json!({"bits": bits, "group_size": group});
            }
        }
    }
    let written: Vec<String> = out.iter().map(|(name, ..)| name.clone()).collect();
    for (name, view) in tensors.tensors().into_iter().filter(|(name, _)| !written.contains(name)) {
        out.push((name, view.dtype(), view.shape().to_vec(), view.data().to_vec()));
    }
    fs::create_dir_all(to)?;
    let views: Result<HashMap<&str, TensorView<'_>>, _> = out
        .iter()
        .map(|(name, dtype, shape, data)| {
            Ok::<_, Box<dyn Error>>((name.as_str(), TensorView::new(*dtype, shape.clone(), data)?))
        })
        .collect();
    let format = HashMap::from([("format".to_owned(), "mlx".to_owned())]);
    serialize_to_file(views?, Some(format), &to.join("model.safetensors"))?;
    fs::write(to.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let text = name.to_string_lossy();
        // The MTP head stays behind, and with it the index that lists it.
        if !text.contains("safetensors") && text != "config.json" {
            fs::copy(&path, to.join(name))?;
        }
    }
    println!("{} matrices have {bits} bits in {}", written.len() / 3, to.display());
    Ok(())
}

/// The three tensors of a matrix with so many bits.
fn again(
    tensors: &SafeTensors<'_>,
    module: &str,
    bits: u32,
    group: usize,
) -> Result<[Stored; 3], Box<dyn Error>> {
    let named = |what: &str| format!("{module}.{what}");
    let weights = tensors.tensor(&named("weight"))?;
    let parameters = |what: &str| -> Result<Vec<f32>, Box<dyn Error>> {
        let view = tensors.tensor(&named(what))?;
        if view.dtype() != Dtype::BF16 {
            return Err(format!("{}: {:?}, BF16 is needed", named(what), view.dtype()).into());
        }
        let pairs = view.data().chunks_exact(2);
        Ok(pairs.map(|pair| bf16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect())
    };
    let (words, rest) = weights.data().as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("{}: no whole words", named("weight")).into());
    }
    let words = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let four = Affine { words, scales: parameters("scales")?, biases: parameters("biases")? };
    let fewer = quantize(&dequantize(&four, 4, group), bits, group);
    let mut shape = weights.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = *last * bits as usize / 4;
    }
    let words: Vec<u8> = fewer.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let groups = tensors.tensor(&named("scales"))?.shape().to_vec();
    let rounded = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect()
    };
    Ok([
        (named("weight"), Dtype::U32, shape, words),
        (named("scales"), Dtype::BF16, groups.clone(), rounded(&fewer.scales)),
        (named("biases"), Dtype::BF16, groups, rounded(&fewer.biases)),
    ])
}
