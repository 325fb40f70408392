//! One canonical encoding: deterministic CBOR (RFC 8949, section 4.2.1), bounded by type.
//!
//! A structure is a CBOR array of its fields in declared order: no maps, no tags, no floats, no
//! indefinite lengths. Integers and lengths use the shortest form. An optional field is its value
//! or `null`. [`Canonical::from_bytes`] accepts exactly the bytes that [`Canonical::to_bytes`]
//! makes, so one value has one encoding and one hash.

use alloy_primitives::{Address, B256, Bytes, U256};
use minicbor::{
    data::Type,
    decode::{Decoder, Error as CborError},
    encode::Encoder,
};

/// Writes canonical CBOR into memory, which cannot fail.
pub type Writer = Encoder<Vec<u8>>;

/// Bytes that most encodings fit into, a record's with its signature for one.
const USUAL_BYTES: usize = 512;

/// Why bytes are not the encoding of a value. The bytes are at fault, never the reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field holds something that its type does not allow.
    #[error("{}{reason}", place(field))]
    Field {
        /// Dotted path of the field, for example `record.price`; empty for the whole value.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More bytes than this type may have.
    #[error("{length} bytes are more than the {maximum} that are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        maximum: usize,
    },
    /// The value decodes, but this is not its canonical encoding.
    #[error("not the canonical encoding (first difference at byte {offset})")]
    NotCanonical {
        /// Offset of the first byte that differs from the canonical encoding.
        offset: usize,
    },
}

/// How a message about a field begins.
fn place(field: &str) -> String {
    if field.is_empty() {
        return String::new();
    }
    format!("{field}: ")
}

impl DecodeError {
    /// An error about the value itself, whose path the callers up the stack fill in.
    pub fn value(reason: impl Into<String>) -> Self {
        Self::Field {
            field: String::new(),
            reason: reason.into(),
        }
    }

    /// Prepends `name` to the path of the field at fault.
    #[must_use]
    pub fn within(self, name: &str) -> Self {
        match self {
            Self::Field { field, reason } => Self::Field {
                field: if field.is_empty() {
                    name.to_owned()
                } else {
                    format!("{name}.{field}")
                },
                reason,
            },
            other => Self::Field {
                field: name.to_owned(),
                reason: other.to_string(),
            },
        }
    }
}

impl From<CborError> for DecodeError {
    fn from(error: CborError) -> Self {
        let reason = if error.is_end_of_input() {
            "the bytes end too early".to_owned()
        } else {
            error.to_string()
        };
        Self::value(reason)
    }
}

/// A type with one canonical, bounded encoding.
pub trait Canonical: Sized {
    /// Largest encoding that [`from_bytes`](Self::from_bytes) accepts, in bytes.
    const MAX_BYTES: usize;

    /// Appends the encoding of `self`.
    fn write(&self, writer: &mut Writer);

    /// Reads one value.
    ///
    /// # Errors
    /// [`DecodeError`] names the field that is wrong.
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// The canonical encoding.
    fn to_bytes(&self) -> Vec<u8> {
        encoded(self, USUAL_BYTES)
    }

    /// Decodes `bytes`, which must be exactly the canonical encoding of one value.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are too long, malformed, followed by others, or not canonical.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(DecodeError::TooLong {
                length: bytes.len(),
                maximum: Self::MAX_BYTES,
            });
        }
        let mut decoder = Decoder::new(bytes);
        let value = Self::read(&mut decoder)?;
        if decoder.position() != bytes.len() {
            return Err(DecodeError::value(format!(
                "{} bytes follow the value",
                bytes.len().saturating_sub(decoder.position())
            )));
        }
        let canonical = encoded(&value, bytes.len());
        if canonical != bytes {
            let offset = canonical
                .iter()
                .zip(bytes)
                .position(|(ours, theirs)| ours != theirs)
                .unwrap_or(canonical.len().min(bytes.len()));
            return Err(DecodeError::NotCanonical { offset });
        }
        Ok(value)
    }
}

