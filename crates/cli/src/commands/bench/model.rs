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

/// Positions of the prompt that is prefilled.
const PROMPT: usize = 256;
/// Positions that are computed at once, as the scheduler does it.
const CHUNK: usize = 256;
/// Positions that a model needs for all this.
const POSITIONS: u32 = 1024;
/// Requests at once.
const CONCURRENT: usize = 8;
/// Tokens of each one's prompt and answer.
const BATCH_TOKENS: usize = 32;
/// Seconds that decoding is measured for in a round, about.
const DECODE_SECONDS: f64 = 1.0;
/// Bytes that keys and values take, at most.
const CACHE_BYTES: usize = 1 << 30;

/// A model to measure, ready to run.
pub(super) struct Subject {
    name: String,
    ready: Arc<Ready>,
    settings: RunSettings,
}

impl Subject {
    /// A Llama-shaped model with random weights: speed does not depend on them.
    pub(super) fn random(shape: &str, settings: RunSettings) -> anyhow::Result<Self> {
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
        )
    }

    /// A model file.
    pub(super) fn file(path: &Path, settings: RunSettings) -> anyhow::Result<Self> {
        let name = path.file_stem().context("the file has no name")?;
        Self::new(&name.to_string_lossy(), Model::load(path)?, settings)
    }

    fn new(name: &str, model: Model, settings: RunSettings) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            ready: Arc::new(Ready::new(Arc::new(model), settings.kernels()?)?),
            settings,
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
        300 + (index % 1000) as u32
            % self
                .ready
                .model()
                .program()
                .vocabulary
                .max(1301)
                .saturating_sub(300)
    }

    /// Tokens of a prompt per second, committed to as served, and without the commitment.
    pub(super) fn prefill(&self) -> anyhow::Result<Vec<Sample>> {
        let mut executor = self.executor();
        let tokens: Vec<u32> = (0..PROMPT).map(|index| self.token(index)).collect();
        // The first run touches memory that later ones find.
        run_prompt(&mut executor, &tokens, true)?;
        let traced = run_prompt(&mut executor, &tokens, true)?;
        let bare = run_prompt(&mut executor, &tokens, false)?;
        Ok(vec![
            ("prefill_tokens_per_second", PROMPT as f64 / traced, "1/s"),
            ("prefill_uncommitted", PROMPT as f64 / bare, "1/s"),
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
            let prompt: Vec<u32> = (0..PROMPT).map(|index| self.token(index)).collect();
            let all = prompt.len() - 1..prompt.len();
            executor.forward(&[span(sequence, &prompt, all, traced)], None)?;
            let started = Instant::now();
            let mut decoded = 0;
            while started.elapsed().as_secs_f64() < DECODE_SECONDS
                && PROMPT + decoded < POSITIONS as usize
            {
                let token = [self.token(decoded)];
                executor.forward(&[span(sequence, &token, 0..1, traced)], None)?;
                decoded += 1;
            }
            rates.push((
                name,
                decoded as f64 / started.elapsed().as_secs_f64(),
                "1/s",
            ));
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
