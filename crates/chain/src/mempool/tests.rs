//! Laws of the pool.

use super::*;
use crate::tests::support::*;
use alloy_primitives::{Bytes, TxKind, U256};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW_MS: u64 = GENESIS_MS;
const BASE_FEE: u64 = 1_000_000_000;

fn rich(nonce: u64) -> Account {
    Account {
        nonce,
        balance: U256::from(u128::MAX),
        ..Account::default()
    }
}

/// A transfer that pays `fee` gwei, of which `tip` to the proposer.
fn priced(from: u8, nonce: u64, fee: u128, tip: u128) -> Transaction {
    let mut transaction = eip1559(nonce, TxKind::Call(Address::ZERO), 1, Bytes::new());
    transaction.gas_limit = 21_000;
    transaction.max_fee_per_gas = fee * GWEI;
    transaction.max_priority_fee_per_gas = tip * GWEI;
    decode(&sign(from, transaction))
}

fn small(transactions: usize, sender_transactions: usize) -> Mempool {
    Mempool::new(MempoolLimits {
        transactions,
        sender_transactions,
        records: 3,
        ..MempoolLimits::default()
    })
}

fn rejection(pool: &mut Mempool, transaction: Transaction, account: &Account) -> String {
    pool.add_transaction(transaction, account, NOW_MS)
        .unwrap_err()
        .to_string()
}

#[test]
fn rejections_speak_as_ethereums_tools_expect() {
    let mut pool = small(100, 4);
    let first = priced(0, 5, 10, 1);
    pool.add_transaction(first.clone(), &rich(5), NOW_MS)
        .unwrap();
    assert_eq!(rejection(&mut pool, first, &rich(5)), "already known");
    let message = rejection(&mut pool, priced(0, 4, 10, 1), &rich(5));
    assert!(message.starts_with("nonce too low"), "{message}");
    let message = rejection(&mut pool, priced(0, 9, 10, 1), &rich(5));
    assert!(message.starts_with("nonce too high"), "{message}");
    let message = rejection(&mut pool, priced(0, 5, 10, 2), &rich(5));
    assert!(
        message.starts_with("replacement transaction underpriced"),
        "{message}"
    );
    let message = rejection(&mut pool, priced(0, 6, 10, 0), &rich(5));
    assert!(message.starts_with("transaction underpriced"), "{message}");
    // What waits already counts against the balance.
    let mut account = rich(5);
    account.balance = priced(0, 5, 10, 1).maximum_cost();
    assert_eq!(
        rejection(&mut pool, priced(0, 6, 10, 1), &account),
        "insufficient funds for gas * price + value: balance 210000000000001, queued cost 210000000000001, tx cost 210000000000001, overshot 210000000000001"
    );
}

#[test]
fn what_waits_costs_something() {
    let mut pool = small(100, 4);
    let nothing = Account {
        balance: U256::ZERO,
        ..rich(0)
    };
    for (fee, tip) in [(0, 0), (1, 0), (1, 1)] {
        rejection(&mut pool, priced(0, 0, fee, tip), &nothing);
    }
}

#[test]
fn a_replacement_pays_ten_percent_more_in_both_fees() {
    let mut pool = small(100, 4);
    let old = priced(0, 0, 100, 10);
    pool.add_transaction(old.clone(), &rich(0), NOW_MS).unwrap();
    for (fee, tip) in [(109, 11), (110, 10), (100, 20)] {
        let message = rejection(&mut pool, priced(0, 0, fee, tip), &rich(0));
        assert!(message.starts_with("replacement transaction underpriced"));
    }
    let new = priced(0, 0, 110, 11);
    pool.add_transaction(new.clone(), &rich(0), NOW_MS).unwrap();
    assert_eq!(pool.transaction_count(), 1);
    assert!(pool.transaction(&old.hash()).is_none());
    assert_eq!(
        pool.candidates(BASE_FEE, NOW_MS, &Included::default())
            .transactions,
        [new]
    );
}

