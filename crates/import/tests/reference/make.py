"""Writes small random models of six families with what transformers computes from them.

Usage: make.py OUT [WIDTH LAYERS VOCABULARY TOKENS]. The committed vectors are `make.py data`; larger ones are tested with
OG_REFERENCE=OUT cargo test -p og-import --test reference. Each folder of OUT is a model directory with `tokens.bin`
(little-endian uint32) and `logits.bin` (float32, tokens times vocabulary) beside it.
"""
import pathlib
import shutil
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.gpt2 import GPT2Config
from transformers.models.llama import LlamaConfig
from transformers.models.phi3 import Phi3Config
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config

out = pathlib.Path(sys.argv[1])
width, layers, vocabulary, count = map(int, sys.argv[2:6]) if len(sys.argv) > 2 else (32, 2, 32, 12)
head = 8 if width < 128 else 32
heads = width // head
inner = width // 2 if width < 128 else width * 8 // 3

shared = dict(
    vocab_size=vocabulary, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
    num_attention_heads=heads, num_key_value_heads=heads // 2, max_position_embeddings=256,
    bos_token_id=1, eos_token_id=2, pad_token_id=0, attention_dropout=0.0,
)
llama3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
yarn = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)
pairs = head // 4  # three quarters of a head, rounded to pairs, are rotated
long = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=2 * pairs / head,
            original_max_position_embeddings=64,
            short_factor=[1.0 + 0.3 * i for i in range(pairs)], long_factor=[2.0 + 0.5 * i for i in range(pairs)])
configs = {
    "llama": LlamaConfig(**shared, rope_parameters=llama3, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**shared, rope_parameters=yarn, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**shared, head_dim=head, tie_word_embeddings=True),
    "gemma3": Gemma3TextConfig(
        **shared, head_dim=head, query_pre_attn_scalar=head * 2, sliding_window=5,
        layer_types=["sliding_attention", "full_attention"] * (layers // 2), final_logit_softcapping=20.0,
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                             sliding_attention=dict(rope_type="default", rope_theta=1e4))),
    "gpt2": GPT2Config(vocab_size=vocabulary, n_embd=width, n_layer=layers, n_head=heads, n_positions=64, n_inner=inner,
                       bos_token_id=1, eos_token_id=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
    "phi3": Phi3Config(**shared, original_max_position_embeddings=64, sliding_window=6, rope_parameters=long),
}


def fill(model, family, generator):
    """Sizes as in trained models: rows keep their length, gains are about one with a few outliers, biases matter."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            random = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                fan = parameter.shape[0] if family == "gpt2" and name.endswith("weight") and ".c_" in name else parameter.shape[1]
                size = 0.5 if "wpe" in name else fan**-0.5
                parameter.copy_(random * size)
            elif name.endswith("bias"):
                parameter.copy_(random * 0.2)
            else:
                gain = 1.0 + 0.2 * random
                gain[torch.randperm(len(gain), generator=generator)[: len(gain) // 32]] *= 3.0
                parameter.copy_(gain - 1.0 if family == "gemma3" else gain)


for index, (family, config) in enumerate(configs.items()):
    generator = torch.Generator().manual_seed(index)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    fill(model, family, generator)
    half = torch.bfloat16 if family == "qwen2" else torch.float16
    folder = out / family
    shutil.rmtree(folder, ignore_errors=True)
    # One of them is cut into several files.
    shards = "12KB" if family == "qwen3" and width < 128 else "5GB"
    model.to(half).save_pretrained(folder, max_shard_size=shards)
    (folder / "generation_config.json").unlink(missing_ok=True)
    # Read again, so that nothing but weights was rounded.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(3, vocabulary, (1, count), generator=generator)
    with torch.no_grad():
        logits = model(tokens).logits[0]
    tokens[0].numpy().astype("<u4").tofile(folder / "tokens.bin")
    logits.numpy().astype("<f4").tofile(folder / "logits.bin")
    print(family, sum(p.numel() for p in model.parameters()), "weights; logits deviate by", float(logits.std()))
