#!/usr/bin/env python3
"""Tiny random Qwen3.5-MoE (and Qwen3-Next) checkpoints in the *real* on-disk layouts, with float32
CPU reference activations taken from Hugging Face transformers (no flash/fla/conv1d kernels).

    make_fixture.py --out DIR [--tokenizer tokenizer.json.xz] [--only abcfq]

  a  tiny-qwen35moe-hf     HF safetensors layout (BF16, 2 shards + index, stacked experts, MTP head)
  b  tiny-qwen35moe-mlx4*  mlx-lm 4-bit affine layout (quantised here in pure numpy)
  c  tiny-qwen3next-hf     Qwen3-Next HF layout (per-expert tensors, fused qkvz / ba projections)
  f  tiny-qwen35moe-fp8    the official -FP8 layout (per-expert F8_E4M3 + BF16 weight_scale_inv, 128x128 blocks)
  q  mlx_quant_vectors.safetensors   unit vectors for the affine (de)quantiser  (needs `mlx[cpu]`)
"""
import argparse, json, os, sys
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from safetensors.torch import save_file, load_file
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

BF = torch.bfloat16
# found by trying seeds until no greedy / routing decision was close to a tie (reference.json: sanity, margins)
SEEDS = dict(a=30005, b=31024, bu=32035, c=33028, f=34000)

# ----------------------------------------------------------------------------------------------
# configs
# ----------------------------------------------------------------------------------------------
def layer_types(n, interval=4):
    return ["full_attention" if (i + 1) % interval == 0 else "linear_attention" for i in range(n)]

def cfg_a():
    t = dict(attention_bias=False, attention_dropout=0.0, attn_output_gate=True, dtype="bfloat16", eos_token_id=479,
             full_attention_interval=4, head_dim=32, hidden_act="silu", hidden_size=64, initializer_range=0.02,
             layer_types=layer_types(8), linear_conv_kernel_dim=4, linear_key_head_dim=16, linear_num_key_heads=2,
             linear_num_value_heads=8, linear_value_head_dim=16, max_position_embeddings=4096, mlp_only_layers=[],
             model_type="qwen3_5_moe_text", moe_intermediate_size=32, mtp_num_hidden_layers=1,
             mtp_use_dedicated_embeddings=False, num_attention_heads=4, num_experts=8, num_experts_per_tok=3,
             num_hidden_layers=8, num_key_value_heads=2, rms_norm_eps=1e-6, router_aux_loss_coef=0.001,
             shared_expert_intermediate_size=48, use_cache=True, vocab_size=512, mamba_ssm_dtype="float32",
             rope_parameters=dict(mrope_interleaved=True, mrope_section=[2, 1, 1], rope_type="default",
                                  rope_theta=10000000, partial_rotary_factor=0.25))
    return wrap(t)

def cfg_b(n_layers=8):
    c = cfg_a()["text_config"]
    c = dict(c, hidden_size=128, head_dim=32, num_attention_heads=8, num_key_value_heads=2, linear_key_head_dim=32,
             linear_value_head_dim=32, linear_num_key_heads=2, linear_num_value_heads=4, moe_intermediate_size=64, num_experts=16, num_experts_per_tok=4,
             shared_expert_intermediate_size=128, num_hidden_layers=n_layers, layer_types=layer_types(n_layers))
    return wrap(c)

def cfg_f():        # block-FP8: hidden 192 = 1.5 blocks, so the last block of a row/column is partial
    c = cfg_a()["text_config"]
    c = dict(c, hidden_size=192, head_dim=32, num_attention_heads=6, num_key_value_heads=2, linear_key_head_dim=32, linear_value_head_dim=32,
             linear_num_key_heads=2, linear_num_value_heads=4, moe_intermediate_size=32, shared_expert_intermediate_size=64, num_hidden_layers=4, layer_types=layer_types(4))
    return wrap(c)

def wrap(text):
    return dict(architectures=["Qwen3_5MoeForConditionalGeneration"], image_token_id=491, model_type="qwen3_5_moe",
                text_config=text, tie_word_embeddings=False, transformers_version="4.57.0.dev0", video_token_id=492,
                vision_config=dict(deepstack_visual_indexes=[], depth=1, hidden_act="gelu_pytorch_tanh", hidden_size=16,
                    in_channels=3, initializer_range=0.02, intermediate_size=32, model_type="qwen3_5_moe", num_heads=2,
                    num_position_embeddings=16, out_hidden_size=text["hidden_size"], patch_size=16, spatial_merge_size=2,
                    temporal_patch_size=2),
                vision_end_token_id=489, vision_start_token_id=488)

