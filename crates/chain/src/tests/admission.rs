//! Every rule for records has a case that breaks it.

use super::support::*;
use crate::{
    Attempt, BlockError, Cache, Candidates, Key, RecordError,
    records::{VerifiedRecord, check_all, tier_rule},
};
use alloy_primitives::{Address, B256};
use og_crypto::NodeKey;
use og_types::{
    Amount, ModelId, NodeId, Record, SignedRecord, Tier, limits::MAX_VALIDITY_WINDOW_MS,
};

/// A change to a good record, and the error that must come of it.
type Mutation = (fn(&mut Record), fn(&RecordError) -> bool);

macro_rules! rejects {
    ($pattern:pat) => {
        |error| matches!(error, $pattern)
    };
}

const MUTATIONS: &[Mutation] = &[
    (|r| r.version = 2, rejects!(RecordError::Version(2))),
    (|r| r.chain_id = 1, rejects!(RecordError::ChainId { .. })),
    (|r| r.price = Amount(1), rejects!(RecordError::Price(_))),
    (|r| r.payer = PAYEE, rejects!(RecordError::Payer(_))),
    (
        |r| r.payee = Address::ZERO,
        rejects!(RecordError::Payee { .. }),
    ),
    (
        |r| r.model = ModelId([8; 32]),
        rejects!(RecordError::UnknownModel(_)),
    ),
    (
        |r| r.evidence = Some(B256::ZERO),
        rejects!(RecordError::UnexpectedEvidence),
    ),
    (
        |r| r.valid_until_ms = r.valid_from_ms - 1,
        rejects!(RecordError::Window { .. }),
    ),
    (
        |r| r.valid_from_ms = r.valid_until_ms - MAX_VALIDITY_WINDOW_MS - 1,
        rejects!(RecordError::Window { .. }),
    ),
    (
        |r| r.valid_from_ms += 1,
        rejects!(RecordError::OutsideWindow { .. }),
    ),
    (
        |r| {
            r.valid_from_ms -= 1000;
            r.valid_until_ms = r.valid_from_ms + 999;
        },
        rejects!(RecordError::OutsideWindow { .. }),
    ),
    (
        |r| r.started_at_ms = r.finished_at_ms + 1,
        rejects!(RecordError::FinishedBeforeStarted { .. }),
    ),
];

/// The error with which a block of these records is rejected.
fn rejection(chain: &mut TestChain, records: Vec<SignedRecord>) -> (usize, RecordError) {
    let block = chain.block_of(Vec::new(), records);
    match chain.execute(&block).unwrap_err() {
        BlockError::Record { index, error } => (index, error),
        other => panic!("{other}"),
    }
}

fn check_in(chain: &TestChain, signed: &SignedRecord, time_ms: u64) -> Result<(), RecordError> {
    let mut checked = check_all_in(chain, std::slice::from_ref(signed), time_ms);
    checked.remove(0).map(drop)
}

fn check_all_in(
    chain: &TestChain,
    records: &[SignedRecord],
    time_ms: u64,
) -> Vec<Result<VerifiedRecord, RecordError>> {
    let mut cache = Cache::default();
    loop {
        match check_all(&chain.rules, records, time_ms, &cache) {
            Attempt::Done(checked) => return checked,
            Attempt::Missing(keys) => {
                for key in keys {
                    cache.insert(key, chain.state.get(&key).cloned());
                }
            }
        }
    }
}

#[test]
fn a_good_record_is_admitted_once() {
    let mut chain = TestChain::started();
    let time_ms = chain.slot().timestamp_ms;
    let signed = sign_record(record(1, time_ms));
    check_in(&chain, &signed, time_ms).unwrap();
    chain.advance(records([signed.clone()]));
    assert_eq!(chain.head.records(), std::slice::from_ref(&signed));
    let key = Key::nullifier(signed.record.request_id);
    assert_eq!(chain.state[&key].as_ref(), 2u64.to_be_bytes());
    // Not in a later block, nor another record of the same request.
    let mut other = signed.record.clone();
    other.output_commitment = B256::repeat_byte(9);
    other.valid_from_ms = chain.slot().timestamp_ms;
    for again in [signed, sign_record(other)] {
        let mut rewound = again.record.clone();
        rewound.valid_from_ms = chain.slot().timestamp_ms - 10;
        let again = sign_record(rewound);
        let (_, error) = rejection(&mut chain, vec![again.clone()]);
        assert_eq!(error, RecordError::UsedRequest(again.record.request_id));
        let built = chain.build(&chain.slot(), &records([again]));
        assert!(built.records.is_empty());
    }
}

#[test]
fn a_request_settles_once_within_a_block() {
    let mut chain = TestChain::started();
    let time_ms = chain.slot().timestamp_ms;
    let first = sign_record(record(1, time_ms));
    let mut second = record(1, time_ms);
    second.output_commitment = B256::repeat_byte(9);
    let second = sign_record(second);
    let (index, error) = rejection(&mut chain, vec![first.clone(), second.clone()]);
    assert_eq!(
        (index, error),
        (1, RecordError::UsedRequest(first.record.request_id))
    );
    let built = chain.build(&chain.slot(), &records([first.clone(), second]));
    assert_eq!(built.records, [first]);
}

