//! Answers do not depend on what else is asked, when, or how it is scheduled.

use super::{
    interpreted_root,
    programs::{self, Numbers},
    settings,
};
use crate::exact::{
    Embedding, EmbeddingRequest, Executor, FinishReason, Finished, GenerateError, Generator,
    GeneratorSettings, Model, Ready, Request, SchedulerSettings, Settings, Span,
};
use og_kernels::{Kernels, Path};
use og_program::{
    file::Pooling,
    interpret::{Interpreter, PositionInput},
    sample::{Context, Sampling, log_probability, sample},
};
use proptest::prelude::*;
use std::sync::Arc;

fn input(token: u32) -> PositionInput {
    PositionInput {
        token,
        inputs: vec![],
    }
}

/// The answer as its definition has it: one position after another, by the interpreter.
fn defined(model: &Model, request: &Request) -> (Vec<u32>, Vec<i32>, [u8; 32]) {
    let mut interpreter = Interpreter::new(model.program(), model.weights()).unwrap();
    let inputs: Vec<PositionInput> = request.prompt.iter().map(|token| input(*token)).collect();
    interpreter.extend(&inputs).unwrap();
    let mut tokens = request.prompt.clone();
    let (mut logprobs, mut used) = (vec![], vec![]);
    loop {
        let position = tokens.len() - 1;
        used.push(position);
        let logits = interpreter.computed(model.program().outputs[0].step, position);
        let (mantissas, exponent) = (logits.mantissas(), logits.exponents()[0]);
        let choice = sample(
            mantissas,
            exponent,
            Context {
                prompt: &request.prompt,
                answer: &tokens[request.prompt.len()..],
            },
            &request.sampling,
            position as u64,
            None,
        )
        .unwrap();
        assert_eq!(
            choice.logprob,
            log_probability(mantissas, exponent, choice.token)
        );
        tokens.push(choice.token);
        logprobs.push(choice.logprob);
        let answer = tokens.len() - request.prompt.len();
        if request.ends.contains(&choice.token) || answer == request.most_tokens {
            let root = interpreted_root(model, &interpreter, tokens.len() - 1, &used);
            return (tokens.split_off(request.prompt.len()), logprobs, root);
        }
        interpreter.extend(&[input(choice.token)]).unwrap();
    }
}

fn random_request(numbers: &mut Numbers) -> Request {
    let length = 1 + numbers.below(70);
    let few = 1 + numbers.below(50);
    // Few tokens, so that guesses are found and prompts begin alike.
    let prompt = (0..length).map(|at| ((at % few) % 50) as u32).collect();
    let mut request = Request::new(prompt, 1 + numbers.below(24));
    request.traced = true;
    request.logprobs = Some(2);
    request.ends = vec![numbers.below(50) as u32];
    if numbers.coin() {
        request.sampling = Sampling {
            temperature: numbers.pick(&[0, 20_000, 65_536]),
            top_k: numbers.pick(&[0, 5]),
            top_p: numbers.pick(&[65_536, 50_000]),
            repetition_penalty: numbers.pick(&[65_536, 80_000]),
            frequency_penalty: numbers.pick(&[0, 9_000, -9_000]),
            presence_penalty: numbers.pick(&[0, 30_000]),
            seed: numbers.next(),
        };
    }
    request
}

fn random_generator(model: &Arc<Model>, numbers: &mut Numbers) -> Generator {
    let paths: Vec<Path> = Path::available().collect();
    let kernels = Kernels::new(numbers.pick(&paths)).unwrap();
    let ready = Arc::new(Ready::new(model.clone(), kernels).unwrap());
    let settings = GeneratorSettings {
        executor: Settings {
            threads: numbers.pick(&[1, 2, 4]),
            cache_bytes: 16 << 20,
            keeps_prefixes: numbers.coin(),
        },
        scheduler: SchedulerSettings {
            most_running: numbers.pick(&[1, 3, 16]),
            chunk_positions: numbers.pick(&[1, 7, 64]),
            guesses: numbers.coin(),
        },
        most_waiting: 64,
    };
    Generator::start(ready, None, settings).unwrap()
}