def cfg_c():
    return dict(architectures=["Qwen3NextForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=479,
                decoder_sparse_step=1, eos_token_id=481, full_attention_interval=4, head_dim=32, hidden_act="silu",
                hidden_size=64, initializer_range=0.02, intermediate_size=160, linear_conv_kernel_dim=4,
                linear_key_head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, linear_value_head_dim=16,
                max_position_embeddings=4096, mlp_only_layers=[], model_type="qwen3_next", moe_intermediate_size=32,
                norm_topk_prob=True, num_attention_heads=4, num_experts=16, num_experts_per_tok=4, num_hidden_layers=4,
                num_key_value_heads=2, output_router_logits=False, partial_rotary_factor=0.25, rms_norm_eps=1e-6,
                rope_scaling=None, rope_theta=10000000, router_aux_loss_coef=0.001, shared_expert_intermediate_size=48,
                tie_word_embeddings=False, torch_dtype="bfloat16", transformers_version="4.57.0.dev0", use_cache=True,
                use_sliding_window=False, vocab_size=512)

# ----------------------------------------------------------------------------------------------
# random weights, HF names.  Everything BF16 except A_log and linear_attn.norm.weight (F32, as in the
# 397B/122B releases; the 35B release stores them BF16).
# ----------------------------------------------------------------------------------------------
class Rng:
    def __init__(s, seed): s.g = torch.Generator().manual_seed(seed)
    def n(s, *shape, std=1.0): return torch.randn(*shape, generator=s.g) * std
    def u(s, *shape, lo=0.0, hi=1.0): return torch.rand(*shape, generator=s.g) * (hi - lo) + lo

def lin(r, o, i, gain=1.0): return r.n(o, i, std=gain / i ** 0.5).to(BF)
def zc_norm(r, d): return r.n(d, std=0.2).to(BF)             # zero-centred: the model multiplies by (1 + w)

def moe(r, W, p, t, stacked):
    H, I, E, S = t["hidden_size"], t["moe_intermediate_size"], t["num_experts"], t["shared_expert_intermediate_size"]
    W[p + "mlp.gate.weight"] = lin(r, E, H, 1.5)
    gate_up = torch.stack([lin(r, 2 * I, H, 1.4) for _ in range(E)])
    down = torch.stack([lin(r, H, I, 1.2) for _ in range(E)])
    if stacked:
        W[p + "mlp.experts.gate_up_proj"], W[p + "mlp.experts.down_proj"] = gate_up, down
    else:
        for e in range(E):
            W[p + f"mlp.experts.{e}.gate_proj.weight"] = gate_up[e, :I].clone()
            W[p + f"mlp.experts.{e}.up_proj.weight"] = gate_up[e, I:].clone()
            W[p + f"mlp.experts.{e}.down_proj.weight"] = down[e].clone()
    W[p + "mlp.shared_expert.gate_proj.weight"] = lin(r, S, H, 1.4)
    W[p + "mlp.shared_expert.up_proj.weight"] = lin(r, S, H, 1.4)
    W[p + "mlp.shared_expert.down_proj.weight"] = lin(r, H, S, 1.0)
    W[p + "mlp.shared_expert_gate.weight"] = lin(r, 1, H, 1.0)

def full_attn(r, W, p, t):
    H, hd, nq, nkv = t["hidden_size"], t["head_dim"], t["num_attention_heads"], t["num_key_value_heads"]
    W[p + "self_attn.q_proj.weight"] = lin(r, nq * hd * 2, H)
    W[p + "self_attn.k_proj.weight"] = lin(r, nkv * hd, H)
    W[p + "self_attn.v_proj.weight"] = lin(r, nkv * hd, H)
    W[p + "self_attn.o_proj.weight"] = lin(r, H, nq * hd, 1.5)
    W[p + "self_attn.q_norm.weight"] = (r.n(hd, std=0.2) + 0.5).to(BF)
    W[p + "self_attn.k_norm.weight"] = (r.n(hd, std=0.2) + 0.5).to(BF)

def linear_attn(r, W, p, t, nxt):
    H, K = t["hidden_size"], t["linear_conv_kernel_dim"]
    nk, nv, dk, dv = (t["linear_num_key_heads"], t["linear_num_value_heads"], t["linear_key_head_dim"], t["linear_value_head_dim"])
    kd, vd = nk * dk, nv * dv
    if nxt:
        W[p + "linear_attn.in_proj_qkvz.weight"] = lin(r, 2 * kd + 2 * vd, H)
        W[p + "linear_attn.in_proj_ba.weight"] = lin(r, 2 * nv, H)
    else:
        W[p + "linear_attn.in_proj_qkv.weight"] = lin(r, 2 * kd + vd, H)
        W[p + "linear_attn.in_proj_z.weight"] = lin(r, vd, H)
        W[p + "linear_attn.in_proj_b.weight"] = lin(r, nv, H)
        W[p + "linear_attn.in_proj_a.weight"] = lin(r, nv, H)
    W[p + "linear_attn.conv1d.weight"] = r.n(2 * kd + vd, 1, K, std=0.5).to(BF)
    dt = torch.exp(r.u(nv, lo=np.log(0.003), hi=np.log(0.3)))       # decays exp(-A*dt) spread over (0.1, 0.999)
    W[p + "linear_attn.dt_bias"] = (dt + torch.log(-torch.expm1(-dt))).to(BF)
    A = torch.log(r.u(nv, lo=0.3, hi=8.0))
    W[p + "linear_attn.A_log"] = A.to(BF) if nxt else A.float()
    W[p + "linear_attn.norm.weight"] = (1 + r.n(dv, std=0.2)).to(BF) if nxt else (1 + r.n(dv, std=0.2)).float()
    W[p + "linear_attn.out_proj.weight"] = lin(r, H, vd, 1.5)

def make_weights(cfg, seed, nxt=False):
    r = Rng(seed); t = cfg.get("text_config", cfg); W = {}
    base = "model." if nxt else "model.language_model."
    H, V = t["hidden_size"], t["vocab_size"]
    W[base + "embed_tokens.weight"] = r.n(V, H, std=1.0).to(BF)
    types = t.get("layer_types") or layer_types(t["num_hidden_layers"], t["full_attention_interval"])
    for i, ty in enumerate(types):
        p = f"{base}layers.{i}."
        W[p + "input_layernorm.weight"] = zc_norm(r, H)
        W[p + "post_attention_layernorm.weight"] = zc_norm(r, H)
        (full_attn(r, W, p, t) if ty == "full_attention" else linear_attn(r, W, p, t, nxt))
        moe(r, W, p, t, stacked=not nxt)
    W[base + "norm.weight"] = zc_norm(r, H)
    W["lm_head.weight"] = lin(r, V, H, 3.0)
    # multi-token-prediction head: Qwen3.5 stores its experts PER EXPERT (Qwen3.6 stores them stacked)
    p = "mtp.layers.0."
    W["mtp.fc.weight"] = lin(r, H, 2 * H)
    W["mtp.pre_fc_norm_embedding.weight"] = zc_norm(r, H)
    W["mtp.pre_fc_norm_hidden.weight"] = zc_norm(r, H)
    W["mtp.norm.weight"] = zc_norm(r, H)
    W[p + "input_layernorm.weight"] = zc_norm(r, H)
    W[p + "post_attention_layernorm.weight"] = zc_norm(r, H)
    full_attn(r, W, p, t); moe(r, W, p, t, stacked=False)
    if not nxt:   # something a text-only loader has to skip
        W["model.visual.pos_embed.weight"] = r.n(16, 16, std=0.02).to(BF)
    return W

def prompt_ids(vocab, n, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab - 33, (n,), generator=g)         # ordinary tokens only

# ----------------------------------------------------------------------------------------------
# writing
# ----------------------------------------------------------------------------------------------
def save_hf(d, cfg, W, shards=2):
    os.makedirs(d, exist_ok=True)
    names = list(W)
    per = (len(names) + shards - 1) // shards
    wm, total = {}, 0
    for s in range(shards):
        part = {k: W[k].contiguous() for k in names[s * per:(s + 1) * per]}
        fn = f"model.safetensors-{s+1:05d}-of-{shards:05d}.safetensors"   # the real repos use this odd spelling
        save_file(part, f"{d}/{fn}", metadata={"format": "pt"})
        for k, v in part.items(): wm[k] = fn; total += v.numel() * v.element_size()
    json.dump({"metadata": {"total_size": total}, "weight_map": dict(sorted(wm.items()))},
              open(f"{d}/model.safetensors.index.json", "w"), indent=1)
    json.dump(cfg, open(f"{d}/config.json", "w"), indent=1)
    json.dump({"bos_token_id": 479, "do_sample": True, "eos_token_id": [481, 479], "pad_token_id": 479, "temperature": 0.6,
               "top_k": 20, "top_p": 0.95, "transformers_version": "4.57.0.dev0"}, open(f"{d}/generation_config.json", "w"), indent=1)

# ----------------------------------------------------------------------------------------------
# transformers reference
# ----------------------------------------------------------------------------------------------
def hf_model(path, nxt=False):
    import transformers
    transformers.logging.set_verbosity_error()
    if nxt:
        from transformers import Qwen3NextForCausalLM as M
    else:
        from transformers import Qwen3_5MoeForCausalLM as M
    m, info = M.from_pretrained(path, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
                                output_loading_info=True)
    assert not info["missing_keys"], info
    bad = [k for k in info["unexpected_keys"] if not k.startswith(("mtp.", "model.visual."))]
    assert not bad, bad
    return m.eval()

class Taps:
    """Records inputs/outputs of interesting sub-modules (prefill only)."""
    def __init__(s, model, mod):
        s.rec, s.h, s.mod, s.model = {}, [], mod, model
        for i, l in enumerate(model.model.layers):
            p = f"layer{i}."
            s.hook(l.mlp.gate, p + "router", lambda o: dict(logits=o[0], weight=o[1], index=o[2].int()))
            for nm, sub in (("input_layernorm", l.input_layernorm), ("post_attention_layernorm", l.post_attention_layernorm),
                            ("moe_routed", l.mlp.experts), ("shared_expert", l.mlp.shared_expert), ("shared_gate_logit", l.mlp.shared_expert_gate),
                            ("moe_out", l.mlp)):
                s.hook(sub, p + nm)
            if hasattr(l, "linear_attn"):
                a = l.linear_attn
                for nm in ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "in_proj_qkvz", "in_proj_ba"):
                    if hasattr(a, nm): s.hook(getattr(a, nm), p + nm)
                s.hook(a.norm, p + "gated_norm"); s.hook(a, p + "mixer_out")
            else:
                a = l.self_attn
                s.hook(a, p + "mixer_out", lambda o: o[0]); s.pre(a.o_proj, p + "attn_gated")
        s.orig = mod.torch_chunk_gated_delta_rule
        def chunk(q, k, v, **kw):
            o = s.orig(q, k, v, **kw)
            i = s.cur
            s.rec[f"layer{i}.conv_q"], s.rec[f"layer{i}.conv_k"], s.rec[f"layer{i}.conv_v"] = q[0].clone(), k[0].clone(), v[0].clone()
            s.rec[f"layer{i}.g"], s.rec[f"layer{i}.beta"] = kw["g"][0].clone(), kw["beta"][0].clone()
            s.rec[f"layer{i}.delta_out"] = o[0][0].clone()
            return o
        mod.torch_chunk_gated_delta_rule = chunk
        for i, l in enumerate(model.model.layers):
            s.h.append(l.register_forward_pre_hook(lambda m, a, i=i: setattr(s, "cur", i)))
    def put(s, name, o):
        if isinstance(o, dict):
            for k, v in o.items(): s.rec[f"{name}_{k}"] = v.detach().clone()
        else:
            o = o.detach().clone(); s.rec[name] = o[0] if o.dim() == 3 and o.shape[0] == 1 else o
    def hook(s, m, name, f=lambda o: o): s.h.append(m.register_forward_hook(lambda m, a, o: s.put(name, f(o))))
    def pre(s, m, name): s.h.append(m.register_forward_pre_hook(lambda m, a: s.put(name, a[0])))
    def close(s):
        for h in s.h: h.remove()
        s.mod.torch_chunk_gated_delta_rule = s.orig

