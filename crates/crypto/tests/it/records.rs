//! Signatures on records: one at a time and in batches.

use alloy_primitives::B256;
use commonware_utils::test_rng;
use og_crypto::{NodeKey, RecordVerifier};
use og_types::{
    Amount, Computed, ModelId, NodeId, Record, RequestId, Signature, SignedRecord, Tier,
};

const CHAIN: B256 = B256::repeat_byte(7);

fn signed(number: u8) -> SignedRecord {
    signed_by(&NodeKey::from_seed([number; 32]), number)
}

fn signed_by(key: &NodeKey, number: u8) -> SignedRecord {
    let record = Record {
        version: 1,
        chain_id: 1,
        request_id: RequestId([number; 32]),
        payer: [1; 20].into(),
        payee: [2; 20].into(),
        price: Amount(3),
        model: ModelId([4; 32]),
        tier: Tier::Signed,
        computed: Computed::Exact,
        valid_from_ms: 5,
        valid_until_ms: 6,
        input_commitment: B256::ZERO,
        output_commitment: B256::ZERO,
        seed: 0,
        input_units: 0,
        output_units: 0,
        started_at_ms: 0,
        finished_at_ms: 0,
        node: key.id(),
        evidence: None,
    };
    key.sign(&CHAIN, record)
}

#[test]
fn a_record_is_signed_for_one_chain_and_by_one_node() {
    let honest = signed(1);
    assert!(RecordVerifier::new(&CHAIN).verify(&honest));
    assert!(!RecordVerifier::new(&B256::ZERO).verify(&honest));
    let mut other_node = honest.clone();
    other_node.record.node = signed(2).record.node;
    assert!(!RecordVerifier::new(&CHAIN).verify(&other_node));
    let mut no_point = honest.clone();
    no_point.record.node = NodeId([0x02; 32]);
    assert!(!RecordVerifier::new(&CHAIN).verify(&no_point));
    let mut changed = honest;
    changed.record.price.0 += 1;
    assert!(!RecordVerifier::new(&CHAIN).verify(&changed));
}

#[test]
fn every_flipped_byte_of_a_signature_is_refused() {
    let honest = signed(1);
    for position in 0..Signature::LENGTH {
        for flip in [0x01, 0x80] {
            let mut flipped = honest.clone();
            flipped.signature.0[position] ^= flip;
            assert!(!RecordVerifier::new(&CHAIN).verify(&flipped));
        }
    }
}

#[test]
fn a_signature_whose_scalar_is_not_reduced_is_refused() {
    // s + l, with l the order of the group: the same scalar, other bytes.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut malleated = signed(1);
    let mut carry = 0;
    for (byte, addend) in malleated.signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let verifier = RecordVerifier::new(&CHAIN);
    assert!(!verifier.verify(&malleated));
    assert!(!verifier.verify_batch(&[malleated], &mut test_rng()));
}

#[test]
fn a_batch_is_accepted_if_and_only_if_each_of_it_is() {
    let verifier = RecordVerifier::new(&CHAIN);
    let honest: Vec<_> = (1..40).map(signed).collect();
    assert!(verifier.verify_batch(&[], &mut test_rng()));
    assert!(verifier.verify_batch(&honest, &mut test_rng()));
    for bad in [0, 17, 38] {
        let mut batch = honest.clone();
        batch[bad].record.seed = 1;
        assert!(!verifier.verify_batch(&batch, &mut test_rng()));
        batch[bad] = honest[bad].clone();
        batch[bad].signature.0[3] ^= 1;
        assert!(!verifier.verify_batch(&batch, &mut test_rng()));
    }
}

#[test]
fn a_verifier_that_meets_more_nodes_than_it_remembers_judges_as_before() {
    let verifier = RecordVerifier::new(&CHAIN);
    let nodes = (0..300_u16).map(|node| {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&node.to_le_bytes());
        NodeKey::from_seed(seed)
    });
    let records: Vec<_> = nodes.map(|key| signed_by(&key, 1)).collect();
    for _ in 0..2 {
        for pair in records.windows(2) {
            assert!(verifier.verify(&pair[0]));
            let mut of_another = pair[0].clone();
            of_another.record.node = pair[1].record.node;
            assert!(!verifier.verify(&of_another));
        }
        assert!(verifier.verify_batch(&records, &mut test_rng()));
    }
}
