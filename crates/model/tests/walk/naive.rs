//! The naive twin of the walk: one id at a time, in f64, straight from the files, as the specification reads.

use std::collections::HashMap;
use std::path::Path;

use model::Config;
use model::tiny::{affine, fp8};
use safetensors::{Dtype, SafeTensors};

/// Every tensor of a checkpoint, dequantised, by its name.
struct Tensors {
    values: HashMap<String, Vec<f64>>,
}

fn floats(dtype: Dtype, data: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => data.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect(),
        Dtype::BF16 => {
            data.as_chunks().0.iter().map(|raw| half::bf16::from_le_bytes(*raw).to_f32()).collect()
        }
        Dtype::F16 => {
            data.as_chunks().0.iter().map(|raw| half::f16::from_le_bytes(*raw).to_f32()).collect()
        }
        other => panic!("{other:?} is no float"),
    }
}

impl Tensors {
    fn read(dir: &Path) -> Tensors {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "safetensors") {
                files.push(std::fs::read(path).expect("a file"));
            }
        }
        let shards: Vec<SafeTensors<'_>> =
            files.iter().map(|file| SafeTensors::deserialize(file).expect("a good file")).collect();
        let find = |name: &str| shards.iter().find_map(|shard| shard.tensor(name).ok());
        let mut values = HashMap::new();
        for shard in &shards {
            for (name, view) in shard.tensors() {
                let base = name.trim_end_matches(".weight");
                let shape = view.shape();
                let cols = shape.last().copied().unwrap_or(1);
                let floats = match view.dtype() {
                    Dtype::U32 => {
                        let plane = |part: &str| {
                            let view = find(&format!("{base}.{part}")).expect("a plane");
                            (floats(view.dtype(), view.data()), view.shape().to_vec())
                        };
                        let ((scales, shape), (biases, _)) = (plane("scales"), plane("biases"));
                        let groups = *shape.last().expect("groups");
                        // 32, 64 or 128: the one that makes the bits whole and known.
                        let config =
                            std::fs::read_to_string(dir.join("config.json")).expect("text");
                        let config: serde_json::Value =
                            serde_json::from_str(&config).expect("json");
                        let own = &config["quantization"][base];
                        let field = |key: &str| {
                            let value = own.get(key).unwrap_or(&config["quantization"][key]);
                            value.as_u64().expect("a number")
                        };
                        let (bits, group) = (field("bits") as u32, field("group_size") as usize);
                        assert_eq!(cols * 32, groups * group * bits as usize, "{name}: widths");
                        let words = view.data().as_chunks().0;
                        let words = words.iter().map(|raw| u32::from_le_bytes(*raw)).collect();
                        affine::dequantize(&affine::Affine { words, scales, biases }, bits, group)
                    }
                    Dtype::F8_E4M3 => {
                        let scale = find(&format!("{base}.weight_scale_inv")).expect("a scale");
                        let scales = floats(scale.dtype(), scale.data());
                        let across = cols.div_ceil(fp8::BLOCK);
                        let value = |(n, byte): (usize, &u8)| {
                            let (row, col) = (n / cols, n % cols);
                            let block = row / fp8::BLOCK * across + col / fp8::BLOCK;
                            fp8::decode(*byte) * scales[block]
                        };
                        view.data().iter().enumerate().map(value).collect()
                    }
                    Dtype::BF16 | Dtype::F16 | Dtype::F32 => floats(view.dtype(), view.data()),
                    _ => continue,
                };
                values.insert(name, floats.into_iter().map(f64::from).collect());
            }
        }
        Tensors { values }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn rms(x: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(v, w)| v / (mean + eps).sqrt() * w).collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = x.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|v| v / sum).collect()
}

