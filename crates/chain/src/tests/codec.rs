//! Bytes from outside: no panic, one encoding, and a block on file that must not change.

use super::support::*;
use crate::{Block, BlockDecodeError, Candidates, Transaction};
use alloy_primitives::{Address, Bytes, hex};
use og_types::{Canonical as _, limits::MAX_BLOCK_BYTES};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Block 1 of the test chain, with two transactions and two records.
///
/// Regenerate after a deliberate change of format, and say so in the changelog:
/// `cargo test -p og-chain -- --ignored regenerate_the_block_on_file`
const BLOCK_ON_FILE: &str = include_str!("../../testdata/block_v1.hex");

fn example() -> Block {
    let mut chain = TestChain::new();
    let slot = chain.slot();
    let candidates = Candidates {
        transactions: vec![
            transfer(0, 0, Address::repeat_byte(1), 1),
            create(1, 0, super::execution::COUNTER),
        ],
        records: verified(
            (0..2)
                .map(|i| sign_record(record(i, slot.timestamp_ms)))
                .collect(),
        ),
    };
    chain.advance_at(&slot, candidates);
    chain.head
}

static EXAMPLE: LazyLock<Block> = LazyLock::new(example);

#[test]
#[ignore = "writes the file that another test compares with"]
fn regenerate_the_block_on_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/block_v1");
    let bytes = format!("{}\n", hex::encode(EXAMPLE.bytes()));
    std::fs::write(format!("{path}.hex"), bytes).unwrap();
    std::fs::write(format!("{path}.hash"), format!("{}\n", EXAMPLE.hash())).unwrap();
}

#[test]
fn the_block_on_file_is_what_this_code_makes_and_reads() {
    let bytes = hex::decode(BLOCK_ON_FILE.trim()).unwrap();
    assert_eq!(EXAMPLE.bytes().as_ref(), bytes);
    let block = Block::from_bytes(&bytes).unwrap();
    assert_eq!(block, *EXAMPLE);
    assert_eq!(
        block.hash().to_string(),
        include_str!("../../testdata/block_v1.hash").trim()
    );
    TestChain::new().execute(&block).unwrap();
}

#[test]
fn transactions_decoded_together_are_what_they_are_alone() {
    let mut raws: Vec<_> = (0..50)
        .map(|nonce| {
            transfer((nonce % 4) as u8, nonce, Address::ZERO, 1)
                .raw()
                .clone()
        })
        .collect();
    raws[20] = Bytes::from_static(&[2, 0xc0]);
    raws[40] = Bytes::from_static(&[3]);
    for count in [0, 1, 7, 20, 50] {
        let together = Transaction::decode_all(&raws[..count], CHAIN_ID);
        let alone = raws[..count].iter();
        let alone: Vec<_> = alone
            .map(|raw| Transaction::decode(raw, CHAIN_ID))
            .collect();
        assert_eq!(together, alone);
    }
    let block = Block::new(EXAMPLE.header().clone(), raws, Vec::new());
    let first = block.decoded_transactions().unwrap_err();
    assert_eq!(first.index, 20, "not the first that is wrong: {first}");
}

