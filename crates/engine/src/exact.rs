//! Execute integer programs: exact, so that every run of the same request gives the same bytes.
//!
//! A [`Model`] is a program with its weights in memory; [`Ready`] is what is worked out of it once. An [`Executor`]
//! computes positions of several sequences at once, with threads of its own and a bounded cache of keys and values.

mod cache;
mod commit;
mod draft;
mod executor;
mod keep;
mod model;
mod plan;
mod ready;
mod steps;
mod values;

pub use cache::{BLOCK_POSITIONS, CacheError, SequenceId};
pub use executor::{Executor, ForwardError, MAX_BATCH_POSITIONS, Observer, Settings, Span};
pub use model::{Model, ModelError};
pub use ready::Ready;
pub use values::ValueRef;

#[cfg(test)]
mod tests;