DETAIL_COMMON = ("input_layernorm", "post_attention_layernorm", "moe_routed", "shared_expert", "shared_gate_logit", "moe_out", "mixer_out")
DETAIL = {"linear": DETAIL_COMMON + ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "in_proj_qkvz", "in_proj_ba", "conv_q", "conv_k",
                                     "conv_v", "g", "beta", "delta_out", "gated_norm"),
          "full": DETAIL_COMMON + ("attn_gated",)}

@torch.no_grad()
def reference(model, ids, n_decode, nxt=False, detail_layers=(0, 3), detail_tokens=None):
    import importlib
    mod = importlib.import_module("transformers.models.qwen3_next.modeling_qwen3_next" if nxt else
                                  "transformers.models.qwen3_5_moe.modeling_qwen3_5_moe")
    from transformers import DynamicCache
    out, T = {}, len(ids)
    taps = Taps(model, mod)
    cache = DynamicCache(config=model.config)
    hs = []
    hk = [l.register_forward_hook(lambda m, a, o: hs.append((o[0] if isinstance(o, tuple) else o)[0].clone())) for l in model.model.layers]
    r = model(input_ids=ids[None], past_key_values=cache, use_cache=True)
    for h in hk: h.remove()
    taps.close()
    out["input_ids"] = ids.int()
    out["hidden.embed"] = model.model.embed_tokens(ids)
    for i, h in enumerate(hs): out[f"hidden.layer{i}"] = h
    fin = model.model.norm(hs[-1]); out["hidden.final_norm"] = fin
    out["logits"] = r.logits[0]
    assert torch.allclose(model.lm_head(fin), r.logits[0], atol=1e-5)
    n_l = len(hs)
    for i in range(n_l):
        for k in ("logits", "weight", "index"): out[f"layer{i}.router_{k}"] = taps.rec[f"layer{i}.router_{k}"]
        is_lin = hasattr(model.model.layers[i], "linear_attn")
        if is_lin:
            out[f"layer{i}.cache.conv_state"] = cache.layers[i].conv_states[0][0].clone()        # [conv_dim, K]
            out[f"layer{i}.cache.recurrent_state"] = cache.layers[i].recurrent_states[0][0].clone()  # [Hv, dk, dv]
        else:
            out[f"layer{i}.cache.k"] = cache.layers[i].keys[0].clone(); out[f"layer{i}.cache.v"] = cache.layers[i].values[0].clone()
        if i in detail_layers:
            for k in DETAIL["linear" if is_lin else "full"]:
                if f"layer{i}.{k}" in taps.rec: out[f"detail.layer{i}.{k}"] = taps.rec[f"layer{i}.{k}"][:16]   # first 16 tokens
    # greedy decode, one token at a time through the recurrent path
    lg, gen, lgs = r.logits[0, -1], [], []
    for _ in range(n_decode):
        nx = int(lg.argmax()); gen.append(nx); lgs.append(lg.clone())
        lg = model(input_ids=torch.tensor([[nx]]), past_key_values=cache, use_cache=True).logits[0, -1]
    out["decode.ids"] = torch.tensor(gen, dtype=torch.int32); out["decode.logits"] = torch.stack(lgs)
    # sanity: (1) whole sequence in one go == prefill + decode, (2) chunked prefill == one-shot
    rf = model(input_ids=torch.cat([ids, torch.tensor(gen)])[None], use_cache=False, output_router_logits=True)
    full = rf.logits[0]
    k = out["layer0.router_index"].shape[1]
    srt = [x.sort(-1, descending=True).values for x in rf.router_logits]
    rm = min((x[:, k - 1] - x[:, k]).min().item() for x in srt)
    d1 = (full[T - 1:T - 1 + n_decode] - out["decode.logits"]).abs().max().item()
    c2 = DynamicCache(config=model.config); parts = []
    for a, b in ((0, 37), (37, 38), (38, T)):
        parts.append(model(input_ids=ids[None, a:b], past_key_values=c2, use_cache=True).logits[0])
    d2 = (torch.cat(parts) - out["logits"]).abs().max().item()
    stats = dict(decode_vs_oneshot_max_abs=d1, chunked_prefill_max_abs=d2, min_router_kth_logit_margin_prefill_and_decode=rm)
    return out, stats

