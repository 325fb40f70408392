//! What a node's outputs say: the reply of a language model, and how it was come by.

use og_types::{
    Computed, InferenceResponse, JobResult,
    language::{LanguageError, PieceError, RelayedReply, Reply, Said},
};

/// A choice that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// What was said.
    pub(crate) said: Said,
    /// Tokens of the prompt, where they are known.
    pub(crate) prompt_tokens: Option<u32>,
    /// Tokens of the answer, where they are known.
    pub(crate) answer_tokens: Option<u32>,
    /// The host that a relayed answer is from.
    pub(crate) relayed_from: Option<String>,
    /// The signed record and what opens it.
    pub(crate) result: JobResult,
}

/// A node's answer as it came: its pieces put together, and the result that it signed.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) pieces: Said,
    pub(crate) result: JobResult,
    pub(crate) response: InferenceResponse,
}

/// Why a signed result is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    /// The outputs are not a language model's.
    #[error("the node's answer is no reply: {0}")]
    Outputs(#[from] LanguageError),
    /// What was streamed is not what was signed.
    #[error(transparent)]
    Pieces(#[from] PieceError),
}

impl Answered {
    /// Reads the reply that a node signed: `response` is what `result` opens to.
    ///
    /// # Errors
    /// [`ReplyError`]; the node is at fault.
    pub(crate) fn of(result: JobResult, response: &InferenceResponse) -> Result<Self, ReplyError> {
        if result.record.record.computed == Computed::Relayed {
            let reply = RelayedReply::from_tensors(&response.outputs)?;
            return Ok(Self {
                said: reply.said,
                prompt_tokens: reply.prompt_tokens,
                answer_tokens: reply.tokens,
                relayed_from: Some(reply.upstream),
                result,
            });
        }
        let reply = Reply::from_tensors(&response.outputs)?;
        let count = |tokens: &[u32]| u32::try_from(tokens.len()).ok();
        Ok(Self {
            said: reply.said,
            prompt_tokens: count(&reply.prompt_tokens),
            answer_tokens: count(&reply.tokens),
            relayed_from: None,
            result,
        })
    }

    /// Reads the reply that a node signed, and compares it with what it streamed.
    ///
    /// # Errors
    /// [`ReplyError`]; the node is at fault.
    pub(crate) fn streamed(streamed: Streamed) -> Result<Self, ReplyError> {
        let answered = Self::of(streamed.result, &streamed.response)?;
        streamed.pieces.check(&answered.said)?;
        Ok(answered)
    }
}
