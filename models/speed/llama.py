"""How fast is llama.cpp on the same weights, beside `og bench`, in one run on one machine? Usage: llama.py OG FOLDER [MODEL...]

MODEL is 15m, 124m or 1b, with -q4k behind it for Q4_K; all of 15m 124m 1b 1b-q4k if left out. Writes Llama-shaped GGUF files with
random weights and what `OG model build` makes of them to FOLDER, where they are not there yet. Then, in each round, one measures and
the other one after it. Prints a line of JSON per figure: median, least and greatest of both, and the ratio of the medians.
Ours are committed to, as requests are served; both have two threads.
"""

import ctypes
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy
from gguf import GGMLQuantizationType as Type
from gguf import quants

# Width, layers, heads, key heads, feed-forward width; all with a vocabulary of 32,000.
SHAPES = {"15m": (288, 6, 6, 6, 768), "124m": (768, 12, 12, 12, 2048), "1b": (2048, 22, 32, 4, 5632)}
VOCABULARY, CONTEXT = 32_000, 2048
ROUNDS, THREADS = 5, 2
# As `og bench` measures: tokens of a prompt and decoded after it; requests at once, and tokens of each one's prompt and answer.
PROMPT, DECODED, SEQUENCES, EACH = 256, 64, 8, 32


def write_gguf(path, shape):
    """A model whose matrices are Q8_0 of normal numbers, with a vocabulary of bytes and made-up words."""
    width, layers, heads, key_heads, inner = shape
    random = numpy.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(7)
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words += [f"word{number}" for number in range(VOCABULARY - len(words))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def matrix(name, rows, columns):
        values = (random.standard_normal((rows, columns)) * 0.02).astype(numpy.float32)
        writer.add_tensor(f"{name}.weight", quants.quantize(values, Type.Q8_0), raw_dtype=Type.Q8_0)

    def gain(name):
        writer.add_tensor(f"{name}.weight", numpy.ones(width, numpy.float32))

    matrix("token_embd", VOCABULARY, width)
    matrix("output", VOCABULARY, width)
    gain("output_norm")
    keys = width // heads * key_heads
    for layer in range(layers):
        block = f"blk.{layer}."
        gain(block + "attn_norm")
        gain(block + "ffn_norm")
        for name, rows, columns in [("attn_q", width, width), ("attn_k", keys, width), ("attn_v", keys, width), ("attn_output", width, width),
                                    ("ffn_gate", inner, width), ("ffn_up", inner, width), ("ffn_down", width, inner)]:
            matrix(block + name, rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(og, folder, name):
    """The GGUF file of a model and the program made of it."""
    path, program = folder / f"{name}.gguf", folder / f"{name}.og"
    if not path.exists():
        shape, _, kind = name.partition("-")
        if kind:
            make(og, folder, shape)
            settings = llama_cpp.llama_model_quantize_default_params()
            settings.ftype, settings.allow_requantize, settings.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, True, THREADS
            assert llama_cpp.llama_model_quantize(bytes(folder / f"{shape}.gguf"), bytes(path), ctypes.byref(settings)) == 0
        else:
            write_gguf(path, SHAPES[shape])
    if not program.exists():
        subprocess.run([og, "model", "build", path, "--out", program], check=True, stdout=subprocess.DEVNULL)
    return path, program


class Peer:
    """A model in llama.cpp, driven by its C interface: nothing but its own work is measured."""

    def __init__(self, path):
        self.model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = CONTEXT, 512, 512, SEQUENCES
        settings.n_threads = settings.n_threads_batch = THREADS
        settings.kv_unified = True
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def forward(self, entries):
        """Computes (token, position, sequence, wanted) entries at once."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for index, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[index], batch.pos[index], batch.logits[index] = token, position, wanted
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, sequence
        assert llama_cpp.llama_decode(self.context, batch) == 0
        llama_cpp.llama_synchronize(self.context)

    def prompt(self):
        self.clear()
        self.forward([(300 + place, place, 0, place == PROMPT - 1) for place in range(PROMPT)])

    def prefill(self):
        started = time.perf_counter()
        self.prompt()
        return PROMPT / (time.perf_counter() - started)

    def decode(self):
        self.prompt()
        started = time.perf_counter()
        for place in range(PROMPT, PROMPT + DECODED):
            self.forward([(300 + place, place, 0, True)])
        return DECODED / (time.perf_counter() - started)

    def together(self):
        self.clear()
        started = time.perf_counter()
        self.forward([(300 + 97 * sequence + place, place, sequence, place == EACH - 1) for sequence in range(SEQUENCES) for place in range(EACH)])
        for place in range(EACH, 2 * EACH - 1):
            self.forward([(300 + 97 * sequence + place, place, sequence, True) for sequence in range(SEQUENCES)])
        return SEQUENCES * EACH / (time.perf_counter() - started)

    def round(self):
        return {"prefill_tokens_per_second": self.prefill(), "decode_tokens_per_second": self.decode(), "batch_tokens_per_second": self.together()}

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


def ours(og, program):
    command = [og, "bench", "prefill", "decode", "batch", "--model", program, "--threads", str(THREADS), "--prompt-tokens", str(PROMPT), "--rounds", "1", "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {figure["name"]: figure["value"] for figure in map(json.loads, lines)}


def theirs(path):
    peer = Peer(path)
    peer.round()  # touches memory that later runs find
    figures = peer.round()
    peer.close()
    return figures


def summary(values):
    return [float(f"{value:.4g}") for value in (statistics.median(values), min(values), max(values))]


def main():
    og, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["15m", "124m", "1b", "1b-q4k"]
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    for name in names:
        path, program = make(og, folder, name)
        rounds = [(theirs(path), ours(og, program)) for _ in range(ROUNDS)]
        for figure in rounds[0][0]:
            peer, own = [round[0][figure] for round in rounds], [round[1][figure] for round in rounds]
            ratio = statistics.median(own) / statistics.median(peer)
            print(json.dumps({"model": name, "figure": figure, "llama.cpp": summary(peer), "ours": summary(own), "ratio": round(ratio, 2)}), flush=True)


if __name__ == "__main__":
    main()