def margins(out):
    """How far the greedy choices are from flipping, and how well conditioned the activations are."""
    top = out["decode.logits"].topk(2, -1).values
    return dict(min_greedy_margin=(top[:, 0] - top[:, 1]).min().item(), logit_std=out["logits"].std().item(),
                logit_absmax=out["logits"].abs().max().item(), distinct_decode_ids=len(set(out["decode.ids"].tolist())),
                hidden_rms=[round(out[n].pow(2).mean().sqrt().item(), 3) for n in out if n.startswith("hidden.")])

@torch.no_grad()
def mtp_reference(model, path, ids, out):
    """transformers' own MtpModel on the prompt, then a 3-token self-chained draft (vLLM semantics: the MTP head's
    normed output is the next step's `hidden`)."""
    from transformers.modeling_layers import MtpModel
    from transformers.cache_utils import MtpCache
    cfg = model.config
    cfg.num_mtp_layers = 1; cfg.mtp_layer_types = ["full_attention"]; cfg.name_or_path = path
    mtp = MtpModel.from_pretrained(model).eval()
    mtp.set_attn_implementation("eager")
    mtp.config._experts_implementation = "eager"
    nxt = int(out["decode.ids"][0])
    cache = MtpCache(config=cfg.get_mtp_config())
    tok = torch.cat([ids[1:], torch.tensor([nxt])])[None]
    pos = torch.arange(1, len(ids) + 1)[None]
    h = mtp.forward_layer(0, out["hidden.final_norm"][None], pos, cache, input_ids=tok)
    lg = mtp._project_to_logits(h)
    out["mtp.input_ids"] = tok[0].int(); out["mtp.hidden"] = h[0]; out["mtp.logits"] = lg[0, -8:]   # last 8 positions
    draft, dl, hh, l = [], [], h[:, -1:], lg[0, -1]
    for s in range(3):
        d = int(l.argmax()); draft.append(d); dl.append(l.clone())
        if s == 2: break
        hh = mtp.forward_layer(0, hh, pos[:, -1:] + 1 + s, cache, input_ids=torch.tensor([[d]]))
        l = mtp._project_to_logits(hh)[0, -1]
    out["mtp.draft_ids"] = torch.tensor(draft, dtype=torch.int32); out["mtp.draft_logits"] = torch.stack(dl)

