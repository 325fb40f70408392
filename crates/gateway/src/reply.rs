//! What a node's outputs say: the reply of a language model, and how it was come by.

use og_types::{
    InferenceResponse, JobResult,
    language::{self, LanguageError, PieceError, RelayedReply, Reply, Said},
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

/// Reads the reply that a node signed, and compares it with what it streamed.
///
/// # Errors
/// [`ReplyError`]; the node is at fault.
pub(crate) fn answered(streamed: Streamed) -> Result<Answered, ReplyError> {
    let outputs = &streamed.response.outputs;
    let is_relayed = language::relayed_description()
        .outputs
        .iter()
        .map(|output| &output.name)
        .eq(outputs.iter().map(|output| &output.name));
    let (said, prompt_tokens, answer_tokens, relayed_from) = if is_relayed {
        let reply = RelayedReply::from_tensors(outputs)?;
        (
            reply.said,
            reply.prompt_tokens,
            reply.tokens,
            Some(reply.upstream),
        )
    } else {
        let reply = Reply::from_tensors(outputs)?;
        let count = |tokens: &[u32]| u32::try_from(tokens.len()).ok();
        let counts = (count(&reply.prompt_tokens), count(&reply.tokens));
        (reply.said, counts.0, counts.1, None)
    };
    streamed.pieces.check(&said)?;
    Ok(Answered {
        said,
        prompt_tokens,
        answer_tokens,
        relayed_from,
        result: streamed.result,
    })
}
