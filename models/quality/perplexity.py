"""How near to the float original is llama.cpp's Q8_0? Usage: perplexity.py [DIRECTORY [HELD_OUT.jsonl]]

Runs a Hugging Face Llama directory on held-out documents by transformers in f32, and by llama.cpp from GGUF files made of the
same weights (F32, which checks the conversion, and Q8_0), and prints JSON. Every document is run alone from an empty context.

Perplexities are over what the model must write: answers and their end marks, and plain stories; `all` is over every token.
The cosine is taken between the two logit vectors of each position: mean and minimum over all positions. `divergence` is the
mean Kullback-Leibler divergence from the float distribution, in nats.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gguf_file import write_gguf

STORY = Path(__file__).parent.parent / "story"


def read_documents(tokenizer, path):
    """Pairs of token ids and a mask: true where the token is one the model must write."""
    assistant, end = tokenizer.convert_tokens_to_ids(["<|assistant|>", "<|end|>"])
    pairs = []
    for line in path.read_text().splitlines():
        document = json.loads(line)
        if "text" in document:
            ids = tokenizer.encode(document["text"]) + [end]
            mask = [False] + [True] * (len(ids) - 1)
        else:
            text = tokenizer.apply_chat_template(document["messages"], tokenize=False)
            ids, mask, inside = tokenizer.encode(text, add_special_tokens=False), [], False
            for token in ids:
                mask.append(inside)
                inside = token == assistant or (inside and token != end)
        pairs.append((ids, numpy.array(mask)))
    return pairs


@torch.no_grad()
def float_logits(folder, pairs):
    """Yields each document's logits [length, vocabulary] by transformers in f32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for ids, _ in pairs:
        yield model(torch.tensor([ids])).logits[0].numpy()


def llama_cpp_logits(folder, pairs, kind):
    """Yields each document's logits by llama.cpp from a GGUF file of the given kind."""
    from llama_cpp import Llama

    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/{kind}.gguf"
        write_gguf(folder, path, kind)
        model = Llama(path, n_ctx=1024, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)
        for ids, _ in pairs:
            model.reset()
            model.eval(ids)
            yield numpy.array(model.scores[: len(ids)])


def log_probabilities(logits):
    shifted = logits.astype(numpy.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True))


def compare(references, others, pairs):
    """Perplexity of `others`, and how near they are to `references`."""
    losses, masks, cosines, divergences, same = [], [], [], [], []
    for reference, other, (ids, mask) in zip(references, others, pairs):
        log_p, log_q = log_probabilities(reference), log_probabilities(other)
        losses.append(-log_q[numpy.arange(len(ids) - 1), ids[1:]])
        masks.append(mask[1:])
        norms = numpy.linalg.norm(reference, axis=-1) * numpy.linalg.norm(other, axis=-1)
        cosines.append((reference * other).sum(axis=-1) / norms)
        divergences.append((numpy.exp(log_p) * (log_p - log_q)).sum(axis=-1))
        same.append(reference.argmax(axis=-1) == other.argmax(axis=-1))
    losses, masks, cosines = numpy.concatenate(losses), numpy.concatenate(masks), numpy.concatenate(cosines)
    return {
        "perplexity": round(float(numpy.exp(losses[masks].mean())), 6),
        "perplexity_all": round(float(numpy.exp(losses.mean())), 6),
        "cosine_mean": round(float(cosines.mean()), 8),
        "cosine_minimum": round(float(cosines.min()), 8),
        "divergence": float(f"{numpy.concatenate(divergences).mean():.4g}"),
        "same_best_token": round(float(numpy.concatenate(same).mean()), 6),
    }


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else STORY / "float"
    held_out = Path(sys.argv[2]) if len(sys.argv) > 2 else STORY / "held_out.jsonl"
    torch.set_num_threads(1)
    pairs = read_documents(AutoTokenizer.from_pretrained(folder), held_out)
    references = list(float_logits(folder, pairs))
    print(json.dumps({
        "documents": len(pairs),
        "tokens": sum(len(ids) for ids, _ in pairs),
        "tokens_written_by_the_model": int(sum(mask.sum() for _, mask in pairs)),
        "float": compare(references, references, pairs),
        "llama_cpp_f32": compare(references, llama_cpp_logits(folder, pairs, "f32"), pairs),
        "llama_cpp_q8_0": compare(references, llama_cpp_logits(folder, pairs, "q8_0"), pairs),
    }, indent=2))


if __name__ == "__main__":
    main()
