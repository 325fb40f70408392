"""Asks the trained model held-out questions and counts what it gets right. Usage: evaluate.py [DIRECTORY [COUNT]]

Stories: everything that the request names (kind, name, thing, friend, place, colour) must be in the story, and the story must
end by itself. Other questions: the number, word or list that matters must be the last one of the answer. Greedy and sampled.
"""

import json
import re
import sys
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import chats
import corpus

SEED = 22
BATCH = 25
LONGEST_ANSWER = 320


def story_requests(random, count):
    """Pairs of a request and the words that its story must contain."""
    pairs = []
    while len(pairs) < count:
        slots, _ = corpus.draw_story(random, held_out=True)
        request = corpus.ask_story(random, slots)
        words = [slots[key] for key in ("kind", "name", "thing", "fkind", "fname", "place", "colour")]
        asked = [word for word in words if re.search(rf"\b{word}\b", request)]
        if asked:
            pairs.append((request, asked))
    return pairs


def answers(model, tokenizer, requests, sampled):
    """The model's answers and whether each ended by itself."""
    results = []
    for first in range(0, len(requests), BATCH):
        talks = [[{"role": "user", "content": request}] for request in requests[first : first + BATCH]]
        inputs = tokenizer.apply_chat_template(talks, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True)
        choice = {"do_sample": True, "temperature": 0.6, "top_p": 0.95} if sampled else {"do_sample": False, "temperature": None, "top_p": None}
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=LONGEST_ANSWER, **choice)
        for row in output[:, inputs["input_ids"].shape[1] :].tolist():
            ended = tokenizer.eos_token_id in row
            results.append((tokenizer.decode(row, skip_special_tokens=True).strip(), ended))
    return results


def last_value(text):
    """What matters in a short answer: its last number, else its last word."""
    numbers = re.findall(r"\d+", text)
    return numbers[-1] if numbers else re.findall(r"[A-Za-z-]+", text.lower())[-1:]


def rate(values):
    return round(sum(values) / len(values), 3)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "float"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    report = {}
    pairs = story_requests(Random(SEED), count)
    for sampled in (False, True):
        torch.manual_seed(SEED)
        told = answers(model, tokenizer, [request for request, _ in pairs], sampled)
        found = [[re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None for word in words] for (text, _), (_, words) in zip(told, pairs)]
        report["stories, sampled" if sampled else "stories, greedy"] = {
            "named parts found": rate([hit for row in found for hit in row]), "all parts found": rate([all(row) for row in found]),
            "ended": rate([ended for _, ended in told]),
        }
    for name in ("total", "compare", "bigger", "count", "story_sum"):
        random = Random(SEED)
        asked = [getattr(chats, name)(random, True) for _ in range(count)]
        got = answers(model, tokenizer, [question for question, _ in asked], sampled=False)
        exact = name in ("count", "bigger", "compare")
        same = [text == answer if exact else last_value(text) == last_value(answer) for (text, _), (_, answer) in zip(got, asked)]
        report[name] = rate(same)
        print([(question, text) for (question, answer), (text, _), right in zip(asked, got, same) if not right][:5], file=sys.stderr)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
