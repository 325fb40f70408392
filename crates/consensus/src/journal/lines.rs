//! The lines of a journal (see `docs/formats/waiting.md`): a raw transaction or the canonical bytes of a signed record each,
//! in hexadecimal.

use alloy_primitives::{Bytes, hex};
use og_types::limits::MAX_TRANSACTION_BYTES;

/// Longest line, without its end: a record is shorter than a transaction may be.
const MAX_LINE_BYTES: usize = 2 * MAX_TRANSACTION_BYTES;
/// How a signed record begins: the head of a CBOR array of two.
const RECORD_HEAD: u8 = 0x82;

/// `items`, a line each.
pub fn write(items: &[Bytes]) -> Vec<u8> {
    let mut text = String::new();
    for item in items {
        text.push_str(&hex::encode(item));
        text.push('\n');
    }
    text.into_bytes()
}

/// Whether an item is a record. A transaction begins with its type, below 0x80, or as a list, from 0xc0 on (EIP-2718).
pub fn is_record(item: &[u8]) -> bool {
    item.first() == Some(&RECORD_HEAD)
}

/// Finds items in pieces of a file, and counts the lines that hold none.
#[derive(Debug, Default)]
pub struct Reader {
    /// The line that has begun, as far as it may be an item.
    line: Vec<u8>,
    damaged: usize,
}

impl Reader {
    /// What stands in the lines that end in `piece`.
    pub fn read(&mut self, piece: &[u8]) -> Vec<Bytes> {
        let mut found = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = part.strip_suffix(b"\n") else {
                self.extend(part);
                continue;
            };
            self.extend(end);
            match self.item() {
                Some(item) => found.push(item),
                None => self.damaged += 1,
            }
            self.line.clear();
        }
        found
    }

    /// Lines that held no item, the one that has no end among them.
    pub fn damaged(&self) -> usize {
        self.damaged + usize::from(!self.line.is_empty())
    }

    fn extend(&mut self, part: &[u8]) {
        // One byte more than a line may have, to know that it is too long.
        let room = (MAX_LINE_BYTES + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn item(&self) -> Option<Bytes> {
        if self.line.is_empty() || self.line.len() > MAX_LINE_BYTES {
            return None;
        }
        let item = hex::decode(&self.line).ok()?;
        (!item.is_empty()).then(|| item.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_is_what_we_write() {
        let items = vec![
            Bytes::from_static(&[2, 0xc0]),
            Bytes::from_static(&[0x82, 0x80, 0x40]),
        ];
        let vector = include_bytes!("vector.txt");
        assert_eq!(write(&items), vector);
        assert_eq!(
            items.iter().map(|item| is_record(item)).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(read(vector, 4), (items, 0));
    }

    fn raws(lengths: &[usize]) -> Vec<Bytes> {
        let raw = |(index, length): (usize, &usize)| vec![index as u8; *length].into();
        lengths.iter().enumerate().map(raw).collect()
    }

    fn read(bytes: &[u8], piece: usize) -> (Vec<Bytes>, usize) {
        let mut reader = Reader::default();
        let pieces = bytes.chunks(piece);
        let found = pieces.flat_map(|piece| reader.read(piece)).collect();
        (found, reader.damaged())
    }

    #[test]
    fn damage_costs_the_lines_that_it_is_in() {
        let raws = raws(&[10, 20, 30, 40]);
        let mut bytes = write(&raws);
        bytes[30] = 0; // in the second line
        bytes.truncate(bytes.len() - 5); // the last has no end
        assert_eq!(read(&bytes, 7), (vec![raws[0].clone(), raws[2].clone()], 2));
        bytes[20] = b'0'; // now the first two are one
        assert_eq!(read(&bytes, 7), (vec![raws[2].clone()], 2));
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_transaction() {
        let mut reader = Reader::default();
        for _ in 0..100 {
            assert!(reader.read(&[b'a'; 100_000]).is_empty());
        }
        assert!(reader.line.len() <= MAX_LINE_BYTES + 1);
        let largest = raws(&[MAX_TRANSACTION_BYTES]);
        let after = [b"\n", &write(&largest)[..]].concat();
        assert_eq!((reader.read(&after), reader.damaged()), (largest, 1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_size(
            lengths in proptest::collection::vec(1..500_usize, 0..20),
            piece in 1..700_usize,
        ) {
            let raws = raws(&lengths);
            prop_assert_eq!(read(&write(&raws), piece), (raws, 0));
        }
    }
}