/// A model that knows one sequence.
pub(crate) struct Naive {
    config: Config,
    tensors: Tensors,
    prefix: String,
    mlx: bool,
    position: usize,
    /// Of each layer: keys and values of all positions, or columns and states.
    keys: Vec<Vec<Vec<f64>>>,
    values: Vec<Vec<Vec<f64>>>,
    columns: Vec<Vec<Vec<f64>>>,
    states: Vec<Vec<f64>>,
}

impl Naive {
    pub(crate) fn open(dir: &Path) -> Naive {
        let config = Config::open(dir).expect("a good config");
        let tensors = Tensors::read(dir);
        let embed = tensors.values.keys().find(|name| name.ends_with("embed_tokens.weight"));
        let prefix =
            embed.expect("an embedding").trim_end_matches("embed_tokens.weight").to_owned();
        let text = std::fs::read_to_string(dir.join("config.json")).expect("text");
        let layers = config.layers();
        let state = vec![0.0; config.linear_values() * config.linear_key_dim];
        Naive {
            mlx: text.contains("\"quantization\""),
            tensors,
            prefix,
            position: 0,
            keys: vec![Vec::new(); layers],
            values: vec![Vec::new(); layers],
            columns: vec![vec![vec![0.0; config.conv_channels()]; config.conv_kernel - 1]; layers],
            states: vec![state; layers],
            config,
        }
    }

    fn maybe(&self, name: &str) -> Option<&Vec<f64>> {
        self.tensors.values.get(&format!("{}{name}", self.prefix))
    }

    fn get(&self, name: &str) -> &[f64] {
        self.maybe(name).unwrap_or_else(|| panic!("{}{name}", self.prefix))
    }

    /// A zero-centred norm's multiplier.
    fn norm(&self, name: &str) -> Vec<f64> {
        let one = if self.mlx { 0.0 } else { 1.0 };
        self.get(name).iter().map(|w| w + one).collect()
    }

    /// The logits after one more id.
    pub(crate) fn step(&mut self, id: u32) -> Vec<f64> {
        let (hidden, eps) = (self.config.hidden_size, f64::from(self.config.rms_norm_eps));
        let mut h = self.get("embed_tokens.weight")[id as usize * hidden..][..hidden].to_vec();
        for layer in 0..self.config.layers() {
            let at = format!("layers.{layer}.");
            let x = rms(&h, &self.norm(&format!("{at}input_layernorm.weight")), eps);
            let mixed = if self.config.full_layers()[layer] {
                self.attend(layer, &x)
            } else {
                self.recur(layer, &x)
            };
            h.iter_mut().zip(mixed).for_each(|(h, add)| *h += add);
            let x = rms(&h, &self.norm(&format!("{at}post_attention_layernorm.weight")), eps);
            let mixed = self.experts(layer, &x);
            h.iter_mut().zip(mixed).for_each(|(h, add)| *h += add);
        }
        self.position += 1;
        let x = rms(&h, &self.norm("norm.weight"), eps);
        let heads = ["lm_head.weight", "language_model.lm_head.weight"];
        let head = heads.iter().find_map(|name| self.tensors.values.get(*name));
        times(head.map_or_else(|| self.get("embed_tokens.weight"), Vec::as_slice), &x)
    }

