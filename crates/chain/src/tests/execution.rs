//! Transfers, failures, fees, and that building and executing agree.

use super::support::*;
use crate::{
    Attempt, BlockError, Cache, Candidates, Key, TransactionError, execute, prefetch_block,
    prefetch_candidates, receipts::receipts_root, transaction::Transaction,
};
use alloy_consensus::{TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use proptest::prelude::*;

/// Adds one to slot 0: SLOAD(0), 1, ADD, SSTORE(0).
pub(super) const COUNTER: &[u8] = &[0x5f, 0x54, 0x60, 1, 0x01, 0x5f, 0x55, 0x00];
/// Writes slot 0, then reverts.
const REVERTER: &[u8] = &[0x60, 1, 0x5f, 0x55, 0x5f, 0x5f, 0xfd];
/// Loops until the gas is gone.
const LOOPER: &[u8] = &[0x5b, 0x5f, 0x56];
/// Stores BLOCKHASH(first word of the input) in slot 0.
const HASHER: &[u8] = &[0x5f, 0x35, 0x40, 0x5f, 0x55, 0x00];
/// Follows pointers: slot 0 names the next slot, ten times, and logs where it ends.
const CHASER: &[u8] = &[
    0x5f, 0x54, 0x54, 0x54, 0x54, 0x54, 0x54, 0x54, 0x54, 0x54, 0x54, 0x5f, 0x52, 0x60, 32, 0x5f,
    0xa0,
];

#[test]
fn a_transfer_moves_value_pays_the_proposer_and_burns_the_base_fee() {
    let mut chain = TestChain::started();
    let to = Address::repeat_byte(0x11);
    let before = chain.account(signer(0).address()).balance;
    let base_fee = chain.build(&chain.slot(), &Candidates::default());
    assert!(base_fee.executed.receipts.is_empty());
    let executed = chain.advance(transactions([transfer(0, 0, to, 5)]));
    let receipt = &executed.receipts[0];
    assert!(receipt.success && receipt.contract_address.is_none() && receipt.logs.is_empty());
    assert_eq!(
        (receipt.gas_used, receipt.cumulative_gas_used),
        (21_000, 21_000)
    );
    let price = u128::from(chain.parent().base_fee_per_gas) + GWEI;
    assert_eq!(receipt.effective_gas_price.0, price);
    let sender = chain.account(signer(0).address());
    assert_eq!(sender.nonce, 1);
    assert_eq!(sender.balance, before - U256::from(5 + 21_000 * price));
    assert_eq!(chain.account(to).balance, U256::from(5));
    let tips = chain.account(FEE_RECIPIENT).balance;
    assert_eq!(tips, U256::from(21_000 * GWEI));
}

#[test]
fn contracts_are_created_called_revert_and_run_out_of_gas() {
    let mut chain = TestChain::started();
    let contracts = [COUNTER, REVERTER, LOOPER]
        .iter()
        .enumerate()
        .map(|(nonce, code)| create(0, nonce as u64, code))
        .collect::<Vec<_>>();
    let created = chain.advance(transactions(contracts)).receipts;
    let [counter, reverter, looper] = [0, 1, 2].map(|i| created[i].contract_address.unwrap());
    assert_eq!(chain.account(counter).nonce, 1);
    let calls = [
        send(1, 0, counter, []),
        send(1, 1, counter, []),
        send(2, 0, reverter, []),
        send(3, 0, looper, []),
    ];
    let receipts = chain.advance(transactions(calls)).receipts;
    let successes: Vec<_> = receipts.iter().map(|receipt| receipt.success).collect();
    assert_eq!(successes, [true, true, false, false]);
    assert_eq!(chain.storage(counter, 0), U256::from(2));
    assert_eq!(chain.storage(reverter, 0), U256::ZERO);
    assert!(receipts[2].gas_used < 100_000);
    assert_eq!(receipts[3].gas_used, 1_000_000, "all gas is gone");
    // The failed ones have paid nevertheless.
    assert_eq!(chain.account(signer(3).address()).nonce, 1);
}

#[test]
fn every_transaction_type_but_blobs_runs() {
    let mut chain = TestChain::started();
    let to = TxKind::Call(Address::repeat_byte(0x22));
    let counter = chain.advance(transactions([create(0, 0, COUNTER)]));
    let counter = counter.receipts[0].contract_address.unwrap();
    let authority = signer(3);
    let authorization = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: counter,
        nonce: 0,
    };
    let signature = authority
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    let raw = [
        sign(
            0,
            TxLegacy {
                chain_id: Some(CHAIN_ID),
                nonce: 1,
                gas_price: 10 * GWEI,
                gas_limit: 30_000,
                to,
                ..TxLegacy::default()
            },
        ),
        sign(
            1,
            TxEip2930 {
                chain_id: CHAIN_ID,
                gas_price: 10 * GWEI,
                gas_limit: 30_000,
                to,
                ..TxEip2930::default()
            },
        ),
        sign(2, eip1559(0, to, 1, Bytes::new())),
        sign(
            2,
            TxEip7702 {
                chain_id: CHAIN_ID,
                nonce: 1,
                gas_limit: 200_000,
                max_fee_per_gas: 100 * GWEI,
                max_priority_fee_per_gas: GWEI,
                to: authority.address(),
                authorization_list: vec![authorization.into_signed(signature)],
                ..TxEip7702::default()
            },
        ),
    ];
    let executed = chain.advance(transactions(raw.map(|raw| decode(&raw))));
    let types: Vec<_> = executed
        .receipts
        .iter()
        .map(|receipt| (receipt.transaction_type, receipt.success))
        .collect();
    assert_eq!(types, [(0, true), (1, true), (2, true), (4, true)]);
    // The delegation took: the account ran the counter's code on its own storage.
    assert_eq!(chain.storage(authority.address(), 0), U256::from(1));
    let code_hash = chain.account(authority.address()).code_hash;
    let code = &chain.state[&Key::code(code_hash)];
    assert_eq!(&code[..3], [0xef, 0x01, 0x00]);
    assert_eq!(&code[3..], counter.as_slice());
}

