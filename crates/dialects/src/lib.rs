//! Speak the chat services' formats, as server and as client: requests and answers, whole and in pieces.
//!
//! The one form inside is `og_types::language`: a `Question` is what was asked, `Piece`s and `Said` are what came.
//!
//! - [`openai`] reads what OpenAI's clients send and writes what they expect.
//! - [`anthropic`] does so for Anthropic's.
//! - [`parameter`] says what each API calls the inputs of a question.
//! - [`upstream`] asks other services and reads their answers.
//!
//! ```
//! use og_dialects::{Head, openai::{Defaults, Style, chat}};
//! use og_types::language::{Finish, Piece};
//!
//! let body = br#"{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": true}"#;
//! let request = chat::Request::parse(body, Defaults::OPENAI).unwrap();
//! let head = Head { id: "chatcmpl-1".to_owned(), created: 0, model: request.model };
//! let mut stream = chat::Stream::new(head, Style::OpenAi, request.include_usage, request.choices);
//! let mut frames = stream.pieces(0, &[Piece::Text("Hello.".to_owned())]).unwrap();
//! frames += &stream.end(&[Finish::Stop], None, serde_json::Map::new());
//! assert!(frames.ends_with("data: [DONE]\n\n"));
//! ```
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
pub mod parameter;
mod picture;
mod settings;
pub mod sse;
mod tools;
pub mod upstream;

pub use answer::{Head, Usage};
pub use error::{ApiError, Fault};