#[test]
fn what_a_block_took_that_is_not_final_is_left_out_and_what_follows_is_not() {
    let mut pool = small(10, 4);
    let sent: Vec<_> = (0..3).map(|nonce| priced(0, nonce, 100, 10)).collect();
    for transaction in &sent {
        pool.add_transaction(transaction.clone(), &rich(0), NOW_MS)
            .unwrap();
    }
    let signed = sign_record(record(1, NOW_MS));
    pool.add_record(VerifiedRecord(signed.clone())).unwrap();
    let header = og_types::Header::default();
    let block = Block::from_decoded(header.clone(), sent[..2].to_vec(), vec![signed]);
    let mut included = Included::default();
    included.add(&block);
    let next = pool.candidates(BASE_FEE, NOW_MS, &included);
    assert_eq!(next.transactions, sent[2..]);
    assert!(next.records.is_empty());
    assert!(pool.has_work(BASE_FEE, NOW_MS, &included));
    included.add(&Block::from_decoded(header, sent[2..].to_vec(), vec![]));
    assert!(!pool.has_work(BASE_FEE, NOW_MS, &included));
}

#[test]
fn a_full_pool_trades_its_cheapest_tail_for_a_better_tip_or_stays() {
    let mut pool = small(3, 4);
    for (nonce, tip) in [(0, 1), (1, 9)] {
        pool.add_transaction(priced(0, nonce, 100, tip), &rich(0), NOW_MS)
            .unwrap();
    }
    pool.add_transaction(priced(1, 0, 100, 5), &rich(0), NOW_MS)
        .unwrap();
    assert_eq!(
        rejection(&mut pool, priced(2, 0, 100, 5), &rich(0)),
        "txpool is full"
    );
    assert_eq!(pool.transaction_count(), 3, "a refusal evicts nothing");
    // Sender 0 tips 1 first, but only its tail (9) may go; the cheapest tail is sender 1's.
    pool.add_transaction(priced(2, 0, 100, 6), &rich(0), NOW_MS)
        .unwrap();
    let senders: Vec<_> = pool
        .candidates(BASE_FEE, NOW_MS, &Included::default())
        .transactions
        .iter()
        .map(Transaction::sender)
        .collect();
    assert_eq!(
        senders,
        [
            signer(2).address(),
            signer(0).address(),
            signer(0).address()
        ]
    );
    let message = rejection(&mut pool, priced(3, 0, 100, 6), &rich(0));
    assert_eq!(message, "txpool is full");
}

/// An empty block at whose end the base fee is this many gwei.
fn block_with_base_fee(gwei: u64) -> Block {
    let mut header = rules().genesis_block(&Default::default()).header().clone();
    header.base_fee_per_gas = gwei * 1_000_000_000;
    header.gas_used = header.gas_limit / 2;
    Block::new(header, Vec::new(), Vec::new())
}

#[test]
fn what_no_block_can_take_keeps_nobody_out_of_a_full_pool() {
    let mut pool = small(3, 4);
    pool.on_finalized(&block_with_base_fee(20));
    let gapped = priced(0, 1, 100, 90);
    let below_base_fee = priced(1, 0, 19, 19);
    // Its own first nonce does not pay, so this one cannot be taken either, whatever it tips.
    let after_it = priced(1, 1, 100, 80);
    for transaction in [&gapped, &below_base_fee, &after_it] {
        pool.add_transaction((*transaction).clone(), &rich(0), NOW_MS)
            .unwrap();
    }
    for (newcomer, evicted) in [(2, &gapped), (3, &after_it), (4, &below_base_fee)] {
        pool.add_transaction(priced(newcomer, 0, 30, 1), &rich(0), NOW_MS)
            .unwrap();
        assert!(pool.transaction(&evicted.hash()).is_none());
    }
    for refused in [
        priced(5, 0, 30, 1),
        priced(5, 1, 100, 90),
        priced(5, 0, 19, 19),
    ] {
        assert_eq!(rejection(&mut pool, refused, &rich(0)), "txpool is full");
    }
    // At a higher base fee those that wait do not pay any more either.
    pool.on_finalized(&block_with_base_fee(50));
    pool.add_transaction(priced(5, 0, 60, 1), &rich(0), NOW_MS)
        .unwrap();
    assert_eq!(pool.transaction_count(), 3);
}

#[test]
fn a_gap_of_nonces_waits_until_it_is_filled() {
    let mut pool = small(10, 4);
    let all: Vec<_> = (0..3).map(|nonce| priced(0, nonce, 10, 1)).collect();
    let take = |pool: &Mempool| {
        pool.candidates(BASE_FEE, NOW_MS, &Included::default())
            .transactions
    };
    for (nonce, ready) in [(2, &all[..0]), (0, &all[..1]), (1, &all[..])] {
        pool.add_transaction(all[nonce].clone(), &rich(0), NOW_MS)
            .unwrap();
        assert_eq!(take(&pool), ready);
        let next = (!ready.is_empty()).then_some(ready.len() as u64);
        assert_eq!(pool.next_nonce(&signer(0).address()), next);
    }
}