#[test]
fn transactions_that_no_block_may_have_are_refused_at_the_door() {
    let decode = |raw: &[u8]| Transaction::decode(raw, CHAIN_ID).unwrap_err();
    assert_eq!(decode(&[3, 0xc0]), TransactionError::Blob);
    assert_eq!(decode(&vec![3; 200_000]), TransactionError::Blob);
    assert_eq!(
        decode(&vec![2; 200_000]),
        TransactionError::TooLong(200_000)
    );
    let to = TxKind::Call(Address::ZERO);
    let base = eip1559(0, to, 0, Bytes::new());
    let unprotected = TxLegacy {
        gas_limit: 30_000,
        to,
        ..TxLegacy::default()
    };
    assert_eq!(decode(&sign(0, unprotected)), TransactionError::Unprotected);
    let mut other = base.clone();
    other.chain_id = 1;
    let expected = TransactionError::ChainId {
        expected: CHAIN_ID,
        found: 1,
    };
    assert_eq!(decode(&sign(0, other)), expected);
    let mut greedy = base.clone();
    greedy.gas_limit = 16_777_217;
    assert_eq!(
        decode(&sign(0, greedy)),
        TransactionError::GasLimit(16_777_217)
    );
    let mut poor = base.clone();
    poor.gas_limit = 20_999;
    assert!(matches!(
        decode(&sign(0, poor)),
        TransactionError::IntrinsicGas {
            minimum: 21_000,
            ..
        }
    ));
    for length in [49_152, 49_153] {
        let mut create = base.clone();
        (create.to, create.input) = (TxKind::Create, vec![0; length].into());
        create.gas_limit = 1_000_000;
        let decoded = Transaction::decode(&sign(0, create), CHAIN_ID);
        assert_eq!(decoded.is_ok(), length == 49_152, "{decoded:?}");
    }
    let mut tip = base.clone();
    tip.max_priority_fee_per_gas = tip.max_fee_per_gas + 1;
    assert_eq!(decode(&sign(0, tip)), TransactionError::TipAboveFee);
    let mut dear = base.clone();
    dear.value = U256::MAX;
    assert_eq!(decode(&sign(0, dear)), TransactionError::Cost);
    let none = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 100_000,
        ..TxEip7702::default()
    };
    assert_eq!(decode(&sign(0, none)), TransactionError::NoAuthorization);
    let mut trailing = sign(0, base).to_vec();
    trailing.push(0);
    assert!(matches!(decode(&trailing), TransactionError::Encoding(_)));
}

