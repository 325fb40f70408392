//! Turn text into token ids and back: tokenizers, chat templates, streams, grammars.
//!
//! - [`Tokenizer`] reads a Hugging Face `tokenizer.json`; [`gguf::Vocabulary`], [`sentencepiece`] and
//!   [`Assets::from_directory`] make one from the other forms in which models come.
//! - [`ChatTemplate`] renders a conversation with a model's Jinja template.
//! - [`Stream`] gives text as tokens arrive, and stops at stop strings.
//! - [`GrammarFactory`] makes masks that keep an answer inside a JSON Schema, a regular expression or a grammar.
//!
//! Files and requests come from strangers: every length is bounded, every failure is a named error.

mod assets;
mod chat;
pub mod contain;
mod convert;
pub mod gguf;
mod grammar;
pub mod sentencepiece;
mod stream;
mod template;
mod tokenizer;

pub use assets::{Assets, AssetsError};
pub use chat::{ChatError, Conversation};
pub use grammar::{Grammar, GrammarError, GrammarFactory, GrammarSource, Mask, check_schema};
pub use stream::{Progress, Stream, StreamError, StreamStart};
pub use template::{ChatTemplate, Moment, TemplateError};
pub use tokenizer::{EncodeError, Tokenizer, TokenizerError};

/// Bytes of one tokenizer file.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;
/// Tokens in one vocabulary, and one more than the greatest token id.
pub const MAX_VOCABULARY: usize = 1 << 20;
/// Bytes of one token's string in a vocabulary.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// Bytes of one text that is encoded (less where a tokenizer's normaliser makes texts longer).
pub const MAX_TEXT_BYTES: usize = 4 << 20;