/// The canonical encoding, into memory that has room for so many bytes at first.
fn encoded(value: &impl Canonical, bytes: usize) -> Vec<u8> {
    let mut writer = Encoder::new(Vec::with_capacity(bytes));
    value.write(&mut writer);
    writer.into_writer()
}

/// A field inside a structure: like [`Canonical`], with the bound given by the place.
pub trait Field: Sized {
    /// Appends the encoding of `self`.
    fn write_field(&self, writer: &mut Writer);
    /// Reads one value of at most `maximum` bytes or items (ignored by types of fixed size).
    ///
    /// # Errors
    /// [`DecodeError`] names what is wrong.
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError>;
}

/// Takes note of a write, which cannot fail: the sink is a `Vec`, and lengths are exact.
fn written<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "writing into memory cannot fail");
}

/// Checks that the head of the next item uses the shortest form for its argument.
///
/// [`Canonical::from_bytes`] would find out at the end; here the error can name the field.
fn check_head(decoder: &Decoder<'_>) -> Result<(), DecodeError> {
    let rest = decoder.input().get(decoder.position()..).unwrap_or(&[]);
    let Some((initial, rest)) = rest.split_first() else {
        return Ok(());
    };
    let (width_bytes, smallest) = match initial & 0x1f {
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return Ok(()),
    };
    let argument = rest
        .iter()
        .take(width_bytes)
        .fold(0u64, |argument, byte| argument << 8 | u64::from(*byte));
    if rest.len() >= width_bytes && argument < smallest {
        return Err(DecodeError::value(
            "an integer or length that is not in its shortest form",
        ));
    }
    Ok(())
}

/// Writes a byte string.
pub(crate) fn write_bytes(writer: &mut Writer, bytes: &[u8]) {
    written(writer.bytes(bytes));
}

/// Writes the head of an array of `length` items.
pub fn write_array(writer: &mut Writer, length: usize) {
    written(writer.array(length as u64));
}

/// Reads the head of an array of exactly `length` items.
///
/// # Errors
/// [`DecodeError`] if it is no array, or one of another length.
pub fn read_array(decoder: &mut Decoder<'_>, length: usize) -> Result<(), DecodeError> {
    check_head(decoder)?;
    match decoder.array()? {
        Some(found) if found == length as u64 => Ok(()),
        Some(found) => Err(DecodeError::value(format!(
            "an array of {found} items where {length} are expected"
        ))),
        None => Err(DecodeError::value("an array of indefinite length")),
    }
}

/// Reads a byte string, still part of the input.
fn read_bytes<'b>(decoder: &mut Decoder<'b>) -> Result<&'b [u8], DecodeError> {
    check_head(decoder)?;
    Ok(decoder.bytes()?)
}

/// Reads a byte string of exactly `N` bytes.
pub(crate) fn read_fixed<const N: usize>(
    decoder: &mut Decoder<'_>,
) -> Result<[u8; N], DecodeError> {
    let bytes = read_bytes(decoder)?;
    bytes
        .try_into()
        .map_err(|_| DecodeError::value(format!("{} bytes where {N} are expected", bytes.len())))
}

/// Writes `null`.
fn write_null(writer: &mut Writer) {
    written(writer.null());
}

macro_rules! integer_field {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn write_field(&self, writer: &mut Writer) {
                written(writer.$type(*self));
            }
            fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
                check_head(decoder)?;
                Ok(decoder.$type()?)
            }
        }
    )*};
}
integer_field!(u8, u16, u32, u64, i64, bool);

macro_rules! fixed_field {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn write_field(&self, writer: &mut Writer) {
                write_bytes(writer, self.as_slice());
            }
            fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
                read_fixed(decoder).map(Self::from)
            }
        }
    )*};
}
fixed_field!(B256, Address);

impl Field for U256 {
    fn write_field(&self, writer: &mut Writer) {
        write_bytes(writer, &self.to_be_bytes::<32>());
    }
    fn read_field(decoder: &mut Decoder<'_>, _: usize) -> Result<Self, DecodeError> {
        read_fixed(decoder).map(Self::from_be_bytes::<32>)
    }
}

