//! The answer of another service's language model, passed on: it has a text and says where it is from, nothing more.

use super::{
    LanguageError, Said,
    tensors::{Fields, bytes, number, number_form, said_from, said_to, text_form},
};
use crate::{model::ModelDescription, tensor::Tensor};

/// An answer that was passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedReply {
    /// What was said.
    pub said: Said,
    /// Host that answered.
    pub upstream: String,
    /// The model that the host says answered; empty if it says nothing.
    pub upstream_model: String,
    /// Tokens of the prompt, as the host counts; `None` if it says nothing.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer, as the host counts; `None` if it says nothing.
    pub tokens: Option<u32>,
}

/// What a model of another service takes, the same as any language model, and gives.
pub fn relayed_description() -> ModelDescription {
    ModelDescription {
        inputs: super::description().inputs,
        outputs: vec![
            text_form("finish"),
            text_form("logprobs"),
            number_form("prompt_token_count"),
            text_form("text"),
            number_form("token_count"),
            text_form("tool_calls"),
            text_form("upstream"),
            text_form("upstream_model"),
        ],
    }
}

impl RelayedReply {
    /// The tensors of a response, sorted by name. Fails only on a text that JSON cannot hold.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if a call or a probability cannot be written.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let count = |name, count: Option<u32>| number(name, count.map_or(-1, i64::from));
        let [finish, logprobs, text, tool_calls] = said_to(&self.said)?;
        Ok(vec![
            finish,
            logprobs,
            count("prompt_token_count", self.prompt_tokens),
            text,
            count("token_count", self.tokens),
            tool_calls,
            bytes("upstream", self.upstream.as_bytes()),
            bytes("upstream_model", self.upstream_model.as_bytes()),
        ])
    }

    /// Reads the tensors of a response.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing or malformed.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        let count = |name| {
            let count = fields.number(name, -1, i64::from(u32::MAX))?;
            Ok(u32::try_from(count).ok())
        };
        Ok(Self {
            said: said_from(&fields)?,
            upstream: fields.text("upstream")?,
            upstream_model: fields.text("upstream_model")?,
            prompt_tokens: count("prompt_token_count")?,
            tokens: count("token_count")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_fits_the_description() {
        let reply = RelayedReply {
            said: Said {
                text: "Hi é".to_owned(),
                ..Said::empty()
            },
            upstream: "api.example".to_owned(),
            upstream_model: String::new(),
            prompt_tokens: Some(7),
            tokens: None,
        };
        let tensors = reply.to_tensors().unwrap();
        assert_eq!(RelayedReply::from_tensors(&tensors), Ok(reply));
        let names = tensors.iter().map(|tensor| &tensor.name);
        let described = relayed_description().outputs;
        assert!(names.eq(described.iter().map(|tensor| &tensor.name)));
        assert_eq!(
            RelayedReply::from_tensors(&tensors[1..]),
            Err(LanguageError::Missing("finish"))
        );
    }
}