fn check(model: Model, seed: u64) {
    let mut numbers = Numbers(seed ^ 0xa11);
    let model = Arc::new(model);
    let count = 1 + numbers.below(6);
    let requests: Vec<Request> = (0..count).map(|_| random_request(&mut numbers)).collect();
    let expected: Vec<_> = requests
        .iter()
        .map(|request| defined(&model, request))
        .collect();
    for _ in 0..3 {
        let generator = random_generator(&model, &mut numbers);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|_| numbers.next());
        let answers: Vec<_> = order
            .iter()
            .map(|index| {
                (
                    *index,
                    generator.generate(requests[*index].clone()).unwrap(),
                )
            })
            .collect();
        for (index, answer) in answers {
            let finished: Finished = answer.finish().unwrap();
            let (tokens, _, root) = &expected[index];
            assert_eq!(&finished.tokens, tokens);
            assert_eq!(finished.trace_root.as_ref(), Some(root));
            let ends = requests[index].ends.contains(tokens.last().unwrap());
            let reason = if ends {
                FinishReason::End
            } else {
                FinishReason::Length
            };
            assert_eq!(finished.reason, reason);
            assert_eq!(finished.usage.prompt_tokens, requests[index].prompt.len());
            assert_eq!(finished.usage.answer_tokens, tokens.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn answers_are_as_defined_however_they_are_scheduled(seed in any::<u64>()) {
        check(programs::transformer(seed, true), seed);
    }

    #[test]
    fn recurrent_answers_are_as_defined_however_they_are_scheduled(seed in any::<u64>()) {
        let mut numbers = Numbers(seed);
        let model = programs::recurrent(seed);
        let mut request = random_request(&mut numbers);
        request.prompt.iter_mut().for_each(|token| *token %= 40);
        let (tokens, logprobs, root) = defined(&model, &request);
        let generator = random_generator(&Arc::new(model), &mut numbers);
        let mut answer = generator.generate(request).unwrap();
        for (token, expected) in tokens.iter().zip(logprobs) {
            let event = answer.next_event().unwrap();
            let crate::exact::Event::Token { id, probabilities, .. } = event else {
                panic!("{event:?}");
            };
            let probabilities = probabilities.unwrap();
            prop_assert_eq!((id, probabilities.chosen), (*token, expected));
            prop_assert_eq!(probabilities.likeliest.len(), 2);
        }
        prop_assert_eq!(answer.finish().unwrap().trace_root, Some(root));
    }
}

fn generator(most_waiting: usize, cache_bytes: usize) -> (Arc<Model>, Generator) {
    let model = Arc::new(programs::transformer(3, true));
    let ready = Arc::new(Ready::new(model.clone(), Kernels::best()).unwrap());
    let settings = GeneratorSettings {
        executor: Settings {
            cache_bytes,
            ..settings(1)
        },
        scheduler: SchedulerSettings::default(),
        most_waiting,
    };
    (model, Generator::start(ready, None, settings).unwrap())
}

#[test]
fn wrong_requests_are_named() {
    let (model, generator) = generator(8, 1 << 20);
    let positions = model.program().positions as usize;
    let ask = |request| generator.generate(request).unwrap().finish().unwrap_err();
    assert_eq!(ask(Request::new(vec![], 1)), GenerateError::Empty);
    let long = Request::new(vec![1; positions + 1], 1);
    assert!(matches!(ask(long), GenerateError::PromptTooLong { .. }));
    assert!(matches!(
        ask(Request::new(vec![50], 1)),
        GenerateError::Forward(_)
    ));
    assert!(matches!(
        ask(Request::new(vec![1], 0)),
        GenerateError::Model(_)
    ));
    let mut stops = Request::new(vec![1], 1);
    stops.stops = vec!["x".to_owned()];
    assert!(matches!(ask(stops), GenerateError::Model(_)));
    // It still answers, and a full context ends an answer.
    let answer = generator
        .generate(Request::new(vec![1; positions], 9))
        .unwrap();
    let finished = answer.finish().unwrap();
    assert_eq!(
        (finished.tokens.len(), finished.reason),
        (1, FinishReason::Length)
    );
}

#[test]
fn a_full_queue_says_when_to_try_again_and_dropped_answers_free_it() {
    let (_, generator) = generator(2, 1);
    // The cache has one block: no request fits.
    let refused = generator
        .generate(Request::new(vec![1; 40], 400))
        .unwrap()
        .finish();
    assert!(matches!(refused, Err(GenerateError::CacheTooSmall { .. })));
    let (_, generator) = self::generator(1, 1 << 20);
    let mut answers = vec![];
    let busy = loop {
        match generator.generate(Request::new(vec![1], 500)) {
            Ok(answer) => answers.push(answer),
            Err(error) => break error,
        }
        assert!(answers.len() < 10_000);
    };
    assert!(matches!(
        busy,
        GenerateError::Busy {
            retry_after_ms: 1000,
            ..
        }
    ));
    answers.clear();
    let mut tries = 0;
    let finished = loop {
        tries += 1;
        assert!(tries < 1000);
        match generator.generate(Request::new(vec![1], 2)) {
            Ok(answer) => break answer.finish().unwrap(),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    assert_eq!(finished.tokens.len(), 2);
}

#[test]
fn an_embedding_is_the_mean_of_its_rows() {
    let model = Arc::new(programs::embedder(3));
    let ready = Arc::new(Ready::new(model, Kernels::best()).unwrap());
    let mut executor = Executor::new(ready.clone(), &settings(2));
    let prompt: Vec<u32> = (0..9).collect();
    let (sequence, _) = executor.begin(&[], true);
    let span = Span {
        sequence,
        tokens: &prompt,
        inputs: &[],
        wanted: 0..9,
        traced: true,
    };
    executor.forward(&[span], None).unwrap();
    let root = executor.run_root(sequence).unwrap();
    let number = |m: i16, e: i32| f64::from(m) * 2_f64.powi(e);
    let numbers = |row: usize| -> Vec<f64> {
        let value = executor.output(0, row).unwrap();
        let mantissas = value.mantissas.iter();
        mantissas.map(|m| number(*m, value.exponents[0])).collect()
    };
    let rows: Vec<_> = (0..9).map(numbers).collect();
    for (pooling, range) in [(Pooling::Mean, 0..9), (Pooling::Last, 8..9)] {
        // In chunks of any length it is the same.
        let embeddings: Vec<_> = [1, 4, 9, 256]
            .into_iter()
            .map(|chunk_positions| embedding(&ready, chunk_positions, &prompt, pooling))
            .collect();
        assert!(embeddings.iter().all(|other| *other == embeddings[0]));
        let embedding = &embeddings[0];
        assert_eq!(embedding.trace_root == root, pooling == Pooling::Mean);
        for (column, m) in embedding.mantissas.iter().enumerate() {
            let columns = rows[range.clone()].iter().map(|row| row[column]);
            let mean = columns.sum::<f64>() / range.len() as f64;
            let unit = number(1, embedding.exponent);
            assert!((number(*m, embedding.exponent) - mean).abs() <= unit);
        }
    }
}

fn embedding(
    ready: &Arc<Ready>,
    chunk_positions: usize,
    prompt: &[u32],
    pooling: Pooling,
) -> Embedding {
    let settings = GeneratorSettings {
        executor: settings(2),
        scheduler: SchedulerSettings {
            chunk_positions,
            ..SchedulerSettings::default()
        },
        most_waiting: 4,
    };
    let generator = Generator::start(ready.clone(), None, settings).unwrap();
    // Beside others, longer and shorter, it is the same.
    let others = [vec![7; 11], prompt.to_vec(), vec![3]];
    let request = EmbeddingRequest {
        prompts: others.into(),
        pooling,
    };
    let asked = generator.embed(request).unwrap();
    let mut embeddings = futures::executor::block_on(asked.embeddings()).unwrap();
    assert_eq!(embeddings.len(), 3);
    embeddings.swap_remove(1)
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    let refused = |model: Model, prompt: Vec<u32>| {
        let ready = Arc::new(Ready::new(Arc::new(model), Kernels::best()).unwrap());
        let settings = GeneratorSettings {
            executor: settings(2),
            scheduler: SchedulerSettings::default(),
            most_waiting: 4,
        };
        let generator = Generator::start(ready, None, settings).unwrap();
        let request = EmbeddingRequest {
            prompts: vec![vec![1], prompt],
            pooling: Pooling::Mean,
        };
        let asked = generator.embed(request).unwrap();
        futures::executor::block_on(asked.embeddings()).unwrap_err()
    };
    let positions = programs::embedder(3).program().positions as usize;
    let long = refused(programs::embedder(3), vec![1; positions + 1]);
    let expected = GenerateError::PromptTooLong {
        length: positions + 1,
        most: positions,
    };
    assert_eq!(long, expected);
    assert_eq!(refused(programs::embedder(3), vec![]), GenerateError::Empty);
    let encoder = refused(programs::transformer(3, false), vec![1]);
    assert!(matches!(encoder, GenerateError::Model(_)));
}
