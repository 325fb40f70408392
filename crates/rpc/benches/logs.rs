//! How fast logs are found in a long chain: all blocks are searched each time.
//!
//! `cargo bench -p og-rpc`; the chain has a million blocks, or as many as `OG_BENCH_BLOCKS` says. Each block is written
//! durably, so a temporary folder in memory (`TMPDIR=/dev/shm`, about 1 GB) saves most of the time before the first figure.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use criterion::{Criterion, criterion_group, criterion_main};
use og_chain::{
    Block, Effects,
    receipts::{Log, TransactionReceipt},
};
use og_rpc::index::{Index, LogQuery, Retention};
use og_types::{Amount, Header};
use std::{hint::black_box, time::Instant};

const BLOCKS: u64 = 1_000_000;
/// Most logs of one answer, as JSON-RPC has it.
const MOST_LOGS: usize = 10_000;
/// A contract with a log in every tenth block, and one with a log in every thousandth.
const BUSY: Address = Address::repeat_byte(1);
const QUIET: Address = Address::repeat_byte(2);
/// Blocks from one log to the next.
const BUSY_EVERY: u64 = 10;
const QUIET_EVERY: u64 = 1000;
/// Blocks from one log of the busy contract that names the rare account to the next.
const RARE_EVERY: u64 = 100_000;

fn transfer() -> B256 {
    keccak256("Transfer(address,address,uint256)")
}

fn account(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// The logs of the block at `height`: transfers, each between accounts of its own but for the rare one.
fn logs(height: u64) -> Vec<Log> {
    let log = |address, to| Log {
        address,
        topics: vec![transfer(), account(height + 1), account(to)],
        data: Bytes::from_static(&[0; 32]),
    };
    let mut logs = Vec::new();
    if height.is_multiple_of(BUSY_EVERY) {
        let is_rare = height.is_multiple_of(RARE_EVERY);
        logs.push(log(BUSY, if is_rare { 0 } else { height + 2 }));
    }
    if height.is_multiple_of(QUIET_EVERY) {
        logs.push(log(QUIET, height + 2));
    }
    logs
}

/// The block after `parent`, with one transaction if it has logs.
fn block(parent: Option<&Block>, height: u64) -> (Block, Effects) {
    let header = Header {
        version: 1,
        height,
        parent: parent.map(Block::hash).unwrap_or_default(),
        ..Header::default()
    };
    let logs = logs(height);
    if logs.is_empty() {
        return (Block::new(header, vec![], vec![]), Effects::default());
    }
    let receipt = TransactionReceipt {
        transaction_hash: keccak256(height.to_be_bytes()),
        transaction_index: 0,
        transaction_type: 2,
        from: Address::ZERO,
        to: Some(BUSY),
        contract_address: None,
        success: true,
        gas_used: 34_500,
        cumulative_gas_used: 34_500,
        effective_gas_price: Amount(1),
        logs,
    };
    let effects = Effects {
        receipts: vec![receipt],
        ..Effects::default()
    };
    // The index does not decode transactions: this one is as long as a transfer of a token.
    let block = Block::new(header, vec![Bytes::from(vec![0; 180])], vec![]);
    (block, effects)
}

fn search(criterion: &mut Criterion) {
    let blocks = std::env::var("OG_BENCH_BLOCKS")
        .map_or(BLOCKS, |text| text.parse().expect("a number of blocks"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let index = Index::open(&folder.path().join("index.redb"), Retention::default())
        .expect("an index that opens");
    let started = Instant::now();
    let mut parent: Option<Block> = None;
    for height in 0..blocks {
        let (next, effects) = block(parent.as_ref(), height);
        index.append(&next, &effects).expect("the next block");
        parent = Some(next);
    }
    println!(
        "{blocks} blocks in {:.0} s",
        started.elapsed().as_secs_f64()
    );

    let last = blocks.saturating_sub(1);
    let named = |addresses: &[Address], topics: [&[B256]; 4]| LogQuery {
        addresses: addresses.to_vec(),
        topics: topics.map(<[B256]>::to_vec),
    };
    let (transfer, rare) = (transfer(), account(0));
    for (name, query, expected) in [
        (
            "one account's logs, ten of a million blocks",
            named(&[BUSY], [&[transfer], &[], &[rare], &[]]),
            blocks.div_ceil(RARE_EVERY),
        ),
        (
            "one contract's logs, a thousand of a million blocks",
            named(&[QUIET], [&[], &[], &[], &[]]),
            blocks.div_ceil(QUIET_EVERY),
        ),
        (
            "a contract and an account that have no log together",
            named(&[QUIET], [&[transfer], &[], &[rare], &[]]),
            0,
        ),
        (
            "a topic that no log has",
            named(&[], [&[B256::repeat_byte(9)], &[], &[], &[]]),
            0,
        ),
    ] {
        let find = || {
            let found = index.logs(&query, 0..=last, MOST_LOGS);
            let found = found.expect("a search within the limits");
            found.iter().map(|block| block.logs.len()).sum::<usize>()
        };
        assert_eq!(find() as u64, expected, "{name}");
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(find())));
    }
    criterion.bench_function("as many logs as an answer holds", |bencher| {
        let query = named(&[BUSY], [&[], &[], &[], &[]]);
        let first = blocks.saturating_sub(BUSY_EVERY * MOST_LOGS as u64);
        bencher.iter(|| black_box(index.logs(&query, first..=last, MOST_LOGS)).expect("found"));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = search
}
criterion_main!(benches);
