//! What a GGUF file says about text, for `og_text` to make a tokenizer of.

use super::{Gguf, GgufDecoderError, Value, entries::Entries};
use og_program::file::Pooling;
use og_text::gguf::Vocabulary;

impl Gguf<'_> {
    /// The vocabulary, as the file says it; text that is not UTF-8 becomes replacement characters.
    pub fn vocabulary(&self) -> Vocabulary {
        let key = |name: &str| self.value(&format!("tokenizer.ggml.{name}"));
        let text = |name| {
            key(name)
                .and_then(Value::text)
                .unwrap_or_default()
                .to_owned()
        };
        let id = |name| key(name).and_then(Value::integer);
        let truth = |name| key(name).and_then(Value::truth);
        Vocabulary {
            model: text("model"),
            pre: text("pre"),
            tokens: self.list("tokenizer.ggml.tokens", texts),
            scores: self.list("tokenizer.ggml.scores", |value| {
                value.number().map(|x| x as f32)
            }),
            types: self.list("tokenizer.ggml.token_type", |value| match value {
                Value::Integer(kind) => i32::try_from(*kind).ok(),
                _ => None,
            }),
            merges: self.list("tokenizer.ggml.merges", texts),
            bos: id("bos_token_id"),
            eos: id("eos_token_id"),
            eot: id("eot_token_id"),
            unknown: id("unknown_token_id"),
            padding: id("padding_token_id"),
            add_bos: truth("add_bos_token"),
            add_eos: truth("add_eos_token"),
            add_space_prefix: truth("add_space_prefix"),
            remove_extra_whitespaces: truth("remove_extra_whitespaces"),
            characters: self.list("tokenizer.ggml.precompiled_charsmap", |value| match value {
                Value::Integer(byte) => Some((*byte & 255) as u8),
                _ => None,
            }),
            lowercase: self
                .value("tokenizer.ggml.normalizer.lowercase")
                .and_then(Value::truth),
        }
    }

    /// The chat template, if there is one.
    pub fn chat_template(&self) -> Option<String> {
        let template = self.value("tokenizer.chat_template")?.text()?;
        Some(template.to_owned())
    }

    /// How rows become a text's vector, if the file says that its model embeds texts.
    ///
    /// # Errors
    /// If it says a way that is not known here.
    pub fn pooling(&self) -> Result<Option<Pooling>, GgufDecoderError> {
        let name = self.value("general.architecture").and_then(Value::text);
        let entries = Entries {
            gguf: self,
            name: name.unwrap_or_default(),
        };
        let way = match entries.integer("pooling_type")? {
            None | Some(0) => return Ok(None),
            Some(1) => return Ok(Some(Pooling::Mean)),
            Some(3) => return Ok(Some(Pooling::Last)),
            Some(2) => "the first token's row (cls)".to_owned(),
            Some(4) => "a rank, not a vector".to_owned(),
            Some(other) => format!("{other}, which is unknown"),
        };
        let reason = format!("is {way}; mean (1) and last (3) are possible");
        Err(entries.wrong("pooling_type", &reason))
    }

    fn list<T>(&self, key: &str, of: impl Fn(&Value<'_>) -> Option<T>) -> Vec<T> {
        match self.value(key) {
            Some(Value::Array(array)) => array.values().filter_map(|value| of(&value)).collect(),
            _ => vec![],
        }
    }
}

fn texts(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}
