//! Texts and a vector for each, as the tensors that requests and responses hold (`docs/formats/embedding.md`).

use crate::{
    language::{
        LanguageError,
        tensors::{Fields, bytes, json, number, number_form, parse, text_form},
    },
    model::{ModelDescription, TensorDescription},
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
    let vectors = TensorDescription {
        name: "embeddings".to_owned(),
        element_type: ElementType::F32,
        shape: vec![None, None],
    };
    ModelDescription {
        inputs: vec![number_form("dimensions"), text_form("input")],
        outputs: vec![
            vectors,
            number_form("prompt_token_count"),
            text_form("upstream"),
            text_form("upstream_model"),
        ],
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

impl RelayedVectors {
    /// The tensors of a response, sorted by name.
    ///
    /// # Errors
    /// [`LanguageError::Form`] if the vectors have different lengths.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let count = self.prompt_tokens.map_or(-1, i64::from);
        Ok(vec![
            rows("embeddings", &self.vectors)?,
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
            vectors: vectors(fields.rows("embeddings")?)?,
            prompt_tokens: u32::try_from(count).ok(),
            upstream: fields.text("upstream")?,
            upstream_model: fields.text("upstream_model")?,
        })
    }
}

/// Vectors of one length as a tensor.
fn rows(name: &'static str, vectors: &[Vec<f32>]) -> Result<Tensor, LanguageError> {
    let length = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|vector| vector.len() != length) {
        return Err(LanguageError::Form(name));
    }
    let extent = |count: usize| u32::try_from(count).map_err(|_| LanguageError::Form(name));
    let numbers = vectors.iter().flatten();
    let data: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    Ok(Tensor {
        name: name.to_owned(),
        element_type: ElementType::F32,
        shape: vec![extent(vectors.len())?, extent(length)?],
        data: data.into(),
    })
}

/// The rows of a tensor, whose numbers must be finite.
fn vectors((length, data): (usize, &[u8])) -> Result<Vec<Vec<f32>>, LanguageError> {
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
