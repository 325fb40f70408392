"""Writes the model as a Hugging Face directory that `transformers` loads: weights in bfloat16, tokenizer, chat template."""

import json
import os

import torch
from safetensors.torch import save_file

from tokens import BEGIN, CHAT_TEMPLATE, END, MARKS


def write_directory(model, tokenizer, folder):
    """Writes all files of the directory; each replaces the old one at once."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().to(torch.bfloat16).contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.new", metadata={"format": "pt"})
    os.chmod(folder / "model.new", 0o644)
    os.replace(folder / "model.new", folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", config(model.shape))
    write_json(folder / "generation_config.json", {
        "bos_token_id": BEGIN, "eos_token_id": [END], "pad_token_id": END, "do_sample": True, "temperature": 0.6, "top_p": 0.95, "max_new_tokens": 300,
    })
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": MARKS[BEGIN], "eos_token": MARKS[END], "pad_token": MARKS[END],
        "additional_special_tokens": MARKS[2:], "add_bos_token": True, "clean_up_tokenization_spaces": False,
        "model_max_length": model.shape["max_position_embeddings"], "chat_template": CHAT_TEMPLATE,
    })


def config(shape):
    """Hugging Face's description of the architecture."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **shape, "hidden_act": "silu", "attention_bias": False,
        "attention_dropout": 0.0, "mlp_bias": False, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
        "initializer_range": 0.04, "pretraining_tp": 1, "rope_scaling": None, "bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": END,
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")