impl Field for Bytes {
    fn write_field(&self, writer: &mut Writer) {
        write_bytes(writer, self);
    }
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        let bytes = read_bytes(decoder)?;
        if bytes.len() > maximum {
            return Err(DecodeError::TooLong {
                length: bytes.len(),
                maximum,
            });
        }
        Ok(Self::copy_from_slice(bytes))
    }
}

impl Field for String {
    fn write_field(&self, writer: &mut Writer) {
        written(writer.str(self));
    }
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        check_head(decoder)?;
        let text = decoder.str()?;
        if text.len() > maximum {
            return Err(DecodeError::TooLong {
                length: text.len(),
                maximum,
            });
        }
        Ok(text.to_owned())
    }
}

impl<T: Field> Field for Option<T> {
    fn write_field(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.write_field(writer),
            None => write_null(writer),
        }
    }
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        if decoder.datatype()? == Type::Null {
            decoder.null()?;
            return Ok(None);
        }
        T::read_field(decoder, maximum).map(Some)
    }
}

/// A list of items, each with a bound of its own in its type.
///
/// The bound of the place is the number of items; an item that needs a bound is a
/// [`Canonical`] structure, whose fields carry theirs.
impl<T: Field> Field for Vec<T> {
    fn write_field(&self, writer: &mut Writer) {
        write_array(writer, self.len());
        for item in self {
            item.write_field(writer);
        }
    }
    fn read_field(decoder: &mut Decoder<'_>, maximum: usize) -> Result<Self, DecodeError> {
        check_head(decoder)?;
        let length = decoder
            .array()?
            .ok_or_else(|| DecodeError::value("an array of indefinite length"))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > maximum {
            return Err(DecodeError::TooLong { length, maximum });
        }
        // Each item takes at least a byte, so the length claimed cannot reserve more than arrived.
        let remaining = decoder.input().len().saturating_sub(decoder.position());
        let mut items = Self::with_capacity(length.min(remaining));
        for index in 0..length {
            items.push(
                T::read_field(decoder, usize::MAX)
                    .map_err(|error| error.within(&format!("[{index}]")))?,
            );
        }
        Ok(items)
    }
}

/// Implements [`Canonical`] and [`Field`] for a structure as the array of its fields in order.
///
/// `field` for one of fixed size, `field <= maximum` for one that is bounded by the place.
#[macro_export]
macro_rules! canonical_struct {
    ($type:ident, max_bytes = $max:expr, { $($field:ident $(<= $bound:expr)?),+ $(,)? }) => {
        impl $crate::cbor::Canonical for $type {
            const MAX_BYTES: usize = $max;
            fn write(&self, writer: &mut $crate::cbor::Writer) {
                const LENGTH: usize = [$(stringify!($field)),+].len();
                $crate::cbor::write_array(writer, LENGTH);
                $($crate::cbor::Field::write_field(&self.$field, writer);)+
            }
            fn read(
                decoder: &mut ::minicbor::Decoder<'_>,
            ) -> Result<Self, $crate::cbor::DecodeError> {
                const LENGTH: usize = [$(stringify!($field)),+].len();
                $crate::cbor::read_array(decoder, LENGTH)?;
                Ok(Self {
                    $($field: {
                        #[allow(unused_mut, unused_assignments)]
                        let mut maximum = usize::MAX;
                        $(maximum = $bound;)?
                        $crate::cbor::Field::read_field(decoder, maximum)
                            .map_err(|error| error.within(stringify!($field)))?
                    }),+
                })
            }
        }
        impl $crate::cbor::Field for $type {
            fn write_field(&self, writer: &mut $crate::cbor::Writer) {
                $crate::cbor::Canonical::write(self, writer);
            }
            fn read_field(
                decoder: &mut ::minicbor::Decoder<'_>,
                _: usize,
            ) -> Result<Self, $crate::cbor::DecodeError> {
                $crate::cbor::Canonical::read(decoder)
            }
        }
    };
}
