"""The tokenizer: byte-level BPE over the corpus, each digit alone, and five marks for the conversation."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BEGIN, END, SYSTEM, USER, ASSISTANT = range(5)
MARKS = ["<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
QUESTION_WEIGHT = 0.2  # of the loss: the model needs to know how people ask, but never writes it

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(documents, vocabulary):
    """A tokenizer of `vocabulary` tokens; its pre-tokenisation is SmolLM's, which other runtimes know by that name."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=MARKS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((text for document in documents for text in texts(document)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", BEGIN)])
    return tokenizer


def texts(document):
    """All pieces of text in a document."""
    return [document["text"]] if "text" in document else [message["content"] for message in document["messages"]]


def encode(tokenizer, document):
    """Token ids of a document as the chat template writes it, and each token's weight in the loss when it is predicted."""
    ids, weights = [BEGIN], [0.0]
    if "text" in document:
        body = tokenizer.encode(document["text"], add_special_tokens=False).ids
        return ids + body + [END], weights + [1.0] * (len(body) + 1)
    for message in document["messages"]:
        body = tokenizer.encode(message["content"], add_special_tokens=False).ids
        weight = 1.0 if message["role"] == "assistant" else QUESTION_WEIGHT
        ids += [MARKS.index(f"<|{message['role']}|>"), *body, END]
        # Which mark follows is up to the caller; the end mark is the model's own only after an answer.
        weights += [0.0, *[weight] * len(body), weight]
    return ids, weights
