//! Many answers of the built-in language model, each way of running it beside the plainest: every byte must be the same.
//!
//! `OG_SOAK_TOKENS=1000000 cargo test --release -p og-engine --test soak -- --nocapture` for a long one.

use og_engine::{
    BUILT_IN,
    exact::{Generator, GeneratorSettings, Model, Ready, Request, SchedulerSettings, Settings},
};
use og_kernels::{Kernels, Path};
use og_program::sample::{ONE, Sampling};
use std::sync::Arc;

/// Tokens that are compared where nothing else is asked for.
const TOKENS: usize = 2_000;
/// Requests that are asked at once.
const ROUND: usize = 16;
/// Rounds after which a long soak says how far it is.
const ROUNDS_BETWEEN_WORDS: u64 = 100;

/// A reproducible number for each place.
fn mixed(seed: u64) -> u64 {
    let x = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

/// A request: some with a common beginning, which a prefix cache finds, greedy and sampled ones.
fn request(number: u64, vocabulary: u64) -> Request {
    let length = 1 + mixed(number) % 96;
    let family = number % 4;
    let prompt = (0..length).map(|place| {
        let own = if place < 48 { family } else { number + 4 };
        (mixed(own * 1_000 + place) % vocabulary) as u32
    });
    Request {
        sampling: Sampling {
            temperature: [0, ONE / 2, ONE, 2 * ONE][(number % 4) as usize],
            top_k: [0, 40][(number / 4 % 2) as usize],
            top_p: [ONE, ONE * 9 / 10][(number / 8 % 2) as usize],
            repetition_penalty: [ONE, ONE * 11 / 10][(number / 16 % 2) as usize],
            seed: number,
            ..Sampling::default()
        },
        ends: vec![1],
        traced: true,
        ..Request::new(prompt.collect(), 1 + (mixed(number + 7) % 160) as usize)
    }
}

fn generator(path: Path, threads: usize, most_running: usize, plain: bool) -> Generator {
    let story = BUILT_IN.iter().find(|model| model.name == "story").unwrap();
    let model = Arc::new(Model::from_bytes(story.file).unwrap());
    let ready = Ready::new(model, Kernels::new(path).unwrap()).unwrap();
    let settings = GeneratorSettings {
        executor: Settings {
            threads,
            cache_bytes: 64 << 20,
            keeps_prefixes: !plain,
        },
        scheduler: SchedulerSettings {
            most_running,
            chunk_positions: if plain { 1 } else { 64 },
            guesses: !plain,
        },
        most_waiting: ROUND,
    };
    Generator::start(Arc::new(ready), None, settings).unwrap()
}

#[test]
fn every_way_of_running_gives_the_same_tokens_and_roots() {
    let asked = std::env::var("OG_SOAK_TOKENS").ok();
    let most: usize = asked.map_or(TOKENS, |tokens| tokens.parse().unwrap());
    let paths: Vec<Path> = Path::available().collect();
    let plain = generator(*paths.last().unwrap(), 1, 1, true);
    let ways: Vec<Generator> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| generator(*path, 1 + number % 3, [16, 5, 3, 9][number % 4], false))
        .collect();
    let vocabulary = u64::from(plain.ready().model().program().vocabulary);
    let (mut tokens, mut number) = (0, 0);
    while tokens < most {
        let way = &ways[number as usize / ROUND % ways.len()];
        let round: Vec<Request> = (0..ROUND as u64)
            .map(|i| request(number + i, vocabulary))
            .collect();
        number += ROUND as u64;
        if number.is_multiple_of(ROUNDS_BETWEEN_WORDS * ROUND as u64) {
            eprintln!("{tokens} of {most} tokens, {number} answers: no difference so far");
        }
        let ask =
            |generator: &Generator, request: &Request| generator.generate(request.clone()).unwrap();
        // All at once in one case, one after the other in the other.
        let together: Vec<_> = round.iter().map(|request| ask(way, request)).collect();
        for (request, answer) in round.iter().zip(together) {
            let (found, expected) = (
                answer.finish().unwrap(),
                ask(&plain, request).finish().unwrap(),
            );
            assert_eq!(found.tokens, expected.tokens, "{request:?}");
            assert_eq!(found.trace_root, expected.trace_root, "{request:?}");
            assert_eq!(found.reason, expected.reason, "{request:?}");
            tokens += expected.tokens.len();
        }
    }
    println!(
        "{tokens} tokens of {number} answers, {} ways: no difference",
        ways.len()
    );
}
