"""Makes the golden vectors beside this file: tiny tokenizers of every kind, and what their reference says.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r requirements.txt && /tmp/venv/bin/python make.py

References: `tokenizers` for tokenizer.json, `sentencepiece` for tokenizer.model, and for GGUF vocabularies
the tokenizer that they were exported from (SentencePiece, or `tokenizers`).
"""

import base64
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.models.bert.tokenization_bert import BertTokenizer

HERE = pathlib.Path(__file__).parent

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's a dog's life, isn't it? We'll see; they've gone, I'm here.",
    "Once upon a time there was a small red boat that sailed across a wide and quiet lake to find an old friend.",
    "def add(a, b):\n    return a + b\n\nfor i in range(10):\n\tprint(i, add(i, 2))\n",
    "Numbers: 0 1 22 333 4444 55555 3.14159 1,000,000 -42 2024-11-25 12:34:56 x86_64 v1.2.3",
    "Der schnelle braune Fuchs springt über den faulen Hund. Größe, Straße, Äpfel, Übermut.",
    "Le café est très chaud, où est la forêt? Ça va bien, garçon. L'été, l'hiver, l'œuvre naïve.",
    "Быстрая коричневая лиса прыгает через ленивую собаку. Привет, мир! Как дела?",
    "敏捷的棕色狐狸跳过懒狗。你好,世界!今天天气很好。日本語の文章もあります。カタカナ、ひらがな。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘습니다. 안녕하세요 세계.",
    "नमस्ते दुनिया। यह एक परीक्षण है। สวัสดีชาวโลก مرحبا بالعالم שלום עולם",
    "{\"name\": \"value\", \"list\": [1, 2, 3], \"nested\": {\"a\": null, \"b\": true}}",
    "<div class=\"a\">text &amp; more</div> https://example.org/path?query=1#part user@example.org",
    "Hello hello HELLO hElLo. hello, hello! (hello) [hello] {hello} 'hello' \"hello\" hello-hello hello_hello",
] * 3

TEXTS = [
    "",
    " ",
    "  ",
    "   leading and trailing   ",
    "Hello, world!",
    "hello",
    " hello",
    "HELLO Don't we'Ll they'RE i'm it's",
    "a\nb\r\nc\n\n\nd\r\re",
    "\t\ttabs\tand\t spaces \t mixed \n",
    "run of          ten spaces and\n\n\n\n\nfive newlines     ",
    "0 12 345 6789 01234567890 3.14 1,000 ½ ² ٣ ١٢٣ Ⅷ",
    "naïve café e\u0301 u\u0308 \u00c5 A\u030a ﬁ ﬂ ① ㎏ ﷺ",
    "敏捷的狐狸 你好世界 漢字かな交じり文 カタカナ 한국어 텍스트",
    "Привет мир! Γειά σου Κόσμε! नमस्ते दुनिया สวัสดี مرحبا שלום",
    "👍 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ✌🏽 \U0001F600\U0001F601",
    "zero\u200bwidth\u200djoin\ufeffbom\u00adsoft\u2060word",
    "nbsp\u00a0thin\u2009ideographic\u3000line\u2028para\u2029nel\u0085end",
    "ctrl\u0000nul\u0001\u0007bell\u001besc\u007fdel\u009fapc",
    "replaced \ufffd\ufffd invalid \ufffd",
    "private \ue000 nonchar \ufdd0 \U0010ffff astral 𐐷𝔘𝔫𝔦",
    "▁lower one eighth ▁▁ block Ġ Ċ ĉ Ā",
    "<0x41> <0x0A> <0xFF> <0xZZ>",
    "##ing ##s [UNK] [CLS] [MASK] unaffable",
    "<s> </s> <unk> <|im_start|>user<|im_end|> <|endoftext|>",
    "<|im_end|><|im_end|>x<|im_end|>",
    "if (x == y) { return x->z ? a[0] : b[1]; } // !!! ???",
    "snake_case camelCase PascalCase SCREAMING kebab-case x86_64",
    "https://example.org/a/b?c=d&e=f#g user.name+tag@example.co.uk",
    "......... !!!!!!! ------- ======= ~~~~~~~ ''''' \"\"\"",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ab" * 60,
    "Übergrößenträger Donaudampfschifffahrtsgesellschaft Straße STRASSE ẞ İ ı",
    "mixed 中文and English与数字123混合 with-punct,here。end",
    "e" + "\u0301" * 20 + " zalgo",
    "x" * 120 + " longword",
    "\n",
    " \n \n ",
    "word\u0300",
    "end with space ",
]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def random_texts():
    rng = random.Random(4)
    alphabet = "ab eE'sSt12 \n\t▁Ġ.,!<|>é中👍\u200d\u0301ß"
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 40))) for _ in range(60)]


