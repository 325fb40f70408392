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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Number of bytes that `data` must have, or `None` if the shape is too large to exist.
    pub fn expected_bytes(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(self.element_type.width_bytes(), |bytes, extent| {
                bytes.checked_mul(usize::try_from(*extent).ok()?)
            })
    }
}

/// What a client asks of a model: the bytes that a record's input commitment binds.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
