//! Read GGUF files (versions 2 and 3): bytes in, views out, nothing trusted.

mod decoder;
mod entries;
mod reader;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use decoder::{GgufDecoder, GgufDecoderError};
use reader::Reader;
use std::{collections::BTreeMap, ops::Range};

use crate::tensor::{Tensor, TensorError, blocks::Kind};

/// Entries of metadata, at most.
pub const MAX_ENTRIES: u64 = 1 << 16;
/// Tensors, at most.
pub const MAX_TENSORS: u64 = 1 << 17;
/// Bytes of a name or key, at most.
pub const MAX_NAME_BYTES: usize = 1 << 16;
/// Arrays within arrays, at most.
pub const MAX_DEPTH: u32 = 4;
/// Dimensions of a tensor, at most.
const MAX_DIMENSIONS: u32 = 4;

/// Why bytes are no GGUF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
    /// It does not begin as one.
    #[error("this is no GGUF file")]
    Magic,
    /// Another version.
    #[error("GGUF version {0}; versions 2 and 3 are read (big-endian files are not)")]
    Version(u32),
    /// It ends early.
    #[error("the file ends at byte {at}, within {what}; it is truncated or its lengths are wrong")]
    Truncated {
        /// Where.
        at: usize,
        /// What was read.
        what: &'static str,
    },
    /// A count is beyond its bound.
    #[error("{what}: {count}, and at most {most} are possible")]
    Count {
        /// Of what.
        what: &'static str,
        /// As the file says.
        count: u64,
        /// The bound.
        most: u64,
    },
    /// A value of an unknown type.
    #[error("{key:?}: values of type {kind} are unknown")]
    ValueType {
        /// Its key.
        key: String,
        /// As the file says.
        kind: u32,
    },
    /// Arrays nested too deep.
    #[error("{0:?}: arrays within arrays within arrays")]
    Depth(String),
    /// A name that is not text, or is there twice.
    #[error("a {what} is not text, or is there twice: {name:?}")]
    Name {
        /// A key or a tensor's name.
        what: &'static str,
        /// As far as it is text.
        name: String,
    },
    /// An alignment that is no power of two.
    #[error("general.alignment is {0}, and must be a power of two of 8 to 65536")]
    Alignment(u64),
    /// A tensor's shape or place.
    #[error("{name}: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// An unsigned or signed integer.
    Integer(i128),
    /// A float.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text, if it is UTF-8.
    Text(&'a [u8]),
    /// Several.
    Array(Array<'a>),
}

/// An array of the metadata; its bytes were walked once and are decoded again when asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    kind: u32,
    count: u64,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// How many elements it has.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its elements.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (mut reader, kind) = (Reader::new(self.bytes), self.kind);
        (0..self.count).map_while(move |_| reader.value(kind, "", 1).ok())
    }
}

impl<'a> Value<'a> {
    /// It as text, if it is UTF-8.
    pub const fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(_) => None,
            },
            _ => None,
        }
    }

    /// It as an integer of 32 bits.
    pub fn integer(&self) -> Option<u32> {
        match self {
            Self::Integer(integer) => u32::try_from(*integer).ok(),
            _ => None,
        }
    }

    /// It as a float; integers too.
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Float(float) => Some(*float),
            Self::Integer(integer) => Some(*integer as f64),
            _ => None,
        }
    }

    /// It as true or false.
    pub const fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
}

/// Where a tensor is and how it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TensorPlace {
    /// Extents, innermost first.
    extents: Vec<u64>,
    kind: Result<Kind, u32>,
    /// Within the file; empty if the format is not read.
    bytes: Range<usize>,
}

/// A GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf<'a> {
    bytes: &'a [u8],
    metadata: BTreeMap<&'a str, Value<'a>>,
    tensors: BTreeMap<&'a str, TensorPlace>,
}

