//! The journal of what waits, out of bytes that anything may have damaged. The fuzz target `waiting` makes the same check.

use og_consensus::journal::lines::{Reader, write};
use og_types::limits::MAX_TRANSACTION_BYTES;

/// The transactions in `bytes`, read in pieces of a length, and how many lines hold none.
fn read(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, usize) {
    let mut reader = Reader::default();
    let raws = bytes.chunks(piece).flat_map(|piece| reader.read(piece));
    let raws = raws.map(|raw| raw.to_vec()).collect();
    (raws, reader.damaged())
}

/// Whatever is read, and in pieces of any length from 1 on: each line is an item or damaged, and what was found is found
/// again when it is written.
pub(crate) fn check(bytes: &[u8], piece: usize) {
    let (found, damaged) = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, piece), (found.clone(), damaged));
    let after_the_last = usize::from(bytes.is_empty() || bytes.ends_with(b"\n"));
    let lines = bytes.split(|byte| *byte == b'\n').count() - after_the_last;
    assert_eq!(found.len() + damaged, lines);
    let lengths = 1..=MAX_TRANSACTION_BYTES;
    assert!(found.iter().all(|raw| lengths.contains(&raw.len())));
    let raws: Vec<_> = found.iter().cloned().map(Into::into).collect();
    assert_eq!(read(&write(&raws), piece), (found, 0));
}

#[cfg(test)]
mod tests {
    use super::check;
    use proptest::prelude::*;

    #[test]
    fn what_looks_like_a_transaction_is_one_or_damaged() {
        for bytes in [
            &b""[..],
            b"\n",
            b"\n\n",
            b"0x\n",
            b"0x01\n",
            b"0x",
            b"01",
            b"0\n",
            b"zz\nAA\n",
        ] {
            check(bytes, 1);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1..400_usize) {
            check(&bytes, piece);
        }

        #[test]
        fn lines_of_digits_are_read(text in "([0-9a-fx]{0,12}\n){0,20}[0-9a-f]{0,3}", piece in 1..50_usize) {
            check(text.as_bytes(), piece);
        }
    }
}
