//! Golden vectors of every kind of tokenizer, and what hostile files are told.

use super::*;
use crate::{assets::Assets, gguf::Vocabulary, sentencepiece};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// A golden file, made by `tests/golden/make.py`.
pub(crate) fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The vocabulary of a golden file as GGUF keeps it.
pub(crate) fn vocabulary(golden: &Value) -> Vocabulary {
    let gguf = &golden["gguf"];
    let list = |name: &str| gguf[name].as_array().cloned().unwrap_or_default();
    let strings = |name: &str| {
        list(name)
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let id = |name: &str| gguf[name].as_u64().map(|id| id as u32);
    Vocabulary {
        model: gguf["model"].as_str().unwrap().to_owned(),
        pre: gguf["pre"].as_str().unwrap().to_owned(),
        tokens: strings("tokens"),
        scores: list("scores")
            .iter()
            .map(|score| score.as_f64().unwrap() as f32)
            .collect(),
        types: list("types")
            .iter()
            .map(|kind| kind.as_i64().unwrap() as i32)
            .collect(),
        merges: strings("merges"),
        bos: id("bos"),
        eos: id("eos"),
        unknown: id("unknown"),
        add_space_prefix: gguf["add_space_prefix"].as_bool(),
        remove_extra_whitespaces: gguf["remove_extra_whitespaces"].as_bool(),
        ..Vocabulary::default()
    }
}

/// The tokenizer of a golden file that has a `tokenizer.json`.
pub(crate) fn tokenizer(name: &str) -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_json(golden(name)["tokenizer"].to_string().as_bytes()).unwrap())
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

/// Broken sequences of byte tokens are joined differently by the references.
fn has_bytes(tokenizer: &Tokenizer, ids: &[u32]) -> bool {
    ids.iter().any(|&id| {
        tokenizer
            .token(id)
            .is_some_and(|token| token.starts_with("<0x"))
    })
}

fn check(tokenizer: &Tokenizer, golden: &Value, what: &str) {
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 90);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let expected = ids(&case["ids"]);
        assert_eq!(
            tokenizer.encode(text, false).unwrap(),
            expected,
            "{what}: {text:?}"
        );
        if case["special"].is_array() {
            let found = tokenizer.encode_with_special(text, true).unwrap();
            assert_eq!(found, ids(&case["special"]), "{what}, special: {text:?}");
        }
        let library = tokenizer.inner.decode(&expected, true).unwrap();
        if !has_bytes(tokenizer, &expected)
            || std::str::from_utf8(library.as_bytes()).is_ok() && !library.contains('\u{FFFD}')
        {
            assert_eq!(
                tokenizer.decode(&expected),
                library,
                "{what}, decoded: {text:?}"
            );
        }
    }
}

const BYTE_LEVEL: [&str; 4] = ["bytes-gpt2", "bytes-llama3", "bytes-qwen2", "bytes-smollm"];

#[test]
fn tokenizer_json_encodes_as_the_tokenizers_library_does() {
    for name in BYTE_LEVEL.into_iter().chain(["wordpiece"]) {
        let golden = golden(name);
        let tokenizer = Tokenizer::from_json(golden["tokenizer"].to_string().as_bytes()).unwrap();
        check(&tokenizer, &golden, name);
    }
}

#[test]
fn gguf_vocabularies_encode_as_what_they_were_exported_from() {
    let pieces = [
        "pieces-llama",
        "pieces-no-prefix",
        "pieces-unigram-bytes",
        "wordpiece",
    ];
    for name in BYTE_LEVEL.into_iter().chain(pieces) {
        let golden = golden(name);
        let json = vocabulary(&golden).to_tokenizer_json().unwrap();
        check(&Tokenizer::from_json(&json).unwrap(), &golden, name);
    }
}

#[test]
fn sentencepiece_models_encode_as_sentencepiece_does() {
    for name in [
        "pieces-llama",
        "pieces-user",
        "pieces-no-prefix",
        "pieces-unigram",
        "pieces-unigram-bytes",
    ] {
        let golden = golden(name);
        let model =
            crate::sentencepiece::tests::decode_base64(golden["sentencepiece"].as_str().unwrap());
        let json = sentencepiece::to_tokenizer_json(&model).unwrap();
        check(&Tokenizer::from_json(&json).unwrap(), &golden, name);
    }
}

