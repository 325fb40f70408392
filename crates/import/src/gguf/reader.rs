//! Little-endian numbers, strings and nested values from bytes that may be hostile.

use super::{Array, GgufError, MAX_DEPTH, MAX_NAME_BYTES, Value};

/// A place in bytes that only moves forward.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], GgufError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(GgufError::Truncated {
            at: self.bytes.len(),
            what,
        })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(super) fn count(&mut self, what: &'static str, most: u64) -> Result<u64, GgufError> {
        match self.u64(what)? {
            count if count <= most => Ok(count),
            count => Err(GgufError::Count { what, count, most }),
        }
    }

    fn string(&mut self, what: &'static str) -> Result<&'a [u8], GgufError> {
        let length = self.u64(what)?;
        let length = usize::try_from(length).map_err(|_| GgufError::Truncated {
            at: self.bytes.len(),
            what,
        })?;
        self.take(length, what)
    }

    /// A key or a tensor's name.
    pub(super) fn name(&mut self, what: &'static str) -> Result<&'a str, GgufError> {
        let bytes = self.string(what)?;
        if bytes.len() > MAX_NAME_BYTES {
            let (count, most) = (bytes.len() as u64, MAX_NAME_BYTES as u64);
            return Err(GgufError::Count {
                what: "bytes of a name",
                count,
                most,
            });
        }
        std::str::from_utf8(bytes).map_err(|_| GgufError::Name {
            what,
            name: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// A value of a type; `depth` arrays are around it.
    pub(super) fn value(
        &mut self,
        kind: u32,
        key: &str,
        depth: u32,
    ) -> Result<Value<'a>, GgufError> {
        let what = "a value of the metadata";
        Ok(match kind {
            0 => Value::Integer(self.array::<1>(what)?[0].into()),
            1 => Value::Integer((self.array::<1>(what)?[0] as i8).into()),
            2 => Value::Integer(u16::from_le_bytes(self.array(what)?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.array(what)?).into()),
            4 => Value::Integer(u32::from_le_bytes(self.array(what)?).into()),
            5 => Value::Integer(i32::from_le_bytes(self.array(what)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(what)?).into()),
            7 => Value::Bool(self.array::<1>(what)?[0] != 0),
            8 => Value::Text(self.string(what)?),
            9 => Value::Array(self.nested(key, depth)?),
            10 => Value::Integer(u64::from_le_bytes(self.array(what)?).into()),
            11 => Value::Integer(i64::from_le_bytes(self.array(what)?).into()),
            12 => Value::Float(f64::from_le_bytes(self.array(what)?)),
            kind => {
                return Err(GgufError::ValueType {
                    key: key.to_owned(),
                    kind,
                });
            }
        })
    }

    /// An array: walked to its end, so that every element is inside the file. Every element has at least one byte
    /// (an array within has twelve), so that a count is bounded by the file.
    fn nested(&mut self, key: &str, depth: u32) -> Result<Array<'a>, GgufError> {
        if depth >= MAX_DEPTH {
            return Err(GgufError::Depth(key.to_owned()));
        }
        let kind = self.u32("an array's type")?;
        let count = self.u64("an array's length")?;
        let start = self.at;
        if let Some(size) = fixed_size(kind) {
            let length = count
                .checked_mul(size)
                .and_then(|length| usize::try_from(length).ok());
            let truncated = GgufError::Truncated {
                at: self.bytes.len(),
                what: "an array",
            };
            self.take(length.ok_or(truncated)?, "an array")?;
        } else {
            for _ in 0..count {
                self.value(kind, key, depth + 1)?;
            }
        }
        let bytes = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(Array { kind, count, bytes })
    }
}

/// Bytes of a value of a type that has always as many.
const fn fixed_size(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}