#[test]
fn a_transaction_that_is_invalid_here_is_left_out_and_rejects_a_block() {
    let mut chain = TestChain::started();
    let to = Address::repeat_byte(0x33);
    let poor = {
        let raw = sign(9, eip1559(0, TxKind::Call(to), 1, Bytes::new()));
        decode(&raw)
    };
    for (invalid, dropped) in [
        (transfer(0, 1, to, 1), false),
        (poor, true),
        (transfer(0, 0, to, 10u128.pow(21)), true),
    ] {
        let slot = chain.slot();
        let built = chain.build(
            &slot,
            &transactions([invalid.clone(), transfer(1, 0, to, 1)]),
        );
        assert_eq!(built.transactions.len(), 1);
        assert_eq!(built.invalid.contains(&invalid.hash()), dropped);
        let block = chain.block_of(vec![invalid.raw().clone()], Vec::new());
        let error = chain.execute(&block).unwrap_err();
        assert!(
            matches!(error, BlockError::InvalidTransaction { index: 0, .. }),
            "{error}"
        );
    }
    chain.advance(transactions([transfer(0, 0, to, 1)]));
    let again = chain.block_of(vec![transfer(0, 0, to, 1).raw().clone()], Vec::new());
    let error = chain.execute(&again).unwrap_err();
    assert!(error.to_string().contains("nonce"), "{error}");
}

#[test]
fn the_gas_of_a_block_is_limited() {
    let mut chain = TestChain::started();
    let to = TxKind::Call(Address::repeat_byte(0x44));
    let greedy = |nonce| {
        let mut transaction = eip1559(nonce, to, 0, Bytes::new());
        transaction.gas_limit = 16_000_000;
        decode(&sign(0, transaction))
    };
    // Limits count when a transaction begins, use when it has ended.
    let built = chain.build(&chain.slot(), &transactions([greedy(0), greedy(1)]));
    assert_eq!(built.transactions.len(), 2);
    let looper = chain.advance(transactions([create(1, 0, LOOPER)])).receipts[0]
        .contract_address
        .unwrap();
    let burn = |from, nonce| {
        let mut transaction = eip1559(nonce, TxKind::Call(looper), 0, Bytes::new());
        transaction.gas_limit = 16_000_000;
        decode(&sign(from, transaction))
    };
    let both = [burn(0, 0), burn(2, 0)];
    let built = chain.build(&chain.slot(), &transactions(both.clone()));
    assert_eq!(
        (built.transactions.len(), built.executed.gas_used),
        (1, 16_000_000)
    );
    let raw = both.clone().map(|transaction| transaction.raw().clone());
    let block = chain.block_of(raw.to_vec(), Vec::new());
    let error = chain.execute(&block).unwrap_err();
    assert!(
        matches!(error, BlockError::InvalidTransaction { index: 1, .. }),
        "{error}"
    );
    // More than half of the gas is used, so the base fee rises, as it fell before.
    chain.advance(transactions(both));
    let fee = chain.parent().base_fee_per_gas;
    assert!(fee < chain.rules.genesis().base_fee_per_gas);
    chain.advance(Candidates::default());
    assert!(chain.parent().base_fee_per_gas > fee);
}

