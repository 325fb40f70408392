"""Writes a Hugging Face Llama directory as a GGUF file, its matrices in F32 or Q8_0. Usage: gguf_file.py DIRECTORY OUT.gguf [f32|q8_0]

For comparison with llama.cpp only. It knows what models/story needs: Llama's architecture, byte-level BPE, tied embeddings or not.
"""

import json
import sys
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type
from gguf import quants
from safetensors.torch import load_file

PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
NORMAL, CONTROL = 1, 3


def interleave(matrix, heads):
    """Rows of a query or key matrix in llama.cpp's order: it rotates neighbours, Hugging Face rotates halves of a head."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensor_name(name):
    """llama.cpp's name of a Hugging Face tensor."""
    if name in WHOLE:
        return WHOLE[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{PARTS[part]}.weight"


def write_tokenizer(writer, folder):
    """The vocabulary, its merges and the chat template."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    control = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")  # digits alone, then GPT-2's pattern
    writer.add_token_list(vocabulary)
    writer.add_token_types([CONTROL if token in control else NORMAL for token in vocabulary])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(vocabulary.index(config["bos_token"]))
    writer.add_eos_token_id(vocabulary.index(config["eos_token"]))
    writer.add_add_bos_token(True)
    template = folder / "chat_template.jinja"
    writer.add_chat_template(template.read_text() if template.exists() else config["chat_template"])


def write_gguf(folder, path, kind):
    """Writes the whole file; `kind` is "f32" or "q8_0" and holds for the matrices, norms are F32."""
    config = json.loads((folder / "config.json").read_text())
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("story")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(7 if kind == "q8_0" else 0)
    write_tokenizer(writer, folder)
    for name, tensor in load_file(folder / "model.safetensors").items():
        values = tensor.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            values = interleave(values, heads if "q_proj" in name else shared)
        if kind == "q8_0" and values.ndim == 2:
            writer.add_tensor(tensor_name(name), quants.quantize(values, Type.Q8_0), raw_dtype=Type.Q8_0)
        else:
            writer.add_tensor(tensor_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write_gguf(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "q8_0")
