//! Texts and a vector for each, as the tensors that requests and responses hold (`docs/formats/embedding.md`).

mod exact;
mod relayed;

pub use exact::{Vectors, description};
pub use relayed::{RelayedVectors, relayed_description};

use crate::{
    language::{
        LanguageError,
        tensors::{Fields, bytes, json, number, number_form, parse, text_form},
    },
    model::TensorDescription,
    tensor::{ElementType, Tensor},
};

/// Most texts of a request.
pub const MAX_TEXTS: usize = 2048;
/// Most numbers of a vector.
pub const MAX_VECTOR_LENGTH: u32 = 1 << 16;

/// Texts that shall become vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The texts: 1 to [`MAX_TEXTS`], none empty.
    pub texts: Vec<String>,
    /// How many numbers a vector shall have, at most [`MAX_VECTOR_LENGTH`]; `None` for as many as the model gives.
    pub dimensions: Option<u32>,
}

/// What every model that embeds takes.
fn inputs() -> Vec<TensorDescription> {
    vec![number_form("dimensions"), text_form("input")]
}

/// How vectors look.
fn vectors_form() -> TensorDescription {
    TensorDescription {
        name: "embeddings".to_owned(),
        element_type: ElementType::F32,
        shape: vec![None, None],
    }
}

impl Texts {
    /// The tensors of a request, sorted by name. Fails only on a text that JSON cannot hold.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if a text cannot be written.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let input = json("input", serde_json::to_vec(&self.texts))?;
        Ok(vec![
            number("dimensions", self.dimensions.unwrap_or(0).into()),
            bytes("input", &input),
        ])
    }

    /// Reads the tensors of a request.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing, malformed or out of range.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        let texts: Vec<String> = parse("input", fields.bytes("input")?)?;
        if texts.is_empty() || texts.len() > MAX_TEXTS || texts.iter().any(String::is_empty) {
            return Err(LanguageError::Value {
                name: "input",
                reason: format!("must be 1 to {MAX_TEXTS} texts, none of them empty"),
            });
        }
        let dimensions = fields.number("dimensions", 0, MAX_VECTOR_LENGTH.into())?;
        Ok(Self {
            texts,
            dimensions: u32::try_from(dimensions).ok().filter(|count| *count > 0),
        })
    }
}

/// Vectors of one length as a tensor.
fn rows(vectors: &[Vec<f32>]) -> Result<Tensor, LanguageError> {
    let wrong = LanguageError::Form("embeddings");
    let length = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|vector| vector.len() != length) {
        return Err(wrong);
    }
    let extent = |count: usize| u32::try_from(count).map_err(|_| wrong.clone());
    let numbers = vectors.iter().flatten();
    let data: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    Ok(Tensor {
        name: "embeddings".to_owned(),
        element_type: ElementType::F32,
        shape: vec![extent(vectors.len())?, extent(length)?],
        data: data.into(),
    })
}

/// The vectors in a response, whose numbers must be finite.
fn vectors(fields: &Fields<'_>) -> Result<Vec<Vec<f32>>, LanguageError> {
    let (length, data) = fields.rows("embeddings", ElementType::F32)?;
    let wrong = LanguageError::Form("embeddings");
    let (numbers, _) = data.as_chunks();
    let numbers: Vec<_> = numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    if numbers.is_empty() || !numbers.iter().all(|number| number.is_finite()) {
        return Err(wrong);
    }
    Ok(numbers.chunks(length).map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_are_written_and_fit_the_description() {
        let texts = Texts {
            texts: vec!["Hi".to_owned(), "é".to_owned()],
            dimensions: Some(3),
        };
        let tensors = texts.to_tensors().unwrap();
        assert_eq!(Texts::from_tensors(&tensors), Ok(texts.clone()));
        relayed_description().check_inputs(&tensors).unwrap();
        for wrong in [
            vec![],
            vec![String::new()],
            vec!["a".to_owned(); MAX_TEXTS + 1],
        ] {
            let wrong = Texts {
                texts: wrong,
                ..texts.clone()
            };
            let read = Texts::from_tensors(&wrong.to_tensors().unwrap());
            assert!(matches!(
                read,
                Err(LanguageError::Value { name: "input", .. })
            ));
        }
    }
}
