//! What OpenAI's clients send, and what they expect: one module for each path of the API.
//!
//! Reference: the types of OpenAI's Python package 3.57.0.

pub mod chat;
pub mod completions;
pub mod embeddings;
mod frames;
pub(crate) mod logprobs;
pub mod models;
pub mod responses;
mod settings;

pub use settings::{Defaults, MAX_CHOICES, Style};
