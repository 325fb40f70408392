//! Vectors of texts from models that run here.

use super::{inputs, rows, vectors, vectors_form};
use crate::{
    language::{
        LanguageError,
        tensors::{Fields, indices, indices_form},
    },
    model::{ModelDescription, TensorDescription},
    tensor::{ElementType, Tensor},
};

/// Bytes of a root.
const ROOT_BYTES: u32 = 32;

/// Vectors that an integer program gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// A vector for each text, in order, all of one length; their numbers are finite.
    pub vectors: Vec<Vec<f32>>,
    /// The ids of each text's tokens as the model saw them; no text has none.
    pub prompt_tokens: Vec<Vec<u32>>,
    /// For each text the root of the commitments to every value that its run computed (`docs/spec/program.md`).
    pub trace_roots: Vec<[u8; 32]>,
}

/// What a model that runs here and embeds texts takes and gives.
pub fn description() -> ModelDescription {
    let roots = TensorDescription {
        name: "trace_roots".to_owned(),
        element_type: ElementType::U8,
        shape: vec![None, Some(ROOT_BYTES)],
    };
    ModelDescription {
        inputs: inputs(),
        outputs: vec![
            vectors_form(),
            indices_form("prompt_token_counts"),
            indices_form("prompt_tokens"),
            roots,
        ],
    }
}

impl Vectors {
    /// The tensors of a response, sorted by name.
    ///
    /// # Errors
    /// [`LanguageError`] if the vectors have different lengths, or a token id does not fit 31 bits.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let count = |tokens: &Vec<u32>| u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let counts: Vec<_> = self.prompt_tokens.iter().map(count).collect();
        let roots = u32::try_from(self.trace_roots.len());
        Ok(vec![
            rows(&self.vectors)?,
            indices("prompt_token_counts", &counts)?,
            indices("prompt_tokens", &self.prompt_tokens.concat())?,
            Tensor {
                name: "trace_roots".to_owned(),
                element_type: ElementType::U8,
                shape: vec![
                    roots.map_err(|_| LanguageError::Form("trace_roots"))?,
                    ROOT_BYTES,
                ],
                data: self.trace_roots.concat().into(),
            },
        ])
    }

    /// Reads the tensors of a response.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing, malformed, or about another number of texts than the vectors.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        let vectors = vectors(&fields)?;
        let prompt_tokens = prompt_tokens(&fields)?;
        let (length, roots) = fields.rows("trace_roots", ElementType::U8)?;
        let (trace_roots, _) = roots.as_chunks();
        if prompt_tokens.len() != vectors.len() {
            return Err(LanguageError::Form("prompt_token_counts"));
        }
        if length != ROOT_BYTES as usize || trace_roots.len() != vectors.len() {
            return Err(LanguageError::Form("trace_roots"));
        }
        Ok(Self {
            vectors,
            prompt_tokens,
            trace_roots: trace_roots.to_vec(),
        })
    }
}

/// The tokens of each text, which stand one after the other.
fn prompt_tokens(fields: &Fields<'_>) -> Result<Vec<Vec<u32>>, LanguageError> {
    let all = fields.indices("prompt_tokens")?;
    let mut rest = all.as_slice();
    let mut texts = vec![];
    for count in fields.indices("prompt_token_counts")? {
        let wrong = LanguageError::Form("prompt_token_counts");
        let split = usize::try_from(count).ok().filter(|count| *count > 0);
        let split = split.and_then(|count| rest.split_at_checked(count));
        let (tokens, others) = split.ok_or(wrong)?;
        texts.push(tokens.to_vec());
        rest = others;
    }
    match rest.is_empty() {
        true => Ok(texts),
        false => Err(LanguageError::Form("prompt_tokens")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn exact() -> Vectors {
        Vectors {
            vectors: vec![vec![1.0, 0.0], vec![-0.6, 0.8]],
            prompt_tokens: vec![vec![1, 7, 300], vec![2]],
            trace_roots: vec![[7; 32], [8; 32]],
        }
    }

    #[test]
    fn answers_are_read_as_they_are_written_and_fit_the_description() {
        let tensors = exact().to_tensors().unwrap();
        assert_eq!(Vectors::from_tensors(&tensors), Ok(exact()));
        for (tensor, described) in tensors.iter().zip(description().outputs) {
            assert_eq!(tensor.name, described.name);
            assert_eq!(tensor.element_type, described.element_type);
            assert_eq!(tensor.shape.len(), described.shape.len());
        }
    }

    #[test]
    fn each_text_has_a_vector_tokens_and_a_root() {
        let refused = |change: &dyn Fn(&mut Vectors)| {
            let mut answer = exact();
            change(&mut answer);
            Vectors::from_tensors(&answer.to_tensors().unwrap()).unwrap_err()
        };
        let form = LanguageError::Form;
        let drop_tokens = refused(&|answer| answer.prompt_tokens.truncate(1));
        assert_eq!(drop_tokens, form("prompt_token_counts"));
        let no_tokens = refused(&|answer| answer.prompt_tokens[1].clear());
        assert_eq!(no_tokens, form("prompt_token_counts"));
        let drop_root = refused(&|answer| answer.trace_roots.truncate(1));
        assert_eq!(drop_root, form("trace_roots"));
        let mut tensors = exact().to_tensors().unwrap();
        tensors[2] = indices("prompt_tokens", &[1, 7, 300, 2, 5]).unwrap();
        assert_eq!(Vectors::from_tensors(&tensors), Err(form("prompt_tokens")));
        let mut tensors = exact().to_tensors().unwrap();
        // As many bytes, in other rows.
        tensors[3].shape = vec![4, 16];
        assert_eq!(Vectors::from_tensors(&tensors), Err(form("trace_roots")));
    }

    proptest! {
        #[test]
        fn any_counts_are_read_or_refused(
            counts in vec(any::<i32>(), 0..4),
            tokens in vec(0..9_u32, 0..6),
        ) {
            let mut tensors = exact().to_tensors().unwrap();
            let data: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
            tensors[1].shape = vec![counts.len() as u32];
            tensors[1].data = data.into();
            tensors[2] = indices("prompt_tokens", &tokens).unwrap();
            if let Ok(read) = Vectors::from_tensors(&tensors) {
                prop_assert_eq!(read.to_tensors(), Ok(tensors));
            }
        }
    }
}
