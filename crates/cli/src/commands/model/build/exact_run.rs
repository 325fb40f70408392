//! The engine as what quality is measured on: a text run once, some of its values kept.

use og_engine::exact::{Executor, Observer, Ready, SequenceId, Settings, Span, ValueRef};
use og_import::quality::{ExactRun, RunError};
use og_program::{operation::Step, value::Value};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Positions that are computed at once.
const CHUNK: usize = 256;
/// Bytes that keys and values of one text take, at most.
const CACHE_BYTES: usize = 1 << 30;

/// One text that is run by the engine.
pub(super) struct EngineRun<'a> {
    executor: Executor,
    sequence: SequenceId,
    kept: Kept<'a>,
}

/// The values of some steps.
struct Kept<'a> {
    steps: &'a BTreeSet<Step>,
    values: HashMap<(Step, usize), Value>,
}

impl Observer for Kept<'_> {
    fn value(&mut self, _: SequenceId, position: usize, step: Step, value: ValueRef<'_>) {
        if self.steps.contains(&step) {
            self.values.insert((step, position), value.to_value());
        }
    }
}

impl<'a> EngineRun<'a> {
    /// Begins a text; the values of `steps` are kept.
    pub(super) fn new(ready: Arc<Ready>, threads: usize, steps: &'a BTreeSet<Step>) -> Self {
        let mut executor = Executor::new(
            ready,
            &Settings {
                threads,
                cache_bytes: CACHE_BYTES,
                keeps_prefixes: false,
            },
        );
        let (sequence, _) = executor.begin(&[], false);
        Self {
            executor,
            sequence,
            kept: Kept {
                steps,
                values: HashMap::new(),
            },
        }
    }
}

impl ExactRun for EngineRun<'_> {
    fn extend(&mut self, tokens: &[u32]) -> Result<(), RunError> {
        for chunk in tokens.chunks(CHUNK) {
            let span = Span {
                sequence: self.sequence,
                tokens: chunk,
                inputs: &[],
                wanted: 0..chunk.len(),
                traced: false,
            };
            self.executor
                .forward(&[span], Some(&mut self.kept))
                .map_err(|error| RunError(error.to_string()))?;
        }
        Ok(())
    }

    fn value(&self, step: Step, position: usize) -> Result<Value, RunError> {
        let value = self.kept.values.get(&(step, position));
        value
            .cloned()
            .ok_or_else(|| RunError(format!("step {step} was not kept at position {position}")))
    }

    fn clamped(&self) -> Vec<u64> {
        self.executor.clamped().to_vec()
    }
}
