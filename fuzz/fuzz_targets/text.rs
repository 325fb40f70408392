//! Tokenizers, vocabularies and chat templates from strangers: an error or something that works on any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_text::{ChatTemplate, Conversation, Tokenizer, gguf::Vocabulary, sentencepiece};
use std::collections::BTreeMap;

/// Texts that a tokenizer must encode or refuse.
const TEXTS: [&str; 4] = [
    "",
    "Hello  world's 12\n\t👍 é",
    "<s><|im_end|><0x0A>▁",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn run(tokenizer: &Tokenizer) {
    for text in TEXTS {
        let _ = tokenizer.encode_with_special(text, true);
        if let Ok(ids) = tokenizer.encode(text, false) {
            let _ = tokenizer.decode(&ids);
        }
    }
}

/// A vocabulary out of lines of text: kind, pre, then a type, a score and a token each, then merges.
fn vocabulary(text: &str) -> Vocabulary {
    let mut lines = text.split('\n');
    let mut vocabulary = Vocabulary {
        model: lines.next().unwrap_or_default().to_owned(),
        pre: lines.next().unwrap_or_default().to_owned(),
        unknown: Some(0),
        bos: Some(1),
        ..Vocabulary::default()
    };
    for line in lines {
        match line.as_bytes() {
            [b'm', ..] => vocabulary.merges.push(line[1..].to_owned()),
            [kind @ b'0'..=b'9', score @ 0..0x80, ..] => {
                vocabulary.types.push(i32::from(kind - b'0'));
                vocabulary.scores.push(-f32::from(*score));
                vocabulary.tokens.push(line[2..].to_owned());
            }
            _ => {}
        }
    }
    vocabulary
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            let _ = Tokenizer::from_json(bytes).map(|tokenizer| run(&tokenizer));
        }
        1 => {
            if let Ok(json) = sentencepiece::to_tokenizer_json(bytes) {
                let _ = Tokenizer::from_json(&json).map(|tokenizer| run(&tokenizer));
            }
        }
        2 => {
            if let Ok(json) = vocabulary(&String::from_utf8_lossy(bytes)).to_tokenizer_json() {
                let _ = Tokenizer::from_json(&json).map(|tokenizer| run(&tokenizer));
            }
        }
        _ => {
            let source = String::from_utf8_lossy(bytes);
            let Ok(template) = ChatTemplate::new(&source, &BTreeMap::new()) else {
                return;
            };
            let message = serde_json::json!({ "role": "user", "content": "Hi" });
            let _ = template.render(&Conversation {
                messages: vec![message],
                ..Conversation::default()
            });
        }
    }
});