def ascii_json(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def write(name, reference, files, encode, encode_special, decode, texts):
    """A set of vectors: the files as text or base64, and what the reference makes of each text."""
    cases = []
    for text in texts:
        ids = encode(text)
        cases.append({"text": text, "ids": ids, "special": encode_special(text) if encode_special else None, "decoded": decode(ids)})
    (HERE / f"{name}.json").write_text(ascii_json({"reference": reference, **files, "cases": cases}) + "\n")


def from_tokenizers(name, tokenizer, extra=None):
    tokenizer.encode_special_tokens = True
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    parsing = Tokenizer.from_str(tokenizer.to_str())
    write(
        name,
        "tokenizers",
        {"tokenizer": json.loads(tokenizer.to_str()), **(extra or {})},
        lambda text: plain.encode(text, add_special_tokens=False).ids,
        lambda text: parsing.encode(text, add_special_tokens=True).ids,
        lambda ids: plain.decode(ids, skip_special_tokens=True),
        TEXTS + random_texts(),
    )


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def gguf_of_bpe(tokenizer, pre, **fields):
    """What llama.cpp's converter writes for a byte-level model."""
    file = json.loads(tokenizer.to_str())
    ids = dict(file["model"]["vocab"])
    added = {token["content"]: token for token in file["added_tokens"]}
    ids.update({content: token["id"] for content, token in added.items()})
    tokens = [token for token, _ in sorted(ids.items(), key=lambda pair: pair[1])]
    types = [1 if t not in added else 3 if added[t]["special"] else 4 for t in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in file["model"]["merges"]]
    return {"gguf": {"model": "gpt2", "pre": pre, "tokens": tokens, "types": types, "merges": merges, **fields}}


def byte_level(name, pre, expression, ignore_merges, begins):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if pre == "gpt-2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif pre == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(expression), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    bos = tokenizer.token_to_id(SPECIAL[0])
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], bos)])
    from_tokenizers(name, tokenizer, gguf_of_bpe(tokenizer, pre, bos=bos, eos=bos + 2))


# A small map of characters: SentencePiece's own, of 240 kB, is too large to keep here.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u200b": "", "ﬁ": "fi", "①": "1", "㎏": "kg",
         "e\u0301": "é", "A\u030a": "Å", "ﷺ": "صلى الله عليه وسلم", "\u00ad": "", "Ａ": "A", "½": "1/2"}


def sentencepiece_model(rules=None, **options):
    model = io.BytesIO()
    if rules:
        codes = lambda text: " ".join(f"{ord(character):X}" for character in text)
        file = tempfile.NamedTemporaryFile("w", suffix=".tsv")
        file.write("".join(f"{codes(source)}\t{codes(target)}\n" for source, target in rules.items()))
        file.flush()
        options["normalization_rule_tsv"] = file.name
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in CORPUS for line in text.split("\n") if line]),
        model_writer=model,
        minloglevel=2,
        num_threads=1,
        **options,
    )
    return model.getvalue()


def gguf_of_sentencepiece(model, processor, kind, options):
    kinds = lambda i: (
        2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i)
        else 5 if processor.is_unused(i) else 4 if processor.id_to_piece(i) in options.get("user_defined_symbols", []) else 1
    )
    size = processor.get_piece_size()
    return {
        "model": kind,
        "pre": "",
        "tokens": [processor.id_to_piece(i) for i in range(size)],
        "scores": [processor.get_score(i) for i in range(size)],
        "types": [kinds(i) for i in range(size)],
        "merges": [],
        "unknown": processor.unk_id(),
        "bos": processor.bos_id() if processor.bos_id() >= 0 else None,
        "eos": processor.eos_id(),
        "add_space_prefix": options.get("add_dummy_prefix", True),
        "remove_extra_whitespaces": options.get("remove_extra_whitespaces", True),
    }


def from_sentencepiece(name, kind, texts=None, gguf=True, **options):
    model = sentencepiece_model(**options)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    files = {"sentencepiece": base64.b64encode(model).decode()}
    if gguf:
        files["gguf"] = gguf_of_sentencepiece(model, processor, kind, options)
    # SentencePiece's own decoder joins broken byte sequences differently; whole texts are compared.
    write(name, "sentencepiece", files, processor.encode, None, processor.decode, texts or TEXTS + random_texts())


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    vocabulary = tokenizer.get_vocab()
    tokens = [token for token, _ in sorted(vocabulary.items(), key=lambda pair: pair[1])]
    # As transformers builds it from a vocab.txt.
    reference = BertTokenizer(vocab=vocabulary, do_lower_case=True)._tokenizer
    reference.decoder = decoders.WordPiece()
    def phantom(t):
        return t if t.startswith("[") and t.endswith("]") else t[2:] if t.startswith("##") else "\u2581" + t

    types = [3 if token in special else 1 for token in tokens]
    gguf = {"model": "bert", "pre": "", "tokens": [phantom(t) for t in tokens], "types": types, "merges": [], "bos": 2, "eos": 3, "unknown": 1}
    from_tokenizers("wordpiece", reference, {"gguf": gguf, "vocab_txt": "\n".join(tokens) + "\n"})


if __name__ == "__main__":
    byte_level("bytes-gpt2", "gpt-2", None, False, False)
    byte_level("bytes-llama3", "llama-bpe", LLAMA3, True, True)
    byte_level("bytes-qwen2", "qwen2", QWEN2, False, False)
    byte_level("bytes-smollm", "smollm", None, False, False)
    llama = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                 character_coverage=0.98, allow_whitespace_only_pieces=True, split_digits=True)
    from_sentencepiece("pieces-llama", "llama", vocab_size=700, **llama)
    from_sentencepiece("pieces-user", "llama", vocab_size=700, user_defined_symbols=["<tool>", "fox jumps", "12"], gguf=False, **llama)
    from_sentencepiece("pieces-no-prefix", "llama", vocab_size=700, add_dummy_prefix=False, **llama)
    from_sentencepiece("pieces-unigram", "t5", vocab_size=300, model_type="unigram", rules=RULES, gguf=False,
                       # The `tokenizers` library normalises graphemes of 6 bytes or more character by character.
                       texts=[text for text in TEXTS if "\u0301\u0301" not in text] + random_texts())
    from_sentencepiece("pieces-unigram-bytes", "t5", vocab_size=560, model_type="unigram", byte_fallback=True,
                       normalization_rule_name="identity", remove_extra_whitespaces=False, gguf=True)
    word_piece()
