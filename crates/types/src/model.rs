//! What a model takes and gives: the names, types and shapes of its tensors.

use crate::{
    ids::ModelId,
    record::Computed,
    tensor::{ElementType, Tensor, TensorsError, count_elements},
};
use serde::{Deserialize, Serialize};

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorDescription {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    #[serde(rename = "dtype")]
    pub element_type: ElementType,
    /// Extent of each dimension; `None` (JSON `null`) where each request chooses it.
    pub shape: Vec<Option<u32>>,
}

/// The inputs that a model needs, all of them, and the outputs it gives; both sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// What it takes.
    pub inputs: Vec<TensorDescription>,
    /// What it gives.
    pub outputs: Vec<TensorDescription>,
}

/// A model as nodes list it: an entry of `GET /v1/models`, and a model's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Content hash of its file.
    pub id: ModelId,
    /// A name for people; only the id is unique across nodes.
    pub name: String,
    /// How it computes its answers.
    pub computed: Computed,
    /// What it takes and gives.
    #[serde(flatten)]
    pub description: ModelDescription,
}

/// Inputs that a model cannot be run on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A tensor that the model does not take.
    #[error("the model has no input {name:?}; it takes {}", .expected.join(", "))]
    Unknown {
        /// The name given.
        name: String,
        /// The names that the model takes.
        expected: Vec<String>,
    },
    /// A tensor that the model needs was not given.
    #[error("input {name:?} is missing; the model takes {}", .expected.join(", "))]
    Missing {
        /// The name that is missing.
        name: String,
        /// The names that the model takes.
        expected: Vec<String>,
    },
    /// Out of order, twice, or with data that does not fill its shape.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// Elements of another type than the model takes.
    #[error("input {name:?} has elements of type {found}; the model takes {expected}")]
    Type {
        /// The input.
        name: String,
        /// The type given.
        found: ElementType,
        /// The type that the model takes.
        expected: ElementType,
    },
    /// A shape that the model does not take.
    #[error("input {name:?} has shape {found}; the model takes {expected}")]
    Shape {
        /// The input.
        name: String,
        /// The shape given.
        found: String,
        /// The shape that the model takes; `?` stands for any extent.
        expected: String,
    },
    /// NaN or an infinity, which no model is defined on.
    #[error("input {name:?} is not a finite number at element {index}")]
    NotFinite {
        /// The input.
        name: String,
        /// Position of the element in row-major order.
        index: usize,
    },
}

impl InputError {
    /// The name of the input at fault, if it is a single one.
    pub fn input(&self) -> Option<&str> {
        match self {
            Self::Unknown { name, .. }
            | Self::Missing { name, .. }
            | Self::Type { name, .. }
            | Self::Shape { name, .. }
            | Self::NotFinite { name, .. } => Some(name),
            Self::Tensors(_) => None,
        }
    }
}

impl ModelDescription {
    /// Checks that the model can be run on `inputs`: all there, sorted by name, of the type and
    /// shape that it takes, of the right length, and finite.
    ///
    /// # Errors
    /// [`InputError`] names the input that is wrong and what is expected of it.
    pub fn check_inputs(&self, inputs: &[Tensor]) -> Result<(), InputError> {
        count_elements(inputs)?;
        for input in inputs {
            let expected = self
                .inputs
                .iter()
                .find(|expected| expected.name == input.name)
                .ok_or_else(|| InputError::Unknown {
                    name: input.name.clone(),
                    expected: self.input_names(),
                })?;
            expected.check(input)?;
        }
        match self
            .inputs
            .iter()
            .find(|expected| !inputs.iter().any(|input| input.name == expected.name))
        {
            Some(missing) => Err(InputError::Missing {
                name: missing.name.clone(),
                expected: self.input_names(),
            }),
            None => Ok(()),
        }
    }

    /// The names of the inputs, in order.
    pub fn input_names(&self) -> Vec<String> {
        self.inputs.iter().map(|input| input.name.clone()).collect()
    }
}

