//! The answer of a model that was computed here: what it said, and the tokens that it is made of.

use super::{
    LanguageError, Said,
    tensors::{Fields, bytes, indices, indices_form, number_form, said_from, said_to, text_form},
};
use crate::{
    model::{ModelDescription, TensorDescription},
    tensor::{ElementType, Tensor},
};

/// A language model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was said.
    pub said: Said,
    /// The ids of the prompt as the model saw it.
    pub prompt_tokens: Vec<u32>,
    /// The ids that the model chose, the one that ended the answer included.
    pub tokens: Vec<u32>,
    /// Root of the commitments to every value that the run computed (`docs/spec/program.md`).
    pub trace_root: [u8; 32],
}

/// What a language model takes and gives: the same for all of them.
pub fn description() -> ModelDescription {
    let root = TensorDescription {
        name: "trace_root".to_owned(),
        element_type: ElementType::U8,
        shape: vec![Some(32)],
    };
    ModelDescription {
        inputs: vec![
            text_form("format"),
            number_form("frequency_penalty"),
            number_form("logprobs"),
            number_form("max_tokens"),
            number_form("parallel_tool_calls"),
            number_form("presence_penalty"),
            text_form("prompt"),
            number_form("repetition_penalty"),
            text_form("stop"),
            number_form("temperature"),
            text_form("tool_choice"),
            text_form("tools"),
            number_form("top_k"),
            number_form("top_p"),
        ],
        outputs: vec![
            text_form("finish"),
            text_form("logprobs"),
            indices_form("prompt_tokens"),
            text_form("text"),
            indices_form("tokens"),
            text_form("tool_calls"),
            root,
        ],
    }
}

impl Reply {
    /// The tensors of a response, sorted by name.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if a token id does not fit 31 bits.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let [finish, logprobs, text, tool_calls] = said_to(&self.said)?;
        Ok(vec![
            finish,
            logprobs,
            indices("prompt_tokens", &self.prompt_tokens)?,
            text,
            indices("tokens", &self.tokens)?,
            tool_calls,
            bytes("trace_root", &self.trace_root),
        ])
    }

    /// Reads the tensors of a response.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing or malformed.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        Ok(Self {
            said: said_from(&fields)?,
            prompt_tokens: fields.indices("prompt_tokens")?,
            tokens: fields.indices("tokens")?,
            trace_root: fields
                .bytes("trace_root")?
                .try_into()
                .map_err(|_| LanguageError::Form("trace_root"))?,
        })
    }
}

#[cfg(test)]
mod tests;