#[test]
fn contracts_see_the_last_256_block_hashes() {
    let mut chain = TestChain::started();
    let hasher = chain.advance(transactions([create(0, 0, HASHER)])).receipts[0]
        .contract_address
        .unwrap();
    let mut hashes = vec![[0; 32], [0; 32]];
    hashes.push(chain.head.hash().0);
    let mut nonce = 1;
    let mut see = |chain: &mut TestChain, height: u64| {
        let input = U256::from(height).to_be_bytes::<32>().to_vec();
        chain.advance(transactions([send(0, nonce, hasher, input)]));
        nonce += 1;
        chain.storage(hasher, 0)
    };
    assert_eq!(see(&mut chain, 2), U256::from_be_bytes(hashes[2]));
    assert_eq!(see(&mut chain, 1000), U256::ZERO);
    while chain.parent().height < 258 {
        chain.advance(Candidates::default());
    }
    // The next block is 259: 3 is the oldest that it sees, and 2 is gone.
    assert_eq!(see(&mut chain, 2), U256::ZERO);
    chain.advance(Candidates::default());
    let parent = chain.head.hash().0;
    assert_eq!(see(&mut chain, 260), U256::from_be_bytes(parent));
}

#[test]
fn an_account_that_destroys_itself_at_birth_leaves_nothing() {
    let mut chain = TestChain::started();
    // SSTORE(0, 1), then CALLER SELFDESTRUCT, all in the constructor.
    let mut birth = eip1559(
        0,
        TxKind::Create,
        7,
        vec![0x60, 1, 0x5f, 0x55, 0x33, 0xff].into(),
    );
    birth.gas_limit = 200_000;
    let born = signer(0).address().create(0);
    let executed = chain.advance(transactions([decode(&sign(0, birth))]));
    assert!(executed.receipts[0].success);
    assert!(!chain.state.contains_key(&Key::account(born)));
    assert!(!chain.state.contains_key(&Key::storage(born, U256::ZERO)));
}

#[test]
fn reads_that_depend_on_reads_converge_and_give_what_a_full_cache_gives() {
    let mut chain = TestChain::started();
    let chaser = chain.advance(transactions([create(0, 0, CHASER)])).receipts[0]
        .contract_address
        .unwrap();
    // A path of pointers through ten slots, each read only after the one before.
    for step in 0..10u64 {
        let value = U256::from(step + 1).to_be_bytes::<32>().to_vec();
        chain
            .state
            .insert(Key::storage(chaser, U256::from(step)), value.into());
    }
    let slot = chain.slot();
    chain.misses = 0;
    let built = chain.build(&slot, &transactions([send(1, 0, chaser, [])]));
    assert!(chain.misses >= 10, "{}", chain.misses);
    let log = &built.executed.receipts[0].logs[0];
    assert_eq!(U256::from_be_slice(&log.data), U256::from(10));
    let block = chain.seal(&slot, built);
    let mut everything = Cache::default();
    for (key, value) in &chain.state {
        everything.insert(*key, Some(value.clone()));
    }
    let executed = chain.execute(&block).unwrap();
    // Keys that are absent have to be asked for once.
    let Attempt::Missing(absent) =
        execute(&chain.rules, chain.parent(), &block, &everything).unwrap()
    else {
        panic!("a new nonce bucket and fee recipient are absent");
    };
    for key in absent {
        assert!(!chain.state.contains_key(&key));
        everything.insert(key, None);
    }
    let again = execute(&chain.rules, chain.parent(), &block, &everything).unwrap();
    assert_eq!(again, Attempt::Done(executed));
}

#[test]
fn prefetching_leaves_nothing_missing_for_transfers_and_records() {
    let mut chain = TestChain::started();
    let slot = chain.slot();
    let candidates = Candidates {
        transactions: vec![transfer(0, 0, Address::repeat_byte(0x55), 1)],
        records: Vec::new(),
    };
    let built = chain.build(&slot, &candidates);
    let block = chain.seal(&slot, built);
    let mut cache = Cache::default();
    for key in prefetch_block(&chain.rules, chain.parent(), &block) {
        cache.insert(key, chain.state.get(&key).cloned());
    }
    let attempt = execute(&chain.rules, chain.parent(), &block, &cache).unwrap();
    assert!(matches!(attempt, Attempt::Done(_)), "{attempt:?}");
}

