//! Speak the chat services' formats, as server and as client: requests and answers, whole and in pieces.
//!
//! The one form inside is `og_types::language`: a `Question` is what was asked, `Piece`s and `Said` are what came.
//!
//! - [`openai`] reads what OpenAI's clients send and writes what they expect.
//! - [`anthropic`] does so for Anthropic's.
//! - [`upstream`] asks other services and reads their answers.
//!
//! Nothing is dropped silently (`docs/apis.md` lists every parameter): a parameter is honoured, or accepted with the value that
//! changes nothing, or refused by name. Nothing here does input or output, or knows the time: ids and times are arguments.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
    )
)]

mod answer;
pub mod anthropic;
mod document;
mod error;
mod fields;
mod fraction;
pub mod openai;
mod picture;
mod settings;
pub mod sse;
mod tools;
pub mod upstream;

pub use answer::{Head, Usage};
pub use error::{ApiError, Fault};
