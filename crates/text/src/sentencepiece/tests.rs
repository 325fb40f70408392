//! Models cut short and of the wrong kind; what they encode is compared in `tokenizer/tests.rs`.

use super::*;
use crate::tokenizer::tests::golden;

/// Standard base64, as golden files keep binary data.
pub(crate) fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = text
        .chars()
        .filter_map(|digit| ALPHABET.find(digit))
        .collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let word = chunk.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - chunk.len()));
        (0..chunk.len() - 1).map(move |at| (word >> (16 - 8 * at)) as u8)
    });
    bytes.collect()
}

#[test]
fn base64_goes_there_and_back() {
    for bytes in [&b""[..], b"a", b"ab", b"abc", &[0, 255, 7, 9, 200]] {
        assert_eq!(decode_base64(&convert::encode_base64(bytes)), bytes);
    }
    assert_eq!(convert::encode_base64(b"hi"), "aGk=");
}

#[test]
fn models_cut_short_are_errors_or_smaller_models() {
    let model = decode_base64(golden("pieces-user")["sentencepiece"].as_str().unwrap());
    assert!(Model::read(&model).unwrap().parts(true).is_ok());
    for length in (0..model.len()).step_by(37) {
        let _ = to_tokenizer_json(&model[..length]);
    }
    assert_eq!(
        to_tokenizer_json(b"").unwrap_err(),
        malformed("it has 0 tokens; 1 to 1048576 are taken")
    );
    assert_eq!(
        to_tokenizer_json(&[0x0A, 0x7F]).unwrap_err(),
        malformed("it is cut short")
    );
    assert_eq!(
        to_tokenizer_json(&[0x12, 0x02, 0x18, 0x04]).unwrap_err(),
        SentencePieceError::Kind(4)
    );
    assert_eq!(
        to_tokenizer_json(&[0xFF; 16]).unwrap_err(),
        malformed("a number is too long")
    );
}

#[test]
fn scores_become_merges_in_order() {
    let tokens = ["a", "b", "ab", "aba", "c"];
    let merges = merges_from_scores(&tokens, &[0.0, 0.0, -2.0, -1.0, 0.0], |id| id != 4);
    assert_eq!(merges, [json!(["ab", "a"]), json!(["a", "b"])]);
}
