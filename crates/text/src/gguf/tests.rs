//! Vocabularies that contradict themselves; what they encode is compared in `tokenizer/tests.rs`.

use super::*;
use crate::{Tokenizer, tokenizer::tests};

fn words(model: &str) -> Vocabulary {
    let tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab"]
        .map(str::to_owned)
        .to_vec();
    Vocabulary {
        model: model.to_owned(),
        tokens,
        types: vec![2, 3, 3, 1, 1, 1],
        ..Vocabulary::default()
    }
}

#[test]
fn what_is_wrong_is_named() {
    let error = |vocabulary: Vocabulary| vocabulary.to_tokenizer_json().unwrap_err().to_string();
    assert!(error(words("rwkv")).contains("known are llama, gpt2, bert and t5"));
    let unknown = error(Vocabulary {
        pre: "klingon".to_owned(),
        ..words("gpt2")
    });
    assert!(
        unknown.contains("\"klingon\"")
            && unknown.contains("llama-bpe")
            && unknown.contains("qwen2")
    );
    assert!(
        error(Vocabulary {
            scores: vec![1.0],
            ..words("llama")
        })
        .contains("1 entries in scores")
    );
    assert!(
        error(Vocabulary {
            scores: vec![f32::NAN; 6],
            ..words("llama")
        })
        .contains("finite")
    );
    assert!(
        error(Vocabulary {
            bos: Some(6),
            ..words("llama")
        })
        .contains("token 6")
    );
    assert!(
        error(Vocabulary {
            merges: vec!["ab".to_owned()],
            ..words("gpt2")
        })
        .contains("not a pair")
    );
    assert!(
        error(Vocabulary {
            add_bos: Some(true),
            ..words("gpt2")
        })
        .contains("bos_token_id is missing")
    );
    assert!(error(Vocabulary::default()).contains("0 tokens"));
}

#[test]
fn texts_begin_as_the_file_says() {
    let begun = |vocabulary: Vocabulary| {
        let tokenizer = Tokenizer::from_json(&vocabulary.to_tokenizer_json().unwrap()).unwrap();
        (vocabulary.begin(), tokenizer.encode("", true).unwrap())
    };
    let llama = Vocabulary {
        bos: Some(1),
        eos: Some(2),
        ..words("llama")
    };
    assert_eq!(begun(llama.clone()), (Some(1), vec![1]));
    assert_eq!(
        begun(Vocabulary {
            add_bos: Some(false),
            ..llama.clone()
        }),
        (None, vec![])
    );
    assert_eq!(
        begun(Vocabulary {
            add_eos: Some(true),
            ..llama.clone()
        }),
        (Some(1), vec![1, 2])
    );
    assert_eq!(
        begun(Vocabulary {
            model: "gpt2".to_owned(),
            ..llama.clone()
        }),
        (None, vec![])
    );
    let llama3 = Vocabulary {
        model: "gpt2".to_owned(),
        pre: "llama-bpe".to_owned(),
        ..llama
    };
    assert_eq!(begun(llama3), (Some(1), vec![1]));
}

#[test]
fn an_end_that_the_file_does_not_add_changes_no_bytes() {
    for model in ["llama", "gpt2"] {
        let of = |add_eos| {
            let vocabulary = Vocabulary {
                eos: Some(2),
                merges: vec!["a b".to_owned()],
                add_eos,
                ..words(model)
            };
            vocabulary.to_tokenizer_json().unwrap()
        };
        assert_eq!(of(None), of(Some(false)));
        let tokenizer = Tokenizer::from_json(&of(Some(true))).unwrap();
        let alone = tokenizer.encode("ab", false).unwrap();
        assert!(alone.ends_with(&[5]), "{model}: {alone:?}");
        let ended = [&alone[..], &[2]].concat();
        assert_eq!(tokenizer.encode("ab", true).unwrap(), ended);
    }
}

#[test]
fn ends_are_those_of_the_file_and_the_known_ones() {
    let vocabulary = tests::vocabulary(&tests::golden("bytes-qwen2"));
    let id = |token: &str| {
        vocabulary
            .tokens
            .iter()
            .position(|other| other == token)
            .unwrap() as u32
    };
    assert_eq!(vocabulary.ends(), [id("<|im_end|>"), id("<|endoftext|>")]);
}

#[test]
fn all_expressions_are_understood() {
    let bytes = tests::vocabulary(&tests::golden("bytes-gpt2"));
    for name in pre::names().split(", ") {
        let vocabulary = Vocabulary {
            pre: name.to_owned(),
            ..bytes.clone()
        };
        let tokenizer = Tokenizer::from_json(&vocabulary.to_tokenizer_json().unwrap()).unwrap();
        let text = "Hello  world's 12345 ¿qué? 你好\r\n\n\tx";
        assert_eq!(
            tokenizer.decode(&tokenizer.encode(text, false).unwrap()),
            text,
            "{name}"
        );
    }
}