#[test]
fn a_header_is_read_alone_and_only_from_what_begins_as_a_block() {
    let bytes = EXAMPLE.bytes();
    assert_eq!(Block::read_header(bytes).unwrap(), *EXAMPLE.header());
    let header = EXAMPLE.header().to_bytes();
    assert!(Block::read_header(&header).is_err());
    for length in 0..=header.len() {
        assert!(Block::read_header(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn transactions_that_are_known_are_taken_as_they_are_in_their_places() {
    let sent: Vec<_> = (0..5)
        .map(|nonce| transfer((nonce % 2) as u8, nonce, Address::ZERO, 1))
        .collect();
    let raws: Vec<_> = sent.iter().map(|sent| sent.raw().clone()).collect();
    let block = |raws| Block::new(EXAMPLE.header().clone(), raws, Vec::new());
    let stranger = transfer(1, 9, Address::ZERO, 1);
    let known = vec![sent[3].clone(), stranger, sent[1].clone()];
    let whole = block(raws.clone());
    whole.decode_knowing(known.clone());
    assert!(whole.is_decoded());
    assert_eq!(whole.decoded_transactions().unwrap(), sent);
    let mut spoilt = raws;
    spoilt[4] = Bytes::from_static(&[3]);
    let spoilt = block(spoilt);
    spoilt.decode_knowing(known);
    assert_eq!(spoilt.decoded_transactions().unwrap_err().index, 4);
}

#[test]
fn a_body_that_is_not_the_headers_is_rejected() {
    let header = EXAMPLE.header();
    let bytes = |transactions: Vec<_>, records: Vec<_>| {
        // A block with another body, under the example's header.
        let other = Block::new(header.clone(), transactions, records);
        let own = other.header().to_bytes();
        let mut bytes = other.bytes().to_vec();
        let theirs = header.to_bytes();
        assert_eq!(own.len(), theirs.len());
        bytes[1..=own.len()].copy_from_slice(&theirs);
        bytes
    };
    let (transactions, records) = (EXAMPLE.transactions().to_vec(), EXAMPLE.records().to_vec());
    Block::from_bytes(&bytes(transactions.clone(), records.clone())).unwrap();
    let mut swapped = transactions.clone();
    swapped.reverse();
    for other in [swapped, transactions[1..].to_vec(), Vec::new()] {
        let error = Block::from_bytes(&bytes(other, records.clone())).unwrap_err();
        assert!(
            matches!(error, BlockDecodeError::TransactionsRoot { .. }),
            "{error}"
        );
    }
    let mut swapped = records.clone();
    swapped.reverse();
    for other in [swapped, records[1..].to_vec(), Vec::new()] {
        let error = Block::from_bytes(&bytes(transactions.clone(), other)).unwrap_err();
        assert!(
            matches!(error, BlockDecodeError::RecordsRoot { .. }),
            "{error}"
        );
    }
}

#[test]
fn truncated_and_oversized_blocks_are_rejected() {
    let bytes = EXAMPLE.bytes();
    for length in 0..bytes.len() {
        Block::from_bytes(&bytes[..length]).unwrap_err();
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    Block::from_bytes(&longer).unwrap_err();
    let error = Block::from_bytes(&vec![0; MAX_BLOCK_BYTES + 1]).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
    let long = vec![0u8; 128 * 1024 + 1].into();
    let block = Block::new(EXAMPLE.header().clone(), vec![long], Vec::new());
    let error = Block::from_bytes(block.bytes()).unwrap_err();
    assert!(matches!(
        error,
        BlockDecodeError::TransactionTooLong { index: 0, .. }
    ));
}

#[test]
fn every_flipped_bit_is_rejected_or_makes_another_block() {
    let bytes = EXAMPLE.bytes();
    let chain = TestChain::new();
    for position in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[position] ^= 1 << (position % 8);
        if let Ok(block) = Block::from_bytes(&flipped) {
            assert_ne!(block.hash(), EXAMPLE.hash(), "byte {position}");
            let _ = chain.rules.check_header(chain.parent(), block.header());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Block::from_bytes(&bytes);
        let _ = Transaction::decode(&bytes, CHAIN_ID);
        let _ = crate::TransactionReceipt::from_bytes(&bytes);
        let _ = crate::Account::from_bytes(&bytes);
    }

    #[test]
    fn a_changed_transaction_is_refused_or_another(position in 0usize..200, flip in 1u8..) {
        let transaction = transfer(0, 0, Address::repeat_byte(1), 1);
        let mut raw = transaction.raw().to_vec();
        let position = position % raw.len();
        raw[position] ^= flip;
        if let Ok(other) = Transaction::decode(&raw, CHAIN_ID) {
            prop_assert_ne!(other.hash(), transaction.hash());
            prop_assert_ne!(other.sender(), transaction.sender());
        }
    }

    #[test]
    fn receipts_round_trip(success: bool, gas_used: u64, topics in 0usize..5, data in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut chain = TestChain::new();
        let mut receipt = chain.advance(transactions([transfer(0, 0, Address::ZERO, 1)])).receipts[0].clone();
        receipt.success = success;
        receipt.gas_used = gas_used;
        receipt.logs.push(crate::Log { address: Address::ZERO, topics: vec![Default::default(); topics], data: data.into() });
        prop_assert_eq!(crate::TransactionReceipt::from_bytes(&receipt.to_bytes()).unwrap(), receipt);
    }
}
