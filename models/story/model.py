"""The model as a plain PyTorch module: Llama's mathematics under Hugging Face's parameter names.

`Llama(SHAPE).state_dict()` is therefore what `transformers.LlamaForCausalLM` loads, with the tied output matrix left out.
"""

import torch
import torch.nn.functional as functional
from torch import nn

SHAPE = {
    "vocab_size": 2048,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 32,
    "max_position_embeddings": 1024,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
}


class RootMeanSquareNorm(nn.Module):
    """RMSNorm (Zhang and Sennrich 2019) with a learned scale for each channel."""

    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x):
        return functional.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.epsilon)


def rotation_tables(shape, length):
    """Cosines and sines of the rotary embedding (Su et al. 2021), each of shape [length, head_dim]."""
    half = torch.arange(0, shape["head_dim"], 2, dtype=torch.float32) / shape["head_dim"]
    angles = torch.outer(torch.arange(length, dtype=torch.float32), shape["rope_theta"] ** -half)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cosine, sine):
    """Turns pairs (i, i + head_dim / 2) of each head: Hugging Face's order of the rotary embedding."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class Attention(nn.Module):
    """Causal attention with groups of query heads that share a key and a value head."""

    def __init__(self, shape):
        super().__init__()
        hidden, width = shape["hidden_size"], shape["head_dim"]
        self.width, self.heads, self.shared = width, shape["num_attention_heads"], shape["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.heads * width, bias=False)
        self.k_proj = nn.Linear(hidden, self.shared * width, bias=False)
        self.v_proj = nn.Linear(hidden, self.shared * width, bias=False)
        self.o_proj = nn.Linear(self.heads * width, hidden, bias=False)

    def forward(self, x, cosine, sine):
        rows, length, _ = x.shape
        split = lambda y, heads: y.view(rows, length, heads, self.width).transpose(1, 2)
        query = rotate(split(self.q_proj(x), self.heads), cosine, sine)
        key = rotate(split(self.k_proj(x), self.shared), cosine, sine)
        value = split(self.v_proj(x), self.shared)
        repeat = self.heads // self.shared
        key, value = key.repeat_interleave(repeat, dim=1), value.repeat_interleave(repeat, dim=1)
        with torch.autocast("cpu", enabled=False):  # PyTorch's bfloat16 attention is half as fast as its float32
            mixed = functional.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=True)
        return self.o_proj(mixed.to(x.dtype).transpose(1, 2).reshape(rows, length, -1))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, shape):
        super().__init__()
        hidden, inner = shape["hidden_size"], shape["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One block: attention, then the feed-forward part, each after a norm and added to the residual stream."""

    def __init__(self, shape):
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RootMeanSquareNorm(shape["hidden_size"], shape["rms_norm_eps"])
        self.post_attention_layernorm = RootMeanSquareNorm(shape["hidden_size"], shape["rms_norm_eps"])

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embedding, blocks and the last norm."""

    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape["vocab_size"], shape["hidden_size"])
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape["num_hidden_layers"]))
        self.norm = RootMeanSquareNorm(shape["hidden_size"], shape["rms_norm_eps"])


class Llama(nn.Module):
    """The whole model: token ids [rows, length] to logits [rows, length, vocab_size]."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.apply(self.initialise)
        scale = (2 * shape["num_hidden_layers"]) ** -0.5
        for layer in self.model.layers:
            layer.self_attn.o_proj.weight.data.mul_(scale)
            layer.mlp.down_proj.weight.data.mul_(scale)

    @staticmethod
    def initialise(part):
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=0.04)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        if torch.is_autocast_enabled("cpu"):
            x = x.bfloat16()
        cosine, sine = (table.to(x.dtype) for table in rotation_tables(self.shape, tokens.shape[1]))
        for layer in self.model.layers:
            x = layer(x, cosine, sine)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)
