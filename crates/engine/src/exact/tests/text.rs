//! Answers as text: stop strings, streams and grammars, with and without guesses.

use super::{programs, settings};
use crate::exact::{
    Event, FinishReason, Finished, Generator, GeneratorSettings, Ready, Request, SchedulerSettings,
};
use og_kernels::Kernels;
use og_program::sample::Sampling;
use og_text::{GrammarFactory, GrammarSource, Tokenizer};
use std::sync::Arc;

/// The token that ends answers.
const END: u32 = 49;

/// A tokenizer of 50 tokens: one for each of 49 characters, and an end.
fn tokenizer() -> Arc<Tokenizer> {
    let characters = ('a'..='z').chain('0'..='9').chain("{}[]\":,.-+!?Ġ".chars());
    let vocabulary: serde_json::Map<String, serde_json::Value> = characters
        .enumerate()
        .map(|(id, character)| (character.to_string(), id.into()))
        .collect();
    assert_eq!(vocabulary.len(), END as usize);
    let byte_level = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [{
            "id": END, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    });
    Arc::new(Tokenizer::from_json(json.to_string().as_bytes()).unwrap())
}

fn generator(tokenizer: &Arc<Tokenizer>, guesses: bool) -> Generator {
    let model = Arc::new(programs::transformer(21, true));
    let settings = GeneratorSettings {
        executor: settings(2),
        scheduler: SchedulerSettings {
            guesses,
            ..SchedulerSettings::default()
        },
        most_waiting: 8,
    };
    let ready = Arc::new(Ready::new(model, Kernels::best()).unwrap());
    Generator::start(ready, Some(tokenizer.clone()), settings).unwrap()
}

fn request() -> Request {
    let mut request = Request::new((0..30).map(|at| at % 6).collect(), 40);
    request.traced = true;
    request.sampling = Sampling {
        temperature: 90_000,
        seed: 5,
        ..Sampling::default()
    };
    request
}

/// The answer, whose events are checked to join to its text.
fn answer(generator: &Generator, request: &Request) -> Finished {
    let mut answer = generator.generate(request.clone()).unwrap();
    let (mut text, mut tokens) = (String::new(), vec![]);
    loop {
        match answer.next_event().unwrap() {
            Event::Token { id, text: more, .. } => {
                text += &more;
                tokens.push(id);
            }
            Event::Finished(finished) => {
                assert_eq!(
                    (text + &finished.rest, &tokens),
                    (finished.text.clone(), &finished.tokens)
                );
                return finished;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn stop_strings_end_an_answer_where_they_begin() {
    let tokenizer = tokenizer();
    let generators = [false, true].map(|guesses| generator(&tokenizer, guesses));
    let whole = answer(&generators[0], &request());
    assert_eq!(whole.reason, FinishReason::Length);
    assert_eq!(whole.text, tokenizer.decode(&whole.tokens));
    assert_eq!(answer(&generators[1], &request()), whole);
    // Two characters from the middle of the answer.
    let stop: String = whole.text.chars().skip(20).take(2).collect();
    let mut stopped = request();
    stopped.stops = vec!["never in it".to_owned(), stop.clone()];
    let [plain, guessed] = generators
        .each_ref()
        .map(|generator| answer(generator, &stopped));
    assert_eq!(plain.reason, FinishReason::Stop(1));
    assert_eq!(plain.text, whole.text[..whole.text.find(&stop).unwrap()]);
    assert!(whole.tokens.starts_with(&plain.tokens) && plain.tokens.len() < whole.tokens.len());
    // A second time, the prompt is known.
    assert_eq!(guessed.usage.cached_tokens, plain.usage.cached_tokens);
    assert_eq!(guessed, plain);
}

#[test]
fn an_answer_follows_its_grammar() {
    let tokenizer = tokenizer();
    let factory = GrammarFactory::new(&tokenizer, &[END]).unwrap();
    let mut constrained = request();
    constrained.ends = vec![END];
    let source = GrammarSource::Regex("[0-9]{3}(-[a-c]{2}){4}".to_owned());
    constrained.grammar = Some(factory.compile(&source).unwrap());
    let [plain, guessed] =
        [false, true].map(|guesses| answer(&generator(&tokenizer, guesses), &constrained));
    assert_eq!(plain, guessed);
    assert!(matches!(
        plain.reason,
        FinishReason::Grammar | FinishReason::End
    ));
    let (digits, letters) = plain.text.split_at(3);
    assert!(
        digits.bytes().all(|digit| digit.is_ascii_digit()),
        "{}",
        plain.text
    );
    assert_eq!(letters.len(), 12);
    assert!(
        letters
            .split('-')
            .skip(1)
            .all(|pair| pair.bytes().all(|letter| (b'a'..=b'c').contains(&letter)))
    );
}
