//! How fast a language model is executed on this machine: the engine that serves requests, without a network around it.

use super::figure::Sample;
use crate::failure::failure;
use anyhow::Context as _;
use og_engine::{
    RunSettings,
    exact::{
        Executor, Generator, GeneratorSettings, Model, Ready, Request, SchedulerSettings, Settings,
        Span,
    },
};
use og_import::{
    convert::{Options, convert},
    decoder::{Random, Shape},
};
use og_program::file::Manifest;
use std::{path::Path, sync::Arc, time::Instant};

/// Positions that are computed at once, as the scheduler does it.
const CHUNK: usize = 256;
/// Positions of the models that are drawn.
const POSITIONS: u32 = 2048;
/// Most positions of a prompt, so that there is room for an answer behind it.
pub(super) const MOST_PROMPT: u32 = POSITIONS / 2;
/// Requests at once.
const CONCURRENT: usize = 8;
/// Tokens of each one's prompt and answer.
const BATCH_TOKENS: usize = 32;
/// Tokens that are decoded in a round.
const DECODED: usize = 64;
/// Bytes that keys and values take, at most.
const CACHE_BYTES: usize = 1 << 30;

/// A model to measure, ready to run.
pub(super) struct Subject {
    name: String,
    ready: Arc<Ready>,
    settings: RunSettings,
    /// Positions of the prompt that is prefilled, and that decoding goes on from.
    prompt: usize,
}

impl Subject {
    /// A Llama-shaped model with random weights: speed does not depend on them.
    pub(super) fn random(
        shape: &str,
        settings: RunSettings,
        prompt: usize,
    ) -> anyhow::Result<Self> {
        let known = Shape::named(shape)
            .ok_or_else(|| failure(format!("there is no shape {shape}"), "give 15m, 124m or 1b"))?;
        let options = Options {
            positions: POSITIONS,
            calibration: vec![(0..8).collect()],
            ..Options::default()
        };
        let converted = convert(&Random::new(known.config(), 1), &options, &mut |_| ())?;
        let manifest = Manifest {
            program: converted.program,
            text: None,
        };
        Self::new(
            shape,
            Model::from_parts(manifest, &converted.matrices)?,
            settings,
            prompt,
        )
    }

    /// A model file.
    pub(super) fn file(path: &Path, settings: RunSettings, prompt: usize) -> anyhow::Result<Self> {
        let model = Model::load(path)?;
        let program = model.program();
        if program.vocabulary == 0 {
            return Err(failure(
                "that is no language model",
                "measure it with `og bench latency --model FILE`",
            ));
        }
        if prompt + DECODED > program.positions as usize {
            return Err(failure(
                format!(
                    "the model has {} positions, too few for a prompt of {prompt} and an answer of {DECODED}",
                    program.positions
                ),
                "give a shorter prompt with --prompt-tokens",
            ));
        }
        Self::new(&name_of(path)?, model, settings, prompt)
    }

    fn new(name: &str, model: Model, settings: RunSettings, prompt: usize) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            ready: Arc::new(Ready::new(Arc::new(model), settings.kernels()?)?),
            settings,
            prompt,
        })
    }

    /// What is measured, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn executor(&self) -> Executor {
        Executor::new(self.ready.clone(), &self.executor_settings())
    }

    fn executor_settings(&self) -> Settings {
        Settings {
            threads: self.settings.threads(),
            cache_bytes: CACHE_BYTES,
            keeps_prefixes: false,
        }
    }

    fn token(&self, index: usize) -> u32 {
        index as u32 % self.ready.model().program().vocabulary
    }

    fn prompt(&self) -> Vec<u32> {
        (0..self.prompt).map(|index| self.token(index)).collect()
    }

    /// Tokens of a prompt per second, committed to as served, and without the commitment.
    pub(super) fn prefill(&self) -> anyhow::Result<Vec<Sample>> {
        let mut executor = self.executor();
        let tokens = self.prompt();
        let count = tokens.len() as f64;
        // The first run touches memory that later ones find.
        run_prompt(&mut executor, &tokens, true)?;
        let traced = run_prompt(&mut executor, &tokens, true)?;
        let bare = run_prompt(&mut executor, &tokens, false)?;
        Ok(vec![
            ("prefill_tokens_per_second", count / traced, "1/s"),
            ("prefill_uncommitted", count / bare, "1/s"),
        ])
    }

    /// Tokens of an answer per second after the prompt, committed to as served, and without the commitment.
    pub(super) fn decode(&self) -> anyhow::Result<Vec<Sample>> {
        let mut rates = vec![];
        for (name, traced) in [
            ("decode_tokens_per_second", true),
            ("decode_uncommitted", false),
        ] {
            let mut executor = self.executor();
            let (sequence, _) = executor.begin(&[], traced);
            let prompt = self.prompt();
            let last = prompt.len() - 1..prompt.len();
            executor.forward(&[span(sequence, &prompt, last, traced)], None)?;
            let started = Instant::now();
            for index in 0..DECODED {
                let token = [self.token(index)];
                executor.forward(&[span(sequence, &token, 0..1, traced)], None)?;
            }
            let seconds = started.elapsed().as_secs_f64();
            rates.push((name, DECODED as f64 / seconds, "1/s"));
        }
        Ok(rates)
    }

    /// Tokens of all answers per second with several requests at once, sampling and scheduling included.
    pub(super) fn batch(&self) -> anyhow::Result<Vec<Sample>> {
        let settings = GeneratorSettings {
            executor: self.executor_settings(),
            scheduler: SchedulerSettings {
                guesses: false,
                ..SchedulerSettings::default()
            },
            most_waiting: CONCURRENT,
        };
        let generator = Generator::start(self.ready.clone(), None, settings)?;
        let started = Instant::now();
        let answers: Vec<_> = (0..CONCURRENT)
            .map(|request| {
                let prompt = (0..BATCH_TOKENS).map(|index| self.token(request * 97 + index));
                let mut asked = Request::new(prompt.collect(), BATCH_TOKENS);
                asked.traced = true;
                generator.generate(asked)
            })
            .collect::<Result<_, _>>()?;
        let mut tokens = 0;
        for answer in answers {
            tokens += answer.finish()?.tokens.len();
        }
        Ok(vec![(
            "batch_tokens_per_second",
            tokens as f64 / started.elapsed().as_secs_f64(),
            "1/s",
        )])
    }
}

/// What a model's file is called, without what says its kind.
pub(super) fn name_of(path: &Path) -> anyhow::Result<String> {
    let name = path.file_stem().context("the file has no name")?;
    Ok(name.to_string_lossy().into_owned())
}

fn span(
    sequence: og_engine::exact::SequenceId,
    tokens: &[u32],
    wanted: std::ops::Range<usize>,
    traced: bool,
) -> Span<'_> {
    Span {
        sequence,
        tokens,
        inputs: &[],
        wanted,
        traced,
    }
}

/// Seconds that a prompt takes, its last position's output included.
fn run_prompt(executor: &mut Executor, tokens: &[u32], traced: bool) -> anyhow::Result<f64> {
    let (sequence, _) = executor.begin(&[], traced);
    let started = Instant::now();
    for start in (0..tokens.len()).step_by(CHUNK) {
        let chunk = tokens
            .get(start..(start + CHUNK).min(tokens.len()))
            .unwrap_or(&[]);
        let last = start + chunk.len() == tokens.len();
        let wanted = if last {
            chunk.len() - 1..chunk.len()
        } else {
            0..0
        };
        executor.forward(&[span(sequence, chunk, wanted, traced)], None)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    executor.end(sequence);
    Ok(seconds)
}
