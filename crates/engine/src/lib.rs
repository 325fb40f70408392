//! Run models: one trait, one backend for each way to compute.
//!
//! A [`Backend`] is a loaded model. Integer programs ([`exact`]) give the same bytes on every machine: those with text are a
//! [`LanguageModel`] or an [`EmbeddingModel`], others take and give tensors. [`OnnxFloat`] runs any ONNX file in floating point, through `tract`. A [`Relay`] asks a
//! service of somebody else.
//! A [`Library`] keeps model files by content hash and loads them on demand; some are [built in](BUILT_IN).
//!
//! Model files may be hostile. Those of programs are checked before they are run. `tract` was not written for that, so its
//! panics are contained and reported as errors, and everything that can be counted beforehand is bounded. What cannot be
//! contained inside a process is a graph that exhausts memory, time or the stack: an operator adds ONNX
//! models that they trust so far, or confines the process (see `docs/formats/model.md`).

mod backend;
mod convert;
mod embedding;
pub mod exact;
mod language;
mod library;
mod on_demand;
mod onnx;
mod processors;
mod programs;
mod relay;

pub use backend::{Backend, Count, Pieces, Run, RunError};
pub use embedding::EmbeddingModel;
pub use language::{LanguageModel, UNLIMITED_ANSWER_TOKENS};
pub use library::{
    BUILT_IN, BuiltIn, Library, LibraryError, MAX_LOADED_MODELS, MAX_MODELS, MODEL_NAME_BYTES, load,
};
pub use og_upstream::{UpstreamAccess, UpstreamAuthority, UpstreamError, UpstreamKey};
pub use onnx::{LoadError, MAX_INTERMEDIATE_BYTES, MAX_MODEL_BYTES, MAX_NODES, OnnxFloat};
pub use processors::{MAX_COMPUTATIONS, computations};
pub use programs::{RunSettings, backend, from_bytes, from_file};
pub use relay::Relay;