#[test]
fn block_one_brings_the_genesis_accounts_and_may_have_transactions() {
    let mut chain = TestChain::new();
    let to = Address::repeat_byte(0x66);
    let executed = chain.advance(transactions([transfer(0, 0, to, 3)]));
    assert_eq!(chain.misses, 0, "the state before is known to be empty");
    assert_eq!(chain.account(to).balance, U256::from(3));
    assert_eq!(chain.account(crate::registry::REGISTRY).nonce, 1);
    assert_eq!(executed.receipts_root, receipts_root(&executed.receipts));
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Transfer { from: u8, to: u8, value: u64 },
    Create { from: u8 },
    Call { from: u8, contract: u8 },
    BadNonce { from: u8 },
    Record { request: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..ACCOUNTS, 0..20u8, any::<u64>()).prop_map(|(from, to, value)| Step::Transfer {
            from,
            to,
            value
        }),
        (0..ACCOUNTS).prop_map(|from| Step::Create { from }),
        (0..ACCOUNTS, 0..4u8).prop_map(|(from, contract)| Step::Call { from, contract }),
        (0..ACCOUNTS).prop_map(|from| Step::BadNonce { from }),
        (0..6u8).prop_map(|request| Step::Record { request }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `advance` asserts that build and execute agree; here also: on what a block may leave out,
    /// on supply, and on the balance of every account.
    #[test]
    fn building_and_executing_agree_on_any_history(
        history in prop::collection::vec(prop::collection::vec(step(), 0..8), 1..6),
    ) {
        let mut chain = TestChain::started();
        let mut contracts = Vec::new();
        for steps in history {
            let mut nonces: Vec<_> = (0..ACCOUNTS).map(|i| chain.account(signer(i).address()).nonce).collect();
            let mut candidates = Candidates::default();
            let time_ms = chain.slot().timestamp_ms;
            for step in steps {
                let mut next = |from: u8| { nonces[from as usize] += 1; nonces[from as usize] - 1 };
                match step {
                    Step::Transfer { from, to, value } => candidates.transactions.push(
                        transfer(from, next(from), Address::repeat_byte(to + 0x80), value.into())),
                    Step::Create { from } => candidates.transactions.push(create(from, next(from), COUNTER)),
                    Step::Call { from, contract } => {
                        let to = contracts.get(contract as usize).copied().unwrap_or(Address::ZERO);
                        candidates.transactions.push(send(from, next(from), to, []));
                    }
                    Step::BadNonce { from } => candidates.transactions.push(transfer(from, 1 << 40, Address::ZERO, 1)),
                    Step::Record { request } => candidates.records.extend(verified(vec![sign_record(record(request.into(), time_ms))])),
                }
            }
            let expected = candidates.transactions.iter().filter(|t| t.nonce() < 1 << 40).count();
            let executed = chain.advance(candidates);
            prop_assert_eq!(executed.receipts.len(), expected);
            contracts.extend(executed.receipts.iter().filter_map(|receipt| receipt.contract_address));
        }
    }
}

#[test]
fn keys_of_candidates_beyond_a_blocks_gas_are_not_read() {
    let chain = TestChain::started();
    let to = Address::repeat_byte(0x77);
    let room = chain.rules.genesis().gas_limit / 21_000;
    let keys = |ahead: u64| {
        let mut waiting = vec![transfer(0, 0, Address::ZERO, 1); ahead as usize];
        waiting.push(transfer(0, 1, to, 1));
        let candidates = transactions(waiting);
        prefetch_candidates(&chain.rules, chain.parent(), &chain.slot(), &candidates)
    };
    assert!(keys(room - 1).contains(&Key::account(to)));
    assert!(!keys(room).contains(&Key::account(to)));
}