# ----------------------------------------------------------------------------------------------
# MLX affine quantisation, pure numpy (bit-exact with mx.quantize on CPU, see verify_mlx.py)
# ----------------------------------------------------------------------------------------------
def rne_bf16(x):                      # float32 -> bf16 bits (round to nearest even) -> uint16
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)

def bf16_f32(u16): return (u16.astype(np.uint32) << 16).view(np.float32)

def mlx_quantize(w, group_size=64, bits=4):
    """w: float32 ndarray [..., in] holding bf16-representable values.  Returns (u32 packed [..., in*bits/32],
    scales_u16bf16 [..., in/gs], biases_u16bf16).  Power-of-two bits only (packing of 3/5/6 bits differs)."""
    assert bits in (2, 4, 8) and w.shape[-1] % group_size == 0
    g = np.ascontiguousarray(w, np.float32).reshape(-1, group_size)
    n_bins = np.float32((1 << bits) - 1)
    wmin, wmax = g.min(-1), g.max(-1)
    mask = np.abs(wmin) > np.abs(wmax)
    scale = np.maximum((wmax - wmin) / n_bins, np.float32(1e-7))
    scale = np.where(mask, scale, -scale).astype(np.float32)
    edge = np.where(mask, wmin, wmax).astype(np.float32)
    q0 = np.rint(edge / scale).astype(np.float32)
    nz = q0 != 0
    scale = np.where(nz, edge / np.where(nz, q0, 1), scale).astype(np.float32)
    bias = np.where(nz, edge, 0).astype(np.float32)
    q = np.rint((g - bias[:, None]) / scale[:, None])
    q = np.clip(q, 0, n_bins).astype(np.uint32)
    per = 32 // bits
    q = q.reshape(-1, per)
    packed = np.zeros(q.shape[0], np.uint32)
    for k in range(per): packed |= q[:, k] << np.uint32(k * bits)
    lead = w.shape[:-1]
    return (packed.reshape(*lead, -1), rne_bf16(scale).reshape(*lead, -1), rne_bf16(bias).reshape(*lead, -1))