#[test]
fn every_broken_rule_is_named() {
    let mut chain = TestChain::started();
    let time_ms = chain.slot().timestamp_ms;
    let good = sign_record(record(0, time_ms));
    for (index, (mutate, is_expected)) in MUTATIONS.iter().enumerate() {
        let mut mutated = record(1, time_ms);
        mutate(&mut mutated);
        let mutated = sign_record(mutated);
        let (position, error) = rejection(&mut chain, vec![good.clone(), mutated.clone()]);
        assert!(
            position == 1 && is_expected(&error),
            "mutation {index}: {error}"
        );
        let error = check_in(&chain, &mutated, time_ms).unwrap_err();
        assert!(is_expected(&error), "mutation {index}: {error}");
        let built = chain.build(&chain.slot(), &records([mutated, good.clone()]));
        assert_eq!(
            built.records,
            std::slice::from_ref(&good),
            "mutation {index}"
        );
    }
}

#[test]
fn a_node_must_be_registered() {
    let mut chain = TestChain::started();
    let time_ms = chain.slot().timestamp_ms;
    let stranger = NodeKey::from_seed([77; 32]);
    let mut unknown = record(1, time_ms);
    unknown.node = stranger.id();
    let signed = stranger.sign(&chain.rules.genesis_hash(), unknown);
    let (_, error) = rejection(&mut chain, vec![signed]);
    assert_eq!(error, RecordError::UnknownNode(stranger.id()));
}

#[test]
fn one_bad_signature_rejects_a_block_and_costs_no_other_record_its_place() {
    let mut chain = TestChain::started();
    let time_ms = chain.slot().timestamp_ms;
    let good: Vec<_> = (0..5).map(|i| sign_record(record(i, time_ms))).collect();
    let mut bad = good.clone();
    bad[3].signature.0[40] ^= 1;
    let (index, error) = rejection(&mut chain, bad.clone());
    assert_eq!((index, error), (3, RecordError::Signature(node().id())));
    // A forged record that stands before the real one does not cost the real one its place.
    let mut forged_first = vec![bad[3].clone()];
    forged_first.extend(good.clone());
    let mut checked = check_all_in(&chain, &forged_first, time_ms);
    let forged = checked.remove(0).unwrap_err();
    assert_eq!(forged, RecordError::Signature(node().id()));
    let checked: Vec<_> = checked.into_iter().map(Result::unwrap).collect();
    assert_eq!(checked, verified(good));
    // A signature for another chain is none here; nor is one by another key.
    let elsewhere = node().sign(&B256::ZERO, record(9, time_ms));
    let other = NodeKey::from_seed([77; 32]).sign(&chain.rules.genesis_hash(), record(9, time_ms));
    for signed in [elsewhere, other] {
        let (_, error) = rejection(&mut chain, vec![signed]);
        assert_eq!(error, RecordError::Signature(node().id()));
    }
    let mut no_key = sign_record(record(9, time_ms));
    no_key.record.node = NodeId([0xff; 32]);
    let (_, error) = rejection(&mut chain, vec![no_key]);
    assert_eq!(error, RecordError::UnknownNode(NodeId([0xff; 32])));
}

#[test]
fn every_tier_has_its_own_rule() {
    assert_eq!(tier_rule(Tier::Signed).tier(), Tier::Signed);
}

#[test]
fn nullifiers_are_forgotten_after_the_window_and_the_state_is_as_before() {
    let mut chain = TestChain::started();
    let keys_before: Vec<_> = chain.state.keys().copied().collect();
    for block in 0..3u64 {
        let time_ms = chain.slot().timestamp_ms;
        let admitted: Vec<_> = (0..100)
            .map(|i| sign_record(record(block * 100 + i, time_ms)))
            .collect();
        chain.advance(records(admitted));
        assert_eq!(chain.head.records().len(), 100);
    }
    assert!(chain.state.len() >= keys_before.len() + 300);
    for _ in 0..4 {
        let slot = chain.slot_at(chain.parent().timestamp_ms + 60_000);
        chain.advance_at(&slot, Candidates::default());
    }
    // What is left beside the genesis accounts is the ring of block hashes.
    let ring: Vec<_> = (0..chain.parent().height).map(Key::block_hash).collect();
    let keys: Vec<_> = chain
        .state
        .keys()
        .copied()
        .filter(|key| !ring.contains(key))
        .collect();
    let before: Vec<_> = keys_before
        .into_iter()
        .filter(|key| !ring.contains(key))
        .collect();
    assert_eq!(keys, before);
}

#[test]
fn a_block_of_many_records_runs_only_a_few_times() {
    let mut chain = TestChain::started();
    let slot = chain.slot();
    let many: Vec<_> = (0..1000)
        .map(|i| sign_record(record(i, slot.timestamp_ms)))
        .collect();
    chain.misses = 0;
    let built = chain.build(&slot, &records(many));
    assert_eq!(built.records.len(), 1000);
    // Once for what the records name, once for their bucket's last chunk, once for new chunks.
    assert!(chain.misses <= 3, "{} runs", chain.misses);
    let block = chain.seal(&slot, built);
    chain.execute(&block).unwrap();
}
