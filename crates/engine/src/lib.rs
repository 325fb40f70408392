//! Run models: one trait, one backend for each way to compute.
//!
//! A [`Backend`] is a loaded model. [`OnnxFloat`] runs any ONNX file in floating point, through
//! `tract`; [`exact`] executes integer programs, whose every run gives the same bytes: tensors
//! through the same trait, texts through its generator. A [`Library`] keeps model files by content
//! hash and loads them on demand; the [digits](DIGITS) model is built in.
//!
//! Model files may be hostile. `tract` was not written for that, so its panics are contained and
//! reported as errors, and everything that can be counted beforehand is bounded. What cannot be
//! contained inside a process is a graph that exhausts memory, time or the stack: an operator
//! adds models that they trust so far, or confines the process (see `docs/formats/model.md`).

mod backend;
mod contain;
mod convert;
pub mod exact;
mod library;
mod onnx;

pub use backend::{Backend, RunError};
pub use library::{DIGITS, Library, LibraryError, MAX_LOADED_MODELS, MAX_MODELS, MODEL_NAME_BYTES};
pub use onnx::{LoadError, MAX_INTERMEDIATE_BYTES, MAX_MODEL_BYTES, MAX_NODES, OnnxFloat};
