//! Bytes changed on the way: every change is an error, and the error names a field.

use crate::fixture::{Draft, Network};
use og_types::{Canonical as _, Receipt, limits::MAX_RECEIPT_BYTES};
use og_verify::{TrustAnchor, verify};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use std::sync::LazyLock;

struct Case {
    anchor: TrustAnchor,
    receipt: Receipt,
    bytes: Vec<u8>,
}

/// A receipt with every list in use: siblings, descendants.
static CASE: LazyLock<Case> = LazyLock::new(|| {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    (draft.before, draft.after, draft.descendants) = (2, 3, 1);
    let receipt = draft.finish(&network);
    Case {
        anchor: network.anchor(),
        bytes: receipt.to_bytes(),
        receipt,
    }
});

/// The field that the error names; fails if the bytes are accepted.
fn rejected_field(bytes: &[u8]) -> String {
    let error = verify(bytes, &CASE.anchor).unwrap_err();
    let field = error.field().to_owned();
    assert!(field.starts_with("receipt"), "{field}");
    assert!(error.to_string().starts_with(&field), "{error}");
    field
}

#[test]
fn every_flipped_byte_is_an_error_that_names_a_field() {
    verify(&CASE.bytes, &CASE.anchor).unwrap();
    let mut bytes = CASE.bytes.clone();
    let mut unnamed = Vec::new();
    for position in 0..bytes.len() {
        for flip in [0x01, 0x02, 0x20, 0x80, 0xff] {
            bytes[position] ^= flip;
            if rejected_field(&bytes) == "receipt" {
                unnamed.push(position);
            }
            bytes[position] ^= flip;
        }
    }
    unnamed.dedup();
    // Only these belong to no field: the head of the whole array, and the length of the last
    // field, which if shortened leaves bytes behind.
    let last_length = bytes.len() - CASE.receipt.finalization.len() - 1;
    assert_eq!(unnamed, [0, last_length]);
}

#[test]
fn a_flipped_byte_is_blamed_on_the_field_it_is_in() {
    let receipt = &CASE.receipt;
    for (content, field) in [
        (&receipt.record.record.request_id.0[..], "receipt.record"),
        (&receipt.record.signature.0, "receipt.record.signature"),
        (&*receipt.opening.request, "receipt.opening.request"),
        (&*receipt.opening.response, "receipt.opening.response"),
        (&receipt.inclusion.siblings[1].0, "receipt.inclusion"),
        (&receipt.header.parent.0, "receipt.header"),
        (&receipt.header.view.to_be_bytes()[6..], "receipt.header"),
        (&receipt.descendants[0].parent.0, "receipt.descendants[0]"),
        (&*receipt.finalization, "receipt.finalization"),
    ] {
        let start = CASE
            .bytes
            .windows(content.len())
            .position(|window| window == content)
            .unwrap();
        for position in start..start + content.len() {
            let mut bytes = CASE.bytes.clone();
            bytes[position] ^= 0x04;
            let named = rejected_field(&bytes);
            assert!(named.starts_with(field), "byte {position}: {named}");
        }
    }
}

#[test]
fn truncated_extended_and_oversized_receipts_are_errors() {
    for length in 0..CASE.bytes.len() {
        rejected_field(&CASE.bytes[..length]);
    }
    for byte in [0x00, 0x80, 0xf6, 0xff] {
        let mut bytes = CASE.bytes.clone();
        bytes.push(byte);
        rejected_field(&bytes);
    }
    let mut bytes = CASE.bytes.clone();
    bytes.resize(MAX_RECEIPT_BYTES + 1, 0);
    rejected_field(&bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        rejected_field(&bytes);
    }

    #[test]
    fn spliced_receipts_are_errors(
        start in 0..CASE.bytes.len(),
        removed in 0..64usize,
        inserted in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let end = (start + removed).min(CASE.bytes.len());
        let bytes = [&CASE.bytes[..start], &inserted, &CASE.bytes[end..]].concat();
        prop_assume!(bytes != CASE.bytes);
        rejected_field(&bytes);
    }

    #[test]
    fn moved_bytes_are_errors(
        from in 0..CASE.bytes.len(),
        to in 0..CASE.bytes.len(),
        length in 1..200usize,
    ) {
        let length = length.min(CASE.bytes.len() - from.max(to));
        let mut bytes = CASE.bytes.clone();
        bytes.copy_within(from..from + length, to);
        prop_assume!(bytes != CASE.bytes);
        rejected_field(&bytes);
    }
}

/// Mutated receipts that are tried; `OG_MUTATED_RECEIPTS=1000000` takes some minutes.
const MUTATED_RECEIPTS: u64 = 5_000;

#[test]
fn no_mutated_receipt_is_accepted() {
    let count = std::env::var("OG_MUTATED_RECEIPTS")
        .map_or(MUTATED_RECEIPTS, |count| count.parse().unwrap());
    let mut rng = ChaCha20Rng::seed_from_u64(count);
    for _ in 0..count {
        let mut bytes = CASE.bytes.clone();
        for _ in 0..rng.random_range(1..=4) {
            mutate(&mut bytes, &mut rng);
        }
        if bytes != CASE.bytes {
            rejected_field(&bytes);
        }
    }
}

/// One change of the kinds that an editor, a bad disk or a forger makes.
fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    if bytes.is_empty() {
        return;
    }
    let position = rng.random_range(0..bytes.len());
    let length = rng.random_range(1..=64).min(bytes.len() - position);
    match rng.random_range(0..7) {
        0 => bytes[position] ^= 1 << rng.random_range(0..8),
        1 => bytes[position] = rng.random(),
        2 => rng.fill(&mut bytes[position..position + length]),
        3 => drop(bytes.drain(position..position + length)),
        4 => bytes.insert(position, rng.random()),
        5 => bytes.truncate(position),
        _ => {
            let from = rng.random_range(0..=bytes.len() - length);
            bytes.copy_within(from..from + length, position);
        }
    }
}
