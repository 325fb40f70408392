//! The hash of every value that a run computes, by the engine or by the reference interpreter.

use super::{compare::Comparison, trace_file::Hashes};
use anyhow::{Context as _, ensure};
use og_engine::exact::{
    ExactTensors, Executor, Model, Observer, Ready, SequenceId, Settings, Span, ValueRef,
};
use og_program::{
    file::Pooling,
    interpret::{Interpreter, PositionInput},
    operation::Step,
    program::Program,
    trace::{Plan, leaf},
    value::Value,
};
use og_types::{Tensor, embedding::Vectors, language::Reply};
use std::sync::Arc;

/// Positions that are computed at once.
const CHUNK: usize = 256;
/// Bytes that keys and values take, at most.
const CACHE_BYTES: usize = 1 << 30;

/// What is run: tokens of a text, or the inputs of one position.
pub(super) struct Run {
    tokens: Vec<u32>,
    inputs: Vec<Vec<Value>>,
    /// The first position whose output is used; all later ones' are too.
    first_used: usize,
}

/// The hashes of committed values, by position and step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaves(Hashes);

impl Run {
    /// The run that gave `outputs` for `inputs`; of tensors with several entries, and of several texts, the first.
    pub(super) fn of(ready: &Ready, inputs: &[Tensor], outputs: &[Tensor]) -> anyhow::Result<Self> {
        let Some(text) = ready.model().text() else {
            let tensors = ExactTensors::new(ready.model().clone())?;
            return Ok(Self {
                tokens: vec![],
                inputs: vec![tensors.values(inputs, 0)?],
                first_used: 0,
            });
        };
        match text.pooling {
            Some(pooling) => Self::embedding(pooling, outputs),
            None => Self::answer(outputs),
        }
    }

    fn embedding(pooling: Pooling, outputs: &[Tensor]) -> anyhow::Result<Self> {
        let texts = Vectors::from_tensors(outputs)?.prompt_tokens;
        let tokens = texts.into_iter().next().unwrap_or_default();
        Ok(Self {
            first_used: match pooling {
                Pooling::Mean => 0,
                Pooling::Last => tokens.len().saturating_sub(1),
            },
            tokens,
            inputs: vec![],
        })
    }

    fn answer(outputs: &[Tensor]) -> anyhow::Result<Self> {
        let reply = Reply::from_tensors(outputs)?;
        let first_used = reply.prompt_tokens.len().saturating_sub(1);
        let mut tokens = [reply.prompt_tokens, reply.tokens].concat();
        // The last token of an answer is chosen, and not run.
        tokens.pop();
        Ok(Self {
            tokens,
            inputs: vec![],
            first_used,
        })
    }

    fn positions(&self) -> usize {
        self.tokens.len().max(self.inputs.len())
    }

    /// Runs it with the engine.
    pub(super) fn by_engine(&self, ready: &Arc<Ready>, threads: usize) -> anyhow::Result<Leaves> {
        let plan = Plan::of(ready.model().program());
        let mut executor = Executor::new(
            ready.clone(),
            &Settings {
                threads,
                cache_bytes: CACHE_BYTES,
                keeps_prefixes: false,
            },
        );
        let (sequence, _) = executor.begin(&self.tokens, false);
        let mut seen = Seen {
            plan: &plan,
            leaves: Leaves::default(),
        };
        for start in (0..self.positions()).step_by(CHUNK) {
            let end = (start + CHUNK).min(self.positions());
            let span = Span {
                sequence,
                tokens: self.tokens.get(start..end).unwrap_or(&[]),
                inputs: self.inputs.get(start..end).unwrap_or(&[]),
                wanted: self.first_used.clamp(start, end) - start..end - start,
                traced: false,
            };
            executor.forward(&[span], Some(&mut seen))?;
        }
        Ok(seen.leaves)
    }

    /// Runs it with the reference interpreter.
    pub(super) fn by_interpreter(&self, model: &Model) -> anyhow::Result<Leaves> {
        let plan = Plan::of(model.program());
        let mut interpreter = Interpreter::new(model.program(), model.weights())?;
        let inputs: Vec<_> = (0..self.positions())
            .map(|position| PositionInput {
                token: self.tokens.get(position).copied().unwrap_or_default(),
                inputs: self.inputs.get(position).cloned().unwrap_or_default(),
            })
            .collect();
        interpreter.extend(&inputs)?;
        let mut leaves = Leaves::default();
        for position in 0..self.positions() {
            let used = position >= self.first_used;
            let tail = plan.tail().iter().filter(|_| used);
            for step in plan.body().iter().chain(tail) {
                let value = interpreter.computed(*step, position);
                leaves
                    .0
                    .insert((u32::try_from(position)?, *step), leaf(*step, value));
            }
        }
        Ok(leaves)
    }
}

/// Notes the leaves of committed steps.
struct Seen<'a> {
    plan: &'a Plan,
    leaves: Leaves,
}

impl Observer for Seen<'_> {
    fn value(&mut self, _: SequenceId, position: usize, step: Step, value: ValueRef<'_>) {
        if let (Some(_), Ok(position)) = (self.plan.place(step), u32::try_from(position)) {
            self.leaves
                .0
                .insert((position, step), leaf(step, &value.to_value()));
        }
    }
}

impl Leaves {
    /// The first value that differs, in the order in which they are computed.
    pub(super) fn compare(&self, other: &Self, program: &Program, whose: &str) -> Comparison {
        let mut keys: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        keys.sort();
        keys.dedup();
        let first = keys.iter().find(|key| self.0.get(key) != other.0.get(key));
        let detail = match first {
            None => format!("{} values, as {whose} has them", self.0.len()),
            Some((position, step)) => {
                let name = program
                    .steps
                    .get(*step as usize)
                    .map_or("unknown", |definition| &definition.name);
                format!(
                    "differs from {whose} first at position {position}, operation {step} ({name})"
                )
            }
        };
        Comparison {
            what: "operations".to_owned(),
            equal: first.is_none(),
            detail,
        }
    }

    /// Reads a trace file of this model.
    pub(super) fn from_bytes(bytes: &[u8], model: &[u8; 32]) -> anyhow::Result<Self> {
        let (found, leaves) = super::trace_file::decode(bytes).context("it is no trace file")?;
        ensure!(found == *model, "it is of another model");
        Ok(Self(leaves))
    }

    /// The bytes of a trace file.
    pub(super) fn to_bytes(&self, model: &[u8; 32]) -> Vec<u8> {
        super::trace_file::encode(model, &self.0)
    }
}