def mlx_dequantize(packed, s, b, group_size=64, bits=4):
    per = 32 // bits
    q = np.stack([(packed >> np.uint32(k * bits)) & np.uint32((1 << bits) - 1) for k in range(per)], -1)
    q = q.reshape(*packed.shape[:-1], -1, group_size).astype(np.float32)
    w = q * bf16_f32(s)[..., None] + bf16_f32(b)[..., None]        # all float32
    return w.reshape(*packed.shape[:-1], -1)

def to_mlx(cfg, W, group_size=64, bits=4, gates_8bit=True):
    """HF tensors -> what `mlx_lm.convert -q` writes.  Returns (tensors, config)."""
    T, q = {}, dict(group_size=group_size, bits=bits, mode="affine")
    ren = {}
    for k, v in W.items():
        if k.startswith(("mtp.", "model.visual.")): continue
        k = k.replace("model.language_model", "language_model.model") if k.startswith("model.language_model") else "language_model." + k
        if k.endswith("mlp.experts.gate_up_proj"):
            p = k[:-len("experts.gate_up_proj")]; I = v.shape[-2] // 2
            ren[p + "switch_mlp.gate_proj.weight"] = v[:, :I]; ren[p + "switch_mlp.up_proj.weight"] = v[:, I:]
        elif k.endswith("mlp.experts.down_proj"):
            ren[k[:-len("experts.down_proj")] + "switch_mlp.down_proj.weight"] = v
        elif k.endswith("conv1d.weight"): ren[k] = v.movedim(2, 1)           # [C,1,K] -> [C,K,1]
        elif k.endswith((".input_layernorm.weight", ".post_attention_layernorm.weight", "model.norm.weight", ".q_norm.weight", ".k_norm.weight")):
            ren[k] = v + 1.0                                                   # rounded to bf16!
        elif k.endswith("A_log"): ren[k] = v                                   # keeps its dtype
        else: ren[k] = v.to(BF)                                                # mlx-lm casts floats to the config dtype
    for k, v in ren.items():
        path = k[:-len(".weight")]
        quantisable = k.endswith(".weight") and v.dim() >= 2 and "conv1d" not in k and v.shape[-1] % group_size == 0
        if not quantisable: T[k] = v.contiguous(); continue
        b = bits
        if gates_8bit and (path.endswith("mlp.gate") or path.endswith("shared_expert_gate")):
            b = 8; q[path] = dict(group_size=64, bits=8)
        p, s, z = mlx_quantize(v.float().numpy(), group_size, b)
        T[path + ".weight"] = torch.from_numpy(p.view(np.int32)).view(torch.uint32)
        T[path + ".scales"] = torch.from_numpy(s.view(np.int16)).view(BF)
        T[path + ".biases"] = torch.from_numpy(z.view(np.int16)).view(BF)
    c = json.loads(json.dumps(cfg)); c["quantization"] = q; c["quantization_config"] = q
    return T, c

def from_mlx(T, cfg):
    """MLX tensors -> dequantised float32 tensors under HF names (zero-centred norms again)."""
    q = cfg["quantization"]; W = {}
    for k, v in T.items():
        if k.endswith((".scales", ".biases")): continue
        path = k[:-len(".weight")] if k.endswith(".weight") else k
        if path + ".scales" in T:
            o = q.get(path, q)
            s, z = (T[path + x].view(torch.int16).numpy().view(np.uint16) for x in (".scales", ".biases"))
            v = torch.from_numpy(mlx_dequantize(v.view(torch.int32).numpy().view(np.uint32), s, z, o["group_size"], o["bits"]))
        else: v = v.float()
        if k.endswith("conv1d.weight"): v = v.movedim(1, 2)
        if k.endswith((".input_layernorm.weight", ".post_attention_layernorm.weight", "model.norm.weight", ".q_norm.weight", ".k_norm.weight")):
            v = v - 1.0
        k = k.replace("language_model.model", "model.language_model") if k.startswith("language_model.model") else k[len("language_model."):]
        W[k] = v.contiguous()
    for k in [k for k in W if k.endswith("switch_mlp.gate_proj.weight")]:
        p = k[:-len("switch_mlp.gate_proj.weight")]
        W[p + "experts.gate_up_proj"] = torch.cat([W.pop(k), W.pop(p + "switch_mlp.up_proj.weight")], 1)
        W[p + "experts.down_proj"] = W.pop(p + "switch_mlp.down_proj.weight")
    return W

def save_mlx(d, T, cfg):
    os.makedirs(d, exist_ok=True)
    save_file(T, f"{d}/model.safetensors", metadata={"format": "mlx"})
    total = sum(v.numel() * v.element_size() for v in T.values())
    json.dump({"metadata": {"total_size": total}, "weight_map": {k: "model.safetensors" for k in sorted(T)}},
              open(f"{d}/model.safetensors.index.json", "w"), indent=1)
    json.dump(cfg, open(f"{d}/config.json", "w"), indent=1, sort_keys=True)

