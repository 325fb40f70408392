//! How byte-level vocabularies cut text into words: the expressions behind `tokenizer.ggml.pre`.

use serde_json::{Value, json};

/// One way to cut text.
pub(super) struct Pre {
    names: &'static [&'static str],
    /// Each cuts the pieces that those before it left.
    expressions: &'static [&'static str],
    /// Whether a word that is a token is taken whole, whatever the merges say.
    pub(super) whole_words_first: bool,
    /// Whether a prompt begins with BOS unless the file says otherwise.
    pub(super) begins: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// Every way that is known; `default` is what `llama.cpp` takes where a file says nothing.
const KNOWN: &[Pre] = &[
    Pre {
        names: &["default"],
        expressions: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "exaone4",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "granite-docling",
        ],
        expressions: &[GPT2],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        expressions: &[LLAMA3],
        whole_words_first: true,
        begins: true,
    },
    Pre {
        names: &["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
        expressions: &[LLAMA3],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "stablelm2",
            "megrez",
            "hunyuan",
            "solar-open",
            "grok-2",
            "kormo",
            "f2llmv2",
        ],
        expressions: &[QWEN2],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &["qwen35"],
        expressions: &[QWEN35],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &[
            "starcoder",
            "refact",
            "command-r",
            "smollm",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        expressions: &[r"\p{N}", GPT2],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &["falcon"],
        expressions: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &["deepseek-coder"],
        expressions: &[
            "[\r\n]",
            r"\s?\p{L}+",
            r"\s?\p{P}+",
            "[一-龥ࠀ-一가-퟿]+",
            r"\p{N}",
        ],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        expressions: &[r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
        whole_words_first: false,
        begins: false,
    },
    Pre {
        names: &["tekken"],
        expressions: &[TEKKEN],
        whole_words_first: true,
        begins: true,
    },
    Pre {
        names: &["gpt-4o", "llama4", "kanana2", "minimax-m2"],
        expressions: &[GPT4O],
        whole_words_first: false,
        begins: false,
    },
];

/// The way of a name; the empty name is `default`.
pub(super) fn find(name: &str) -> Option<&'static Pre> {
    let name = if name.is_empty() { "default" } else { name };
    KNOWN.iter().find(|pre| pre.names.contains(&name))
}

/// All names, for a message.
pub(super) fn names() -> String {
    let names: Vec<&str> = KNOWN.iter().flat_map(|pre| pre.names).copied().collect();
    names.join(", ")
}

impl Pre {
    /// The `pre_tokenizer` of a `tokenizer.json`.
    pub(super) fn to_json(&self) -> Value {
        let splits = self.expressions.iter().map(|expression| {
            json!({ "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false })
        });
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
        json!({ "type": "Sequence", "pretokenizers": splits.chain([bytes]).collect::<Vec<_>>() })
    }
}