#[test]
fn who_remembers_the_last_arrival_learns_of_new_ones_only() {
    let mut pool = small(10, 4);
    let arrived = |pool: &Mempool, since| {
        pool.transactions_since(since)
            .map(|(arrival, transaction)| (arrival, transaction.hash()))
            .collect::<Vec<_>>()
    };
    let (old, other, new) = (
        priced(0, 0, 10, 1),
        priced(1, 0, 10, 1),
        priced(0, 0, 20, 2),
    );
    pool.add_transaction(old.clone(), &rich(0), NOW_MS).unwrap();
    pool.add_transaction(other.clone(), &rich(0), NOW_MS)
        .unwrap();
    assert_eq!(
        arrived(&pool, 0),
        [(0, old.hash()), (1, other.hash())],
        "in order"
    );
    pool.add_transaction(new.clone(), &rich(0), NOW_MS).unwrap();
    assert_eq!(
        arrived(&pool, 0),
        [(1, other.hash()), (2, new.hash())],
        "what was replaced is gone"
    );
    assert_eq!(arrived(&pool, 2), [(2, new.hash())]);
    assert_eq!(arrived(&pool, 3), []);
}

#[test]
fn the_default_pool_takes_transactions_and_records() {
    let mut pool = Mempool::default();
    pool.add_transaction(priced(0, 0, 10, 1), &rich(0), NOW_MS)
        .unwrap();
    pool.add_record(VerifiedRecord(sign_record(record(0, NOW_MS))))
        .unwrap();
    let candidates = pool.candidates(BASE_FEE, NOW_MS, &Included::default());
    assert_eq!(
        (candidates.transactions.len(), candidates.records.len()),
        (1, 1)
    );
}

#[test]
fn bytes_are_bounded_too() {
    let one = priced(0, 0, 10, 1);
    let mut pool = Mempool::new(MempoolLimits {
        transaction_bytes: one.raw().len() * 2,
        ..MempoolLimits::default()
    });
    pool.add_transaction(one, &rich(0), NOW_MS).unwrap();
    pool.add_transaction(priced(1, 0, 10, 1), &rich(0), NOW_MS)
        .unwrap();
    assert_eq!(
        rejection(&mut pool, priced(2, 0, 10, 1), &rich(0)),
        "txpool is full"
    );
    pool.add_transaction(priced(2, 0, 10, 2), &rich(0), NOW_MS)
        .unwrap();
    assert_eq!(pool.transaction_count(), 2);
}

#[test]
fn what_waits_too_long_goes() {
    let mut pool = small(10, 4);
    pool.add_transaction(priced(0, 0, 10, 1), &rich(0), NOW_MS)
        .unwrap();
    pool.add_transaction(priced(1, 0, 10, 1), &rich(0), NOW_MS + 5000)
        .unwrap();
    let mut header = rules().genesis_block(&Default::default()).header().clone();
    header.timestamp_ms = NOW_MS + MAX_TRANSACTION_AGE_MS + 1;
    pool.on_finalized(&Block::new(header, Vec::new(), Vec::new()));
    assert_eq!(pool.transaction_count(), 1);
    assert_eq!(pool.next_nonce(&signer(0).address()), None);
    assert_eq!(pool.next_nonce(&signer(1).address()), Some(1));
}

#[test]
fn records_wait_in_line_once_each_and_leave_when_settled_or_over() {
    let mut pool = small(10, 4);
    let signed = (0..4).map(|i| sign_record(record(i, NOW_MS + i)));
    let signed = verified(signed.collect());
    for record in &signed[..3] {
        pool.add_record(record.clone()).unwrap();
    }
    let known = AddRecordError::Known(signed[0].record.request_id);
    assert_eq!(pool.add_record(signed[0].clone()), Err(known));
    assert_eq!(
        pool.add_record(signed[3].clone()),
        Err(AddRecordError::Full(3))
    );
    // The third is not valid yet at this time.
    assert_eq!(
        pool.candidates(BASE_FEE, NOW_MS + 1, &Included::default())
            .records,
        signed[..2]
    );
    let mut header = rules().genesis_block(&Default::default()).header().clone();
    header.timestamp_ms = signed[0].record.valid_until_ms;
    pool.on_finalized(&Block::new(header, Vec::new(), vec![signed[1].0.clone()]));
    // The first is over, the second settled.
    assert_eq!(pool.record_count(), 1);
    assert!(pool.record(&signed[2].record.request_id).is_some());
    pool.add_record(signed[0].clone()).unwrap();
}

