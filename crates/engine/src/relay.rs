//! Models of another service, which answer questions or make vectors of texts: it is asked, and its answer passed on.
//!
//! Such a model is a small file that says whom to ask (`docs/formats/model.md`); keys for it are the node's, not the file's.

use crate::{
    backend::{Backend, Pieces, Run, RunError},
    language::question,
};
use og_types::{
    Computed, ModelDescription, Refusal, Tensor,
    embedding::{self, Texts},
    language::{self, Question, RelayedReply},
};
use og_upstream::{AskError, Limits, Upstream, UpstreamAccess, UpstreamError};
use std::sync::Arc;

/// How a file of such a model begins.
pub(crate) const MAGIC: [u8; 8] = *b"[relay]\n";

/// A model that another service runs.
#[derive(Debug)]
pub struct Relay {
    upstream: Upstream,
    description: ModelDescription,
}

impl Relay {
    /// A model from its file's text. Nobody is asked yet.
    ///
    /// # Errors
    /// [`UpstreamError`] if the file is malformed, or a host's key would travel unencrypted.
    pub fn new(file: &str, access: &UpstreamAccess) -> Result<Self, UpstreamError> {
        let upstream = Upstream::new(file, access, Limits::default())?;
        Ok(Self {
            description: match upstream.embeds() {
                true => embedding::relayed_description(),
                false => language::relayed_description(),
            },
            upstream,
        })
    }

    /// Asks the service; `pieces` get the answer as it comes.
    ///
    /// # Errors
    /// [`RunError`] if it refuses the question, is busy, or gives no usable answer.
    pub async fn answer(
        &self,
        question: &Question,
        seed: u64,
        pieces: Pieces,
    ) -> Result<RelayedReply, RunError> {
        let reply = self.upstream.ask(question, seed, pieces.sender()).await;
        reply.map_err(failed)
    }

    /// The vectors of the texts in `inputs`, as the service gives them.
    async fn embed(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let texts = Texts::from_tensors(inputs).map_err(Refusal::from)?;
        let vectors = self.upstream.embed(&texts).await.map_err(failed)?;
        vectors
            .to_tensors()
            .map_err(|error| RunError::Model(error.to_string()))
    }
}

impl Backend for Relay {
    fn computed(&self) -> Computed {
        Computed::Relayed
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, seed: u64, pieces: Pieces) -> Run {
        Box::pin(async move {
            if self.upstream.embeds() {
                self.description.check_inputs(&inputs)?;
                return self.embed(&inputs).await;
            }
            let question = question(&self.description, &inputs)?;
            drop(inputs);
            let reply = self.answer(&question, seed, pieces).await?;
            reply
                .to_tensors()
                .map_err(|error| RunError::Model(error.to_string()))
        })
    }
}

fn failed(error: AskError) -> RunError {
    match error {
        AskError::Refused(refusal) => RunError::Refused(refusal),
        AskError::Busy(reason) => RunError::Busy(reason),
        AskError::Failed(reason) => RunError::Model(reason),
    }
}

#[cfg(test)]
mod tests;
