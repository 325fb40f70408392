//! Where a CBOR item ends, found as its bytes arrive, each looked at once.

use crate::cbor::DecodeError;

/// How far an item has been looked at.
#[derive(Debug)]
pub(super) struct Boundary {
    /// Bytes that were looked at; of contents, also those that have not arrived.
    seen: usize,
    /// Items whose heads are still to come.
    heads: u64,
}

impl Default for Boundary {
    fn default() -> Self {
        Self { seen: 0, heads: 1 }
    }
}

impl Boundary {
    /// The length of the item at the beginning of `bytes`, if it is there as a whole. `bytes` are those of the call before,
    /// and more.
    ///
    /// # Errors
    /// If it would be longer than `most` bytes, or holds what canonical encodings do not.
    pub(super) fn find(&mut self, bytes: &[u8], most: usize) -> Result<Option<usize>, DecodeError> {
        while self.heads > 0 {
            let Some(head) = head(bytes.get(self.seen..).unwrap_or(&[]))? else {
                return Ok(None);
            };
            let contents = usize::try_from(head.contents).unwrap_or(usize::MAX);
            self.seen = self
                .seen
                .saturating_add(head.length)
                .saturating_add(contents);
            self.heads = self.heads.saturating_sub(1).saturating_add(head.items);
            // Each item takes at least a byte.
            let least = u64::try_from(self.seen).unwrap_or(u64::MAX);
            if least.saturating_add(self.heads) > u64::try_from(most).unwrap_or(u64::MAX) {
                return Err(DecodeError::TooLong {
                    length: usize::try_from(least.saturating_add(self.heads)).unwrap_or(usize::MAX),
                    maximum: most,
                });
            }
        }
        Ok((self.seen <= bytes.len()).then_some(self.seen))
    }
}

/// The beginning of an item.
struct Head {
    /// Its bytes.
    length: usize,
    /// Bytes of text or of a byte string that follow it.
    contents: u64,
    /// Items of an array that follow it.
    items: u64,
}

fn head(bytes: &[u8]) -> Result<Option<Head>, DecodeError> {
    let Some((initial, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let width = match initial & 0x1f {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(DecodeError::value("an item of indefinite length")),
    };
    let Some(argument) = rest.get(..width) else {
        return Ok(None);
    };
    let argument = match width {
        0 => u64::from(initial & 0x1f),
        _ => argument
            .iter()
            .fold(0, |argument, byte| argument << 8 | u64::from(*byte)),
    };
    let (contents, items) = match initial >> 5 {
        0 | 1 => (0, 0),
        2 | 3 => (argument, 0),
        4 => (0, argument),
        7 if width == 0 => (0, 0),
        _ => return Err(DecodeError::value("a map, a tag or a float")),
    };
    Ok(Some(Head {
        length: width.saturating_add(1),
        contents,
        items,
    }))
}
