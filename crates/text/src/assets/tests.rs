//! Directories as Hugging Face's libraries write them, and broken ones.

use super::*;
use crate::tokenizer::tests::golden;
use std::fs;
use tempfile::TempDir;

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

/// `vocab.json`, `merges.txt` and a configuration with the added tokens of a golden file.
pub(crate) fn byte_level_directory(golden: &Value) -> TempDir {
    let file = &golden["tokenizer"];
    let pairs = file["model"]["merges"].as_array().unwrap();
    let merges = pairs.iter().map(|pair| {
        format!(
            "{} {}\n",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    });
    let merges = format!("#version: 0.2\n{}", merges.collect::<String>());
    let added = file["added_tokens"].as_array().unwrap();
    let added: serde_json::Map<_, _> = added
        .iter()
        .map(|token| (token["id"].to_string(), token.clone()))
        .collect();
    let config = json!({ "added_tokens_decoder": added, "eos_token": "<|im_end|>" });
    directory(&[
        ("vocab.json", file["model"]["vocab"].to_string().as_bytes()),
        ("merges.txt", merges.as_bytes()),
        ("tokenizer_config.json", config.to_string().as_bytes()),
    ])
}

#[test]
fn a_directory_with_everything() {
    let tokenizer = golden("bytes-llama3")["tokenizer"].to_string();
    let config = json!({
        "bos_token": { "content": "<|endoftext|>", "lstrip": false }, "eos_token": "<|im_end|>",
        "chat_template": [{ "name": "tool_use", "template": "t" }, { "name": "default", "template": "{{ bos_token }}" }],
    });
    let directory = directory(&[
        ("tokenizer.json", tokenizer.as_bytes()),
        ("tokenizer_config.json", config.to_string().as_bytes()),
        ("generation_config.json", br#"{"eos_token_id": [502, 500]}"#),
        ("config.json", br#"{"eos_token_id": 1}"#),
    ]);
    let assets = Assets::from_directory(directory.path()).unwrap();
    assert_eq!(assets.tokenizer, tokenizer.into_bytes());
    assert_eq!(assets.chat_template.as_deref(), Some("{{ bos_token }}"));
    assert_eq!(
        (assets.begin, &assets.ends[..]),
        (Some(500), &[502, 500][..])
    );
    assert_eq!(assets.special["bos_token"], "<|endoftext|>");
    fs::write(directory.path().join("chat_template.jinja"), "own file").unwrap();
    fs::remove_file(directory.path().join("generation_config.json")).unwrap();
    let assets = Assets::from_directory(directory.path()).unwrap();
    assert_eq!(
        (assets.chat_template.as_deref(), &assets.ends[..]),
        (Some("own file"), &[1][..])
    );
}

#[test]
fn sentencepiece_and_word_piece_directories() {
    let model = crate::sentencepiece::tests::decode_base64(
        golden("pieces-llama")["sentencepiece"].as_str().unwrap(),
    );
    let size = golden("pieces-llama")["gguf"]["tokens"]
        .as_array()
        .unwrap()
        .len() as u32;
    let config = json!({
        "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": false,
        "added_tokens_decoder": { size.to_string(): { "content": "<|end|>", "special": true } },
    });
    let pieces = directory(&[
        ("tokenizer.model", &model),
        ("tokenizer_config.json", config.to_string().as_bytes()),
    ]);
    let assets = Assets::from_directory(pieces.path()).unwrap();
    let tokenizer = Tokenizer::from_json(&assets.tokenizer).unwrap();
    assert_eq!((assets.begin, assets.ends), (Some(1), vec![2]));
    assert_eq!(
        tokenizer.encode_with_special("<|end|>", true).unwrap(),
        [1, size]
    );

    let words = golden("wordpiece");
    let words_directory =
        directory(&[("vocab.txt", words["vocab_txt"].as_str().unwrap().as_bytes())]);
    let assets = Assets::from_directory(words_directory.path()).unwrap();
    let tokenizer = Tokenizer::from_json(&assets.tokenizer).unwrap();
    for case in words["cases"].as_array().unwrap() {
        let ids = json!(
            tokenizer
                .encode_with_special(case["text"].as_str().unwrap(), true)
                .unwrap()
        );
        assert_eq!(ids, case["special"], "{}", case["text"]);
    }
}

#[test]
fn errors_name_the_file() {
    let error = |files: &[(&str, &[u8])]| {
        Assets::from_directory(directory(files).path())
            .unwrap_err()
            .to_string()
    };
    assert!(error(&[]).contains("no tokenizer; one of tokenizer.json"));
    assert!(error(&[("tokenizer.json", b"[]")]).contains("tokenizer.json: this is not a usable"));
    assert!(
        error(&[("tokenizer.model", b"\xFF")])
            .contains("tokenizer.model: this is not a SentencePiece model")
    );
    assert!(error(&[("vocab.json", b"{\"a\": 0}")]).contains("merges.txt: "));
    assert!(error(&[("vocab.json", b"{\"a\": 5}"), ("merges.txt", b"")]).contains("leave one out"));
    assert!(error(&[("vocab.txt", b"\xFF")]).contains("vocab.txt: it is not UTF-8"));
    let tokenizer = golden("bytes-gpt2")["tokenizer"].to_string();
    let with = |name, bytes| error(&[("tokenizer.json", tokenizer.as_bytes()), (name, bytes)]);
    assert!(with("tokenizer_config.json", b"{").contains("tokenizer_config.json: "));
    assert!(
        with("generation_config.json", br#"{"eos_token_id": "x"}"#)
            .contains("generation_config.json: eos_token_id")
    );
}
