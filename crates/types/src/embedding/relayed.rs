//! Vectors of texts from models of other services.

use super::{inputs, rows, vectors, vectors_form};
use crate::{
    language::{
        LanguageError,
        tensors::{Fields, bytes, number, number_form, text_form},
    },
    model::ModelDescription,
    tensor::Tensor,
};

/// Vectors that another service gave.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayedVectors {
    /// A vector for each text, in order, all of one length; their numbers are finite.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts, as the service counts; `None` if it says nothing.
    pub prompt_tokens: Option<u32>,
    /// Host that answered.
    pub upstream: String,
    /// The model that the host says answered; empty if it says nothing.
    pub upstream_model: String,
}

/// What a model of another service that embeds texts takes and gives.
pub fn relayed_description() -> ModelDescription {
    ModelDescription {
        inputs: inputs(),
        outputs: vec![
            vectors_form(),
            number_form("prompt_token_count"),
            text_form("upstream"),
            text_form("upstream_model"),
        ],
    }
}

impl RelayedVectors {
    /// The tensors of a response, sorted by name.
    ///
    /// # Errors
    /// [`LanguageError::Form`] if the vectors have different lengths.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let count = self.prompt_tokens.map_or(-1, i64::from);
        Ok(vec![
            rows(&self.vectors)?,
            number("prompt_token_count", count),
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
        let count = fields.number("prompt_token_count", -1, u32::MAX.into())?;
        Ok(Self {
            vectors: vectors(&fields)?,
            prompt_tokens: u32::try_from(count).ok(),
            upstream: fields.text("upstream")?,
            upstream_model: fields.text("upstream_model")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ElementType, embedding::Texts};
    use proptest::{collection::vec, prelude::*};

    fn relayed() -> RelayedVectors {
        RelayedVectors {
            vectors: vec![vec![1.0, -0.5, 0.0], vec![0.25, 3e-8, -1.0]],
            prompt_tokens: Some(7),
            upstream: "api.example".to_owned(),
            upstream_model: String::new(),
        }
    }

    #[test]
    fn answers_are_read_as_they_are_written_and_are_finite() {
        let tensors = relayed().to_tensors().unwrap();
        assert_eq!(RelayedVectors::from_tensors(&tensors), Ok(relayed()));
        let names = tensors.iter().map(|tensor| &tensor.name);
        let described = relayed_description().outputs;
        assert!(names.eq(described.iter().map(|tensor| &tensor.name)));
        let read = |vectors: Vec<Vec<f32>>| {
            let answer = RelayedVectors {
                vectors,
                ..relayed()
            };
            answer
                .to_tensors()
                .and_then(|tensors| RelayedVectors::from_tensors(&tensors))
        };
        assert!(read(vec![vec![1.0], vec![1.0, 2.0]]).is_err());
        assert!(read(vec![vec![f32::NAN]]).is_err());
        assert!(read(vec![vec![]]).is_err());
    }

    proptest! {
        #[test]
        fn any_tensor_is_read_or_refused(
            shape in vec(0..9_u32, 0..4),
            data in vec(any::<u8>(), 0..99),
            text in ".{0,30}",
        ) {
            let tensor = Tensor {
                name: "embeddings".to_owned(),
                element_type: ElementType::F32,
                shape,
                data: data.into(),
            };
            let mut tensors = relayed().to_tensors().unwrap();
            tensors[0] = tensor;
            if let Ok(read) = RelayedVectors::from_tensors(&tensors) {
                prop_assert_eq!(read.to_tensors(), Ok(tensors));
            }
            let input = [number("dimensions", 1), bytes("input", text.as_bytes())];
            let _ = Texts::from_tensors(&input);
        }
    }
}
