//! Receipts that hold, and what their reports say.

use crate::fixture::{Certificate, Draft, Network, request, response};
use commonware_codec::Encode as _;
use og_crypto::block_hash;
use og_types::{
    Canonical as _, Checkpoint, Header, Receipt,
    limits::{MAX_FINALIZATION_BYTES, MAX_RECORDS_PER_BLOCK, MAX_VALIDATORS},
};
use og_verify::{Position, Report, Status, TrustAnchor, verify};

/// Bytes that a receipt without proof may have.
const RECEIPT_GOAL_BYTES: usize = 8 * 1024;

fn accept(receipt: &Receipt, anchor: &TrustAnchor) -> Report {
    verify(&receipt.to_bytes(), anchor).unwrap()
}

fn checkpoint(network: &Network, header: &Header) -> Checkpoint {
    Checkpoint {
        version: 1,
        chain_id: header.chain_id,
        genesis: network.anchor().genesis(),
        height: header.height,
        block: block_hash(header),
        timestamp_ms: header.timestamp_ms,
        epoch: header.epoch,
        validators: network.genesis.validators.clone(),
    }
}

#[test]
fn an_honest_receipt_is_accepted_and_the_report_says_who_signed() {
    let network = Network::new(4);
    let receipt = Draft::new(&network).finish(&network);
    let report = accept(&receipt, &network.anchor());
    assert_eq!(report.request, request());
    assert_eq!(report.response, response());
    assert_eq!(report.block, block_hash(&receipt.header));
    assert_eq!(report.certified_block, report.block);
    assert_eq!((report.seats, report.quorum), (4, 3));
    let ids: Vec<_> = network.genesis.validators[..3]
        .iter()
        .map(|seat| seat.id)
        .collect();
    assert_eq!(report.signers, ids);
    for status in [Status::Checked, Status::Vouched, Status::Claimed] {
        assert!(report.lines.iter().any(|line| line.status == status));
    }
    assert!(report.lines.is_sorted_by_key(|line| line.status));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["lines"][0]["status"], "checked");
    assert_eq!(
        json["record"]["model"],
        receipt.record.record.model.to_string()
    );
}

#[test]
fn a_receipt_for_a_digit_is_at_most_8_kib() {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    // The deepest tree of records that a block can have.
    (draft.before, draft.after) = (100, 155);
    let receipt = draft.finish(&network);
    accept(&receipt, &network.anchor());
    let siblings_of_a_full_block = MAX_RECORDS_PER_BLOCK.ilog2() as usize;
    let missing = siblings_of_a_full_block - receipt.inclusion.siblings.len();
    assert!(receipt.to_bytes().len() + missing * 34 <= RECEIPT_GOAL_BYTES);
}

#[test]
fn the_signers_are_those_who_signed_whoever_they_are() {
    for (seats, signers) in [
        (1, vec![0]),
        (4, vec![1, 2, 3]),
        (4, vec![0, 1, 2, 3]),
        (7, vec![0, 2, 3, 5, 6]),
        (100, (20..90).collect()),
    ] {
        let network = Network::new(seats);
        let mut draft = Draft::new(&network);
        draft.signers = signers.clone();
        let report = accept(&draft.finish(&network), &network.anchor());
        let ids: Vec<_> = signers
            .iter()
            .map(|index| network.genesis.validators[*index].id)
            .collect();
        assert_eq!(report.signers, ids);
    }
}

#[test]
fn every_position_in_a_block_and_every_distance_to_the_certificate_is_accepted() {
    let network = Network::new(4);
    for (before, after, descendants) in [(0, 1, 0), (1, 0, 1), (2, 2, 3), (6, 0, 256)] {
        let mut draft = Draft::new(&network);
        (draft.before, draft.after, draft.descendants) = (before, after, descendants);
        let receipt = draft.finish(&network);
        let report = accept(&receipt, &network.anchor());
        assert_eq!(report.block, block_hash(&receipt.header));
        assert_eq!(report.certified_header.height, 7 + descendants);
    }
}

#[test]
fn the_last_block_of_an_epoch_may_be_certified_in_a_later_view() {
    let network = Network::new(4);
    let mut receipt = Draft::new(&network).finish(&network);
    let header = &receipt.header;
    let again = network.certificate_in_round(header, header.view + 5, header.view + 4, &[0, 1, 2]);
    receipt.finalization = again.encode().to_vec().into();
    accept(&receipt, &network.anchor());
}

#[test]
fn a_verified_receipt_becomes_a_checkpoint_that_judges_later_and_linked_receipts() {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    draft.descendants = 2;
    let receipt = draft.finish(&network);
    let genesis = network.anchor();
    let report = accept(&receipt, &genesis);
    assert_eq!(report.position, Position::After);
    let checkpoint = report.checkpoint(&genesis);
    assert_eq!(checkpoint.height, 9);

    let anchor = TrustAnchor::from_checkpoint(&checkpoint).unwrap();
    // The same receipt leads to the checkpoint, block by block.
    let report = accept(&receipt, &anchor);
    assert_eq!(report.position, Position::Linked);
    // One of an older block of that epoch does not, but was to be signed by the same seats.
    let mut older = Draft::new(&network);
    older.header.height = 5;
    older.header.timestamp_ms -= 1_000;
    let report = accept(&older.finish(&network), &anchor);
    assert_eq!(report.position, Position::SameEpoch);
    // A checkpoint never moves backwards.
    assert_eq!(report.checkpoint(&anchor), checkpoint);
    // A later one moves it.
    let mut later = Draft::new(&network);
    later.header.height = 1_100;
    later.header.epoch = 1;
    later.header.timestamp_ms += 100_000;
    let later = later.finish(&network);
    let report = accept(&later, &anchor);
    assert_eq!(report.position, Position::After);
    assert_eq!(
        report.checkpoint(&anchor),
        self::checkpoint(&network, &later.header)
    );
}

#[test]
fn a_certificate_of_the_largest_set_fits_a_receipt() {
    let seats = u32::try_from(MAX_VALIDATORS).unwrap();
    assert!(Certificate::max_encode_size(seats) <= MAX_FINALIZATION_BYTES);
}