    fn attend(&mut self, layer: usize, x: &[f64]) -> Vec<f64> {
        let c = self.config.clone();
        let (dim, eps) = (c.head_dim, f64::from(c.rms_norm_eps));
        let at = format!("layers.{layer}.self_attn.");
        let project = |name: &str| times(self.get(&format!("{at}{name}.weight")), x);
        let (qg, k, v) = (project("q_proj"), project("k_proj"), project("v_proj"));
        let turn = |head: &[f64], norm: &str| {
            let mut head = rms(head, &self.norm(&format!("{at}{norm}.weight")), eps);
            let half = c.rotary_dim / 2;
            for i in 0..half {
                let angle = self.position as f64
                    * c.rope_theta.powf(-(2.0 * i as f64) / c.rotary_dim as f64);
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * angle.cos() - b * angle.sin();
                head[i + half] = b * angle.cos() + a * angle.sin();
            }
            head
        };
        let k: Vec<f64> = k.chunks(dim).flat_map(|head| turn(head, "k_norm")).collect();
        let queries: Vec<Vec<f64>> =
            qg.chunks(2 * dim).map(|head| turn(&head[..dim], "q_norm")).collect();
        self.keys[layer].push(k);
        self.values[layer].push(v);
        let mut out = Vec::new();
        for (h, query) in queries.iter().enumerate() {
            let kv = h / (c.heads / c.kv_heads) * dim;
            let dot = |key: &Vec<f64>| -> f64 {
                key[kv..kv + dim].iter().zip(query).map(|(k, q)| k * q).sum()
            };
            let scores: Vec<f64> =
                self.keys[layer].iter().map(|key| dot(key) / (dim as f64).sqrt()).collect();
            let weights = softmax(&scores);
            for d in 0..dim {
                let values = self.values[layer].iter().map(|value| value[kv + d]);
                let sum: f64 = values.zip(&weights).map(|(v, w)| v * w).sum();
                out.push(sum * sigmoid(qg[h * 2 * dim + dim + d]));
            }
        }
        times(self.get(&format!("{at}o_proj.weight")), &out)
    }

    /// Queries, keys and values, output gates, betas, decays: from whichever projections there are.
    fn inputs(&self, at: &str, x: &[f64]) -> [Vec<f64>; 4] {
        let c = &self.config;
        let project = |name: &str| times(self.get(&format!("{at}{name}.weight")), x);
        if self.maybe(&format!("{at}in_proj_qkv.weight")).is_some() {
            return ["in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"].map(project);
        }
        let (qkvz, ba) = (project("in_proj_qkvz"), project("in_proj_ba"));
        let ratio = c.linear_value_heads / c.linear_key_heads;
        let (dk, dv) = (c.linear_key_dim, c.linear_value_dim * ratio);
        let part = |all: &[f64], width: usize, from: usize, to: usize| -> Vec<f64> {
            all.chunks(width).flat_map(|group| group[from..to].to_vec()).collect()
        };
        let width = 2 * dk + 2 * dv;
        let mut qkv = part(&qkvz, width, 0, dk);
        qkv.extend(part(&qkvz, width, dk, 2 * dk));
        qkv.extend(part(&qkvz, width, 2 * dk, 2 * dk + dv));
        let z = part(&qkvz, width, 2 * dk + dv, width);
        [qkv, z, part(&ba, 2 * ratio, 0, ratio), part(&ba, 2 * ratio, ratio, 2 * ratio)]
    }

