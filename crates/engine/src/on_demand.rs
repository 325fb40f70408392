//! Generators that begin with their first request, so that models nobody asks take no thread.

use crate::{
    backend::RunError,
    exact::{GenerateError, Generator, GeneratorSettings, Ready, SchedulerSettings, Settings},
    programs::RunSettings,
};
use og_text::Tokenizer;
use og_types::Refusal;
use std::sync::{Arc, OnceLock};

/// Bytes that keys and values of all requests to one model take, at most.
const CACHE_BYTES: usize = 1 << 30;
/// Requests that wait for one model, at most.
const MOST_WAITING: usize = 256;

/// A generator, once it was asked for.
pub(crate) struct OnDemand {
    ready: Arc<Ready>,
    tokenizer: Arc<Tokenizer>,
    settings: GeneratorSettings,
    started: OnceLock<Result<Generator, String>>,
}

impl OnDemand {
    pub(crate) fn new(ready: Arc<Ready>, tokenizer: Arc<Tokenizer>, settings: RunSettings) -> Self {
        let settings = GeneratorSettings {
            executor: Settings {
                threads: settings.threads(),
                cache_bytes: CACHE_BYTES,
                keeps_prefixes: true,
            },
            scheduler: SchedulerSettings::default(),
            most_waiting: MOST_WAITING,
        };
        Self {
            ready,
            tokenizer,
            settings,
            started: OnceLock::new(),
        }
    }

    /// The generator, which the first call starts.
    ///
    /// # Errors
    /// [`RunError::Model`] if the system gives no thread.
    pub(crate) fn get(&self) -> Result<&Generator, RunError> {
        let start = || {
            let (ready, tokenizer) = (self.ready.clone(), self.tokenizer.clone());
            Generator::start(ready, Some(tokenizer), self.settings)
                .map_err(|error| format!("no thread to run it on: {error}"))
        };
        let started = self.started.get_or_init(start).as_ref();
        started.map_err(|error| RunError::Model(error.clone()))
    }
}

/// Why a generator did not answer; `input` is the one that holds the text.
pub(crate) fn failed(error: GenerateError, input: &str) -> RunError {
    match error {
        GenerateError::Busy { .. } => RunError::Busy(error.to_string()),
        GenerateError::Empty
        | GenerateError::PromptTooLong { .. }
        | GenerateError::CacheTooSmall { .. }
        | GenerateError::Stops(_)
        | GenerateError::Grammar(_)
        | GenerateError::NoToken => unfit(input, &error),
        GenerateError::Model(_) | GenerateError::Forward(_) | GenerateError::Stopped => {
            RunError::Model(error.to_string())
        }
    }
}

/// The text in `input` cannot be taken.
pub(crate) fn unfit(input: &str, error: &dyn std::fmt::Display) -> RunError {
    let reason = format!("cannot be answered: {error}");
    RunError::Refused(Refusal::of(input, reason))
}
