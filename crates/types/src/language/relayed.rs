//! The answer of another service's language model, passed on: it has a text and says where it is from, nothing more.

use super::{
    Finish, LanguageError,
    tensors::{Fields, bytes, number},
};
use crate::{
    model::{ModelDescription, TensorDescription},
    tensor::{ElementType, Tensor},
};

/// An answer that was passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedReply {
    /// What was said.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
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
    let output = |name: &str, element_type, shape: &[Option<u32>]| TensorDescription {
        name: name.to_owned(),
        element_type,
        shape: shape.to_vec(),
    };
    let text = |name| output(name, ElementType::U8, &[None]);
    let count = |name| output(name, ElementType::I64, &[]);
    ModelDescription {
        inputs: super::description().inputs,
        outputs: vec![
            text("finish"),
            count("prompt_token_count"),
            text("text"),
            count("token_count"),
            text("upstream"),
            text("upstream_model"),
        ],
    }
}

impl RelayedReply {
    /// The tensors of a response, sorted by name.
    pub fn to_tensors(&self) -> Vec<Tensor> {
        let count = |name, count: Option<u32>| number(name, count.map_or(-1, i64::from));
        vec![
            bytes("finish", self.finish.as_str().as_bytes()),
            count("prompt_token_count", self.prompt_tokens),
            bytes("text", self.text.as_bytes()),
            count("token_count", self.tokens),
            bytes("upstream", self.upstream.as_bytes()),
            bytes("upstream_model", self.upstream_model.as_bytes()),
        ]
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
            text: fields.text("text")?,
            finish: Finish::from_bytes(fields.bytes("finish")?)?,
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
            text: "Hi é".to_owned(),
            finish: Finish::Stop,
            upstream: "api.example".to_owned(),
            upstream_model: String::new(),
            prompt_tokens: Some(7),
            tokens: None,
        };
        let tensors = reply.to_tensors();
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
