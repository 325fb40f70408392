//! What goes into a model and what comes out: named tensors, as bytes that can be committed to.

use crate::{
    cbor::{DecodeError, Field, Writer},
    ids::ModelId,
    limits::{MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MAX_TENSORS},
};
use alloy_primitives::Bytes;
use minicbor::Decoder;
use serde::{Deserialize, Serialize};

/// The type of a tensor's elements, stored little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ElementType {
    /// IEEE 754 binary32.
    F32 = 0,
    /// 64-bit two's complement.
    I64 = 1,
    /// 32-bit two's complement.
    I32 = 2,
    /// One byte, unsigned.
    U8 = 3,
}

impl ElementType {
    /// Bytes per element.
    pub const fn width_bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
            Self::U8 => 1,
        }
    }
}

/// The name that JSON and messages use.
impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U8 => "u8",
        })
    }
}

impl Field for ElementType {
    fn write_field(&self, writer: &mut Writer) {
        (*self as u8).write_field(writer);
    }
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        match u8::read_field(decoder, maximum)? {
            0 => Ok(Self::F32),
            1 => Ok(Self::I64),
            2 => Ok(Self::I32),
            3 => Ok(Self::U8),
            other => Err(DecodeError::value(format!("unknown element type {other}"))),
        }
    }
}

/// A named tensor. `data` holds its elements in row-major order, little-endian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Name of the model's input or output.
    pub name: String,
    /// Type of the elements.
    pub element_type: ElementType,
    /// Extent of each dimension.
    pub shape: Vec<u32>,
    /// Elements; `shape`'s product times the element's width, in bytes.
    pub data: Bytes,
}

canonical_struct!(Tensor, max_bytes = MAX_PAYLOAD_BYTES, {
    name <= MAX_NAME_BYTES,
    element_type,
    shape <= MAX_DIMENSIONS,
    data <= MAX_PAYLOAD_BYTES,
});

impl Tensor {
    /// Number of elements that the shape has, or `None` if it is too large to exist.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |elements, extent| {
            elements.checked_mul(usize::try_from(*extent).ok()?)
        })
    }

    /// Number of bytes that `data` must have, or `None` if the shape is too large to exist.
    pub fn expected_bytes(&self) -> Option<usize> {
        self.elements()?
            .checked_mul(self.element_type.width_bytes())
    }

    /// Position of the first element that is NaN or an infinity.
    pub fn first_not_finite(&self) -> Option<usize> {
        if self.element_type != ElementType::F32 {
            return None;
        }
        self.data.chunks_exact(4).position(|bytes| {
            bytes
                .try_into()
                .is_ok_and(|bytes| !f32::from_le_bytes(bytes).is_finite())
        })
    }
}

/// Why tensors are not what a request or a response may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorsError {
    /// The list is not sorted by name, or one name stands twice.
    #[error("tensor {0:?} is out of order or stands twice: sort by name")]
    Order(String),
    /// A tensor's data is not as long as its shape and element type say.
    #[error(
        "tensor {name:?} has {found} bytes of data where its shape needs {}",
        .expected.map_or_else(|| "more than can be counted".to_owned(), |bytes| bytes.to_string())
    )]
    Size {
        /// The tensor's name.
        name: String,
        /// Bytes that the shape asks for; `None` if more than can be counted.
        expected: Option<usize>,
        /// Bytes of data.
        found: usize,
    },
}

/// Checks that `tensors` are sorted by name, each once and with the data of its shape, and
/// returns the number of their elements: a record's units.
///
/// # Errors
/// [`TensorsError`] names the tensor at fault.
pub fn count_elements(tensors: &[Tensor]) -> Result<u64, TensorsError> {
    let mut previous: Option<&str> = None;
    let mut total = 0u64;
    for tensor in tensors {
        if previous.is_some_and(|previous| previous >= tensor.name.as_str()) {
            return Err(TensorsError::Order(tensor.name.clone()));
        }
        previous = Some(&tensor.name);
        let (Some(elements), true) = (
            tensor.elements(),
            tensor.expected_bytes() == Some(tensor.data.len()),
        ) else {
            return Err(TensorsError::Size {
                name: tensor.name.clone(),
                expected: tensor.expected_bytes(),
                found: tensor.data.len(),
            });
        };
        total = total.saturating_add(elements as u64);
    }
    Ok(total)
}

/// What a client asks of a model: the bytes that a record's input commitment binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferenceRequest {
    /// Format version, 1.
    pub version: u16,
    /// The model to run.
    pub model: ModelId,
    /// Inputs, sorted by name, each name once.
    pub inputs: Vec<Tensor>,
}

canonical_struct!(InferenceRequest, max_bytes = MAX_PAYLOAD_BYTES, {
    version,
    model,
    inputs <= MAX_TENSORS,
});

/// What a model answered: the bytes that a record's output commitment binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferenceResponse {
    /// Format version, 1.
    pub version: u16,
    /// Outputs, sorted by name, each name once.
    pub outputs: Vec<Tensor>,
}

canonical_struct!(InferenceResponse, max_bytes = MAX_PAYLOAD_BYTES, {
    version,
    outputs <= MAX_TENSORS,
});