def save_tokenizer(d, src):
    """512-token tokenizer with the real structure: 256 bytes + first 223 merges (ids 0..478) + the 33 added tokens (479..511)."""
    if not src: return
    import lzma
    raw = json.loads((lzma.open(src) if src.endswith(".xz") else open(src, "rb")).read())
    inv = {v: k for k, v in raw["model"]["vocab"].items()}
    raw["model"]["vocab"] = {inv[i]: i for i in range(479)}; raw["model"]["merges"] = raw["model"]["merges"][:223]
    raw["added_tokens"] = [dict(t, id=479 + i) for i, t in enumerate(raw["added_tokens"])]
    json.dump(raw, open(f"{d}/tokenizer.json", "w"), ensure_ascii=False)
    sp = {str(t["id"]): {k: t[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")} for t in raw["added_tokens"]}
    rx = raw["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    json.dump(dict(add_prefix_space=False, added_tokens_decoder=sp, bos_token=None, clean_up_tokenization_spaces=False, eos_token="<|im_end|>",
                   errors="replace", model_max_length=4096, pad_token="<|endoftext|>", split_special_tokens=False, tokenizer_class="Qwen2Tokenizer",
                   unk_token=None, add_bos_token=False, pretokenize_regex=rx), open(f"{d}/tokenizer_config.json", "w"), indent=1)

# ----------------------------------------------------------------------------------------------
# block-FP8 (the official -FP8 repos): per-expert tensors, F8_E4M3 weight + BF16 weight_scale_inv per 128x128 block
# ----------------------------------------------------------------------------------------------
FP8_KEEP = ("embed_tokens.weight", "lm_head.weight", "mlp.gate.weight", "shared_expert_gate.weight", "conv1d.weight", "in_proj_a.weight",
            "in_proj_b.weight", "mtp.fc.weight", "visual.pos_embed.weight")
def to_fp8(W, B=128):
    out, deq = {}, {}
    flat = {}
    for k, v in W.items():
        if k.endswith("mlp.experts.gate_up_proj"):
            p = k[:-len("gate_up_proj")]; I = v.shape[1] // 2
            for e in range(v.shape[0]): flat[p + f"{e}.gate_proj.weight"], flat[p + f"{e}.up_proj.weight"] = v[e, :I].clone(), v[e, I:].clone()
        elif k.endswith("mlp.experts.down_proj"):
            p = k[:-len("down_proj")]
            for e in range(v.shape[0]): flat[p + f"{e}.down_proj.weight"] = v[e].clone()
        else: flat[k] = v
    for k, v in flat.items():
        if v.dim() != 2 or k.endswith(FP8_KEEP): out[k] = deq[k] = v; continue
        w = v.float(); o, i = w.shape; no, ni = -(-o // B), -(-i // B)
        sc = torch.stack([torch.stack([w[a*B:(a+1)*B, b*B:(b+1)*B].abs().max() for b in range(ni)]) for a in range(no)]) / 448.0
        sc = sc.to(BF); full = sc.float().repeat_interleave(B, 0)[:o].repeat_interleave(B, 1)[:, :i]
        q = (w / full).clamp(-448, 448).to(torch.float8_e4m3fn)
        out[k], out[k + "_scale_inv"] = q, sc
        deq[k] = q.float() * full
    return out, deq

def finish(d, out, meta, only=None):
    out = {k: v.contiguous() for k, v in out.items() if only is None or only(k)}
    save_file(out, f"{d}/reference.safetensors", metadata={"format": "pt"})
    json.dump(meta, open(f"{d}/reference.json", "w"), indent=1)
    sz = {f: os.path.getsize(f"{d}/{f}") for f in sorted(os.listdir(d))}
    print(d, "total %.2f MB" % (sum(sz.values()) / 1e6), sz); print(json.dumps(meta, indent=1))

def versions():
    import transformers
    return dict(torch=torch.__version__, transformers=transformers.__version__, numpy=np.__version__)

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--out", default="fixtures"); ap.add_argument("--only", default="abcfq"); ap.add_argument("--tokenizer", default="", help="full tokenizer.json[.xz] to derive the 512-token one from")
    ap.add_argument("--tmp", default="work"); a = ap.parse_args()
    T, ND = 70, 32
    S = SEEDS
    if "a" in a.only:
        seed = S["a"]; cfg = cfg_a(); W = make_weights(cfg, seed); d = f"{a.out}/tiny-qwen35moe-hf"
        save_hf(d, cfg, W); save_tokenizer(d, a.tokenizer)
        m = hf_model(d); ids = prompt_ids(512, T, seed + 1)
        out, st = reference(m, ids, ND); mtp_reference(m, d, ids, out)
        finish(d, out, dict(seed=seed, prompt_len=T, decode_len=ND, sanity=st, margins=margins(out), decode_ids=out["decode.ids"].tolist(),
                            mtp_draft_ids=out["mtp.draft_ids"].tolist(), input_ids=ids.tolist(), versions=versions()))
    if "b" in a.only:
        for tag, nl, g8, seed in (("", 8, True, S["b"]), ("-uniform", 4, False, S["bu"])):
            cfg = cfg_b(nl); W = make_weights(cfg, seed); d = f"{a.out}/tiny-qwen35moe-mlx4{tag}"
            save_hf(f"{a.tmp}/b{tag}-hf", cfg, W)                     # un-quantised source, kept out of the fixture
            Tn, c = to_mlx(cfg, W, gates_8bit=g8); save_mlx(d, Tn, c); save_tokenizer(d, a.tokenizer)
            Tn = load_file(f"{d}/model.safetensors"); Wd = from_mlx(Tn, json.load(open(f"{d}/config.json")))
            dq = f"{a.tmp}/b{tag}-dequant"; save_hf(dq, cfg, Wd)
            m = hf_model(dq); ids = prompt_ids(512, T, seed + 1); out, st = reference(m, ids, ND)
            keep = lambda k: not k.startswith("detail.") and ".cache." not in k
            meta = dict(seed=seed, prompt_len=T, decode_len=ND, reference="float32 forward of the float32-dequantised weights",
                        sanity=st, margins=margins(out), decode_ids=out["decode.ids"].tolist(), input_ids=ids.tolist(), versions=versions())
            finish(d, out, meta, keep)
    if "c" in a.only:
        seed = S["c"]; cfg = cfg_c(); W = make_weights(cfg, seed, nxt=True); d = f"{a.out}/tiny-qwen3next-hf"
        save_hf(d, cfg, W); save_tokenizer(d, a.tokenizer); m = hf_model(d, nxt=True); ids = prompt_ids(512, T, seed + 1)
        out, st = reference(m, ids, ND, nxt=True)
        finish(d, out, dict(seed=seed, prompt_len=T, decode_len=ND, sanity=st, margins=margins(out), decode_ids=out["decode.ids"].tolist(),
                            input_ids=ids.tolist(), versions=versions()))
    if "f" in a.only:
        seed = S["f"]; cfg = cfg_f(); W = make_weights(cfg, seed); d = f"{a.out}/tiny-qwen35moe-fp8"
        W8, Wd = to_fp8(W); c = json.loads(json.dumps(cfg)); L = cfg["text_config"]["num_hidden_layers"]
        c["quantization_config"] = dict(quant_method="fp8", activation_scheme="dynamic", weight_per_tensor=False, act_per_tensor=False, weight_block_size=[128, 128],
            modules_to_not_convert=sorted({k[:-len(".weight")] for k in W8 if k.endswith(FP8_KEEP)}))
        save_hf(d, c, W8); save_tokenizer(d, a.tokenizer)
        dq = f"{a.tmp}/f-dequant"; save_hf(dq, cfg, Wd); m = hf_model(dq); ids = prompt_ids(512, T, seed + 1); out, st = reference(m, ids, ND); mtp_reference(m, dq, ids, out)
        finish(d, out, dict(seed=seed, prompt_len=T, decode_len=ND, reference="float32 forward of the float32-dequantised weights (no activation quantisation)", sanity=st,
                            margins=margins(out), decode_ids=out["decode.ids"].tolist(), mtp_draft_ids=out["mtp.draft_ids"].tolist(), input_ids=ids.tolist(), versions=versions()),
               lambda k: not k.startswith("detail.") and ".cache." not in k)
    if "q" in a.only:
        import mlx.core as mx
        g = torch.Generator().manual_seed(7)
        w = (torch.randn(6, 256, generator=g) * torch.tensor([1, .02, 5, 1e-3, 1, 1])[:, None]).to(BF)
        w[4] = w[4].abs(); w[5, 64:128] = 0; w[5, 128:192] = 0.25; w[3, :64] *= -1; w[3, :64] = w[3, :64].abs() * -1
        o = {"w_bf16": w}
        wm = mx.array(w.float().numpy()).astype(mx.bfloat16)
        tt = lambda x: torch.from_numpy(np.array(x.astype(mx.float32)))
        for bits in (2, 3, 4, 5, 6, 8):
            for gs in (32, 64, 128):
                qw, s, b = mx.quantize(wm, gs, bits); n = f"b{bits}_g{gs}."
                o[n + "weight"] = torch.from_numpy(np.array(qw).view(np.int32)).view(torch.uint32)
                o[n + "scales"] = tt(s).to(BF); o[n + "biases"] = tt(b).to(BF)
                o[n + "dequant_bf16"] = tt(mx.dequantize(qw, s, b, gs, bits)).to(BF)
                o[n + "dequant_f32"] = tt(mx.dequantize(qw, s.astype(mx.float32), b.astype(mx.float32), gs, bits))
        x = torch.randn(3, 256, generator=g); o["x_f32"] = x
        qw, s, b = mx.quantize(wm, 64, 4)
        o["b4_g64.matmul_f32"] = tt(mx.quantized_matmul(mx.array(x.numpy()), qw, s.astype(mx.float32), b.astype(mx.float32), True, 64, 4))
        os.makedirs(a.out, exist_ok=True)
        save_file({k: v.contiguous() for k, v in o.items()}, f"{a.out}/mlx_quant_vectors.safetensors"); print("mlx vectors", len(o), os.path.getsize(f"{a.out}/mlx_quant_vectors.safetensors"))

if __name__ == "__main__": main()
