//! Tensors as JSON, as people and HTTP clients write them (see `docs/formats/tensor.md`).
//!
//! `{"image": [[0.5, 1]]}` gives the elements as nested arrays, from which the shape follows;
//! `{"image": {"shape": [1, 2], "dtype": "f32", "data": [0.5, 1]}}` gives them in row-major
//! order. Both are read, given the model's description; the second is written.

use crate::{
    limits::{MAX_DIMENSIONS, MAX_PAYLOAD_BYTES, MAX_TENSORS},
    model::{InputError, ModelDescription, TensorDescription},
    tensor::{ElementType, Tensor},
};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

/// JSON that is not the tensors that a model takes, or tensors that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorJsonError {
    /// Not an object with one entry for each input.
    #[error(
        "inputs are a JSON object from input names to arrays, for example {{\"image\": [[0, 1]]}}"
    )]
    NotAnObject,
    /// More inputs than a request may have.
    #[error("{0} inputs: at most {MAX_TENSORS} are allowed")]
    TooMany(usize),
    /// The form with `shape` and `data` is malformed.
    #[error(
        "input {name:?}: {reason}; the form is {{\"shape\": [..], \"dtype\": \"f32\", \"data\": [..]}}"
    )]
    Form {
        /// The input.
        name: String,
        /// What the JSON reader says.
        reason: String,
    },
    /// Nested arrays of different lengths, or of numbers and arrays mixed.
    #[error("input {name:?}: the nested arrays are not all of one shape")]
    Ragged {
        /// The input.
        name: String,
    },
    /// More dimensions or bytes than a tensor may have.
    #[error(
        "input {name:?} is too large: at most {MAX_DIMENSIONS} dimensions and {MAX_PAYLOAD_BYTES} bytes are allowed"
    )]
    TooLarge {
        /// The input.
        name: String,
    },
    /// An element that its type cannot hold.
    #[error("input {name:?}: element {index} ({found}) is not a number of type {expected}")]
    Element {
        /// The input.
        name: String,
        /// Position of the element in row-major order.
        index: usize,
        /// The element as JSON, shortened.
        found: String,
        /// The type of the tensor.
        expected: ElementType,
    },
    /// Well-formed, but not what the model takes.
    #[error(transparent)]
    Input(#[from] InputError),
    /// NaN or an infinity, or data that does not fill its shape: JSON has no form for it.
    #[error("output {name:?} cannot be written as JSON: {reason}")]
    NotRepresentable {
        /// The output.
        name: String,
        /// Why.
        reason: String,
    },
}

/// The explicit form of a tensor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explicit {
    shape: Vec<u32>,
    dtype: ElementType,
    data: Vec<Value>,
}