impl<'a> Gguf<'a> {
    /// Reads the header: metadata and places of tensors. Memory is bounded by the file's own length.
    ///
    /// # Errors
    /// [`GgufError`] if it is truncated, oversized or contradicts itself.
    pub fn read(bytes: &'a [u8]) -> Result<Self, GgufError> {
        let mut reader = Reader::new(bytes);
        if reader.take(4, "the magic")? != b"GGUF" {
            return Err(GgufError::Magic);
        }
        let version = reader.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version));
        }
        let tensor_count = reader.count("tensors", MAX_TENSORS)?;
        let entries = reader.count("entries of metadata", MAX_ENTRIES)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = reader.name("key")?;
            let kind = reader.u32("a type")?;
            let value = reader.value(kind, key, 0)?;
            if metadata.insert(key, value).is_some() {
                return Err(GgufError::Name {
                    what: "key",
                    name: key.to_owned(),
                });
            }
        }
        let mut places = vec![];
        for _ in 0..tensor_count {
            let name = reader.name("tensor name")?;
            places.push((name, tensor_place(&mut reader)?));
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Integer(n)) => u64::try_from(*n).unwrap_or(0),
            Some(_) => 0,
        };
        if !alignment.is_power_of_two() || !(8..=65_536).contains(&alignment) {
            return Err(GgufError::Alignment(alignment));
        }
        let start = reader.position().next_multiple_of(alignment as usize);
        let mut tensors = BTreeMap::new();
        for (name, (extents, kind, offset)) in places {
            let place = located(name, extents, kind, offset, (start, alignment, bytes.len()))?;
            if tensors.insert(name, place).is_some() {
                return Err(GgufError::Name {
                    what: "tensor name",
                    name: name.to_owned(),
                });
            }
        }
        Ok(Self {
            bytes,
            metadata,
            tensors,
        })
    }

    /// An entry of the metadata.
    pub fn value(&self, key: &str) -> Option<&Value<'a>> {
        self.metadata.get(key)
    }

    /// Keys of all metadata.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.metadata.keys().copied()
    }

    /// Names of all tensors.
    pub fn tensor_names(&self) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().copied()
    }

    /// A tensor as a matrix: the innermost extent is a row. `None` if there is none of that name, or the number of
    /// a format that is not read.
    ///
    /// # Errors
    /// [`TensorError`] if rows are not whole blocks.
    pub fn tensor(&self, name: &str) -> Option<Result<Result<Tensor<'a>, u32>, TensorError>> {
        let place = self.tensors.get(name)?;
        let kind = match place.kind {
            Ok(kind) => kind,
            Err(unknown) => return Some(Ok(Err(unknown))),
        };
        let columns = place.extents.first().map_or(1, |n| *n as usize);
        let rows = place.extents.iter().skip(1).product::<u64>() as usize;
        let bytes = self.bytes.get(place.bytes.clone()).unwrap_or_default();
        Some(Tensor::stored(name, rows, columns, kind, bytes).map(Ok))
    }
}

type RawPlace = (Vec<u64>, u32, u64);

fn tensor_place(reader: &mut Reader<'_>) -> Result<RawPlace, GgufError> {
    let dimensions = reader.u32("a tensor's dimensions")?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let (count, most) = (dimensions.into(), MAX_DIMENSIONS.into());
        return Err(GgufError::Count {
            what: "dimensions of a tensor",
            count,
            most,
        });
    }
    let extents: Result<Vec<u64>, _> = (0..dimensions)
        .map(|_| reader.u64("a tensor's extents"))
        .collect();
    Ok((
        extents?,
        reader.u32("a tensor's type")?,
        reader.u64("a tensor's offset")?,
    ))
}

/// The place of a tensor, checked: `(start, alignment, end)` of the file's data.
fn located(
    name: &str,
    extents: Vec<u64>,
    kind: u32,
    offset: u64,
    (start, alignment, end): (usize, u64, usize),
) -> Result<TensorPlace, GgufError> {
    let wrong = |reason| GgufError::Tensor {
        name: name.to_owned(),
        reason,
    };
    let elements = extents
        .iter()
        .try_fold(1_u64, |product, n| product.checked_mul(*n));
    let elements = elements
        .filter(|n| *n > 0 && *n < 1 << 48)
        .ok_or_else(|| wrong("its shape is empty or overflows"))?;
    if !offset.is_multiple_of(alignment) {
        return Err(wrong("its offset is not aligned"));
    }
    let Some(known) = kind_of(kind) else {
        return Ok(TensorPlace {
            extents,
            kind: Err(kind),
            bytes: 0..0,
        });
    };
    let block = known.block_elements() as u64;
    if !extents.first().is_some_and(|row| row.is_multiple_of(block)) {
        return Err(wrong("its rows are not whole blocks of its type"));
    }
    let length = elements / block * known.block_bytes() as u64;
    let first = usize::try_from(offset)
        .ok()
        .and_then(|offset| start.checked_add(offset));
    let last = first.and_then(|first| first.checked_add(usize::try_from(length).ok()?));
    match (first, last) {
        (Some(first), Some(last)) if last <= end => Ok(TensorPlace {
            extents,
            kind: Ok(known),
            bytes: first..last,
        }),
        _ => Err(wrong(
            "its bytes lie beyond the end of the file; it is truncated",
        )),
    }
}

/// The formats that are read, by their numbers in the file.
const fn kind_of(number: u32) -> Option<Kind> {
    Some(match number {
        0 => Kind::F32,
        1 => Kind::F16,
        2 => Kind::Q4_0,
        8 => Kind::Q8_0,
        12 => Kind::Q4K,
        14 => Kind::Q6K,
        30 => Kind::Bf16,
        _ => return None,
    })
}