impl TensorDescription {
    /// Checks that `tensor` is of this type and shape, and finite.
    ///
    /// # Errors
    /// [`InputError`] with the tensor's name and what is expected.
    fn check(&self, tensor: &Tensor) -> Result<(), InputError> {
        let name = || tensor.name.clone();
        if tensor.element_type != self.element_type {
            return Err(InputError::Type {
                name: name(),
                found: tensor.element_type,
                expected: self.element_type,
            });
        }
        if !self.allows_shape(&tensor.shape) {
            return Err(InputError::Shape {
                name: name(),
                found: format!("{:?}", tensor.shape),
                expected: self.shape_text(),
            });
        }
        match tensor.first_not_finite() {
            Some(index) => Err(InputError::NotFinite {
                name: name(),
                index,
            }),
            None => Ok(()),
        }
    }

    /// Whether a tensor may have this shape.
    fn allows_shape(&self, shape: &[u32]) -> bool {
        self.shape.len() == shape.len()
            && self
                .shape
                .iter()
                .zip(shape)
                .all(|(expected, found)| expected.is_none_or(|expected| expected == *found))
    }

    /// The shape for people, for example `[?, 1, 8, 8]`.
    pub fn shape_text(&self) -> String {
        let extents: Vec<String> = self
            .shape
            .iter()
            .map(|extent| extent.map_or_else(|| "?".to_owned(), |extent| extent.to_string()))
            .collect();
        format!("[{}]", extents.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> ModelDescription {
        let tensor = |name: &str, element_type, shape: &[Option<u32>]| TensorDescription {
            name: name.to_owned(),
            element_type,
            shape: shape.to_vec(),
        };
        ModelDescription {
            inputs: vec![
                tensor("a", ElementType::F32, &[None, Some(2)]),
                tensor("b", ElementType::U8, &[Some(3)]),
            ],
            outputs: vec![tensor("c", ElementType::I64, &[])],
        }
    }

    fn inputs() -> Vec<Tensor> {
        let data: Vec<u8> = [1.0f32, -2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        vec![
            Tensor {
                name: "a".to_owned(),
                element_type: ElementType::F32,
                shape: vec![1, 2],
                data: data.into(),
            },
            Tensor {
                name: "b".to_owned(),
                element_type: ElementType::U8,
                shape: vec![3],
                data: vec![1, 2, 3].into(),
            },
        ]
    }

    /// What `check_inputs` says after `change`.
    fn complaint(change: impl FnOnce(&mut Vec<Tensor>)) -> String {
        let mut inputs = inputs();
        change(&mut inputs);
        description().check_inputs(&inputs).unwrap_err().to_string()
    }

    #[test]
    fn right_inputs_pass_and_each_wrong_one_is_named() {
        description().check_inputs(&inputs()).unwrap();
        let cases = [
            (
                complaint(|inputs| inputs[1].name = "z".to_owned()),
                "the model has no input \"z\"; it takes a, b",
            ),
            (
                complaint(|inputs| drop(inputs.remove(0))),
                "input \"a\" is missing; the model takes a, b",
            ),
            (
                complaint(|inputs| inputs.reverse()),
                "tensor \"a\" is out of order or stands twice: sort by name",
            ),
            (
                complaint(|inputs| inputs[1] = inputs[0].clone()),
                "tensor \"a\" is out of order or stands twice: sort by name",
            ),
            (
                complaint(|inputs| inputs[0].element_type = ElementType::I32),
                "input \"a\" has elements of type i32; the model takes f32",
            ),
            (
                complaint(|inputs| inputs[0].shape = vec![2, 1]),
                "input \"a\" has shape [2, 1]; the model takes [?, 2]",
            ),
            (
                complaint(|inputs| inputs[0].shape = vec![2]),
                "input \"a\" has shape [2]; the model takes [?, 2]",
            ),
            (
                complaint(|inputs| inputs[1].data = vec![1, 2].into()),
                "tensor \"b\" has 2 bytes of data where its shape needs 3",
            ),
            (
                complaint(|inputs| {
                    inputs[0].data = [0u32, f32::NAN.to_bits()]
                        .iter()
                        .flat_map(|bits| bits.to_le_bytes())
                        .collect::<Vec<u8>>()
                        .into();
                }),
                "input \"a\" is not a finite number at element 1",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }
}