#[test]
fn what_users_write_is_never_a_special_token() {
    for name in BYTE_LEVEL.into_iter().chain(["wordpiece"]) {
        let tokenizer = tokenizer(name);
        for special in tokenizer.special_tokens().values() {
            for text in [
                special.clone(),
                format!("{special}{special}"),
                format!("a {special}b"),
                format!(" {special}"),
            ] {
                let ids = tokenizer.encode(&text, false).unwrap();
                let special = |id: &&u32| {
                    tokenizer.is_special(**id) && tokenizer.token(**id) != Some("[UNK]")
                };
                assert_eq!(ids.iter().find(special), None, "{name}: {text}");
            }
        }
    }
}

/// Models that look whole words up first, and unigram ones, know special tokens' strings themselves.
#[test]
fn models_that_would_spell_special_tokens_are_kept_from_it() {
    let added = json!([{ "id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true }]);
    let unigram = json!({ "type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [
        ["<unk>", 0.0], ["<s>", 0.0], ["<", -3.0], ["s", -3.0], [">", -3.0], ["s>", -4.0], ["a", -3.0]] });
    let words = json!({ "type": "BPE", "unk_token": null, "ignore_merges": true, "merges": [],
        "vocab": { "x": 0, "<s>": 1, "<": 2, "s": 3, ">": 4, "y": 5, "a": 6 } });
    for (model, expected) in [(unigram, vec![2, 5]), (words, vec![2, 3, 4])] {
        let file = json!({ "added_tokens": added, "model": model });
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        assert_eq!(tokenizer.encode("<s>", false).unwrap(), expected);
        assert_eq!(tokenizer.encode_with_special("<s>", false).unwrap(), [1]);
        assert_eq!(
            tokenizer
                .encode_guarded("<\u{FDD0}s>a<s>", '\u{FDD0}')
                .unwrap(),
            [&expected[..], &[6, 1]].concat()
        );
    }
}

#[test]
fn tokens_can_be_looked_up() {
    let tokenizer = tokenizer("bytes-gpt2");
    let end = tokenizer.id("<|im_end|>").unwrap();
    assert!(tokenizer.is_special(end));
    assert_eq!(tokenizer.token(end), Some("<|im_end|>"));
    assert_eq!(tokenizer.vocabulary_size(), 504);
    assert_eq!(tokenizer.token_bytes(504), None);
    let space = tokenizer.id("Ġ").unwrap();
    assert_eq!(tokenizer.token_bytes(space), Some(&b" "[..]));
    assert_eq!(tokenizer.decode(&[space, end, space, 100_000]), "  ");
    assert_eq!(tokenizer.decode_with_special(&[space, end]), " <|im_end|>");
    assert!(
        tokenizer
            .encode(&"a".repeat(tokenizer.max_text_bytes() + 1), false)
            .is_err()
    );
}

/// Files whose post-processor puts a token in front, behind or nowhere: it is there once.
#[test]
fn texts_to_embed_begin_once_and_end_as_the_file_says() {
    let pieces = vocabulary(&golden("pieces-llama"));
    let (begin, end) = (pieces.bos.unwrap(), pieces.eos.unwrap());
    let tokens = |add_bos, add_eos, wanted| {
        let vocabulary = Vocabulary {
            add_bos: Some(add_bos),
            add_eos: Some(add_eos),
            ..pieces.clone()
        };
        let tokenizer = Tokenizer::from_json(&vocabulary.to_tokenizer_json().unwrap()).unwrap();
        let plain = tokenizer.encode("<s> abc</s>", false).unwrap();
        assert!(!plain.contains(&begin) && !plain.contains(&end));
        let tokens = tokenizer.encode_to_embed("<s> abc</s>", wanted).unwrap();
        let at = tokens.windows(plain.len()).position(|part| part == plain);
        let (before, rest) = tokens.split_at(at.unwrap());
        (before.to_vec(), rest[plain.len()..].to_vec())
    };
    assert_eq!(tokens(true, false, Some(begin)), (vec![begin], vec![]));
    assert_eq!(tokens(false, true, Some(begin)), (vec![begin], vec![end]));
    assert_eq!(tokens(true, true, None), (vec![begin], vec![end]));
    assert_eq!(tokens(false, false, None), (vec![], vec![]));
}

#[test]
fn hostile_files_are_errors() {
    let file = |parts: Value| {
        let mut file = golden("bytes-gpt2")["tokenizer"].clone();
        for (key, value) in parts.as_object().unwrap() {
            file[key] = value.clone();
        }
        Tokenizer::from_json(file.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(
        Tokenizer::from_json(b"{")
            .unwrap_err()
            .to_string()
            .contains("not a usable tokenizer.json")
    );
    assert!(
        Tokenizer::from_json(&vec![b' '; MAX_TOKENIZER_BYTES + 1])
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
    let ctc =
        json!({ "type": "CTC", "pad_token": "a", "word_delimiter_token": "b", "cleanup": true });
    assert!(file(json!({ "decoder": ctc })).contains("\"CTC\""));
    let vocabulary = json!({ "type": "BPE", "vocab": { "a": 4_000_000_000_u32 }, "merges": [] });
    assert!(
        file(json!({ "model": vocabulary, "added_tokens": [] })).contains("at most 1048576 tokens")
    );
    let missing = json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": [["a", "b"]] });
    assert!(file(json!({ "model": missing, "added_tokens": [] })).contains("not a usable"));
    let deep = "[".repeat(100_000);
    assert!(Tokenizer::from_json(format!("{{\"normalizer\":{deep}").as_bytes()).is_err());
    let ghost = json!({ "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "x", "type_id": 0 } },
        { "Sequence": { "id": "A", "type_id": 0 } }], "pair": [], "special_tokens": { "x": { "id": "x", "ids": [9999], "tokens": ["x"] } } });
    assert!(file(json!({ "post_processor": ghost })).contains("9999"));
}

#[test]
fn large_vocabularies_load_quickly() {
    let tokens: Vec<String> = (0..150_000).map(|n| format!("▁{n}")).collect();
    let mut vocabulary = Vocabulary {
        model: "llama".into(),
        unknown: Some(0),
        tokens,
        ..Vocabulary::default()
    };
    vocabulary
        .tokens
        .extend((0..10).map(|digit| digit.to_string()));
    vocabulary.tokens.push("▁".to_owned());
    vocabulary.scores = (0..vocabulary.tokens.len()).map(|n| -(n as f32)).collect();
    let start = std::time::Instant::now();
    let json = vocabulary.to_tokenizer_json().unwrap();
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    assert_eq!(tokenizer.encode("149999 7", false).unwrap(), [149_999, 7]);
    println!("150,000 tokens: {:?}", start.elapsed());
}

#[test]
fn byte_level_directories_are_the_same_tokenizer() {
    let golden = golden("bytes-gpt2");
    let directory = crate::assets::tests::byte_level_directory(&golden);
    let assets = Assets::from_directory(directory.path()).unwrap();
    check(
        &Tokenizer::from_json(&assets.tokenizer).unwrap(),
        &golden,
        "directory",
    );
}

static TOKENIZERS: LazyLock<Vec<Arc<Tokenizer>>> = LazyLock::new(|| {
    let mut all: Vec<_> = BYTE_LEVEL.map(tokenizer).into();
    let pieces = vocabulary(&golden("pieces-llama"))
        .to_tokenizer_json()
        .unwrap();
    all.push(Arc::new(Tokenizer::from_json(&pieces).unwrap()));
    all
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// These vocabularies have all bytes, so nothing is lost.
    #[test]
    fn any_text_survives(text in any::<String>()) {
        for tokenizer in TOKENIZERS.iter() {
            let ids = tokenizer.encode(&text, false).unwrap();
            prop_assert_eq!(&tokenizer.decode(&ids), &text);
        }
    }

    /// Decoding on bytes is what the library's decoders give for any ids that are not bytes of their own.
    #[test]
    fn any_ids_decode_as_the_library_decodes(picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        for tokenizer in TOKENIZERS.iter().chain([&tokenizer("wordpiece")]) {
            let ids: Vec<u32> = picks.iter().map(|pick| pick.index(tokenizer.vocabulary_size()) as u32).collect();
            if !has_bytes(tokenizer, &ids) {
                prop_assert_eq!(tokenizer.decode(&ids), tokenizer.inner.decode(&ids, true).unwrap());
                prop_assert_eq!(tokenizer.decode_with_special(&ids), tokenizer.inner.decode(&ids, false).unwrap());
            }
        }
    }
}
