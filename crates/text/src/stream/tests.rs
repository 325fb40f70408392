//! Streams give what decoding gives, whatever the tokens and stop strings.

use super::*;
use crate::tokenizer::tests::{golden, tokenizer, vocabulary};
use proptest::prelude::*;
use std::sync::LazyLock;

static TOKENIZERS: LazyLock<Vec<Arc<Tokenizer>>> = LazyLock::new(|| {
    let mut all: Vec<_> = ["bytes-llama3", "bytes-qwen2", "wordpiece"]
        .map(tokenizer)
        .into();
    for name in ["pieces-llama", "pieces-no-prefix", "pieces-unigram-bytes"] {
        let json = vocabulary(&golden(name)).to_tokenizer_json().unwrap();
        all.push(Arc::new(Tokenizer::from_json(&json).unwrap()));
    }
    all
});

/// The whole text of a stream, and the stop string that ended it.
fn run(
    tokenizer: &Arc<Tokenizer>,
    start: StreamStart,
    ids: &[u32],
    stops: &[String],
) -> (String, Option<usize>) {
    let mut stream = Stream::new(Arc::clone(tokenizer), start, stops).unwrap();
    let mut text = String::new();
    for &id in ids {
        let progress = stream.push(id);
        text += &progress.text;
        if progress.stopped.is_some() {
            assert_eq!(
                stream.push(id),
                Progress {
                    text: String::new(),
                    stopped: progress.stopped
                }
            );
            return (text, progress.stopped);
        }
    }
    let last = stream.finish();
    (text + &last.text, last.stopped)
}

/// What a text becomes with stop strings: the first to be complete ends it.
fn cut(text: &str, stops: &[String]) -> (String, Option<usize>) {
    let ends = (0..=text.len()).filter(|&end| text.is_char_boundary(end));
    for end in ends {
        let found = stops
            .iter()
            .enumerate()
            .filter(|(_, stop)| text[..end].ends_with(stop.as_str()));
        if let Some((index, stop)) =
            found.max_by_key(|&(index, stop)| (stop.len(), usize::MAX - index))
        {
            return (text[..end - stop.len()].to_owned(), Some(index));
        }
    }
    (text.to_owned(), None)
}

#[test]
fn characters_wait_until_they_are_complete() {
    let tokenizer = &TOKENIZERS[0];
    let ids = tokenizer.encode("a👍b", false).unwrap();
    let mut stream = Stream::new(Arc::clone(tokenizer), StreamStart::Beginning, &[]).unwrap();
    let texts: Vec<String> = ids.iter().map(|&id| stream.push(id).text).collect();
    assert_eq!(texts.concat(), "a👍b");
    assert!(texts.iter().any(String::is_empty), "{texts:?}");
    // Cut within the character, the rest is U+FFFD, as decoding has it.
    let half = &ids[..2];
    assert_eq!(
        run(tokenizer, StreamStart::Beginning, half, &[]).0,
        tokenizer.decode(half)
    );
    assert!(tokenizer.decode(half).ends_with('\u{FFFD}'));
}

#[test]
fn stop_strings_are_held_back_and_never_shown() {
    let tokenizer = &TOKENIZERS[0];
    let ids = tokenizer.encode("one STxx STOP two", false).unwrap();
    let stops = ["STOP".to_owned(), "two".to_owned()];
    assert_eq!(
        run(tokenizer, StreamStart::Beginning, &ids, &stops),
        ("one STxx ".to_owned(), Some(0))
    );
    let end = ["two!".to_owned()];
    assert_eq!(
        run(tokenizer, StreamStart::Beginning, &ids, &end),
        ("one STxx STOP two".to_owned(), None)
    );
    let new = |stops: &[String]| {
        Stream::new(Arc::clone(tokenizer), StreamStart::Beginning, stops).map(|_| ())
    };
    assert_eq!(new(&[String::new()]), Err(StreamError::StopLength(0)));
    assert_eq!(
        new(&vec!["a".to_owned(); 17]),
        Err(StreamError::TooManyStops(17))
    );
}

#[test]
fn a_continuation_keeps_its_space() {
    let pieces = &TOKENIZERS[3];
    let ids = pieces.encode("fox", false).unwrap();
    assert_eq!(run(pieces, StreamStart::Beginning, &ids, &[]).0, "fox");
    assert_eq!(run(pieces, StreamStart::Continuation, &ids, &[]).0, " fox");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn streams_give_what_decoding_gives(
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        bytes in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        for tokenizer in TOKENIZERS.iter() {
            let mut ids: Vec<u32> = picks.iter().map(|pick| pick.index(tokenizer.vocabulary_size()) as u32).collect();
            ids.extend(bytes.iter().filter_map(|byte| tokenizer.id(&format!("<0x{byte:02X}>"))));
            prop_assert_eq!(run(tokenizer, StreamStart::Beginning, &ids, &[]).0, tokenizer.decode(&ids));
        }
    }

    #[test]
    fn stop_strings_end_texts_wherever_tokens_end(
        text in "[ab é👍\u{FFFD}]{0,30}",
        stops in proptest::collection::vec("[ab é👍]{1,4}", 0..4),
    ) {
        for tokenizer in TOKENIZERS.iter() {
            let ids = tokenizer.encode(&text, false).unwrap();
            let expected = cut(&tokenizer.decode(&ids), &stops);
            prop_assert_eq!(run(tokenizer, StreamStart::Beginning, &ids, &stops), expected);
        }
    }
}

#[test]
fn special_tokens_are_hidden_but_for_those_that_are_to_be_shown() {
    let tokenizer = tokenizer("bytes-qwen2");
    let id = |token: &str| tokenizer.id(token).unwrap();
    let ids = [id("<|im_start|>"), id("a"), id("<|im_end|>"), id("b")];
    let text = |shown: &[u32]| {
        let stream = Stream::new(tokenizer.clone(), StreamStart::Continuation, &[]).unwrap();
        let mut stream = stream.showing(shown);
        let mut text: String = ids.iter().map(|id| stream.push(*id).text).collect();
        text += &stream.finish().text;
        text
    };
    assert_eq!(text(&[]), "ab");
    assert_eq!(text(&[id("<|im_start|>")]), "<|im_start|>ab");
}