#[derive(Clone, Debug)]
enum Action {
    Add {
        from: u8,
        nonce: u64,
        fee: u128,
        tip: u128,
    },
    Finalize {
        count: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..ACCOUNTS, 0..8u64, 1..40u128, 0..40u128).prop_map(|(from, nonce, fee, tip)| {
            Action::Add { from, nonce, fee, tip: tip.min(fee) }
        }),
        1 => (0..6usize).prop_map(|count| Action::Finalize { count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn maxima_order_and_books_hold_after_every_action(
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut pool = small(8, 4);
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Add { from, nonce, fee, tip } => {
                    let transaction = priced(from, nonce, fee, tip);
                    let expected = nonces.get(&transaction.sender()).copied().unwrap_or_default();
                    let hash = transaction.hash();
                    let before = pool.transaction(&hash).is_some();
                    let added = pool.add_transaction(transaction, &rich(expected), NOW_MS);
                    prop_assert_eq!(pool.transaction(&hash).is_some(), added.is_ok() || before);
                }
                Action::Finalize { count } => {
                    let mut taken = pool.candidates(BASE_FEE, NOW_MS, &Included::default()).transactions;
                    taken.truncate(count);
                    for transaction in &taken {
                        nonces.insert(transaction.sender(), transaction.nonce() + 1);
                    }
                    let raw = taken.iter().map(|transaction| transaction.raw().clone()).collect();
                    let header = rules().genesis_block(&Default::default()).header().clone();
                    pool.on_finalized(&Block::new(header, raw, Vec::new()));
                    for transaction in &taken {
                        prop_assert!(pool.transaction(&transaction.hash()).is_none());
                    }
                }
            }
            prop_assert!(pool.transaction_count() <= 8);
            check_order(&pool, &nonces)?;
            check_books(&pool)?;
        }
        let hashes: Vec<_> = pool
            .candidates(0, NOW_MS, &Included::default())
            .transactions
            .iter()
            .map(Transaction::hash)
            .collect();
        pool.remove_transactions(&hashes);
        prop_assert!(pool.candidates(0, NOW_MS, &Included::default()).transactions.is_empty());
        prop_assert!(pool.transaction_count() > 0 || pool.transaction_bytes() == 0);
    }
}

/// Every book lists the same transactions, and the tails are what they would be if worked out anew.
fn check_books(pool: &Mempool) -> Result<(), TestCaseError> {
    let book = &pool.transactions;
    let arrived: Vec<_> = pool.transactions_since(0).map(|(_, one)| one).collect();
    prop_assert_eq!(arrived.len(), pool.transaction_count());
    let bytes = arrived.iter().map(|one| one.raw().len()).sum::<usize>();
    prop_assert_eq!(bytes, pool.transaction_bytes());
    if let Some(tails) = &book.tails {
        let anew = book.senders.keys().filter_map(|sender| book.last(sender));
        prop_assert_eq!(tails, &anew.collect());
    }
    Ok(())
}

/// Candidates cover the base fee, follow each sender's nonces without a gap, and whenever two
/// senders compete the better tip goes first.
fn check_order(pool: &Mempool, nonces: &BTreeMap<Address, u64>) -> Result<(), TestCaseError> {
    let taken = pool
        .candidates(BASE_FEE, NOW_MS, &Included::default())
        .transactions;
    let mut next = nonces.clone();
    for transaction in &taken {
        let expected = next.entry(transaction.sender()).or_default();
        prop_assert_eq!(transaction.nonce(), *expected);
        *expected += 1;
        prop_assert!(transaction.tip_per_gas(BASE_FEE).is_some());
    }
    for pair in taken.windows(2) {
        let [first, second] = pair else { continue };
        // The second was available when the first was taken unless it waited for it.
        if first.sender() != second.sender() {
            prop_assert!(first.tip_per_gas(BASE_FEE) >= second.tip_per_gas(BASE_FEE));
        }
    }
    Ok(())
}
