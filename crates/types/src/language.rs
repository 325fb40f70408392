//! A question to a language model and its answer, as the tensors that requests and responses hold.
//!
//! Text is UTF-8 in a tensor of bytes, token ids are 32-bit integers, and settings of the sampling are integers, so that
//! whoever runs the request again reads the same numbers. The seed is not among them: the record carries it
//! (`docs/formats/language.md`).

mod conversation;
mod question;
mod relayed;
mod reply;
mod said;
pub(crate) mod tensors;

pub use conversation::{Content, Message, Part, Prompt, Tool, ToolCall, ToolChoice};
pub use question::{
    Format, MAX_ANSWER_TOKENS, MAX_LOGPROBS, MAX_PENALTY, MAX_STOPS, ONE, Question,
};
pub use relayed::{RelayedReply, relayed_description};
pub use reply::{Reply, description};
pub use said::{Alternative, Finish, Logprob, Piece, PieceError, Said};

/// Tensors that are no question or no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// A tensor is missing.
    #[error("{0:?} is missing")]
    Missing(&'static str),
    /// A tensor has another type or shape than it should.
    #[error("{0:?} has another type or shape than a language model's")]
    Form(&'static str),
    /// A value is out of range.
    #[error("{name:?} {reason}")]
    Value {
        /// The tensor.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
