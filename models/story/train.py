"""Makes the model: corpus, tokenizer, training, and the Hugging Face directory `float/`. Usage: train.py [--tokens N] [--out DIR]

All randomness comes from SEED. The directory is written every few minutes, so that an interrupted run has left a model.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from random import Random

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
import torch.nn.functional as functional
from safetensors.torch import load_file

from corpus import document
from exercises import exercise
from model import SHAPE, Llama
from tokens import END, encode, texts, train_tokenizer
from write import write_directory

SEED = 20
HELD_OUT_SEED = 21
HELD_OUT_DOCUMENTS = 200
WORKERS = 2  # processes of one thread each: on busy cores faster than one process of two threads
TOKENS_PER_BATCH = 2048  # of each worker; a step takes one batch from each
LONGEST = 1024
RATE_MATRICES, RATE_OTHERS, WARM_UP_STEPS, DECAY = 0.008, 0.0015, 30, 0.05
EXERCISES_FIRST, EXERCISES_LATER, LATER = 0.45, 0.12, 0.6  # share of the documents, until that part of the tokens is drawn
HERE = Path(__file__).parent


def held_out_documents():
    """The committed held-out documents: pairs of hero and thing, sums and comparisons that training never shows."""
    random, documents = Random(HELD_OUT_SEED), []
    while len(documents) < HELD_OUT_DOCUMENTS:
        one = document(random, held_out=True)
        if sum(len(text) for text in texts(one)) < 3000:  # within the context
            documents.append(one)
    return documents


def batches(tokenizer, tokens):
    """Yields batches of whole documents of similar length, about TOKENS_PER_BATCH tokens each, until `tokens` are drawn.

    Documents are drawn in pools of 40 batches, sorted by length and cut; the cuts are then shuffled.
    """
    random, drawn = Random(SEED), 0
    while drawn < tokens:
        pool, size = [], 0
        share = EXERCISES_FIRST if drawn < LATER * tokens else EXERCISES_LATER
        while size < 40 * TOKENS_PER_BATCH:
            ids, weights = encode(tokenizer, exercise(random, False) if random.random() < share else document(random))
            if len(ids) <= LONGEST:
                pool.append((ids, weights))
                size += len(ids)
        pool.sort(key=lambda pair: len(pair[0]))
        cuts, rows = [], []
        for pair in pool:
            if rows and (len(rows) + 1) * len(pair[0]) > TOKENS_PER_BATCH * 1.1:
                cuts.append(rows)
                rows = []
            rows.append(pair)
        cuts.append(rows)
        random.shuffle(cuts)
        drawn += size
        yield from (pad(rows) for rows in cuts[: len(cuts) // WORKERS * WORKERS])


def pad(rows):
    """Tensors [rows, longest] of ids and weights; what is added has weight 0."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [END] * (length - len(ids)) for ids, _ in rows])
    weights = torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in rows])
    return ids, weights


def losses(model, ids, weights):
    """Summed weighted cross-entropy and the sum of the weights."""
    logits = model(ids[:, :-1]).float()
    each = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (each * weights).sum(), weights.sum()


@torch.no_grad()
def held_out_loss(model, pairs):
    """Mean loss over the tokens of answers and stories (weight 1) of the held-out documents."""
    total = count = 0.0
    for ids, weights in pairs:
        ids, weights = pad([(ids, weights)])
        loss, amount = losses(model, ids, (weights == 1.0).float())
        total, count = total + loss.item(), count + amount.item()
    return total / count


def optimisers(model):
    """Muon (Jordan 2024) for the matrices inside the blocks, AdamW for the embedding and the norms."""
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    others = [weight for name, weight in model.named_parameters() if "layers" not in name or weight.ndim != 2]
    return [(torch.optim.Muon(matrices, lr=RATE_MATRICES, weight_decay=DECAY, momentum=0.95), RATE_MATRICES),
            (torch.optim.AdamW(others, lr=RATE_OTHERS, betas=(0.9, 0.95), weight_decay=0.0), RATE_OTHERS)]


def schedule(step, done):
    """Factor of the learning rate: linear warm-up, then flat, then linearly to nothing over the last two thirds."""
    return min((step + 1) / WARM_UP_STEPS, 1.0, 1.5 * max(1.0 - done, 0.01))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tokens", type=int, default=6_500_000)
    arguments.add_argument("--out", type=Path, default=HERE / "float")
    arguments.add_argument("--minutes", type=float, default=4, help="between two checkpoints")
    arguments.add_argument("--start", type=Path, help="a directory whose weights to begin with, instead of random ones")
    arguments.add_argument("--steps", type=int, default=0, help="stop early, to measure speed")
    options = arguments.parse_args()
    port = str(20_000 + os.getpid() % 20_000)
    multiprocessing.spawn(work, (options, port), nprocs=WORKERS)


def work(rank, options, port):
    """One worker: prepares everything from the seeds and trains on its share of the batches."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    distributed.init_process_group("gloo", rank=rank, world_size=WORKERS)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    sample_random = Random(SEED + 100)
    tokenizer = train_tokenizer([document(sample_random) for _ in range(12_000)], SHAPE["vocab_size"])
    held_out = held_out_documents()
    if rank == 0:
        (HERE / "held_out.jsonl").write_text("".join(json.dumps(one) + "\n" for one in held_out))
    pairs = [encode(tokenizer, one) for one in held_out]
    model = Llama(SHAPE)
    if options.start:
        model.load_state_dict({name: weight.float() for name, weight in load_file(options.start / "model.safetensors").items()})
    train(rank, model, tokenizer, pairs, options)
    distributed.destroy_process_group()


def share_gradients(model):
    """Replaces every gradient by its mean over the workers."""
    gradients = [weight.grad for weight in model.parameters()]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, (flat / WORKERS).split([gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))


def train(rank, model, tokenizer, pairs, options):
    """The loop over steps; the first worker writes `loss.csv`, and the model every few minutes and at the end."""
    print(sum(weight.numel() for weight in model.parameters()), "parameters", flush=True)
    tools, log, seen, smooth = optimisers(model), [], 0, None
    started = saved = time.time()
    stream = batches(tokenizer, options.tokens)
    for step, group in enumerate(zip(*[stream] * WORKERS)):
        factor = schedule(step, seen / options.tokens)
        for tool, rate in tools:
            tool.param_groups[0]["lr"] = rate * factor
            tool.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total, amount = losses(model, *group[rank])
        loss = total / amount
        loss.backward()
        share_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for tool, _ in tools:
            tool.step()
        seen += sum(int((weights > 0).sum()) for _, weights in group)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if step == options.steps > 0:
            return
        if rank > 0:
            continue
        if step % 25 == 0:
            print(f"step {step} tokens {seen} loss {smooth:.4f} rate {factor:.3f} {seen / (time.time() - started):.0f} tokens/s", flush=True)
        if time.time() - saved > 60 * options.minutes:
            saved = time.time()
            save(model, tokenizer, pairs, options, log, step, seen, smooth)
    if rank == 0:
        save(model, tokenizer, pairs, options, log, step, seen, smooth)


def save(model, tokenizer, pairs, options, log, step, seen, smooth):
    """Measures the held-out loss, adds a line to the log, and writes the directory."""
    loss = held_out_loss(model, pairs)
    print(f"held out {loss:.4f} perplexity {math.exp(loss):.4f}", flush=True)
    log.append(f"{step},{seen},{smooth:.4f},{loss:.4f}\n")
    (HERE / "loss.csv").write_text("step,tokens,training_loss,held_out_loss\n" + "".join(log))
    write_directory(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
