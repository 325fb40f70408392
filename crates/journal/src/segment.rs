//! The bytes of one file: a header, then entries, each with its length and a checksum.

use std::ops::Range;

/// What a file begins with: the name of the format and its version.
pub const MAGIC: [u8; 8] = *b"ogjrnl\0\x01";
/// Bytes before the first entry.
pub const HEADER_BYTES: u32 = 8;
/// Bytes that an entry takes besides its own.
pub const OVERHEAD_BYTES: u32 = 8;

/// An entry as it stands in a file: its length and the CRC-32 of length and bytes, each a little-endian integer of 32 bits,
/// then its bytes. `None` if the length does not fit.
pub fn frame(entry: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(entry.len()).ok()?.to_le_bytes();
    Some([&length, &checksum(length, entry).to_le_bytes(), entry].concat())
}

fn checksum(length: [u8; 4], entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(entry);
    hasher.finalize()
}

/// What is intact of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the entries' bytes are.
    pub entries: Vec<Range<usize>>,
    /// Bytes up to the end of the last intact entry; what follows was never completed, or is damaged.
    pub intact_bytes: usize,
}

impl Segment {
    /// Reads a file. `None` if it is not of a journal. One whose header is not complete has no entries and 0 intact bytes.
    pub fn read(bytes: &[u8], max_entry_bytes: u32) -> Option<Self> {
        let Some(mut rest) = bytes.strip_prefix(&MAGIC) else {
            return MAGIC.starts_with(bytes).then_some(Self {
                entries: vec![],
                intact_bytes: 0,
            });
        };
        let mut entries = vec![];
        let mut intact_bytes = MAGIC.len();
        while let Some((length, after)) = first(rest, max_entry_bytes) {
            let start = intact_bytes + OVERHEAD_BYTES as usize;
            intact_bytes = start + length;
            entries.push(start..intact_bytes);
            rest = after;
        }
        Some(Self {
            entries,
            intact_bytes,
        })
    }
}

/// The length of the entry that `bytes` begin with, and what follows it; `None` if it is not intact.
fn first(bytes: &[u8], max_entry_bytes: u32) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let bytes = u32::from_le_bytes(*length);
    if bytes > max_entry_bytes {
        return None;
    }
    let (entry, after) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
    (checksum(*length, entry) == u32::from_le_bytes(*sum)).then_some((entry.len(), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for entry in entries {
            bytes.extend(frame(entry).unwrap());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<&[u8]> {
        let segment = Segment::read(bytes, 1000).unwrap();
        let entries = segment.entries.into_iter();
        entries.map(|range| &bytes[range]).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_vector() {
        let vector = include_bytes!("../tests/vectors/two-entries.journal");
        assert_eq!(file(&[b"first".to_vec(), vec![]]), vector);
        assert_eq!(read(vector), [b"first".as_slice(), b""]);
    }

    #[test]
    fn another_file_is_none() {
        assert!(Segment::read(b"another file", 1000).is_none());
        assert!(Segment::read(b"ogjrnl\0\x02", 1000).is_none());
        for length in 0..MAGIC.len() {
            let segment = Segment::read(&MAGIC[..length], 1000).unwrap();
            assert_eq!((segment.entries.len(), segment.intact_bytes), (0, 0));
        }
    }

    #[test]
    fn an_entry_that_is_too_long_ends_what_is_intact() {
        let bytes = file(&[vec![1; 10], vec![2; 11], vec![3; 10]]);
        let segment = Segment::read(&bytes, 10).unwrap();
        assert_eq!(segment.entries.len(), 1);
    }

    proptest! {
        #[test]
        fn a_torn_file_has_the_entries_that_are_whole(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = file(&entries);
            let kept = &bytes[..MAGIC.len() + cut.index(bytes.len() - MAGIC.len() + 1)];
            let found = read(kept);
            prop_assert!(found.len() <= entries.len());
            prop_assert!(found.iter().zip(&entries).all(|(found, entry)| *found == entry.as_slice()));
            let whole = Segment::read(kept, 1000).unwrap().intact_bytes;
            prop_assert!(kept.len() - whole < OVERHEAD_BYTES as usize + 50);
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..8),
            place in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let mut bytes = file(&entries);
            let index = MAGIC.len() + place.index(bytes.len() - MAGIC.len());
            bytes[index] ^= 1 << bit;
            prop_assert!(read(&bytes).len() < entries.len());
        }

        #[test]
        fn hostile_bytes_are_read_within_their_length(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&MAGIC[..], &bytes].concat();
            let segment = Segment::read(&bytes, u32::MAX).unwrap();
            prop_assert!(segment.intact_bytes <= bytes.len());
        }
    }
}