    fn recur(&mut self, layer: usize, x: &[f64]) -> Vec<f64> {
        let c = self.config.clone();
        let at = format!("layers.{layer}.linear_attn.");
        let [qkv, z, b, a] = self.inputs(&at, x);
        let taps = self.get(&format!("{at}conv1d.weight")).to_vec();
        self.columns[layer].push(qkv);
        let columns = &self.columns[layer];
        let mixed: Vec<f64> = (0..c.conv_channels())
            .map(|channel| {
                let tap = |j: usize| taps[channel * c.conv_kernel + j] * columns[j][channel];
                silu((0..c.conv_kernel).map(tap).sum())
            })
            .collect();
        self.columns[layer].remove(0);
        let (dk, dv, keys) = (c.linear_key_dim, c.linear_value_dim, c.linear_keys());
        let unit = |head: &[f64]| -> Vec<f64> {
            let length = (head.iter().map(|v| v * v).sum::<f64>() + 1e-6).sqrt();
            head.iter().map(|v| v / length).collect()
        };
        let vector = |name: &str| self.get(&format!("{at}{name}")).to_vec();
        let (rate, bias, norm) = (vector("A_log"), vector("dt_bias"), vector("norm.weight"));
        let mut out = Vec::new();
        for h in 0..c.linear_value_heads {
            let key_head = h / (c.linear_value_heads / c.linear_key_heads) * dk;
            let q = unit(&mixed[key_head..key_head + dk]);
            let k = unit(&mixed[keys + key_head..keys + key_head + dk]);
            let v = &mixed[2 * keys + h * dv..][..dv];
            let beta = sigmoid(b[h]);
            let decay = (-rate[h].exp() * (a[h] + bias[h]).exp().ln_1p()).exp();
            let state = &mut self.states[layer][h * dk * dv..(h + 1) * dk * dv];
            state.iter_mut().for_each(|s| *s *= decay);
            let mut read = vec![0.0; dv];
            for j in 0..dv {
                let seen: f64 = (0..dk).map(|i| k[i] * state[i * dv + j]).sum();
                let update = beta * (v[j] - seen);
                (0..dk).for_each(|i| state[i * dv + j] += k[i] * update);
                let sum: f64 = (0..dk).map(|i| q[i] * state[i * dv + j]).sum();
                read[j] = sum / (dk as f64).sqrt();
            }
            let normed = rms(&read, &norm, f64::from(c.rms_norm_eps));
            out.extend(normed.iter().enumerate().map(|(j, v)| v * silu(z[h * dv + j])));
        }
        times(self.get(&format!("{at}out_proj.weight")), &out)
    }

    fn experts(&self, layer: usize, x: &[f64]) -> Vec<f64> {
        let c = &self.config;
        let at = format!("layers.{layer}.mlp.");
        let p = softmax(&times(self.get(&format!("{at}gate.weight")), x));
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(a.cmp(b)));
        order.truncate(c.experts_per_token);
        let sum: f64 = order.iter().map(|e| p[*e]).sum();
        let (inner, hidden) = (c.moe_intermediate_size, c.hidden_size);
        let size = inner * hidden;
        let mut out = vec![0.0; hidden];
        for e in order {
            let single = |name: &str| self.maybe(&format!("{at}experts.{e}.{name}.weight"));
            let stacked = |name: &str| self.maybe(&format!("{at}{name}"));
            let (gate, up, down) = if let Some(both) = stacked("experts.gate_up_proj") {
                let both = &both[e * 2 * size..(e + 1) * 2 * size];
                let down = &self.get(&format!("{at}experts.down_proj"))[e * size..(e + 1) * size];
                (&both[..size], &both[size..], down)
            } else if let Some(gate) = stacked("switch_mlp.gate_proj.weight") {
                let own = |all: &'_ Vec<f64>| e * size..all.len().min((e + 1) * size);
                let up = self.get(&format!("{at}switch_mlp.up_proj.weight"));
                let down = self.get(&format!("{at}switch_mlp.down_proj.weight"));
                let range = own(gate);
                (&gate[range.clone()], &up[range.clone()], &down[range])
            } else {
                let all =
                    ["gate_proj", "up_proj", "down_proj"].map(|n| single(n).expect("an expert"));
                (&all[0][..], &all[1][..], &all[2][..])
            };
            let weight = if c.renormalize { p[e] / sum } else { p[e] };
            let inner: Vec<f64> =
                times(gate, x).iter().zip(times(up, x)).map(|(g, u)| silu(*g) * u).collect();
            out.iter_mut().zip(times(down, &inner)).for_each(|(o, y)| *o += weight * y);
        }
        let shared = |name: &str, x: &[f64]| times(self.get(&format!("{at}{name}.weight")), x);
        let gate = shared("shared_expert.gate_proj", x);
        let up = shared("shared_expert.up_proj", x);
        let inner: Vec<f64> = gate.iter().zip(up).map(|(g, u)| silu(*g) * u).collect();
        let weight = sigmoid(shared("shared_expert_gate", x)[0]);
        let all = shared("shared_expert.down_proj", &inner);
        out.iter_mut().zip(all).for_each(|(o, y)| *o += weight * y);
        out
    }
}
