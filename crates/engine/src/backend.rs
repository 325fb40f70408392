//! What every way to compute offers.

use og_types::{Computed, InputError, ModelDescription, Tensor, limits::MAX_PAYLOAD_BYTES};

/// A loaded model. Runs do not change it, so that threads share it.
pub trait Backend: Send + Sync {
    /// What a second run of the same inputs could be expected to give.
    fn computed(&self) -> Computed;

    /// The tensors that the model takes and gives.
    fn describe(&self) -> &ModelDescription;

    /// Runs the model once; the outputs are sorted by name. Blocks for as long as it takes.
    /// `seed` is for models that sample.
    ///
    /// # Errors
    /// [`RunError`]: the inputs do not fit, or the model failed on them.
    fn run(&self, inputs: &[Tensor], seed: u64) -> Result<Vec<Tensor>, RunError>;
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The inputs are not what the model takes.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The inputs fit the description, and ask for something that this model cannot do.
    #[error("{0}")]
    Refused(String),
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
