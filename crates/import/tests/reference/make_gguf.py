"""Writes `model.gguf` beside models that make.py wrote, with the names and orders of llama.cpp.

Usage: make_gguf.py OUT FAMILY... (llama, qwen2, qwen3, gpt2, phi3). If llama_cpp can be imported, its logits are compared with
those of transformers. `OG_REFERENCE=OUT cargo test -p og-import --test reference` then reads these files too.
"""
import json
import pathlib
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up", "ln_1": "attn_norm", "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}
WHOLE = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output", "wte": "token_embd", "wpe": "position_embd",
         "ln_f": "output_norm"}


def pairs_beside(weight, heads):
    """llama.cpp turns neighbours where transformers turns halves."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def write(folder, family):
    config = json.loads((folder / "config.json").read_text())
    get = lambda *keys: next(config[key] for key in keys if config.get(key) is not None)
    writer = gguf.GGUFWriter(folder / "model.gguf", family)
    width, heads = get("hidden_size", "n_embd"), get("num_attention_heads", "n_head")
    kv_heads = config.get("num_key_value_heads") or heads
    writer.add_embedding_length(width)
    writer.add_block_count(get("num_hidden_layers", "n_layer"))
    writer.add_context_length(get("max_position_embeddings", "n_positions"))
    writer.add_feed_forward_length(get("intermediate_size", "n_inner"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    if family == "gpt2":
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config.get("rope_parameters") or {}
    head = width // heads
    rotated = int(head * rope.get("partial_rotary_factor", 1.0))
    if rope:
        writer.add_rope_dimension_count(rotated)
        writer.add_rope_freq_base(rope["rope_theta"])
    if config.get("sliding_window") and family == "phi3":
        writer.add_sliding_window(config["sliding_window"])
    kind = rope.get("rope_type")
    if kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if kind == "longrope":
        original = rope["original_max_position_embeddings"]
        factor = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(factor) / np.log(original))))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
    if kind == "llama3":
        frequencies = rope["rope_theta"] ** (-np.arange(0, head, 2) / head)
        turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = np.clip((turns - low) / (high - low), 0, 1)
        writer.add_tensor("rope_freqs.weight", (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32))
    vocabulary = config["vocab_size"]
    writer.add_tokenizer_model("llama")
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"t{i}".encode() for i in range(vocabulary - 3)]
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types([2, 3, 3] + [1] * (vocabulary - 3))
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            tensor = tensor.to(torch.float32).numpy()
            name = name.removeprefix("model.").removeprefix("transformer.")
            stem, suffix = name.rsplit(".", 1)
            if family == "gpt2" and ".c_" in stem and suffix == "weight":
                tensor = np.ascontiguousarray(tensor.T)
            if family == "llama" and "q_proj" in stem:
                tensor = pairs_beside(tensor, heads)
            if family == "llama" and "k_proj" in stem:
                tensor = pairs_beside(tensor, kv_heads)
            if stem in WHOLE:
                name = WHOLE[stem]
            else:
                _, layer, stem = stem.split(".", 2)
                name = f"blk.{layer}.{NAMES[stem]}"
            writer.add_tensor(f"{name}.{suffix}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare(folder, family):
    try:
        from llama_cpp import Llama
    except ImportError:
        return "llama_cpp is not there: not compared"
    tokens = np.fromfile(folder / "tokens.bin", "<u4").tolist()
    expected = np.fromfile(folder / "logits.bin", "<f4").reshape(len(tokens), -1)
    model = Llama(str(folder / "model.gguf"), n_ctx=64, n_threads=1, logits_all=True, verbose=False)
    model.eval(tokens)
    return f"llama.cpp is within {np.abs(model.scores[: len(tokens)] - expected).max():.1e} of transformers"


for family in sys.argv[2:]:
    folder = pathlib.Path(sys.argv[1]) / family
    write(folder, family)
    print(family, compare(folder, family))
