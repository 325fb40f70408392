//! What every way to compute offers.

use futures::future::BoxFuture;
use og_types::{
    Computed, InputError, ModelDescription, Refusal, Tensor, language::Piece,
    limits::MAX_PAYLOAD_BYTES,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces that wait for their reader; then the run waits.
const PIECES_AHEAD: usize = 16;

/// A run that goes on while it is awaited: dropping it ends it.
pub type Run = BoxFuture<'static, Result<Vec<Tensor>, RunError>>;

/// A loaded model. Runs do not change it, so that they share it.
pub trait Backend: Send + Sync {
    /// What a second run of the same inputs could be expected to give.
    fn computed(&self) -> Computed;

    /// The tensors that the model takes and gives.
    fn describe(&self) -> &ModelDescription;

    /// Runs the model once; the outputs are sorted by name. It never blocks its thread: what computes does so elsewhere.
    /// `seed` is for models that sample, `pieces` for those whose answer is text that comes bit by bit.
    ///
    /// The run fails with a [`RunError`]: the inputs do not fit, or the model failed on them.
    fn run(self: Arc<Self>, inputs: Vec<Tensor>, seed: u64, pieces: Pieces) -> Run;

    /// Counts the tokens of the prompt that a run on these inputs would read. Models that make no prompt of their own refuse.
    fn count_prompt(self: Arc<Self>, _inputs: Vec<Tensor>) -> Count {
        let refusal = Refusal {
            input: None,
            reason: "this model cannot count tokens: only language models that run here can"
                .to_owned(),
        };
        Box::pin(std::future::ready(Err(refusal.into())))
    }
}

/// A count of tokens on its way.
pub type Count = BoxFuture<'static, Result<u32, RunError>>;

/// Where pieces of an answer go as they come.
#[derive(Clone, Debug)]
pub struct Pieces(Option<mpsc::Sender<Piece>>);

impl Pieces {
    /// Nobody wants them.
    pub const UNWANTED: Self = Self(None);

    /// Pieces and their reader, who gets `None` once the run has ended.
    pub fn channel() -> (Self, mpsc::Receiver<Piece>) {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        (Self(Some(sender)), receiver)
    }

    /// Whether anybody reads them.
    pub const fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Where they go, if anybody reads them.
    pub(crate) const fn sender(&self) -> Option<&mpsc::Sender<Piece>> {
        self.0.as_ref()
    }

    /// Hands out a piece. Waits for a reader who is slow; one who has gone misses it, and is expected to drop the run.
    pub async fn send(&self, piece: Piece) {
        if let Some(sender) = &self.0 {
            let _ = sender.send(piece).await;
        }
    }
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The inputs are not what the model takes.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The inputs fit the description, and ask for something that this model cannot do.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// More requests are waiting than may.
    #[error("{0}")]
    Busy(String),
    /// The model failed on inputs that fit its description.
    #[error("the model failed on this input: {0}")]
    Model(String),
    /// The outputs would not fit into a response.
    #[error("the outputs have more than the {MAX_PAYLOAD_BYTES} bytes that a response may have")]
    TooLarge,
}
