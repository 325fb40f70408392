//! Execute integer programs: exact, so that every run of the same request gives the same bytes.
//!
//! A [`Model`] is a program with its weights in memory; [`Ready`] is what is worked out of it once. An [`Executor`]
//! computes positions of several sequences at once, with threads of its own and a bounded cache of keys and values.

mod cache;
mod commit;
mod convert;
mod draft;
mod embed;
mod executor;
mod generator;
mod keep;
mod model;
mod plan;
mod ready;
mod request;
mod running;
mod scheduler;
mod steps;
mod tensors;
mod values;

pub use cache::{BLOCK_POSITIONS, CacheError, SequenceId};
pub(crate) use embed::are_rows;
pub use executor::{Executor, ForwardError, MAX_BATCH_POSITIONS, Observer, Settings, Span};
pub use generator::{Generator, GeneratorSettings};
pub use model::{Model, ModelError};
pub use ready::Ready;
pub use request::{
    Answer, Embedding, EmbeddingRequest, Event, FinishReason, Finished, GenerateError,
    Probabilities, Request, StreamFault, Usage,
};
pub use scheduler::SchedulerSettings;
pub use tensors::{ExactTensors, TensorsError};
pub use values::ValueRef;

#[cfg(test)]
mod tests;