/// Reads the inputs of a model; the result is sorted by name and fits the description.
///
/// # Errors
/// [`TensorJsonError`] names the input and what is wrong with it.
pub fn tensors_from_json(
    value: &Value,
    model: &ModelDescription,
) -> Result<Vec<Tensor>, TensorJsonError> {
    let object = value.as_object().ok_or(TensorJsonError::NotAnObject)?;
    if object.len() > MAX_TENSORS {
        return Err(TensorJsonError::TooMany(object.len()));
    }
    let mut tensors = Vec::with_capacity(object.len());
    for (name, value) in object {
        let expected = model
            .inputs
            .iter()
            .find(|input| input.name == *name)
            .ok_or_else(|| InputError::Unknown {
                name: name.clone(),
                expected: model.input_names(),
            })?;
        tensors.push(tensor_from_json(value, expected)?);
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    model.check_inputs(&tensors)?;
    Ok(tensors)
}

/// Writes tensors in the explicit form. A 32-bit float is written as the number it is, exactly.
///
/// # Errors
/// [`TensorJsonError::NotRepresentable`] for NaN and infinities, and data of a wrong length.
pub fn tensors_to_json(tensors: &[Tensor]) -> Result<Value, TensorJsonError> {
    let mut object = Map::new();
    for tensor in tensors {
        let failed = |reason: &str| TensorJsonError::NotRepresentable {
            name: tensor.name.clone(),
            reason: reason.to_owned(),
        };
        if tensor.expected_bytes() != Some(tensor.data.len()) {
            return Err(failed("its data does not fill its shape"));
        }
        let data = elements(tensor)
            .collect::<Option<Vec<Value>>>()
            .ok_or_else(|| failed("it holds NaN or an infinity"))?;
        object.insert(
            tensor.name.clone(),
            json!({ "shape": tensor.shape, "dtype": tensor.element_type, "data": data }),
        );
    }
    Ok(Value::Object(object))
}

/// The elements of a tensor as JSON numbers, `None` where there is no such number.
fn elements(tensor: &Tensor) -> impl Iterator<Item = Option<Value>> {
    let element_type = tensor.element_type;
    tensor
        .data
        .chunks_exact(element_type.width_bytes())
        .map(move |bytes| match element_type {
            ElementType::F32 => {
                let value = f32::from_le_bytes(bytes.try_into().ok()?);
                Number::from_f64(f64::from(value)).map(Value::Number)
            }
            ElementType::I64 => Some(i64::from_le_bytes(bytes.try_into().ok()?).into()),
            ElementType::I32 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            ElementType::U8 => bytes.first().map(|byte| (*byte).into()),
        })
}

fn tensor_from_json(
    value: &Value,
    expected: &TensorDescription,
) -> Result<Tensor, TensorJsonError> {
    let name = &expected.name;
    let mut data = Elements {
        name,
        element_type: expected.element_type,
        count: 0,
        bytes: Vec::new(),
    };
    let shape = if value.is_object() {
        let explicit = Explicit::deserialize(value).map_err(|error| TensorJsonError::Form {
            name: name.clone(),
            reason: error.to_string(),
        })?;
        if explicit.dtype != expected.element_type {
            return Err(InputError::Type {
                name: name.clone(),
                found: explicit.dtype,
                expected: expected.element_type,
            }
            .into());
        }
        for element in &explicit.data {
            data.push(element)?;
        }
        explicit.shape
    } else {
        let shape = nested_shape(value, name)?;
        data.push_nested(value, &shape)?;
        shape
    };
    if shape.len() > MAX_DIMENSIONS {
        return Err(TensorJsonError::TooLarge { name: name.clone() });
    }
    Ok(Tensor {
        name: name.clone(),
        element_type: expected.element_type,
        shape,
        data: data.bytes.into(),
    })
}

/// The shape of nested arrays, read along the first item of each.
fn nested_shape(mut value: &Value, name: &str) -> Result<Vec<u32>, TensorJsonError> {
    let too_large = || TensorJsonError::TooLarge {
        name: name.to_owned(),
    };
    let mut shape = Vec::new();
    while let Value::Array(items) = value {
        if shape.len() == MAX_DIMENSIONS {
            return Err(too_large());
        }
        shape.push(u32::try_from(items.len()).map_err(|_| too_large())?);
        match items.first() {
            Some(first) => value = first,
            None => break,
        }
    }
    Ok(shape)
}

/// The elements of one tensor as they are read.
struct Elements<'a> {
    name: &'a str,
    element_type: ElementType,
    count: usize,
    bytes: Vec<u8>,
}

impl Elements<'_> {
    /// Appends the elements of nested arrays of exactly this shape; recursion ends with it.
    fn push_nested(&mut self, value: &Value, shape: &[u32]) -> Result<(), TensorJsonError> {
        match (value, shape.split_first()) {
            (Value::Array(items), Some((extent, rest))) if items.len() == *extent as usize => items
                .iter()
                .try_for_each(|item| self.push_nested(item, rest)),
            (Value::Array(_), _) | (_, Some(_)) => Err(TensorJsonError::Ragged {
                name: self.name.to_owned(),
            }),
            (element, None) => self.push(element),
        }
    }

    fn push(&mut self, element: &Value) -> Result<(), TensorJsonError> {
        let appended = match self.element_type {
            ElementType::F32 => element
                .as_f64()
                .map(|value| value as f32)
                .filter(|value| value.is_finite())
                .map(|value| self.bytes.extend(value.to_le_bytes())),
            ElementType::I64 => element
                .as_i64()
                .map(|value| self.bytes.extend(value.to_le_bytes())),
            ElementType::I32 => element
                .as_i64()
                .and_then(|value| i32::try_from(value).ok())
                .map(|value| self.bytes.extend(value.to_le_bytes())),
            ElementType::U8 => element
                .as_u64()
                .and_then(|value| u8::try_from(value).ok())
                .map(|value| self.bytes.push(value)),
        };
        if appended.is_none() {
            return Err(TensorJsonError::Element {
                name: self.name.to_owned(),
                index: self.count,
                found: element.to_string().chars().take(40).collect(),
                expected: self.element_type,
            });
        }
        if self.bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(TensorJsonError::TooLarge {
                name: self.name.to_owned(),
            });
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
