//! Arbitrary values of every type that crosses a wire.

use alloy_primitives::{Address, B256, Bytes};
use og_types::{
    Amount, BlockHash, Computed, ElementType, Genesis, GenesisAccount, GenesisValidator, Header,
    Inclusion, InferenceRequest, InferenceResponse, Job, JobResult, ModelId, NodeId, Opening,
    Receipt, Record, RequestId, Signature, SignedRecord, Tensor, Tier, ValidatorId,
};
use proptest::{collection::vec, option, prelude::*};

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

fn bytes(maximum: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..maximum).prop_map(Bytes::from)
}

/// Integers of every encoded length.
fn integer() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(value, shift)| value >> shift)
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    let hashes = (hash(), hash(), hash(), hash(), hash(), hash());
    let integers = proptest::array::uniform11(integer());
    let ids = (any::<[u8; 32]>(), any::<[u8; 32]>());
    (any::<u16>(), hashes, integers, ids).prop_map(|(version, hashes, integers, ids)| {
        let [
            chain_id,
            height,
            epoch,
            view,
            parent_view,
            timestamp_ms,
            gas_limit,
            ..,
        ] = integers;
        let [.., gas_used, base_fee_per_gas, floor, size] = integers;
        Header {
            version,
            chain_id,
            height,
            parent: BlockHash(ids.0),
            epoch,
            view,
            parent_view,
            proposer: ValidatorId(ids.1),
            timestamp_ms,
            gas_limit,
            gas_used,
            base_fee_per_gas,
            transactions_root: hashes.0,
            receipts_root: hashes.1,
            records_root: hashes.2,
            state_root: hashes.3,
            state_operations_root: hashes.4,
            state_operations_floor: floor,
            state_operations_size: size,
            next_validators: hashes.5,
        }
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let computed = prop_oneof![
        Just(Computed::Exact),
        Just(Computed::Float),
        Just(Computed::Relayed)
    ];
    let ids = proptest::array::uniform3(any::<[u8; 32]>());
    let terms = (address(), address(), any::<u128>(), computed);
    let integers = proptest::array::uniform6(integer());
    let rest = (hash(), hash(), any::<(u16, u32, u32)>(), option::of(hash()));
    (ids, terms, integers, rest).prop_map(|(ids, terms, integers, rest)| {
        let [
            chain_id,
            valid_from_ms,
            valid_until_ms,
            seed,
            started_at_ms,
            finished_at_ms,
        ] = integers;
        let (input_commitment, output_commitment, (version, input_units, output_units), evidence) =
            rest;
        Record {
            version,
            chain_id,
            request_id: RequestId(ids[0]),
            payer: terms.0,
            payee: terms.1,
            price: Amount(terms.2),
            model: ModelId(ids[1]),
            tier: Tier::Signed,
            computed: terms.3,
            valid_from_ms,
            valid_until_ms,
            input_commitment,
            output_commitment,
            seed,
            input_units,
            output_units,
            started_at_ms,
            finished_at_ms,
            node: NodeId(ids[2]),
            evidence,
        }
    })
}

pub(crate) fn signed_record() -> impl Strategy<Value = SignedRecord> {
    (record(), hash(), hash()).prop_map(|(record, left, right)| {
        let mut signature = Signature::default();
        signature.0[..32].copy_from_slice(left.as_slice());
        signature.0[32..].copy_from_slice(right.as_slice());
        SignedRecord { record, signature }
    })
}

pub(crate) fn tensor() -> impl Strategy<Value = Tensor> {
    let element_type = prop_oneof![
        Just(ElementType::F32),
        Just(ElementType::I64),
        Just(ElementType::I32),
        Just(ElementType::U8)
    ];
    (
        "\\PC{0,30}",
        element_type,
        vec(any::<u32>(), 0..=8),
        bytes(300),
    )
        .prop_map(|(name, element_type, shape, data)| Tensor {
            name,
            element_type,
            shape,
            data,
        })
}

pub(crate) fn request() -> impl Strategy<Value = InferenceRequest> {
    (any::<u16>(), any::<[u8; 32]>(), vec(tensor(), 0..5)).prop_map(|(version, model, inputs)| {
        InferenceRequest {
            version,
            model: ModelId(model),
            inputs,
        }
    })
}

pub(crate) fn response() -> impl Strategy<Value = InferenceResponse> {
    (any::<u16>(), vec(tensor(), 0..5))
        .prop_map(|(version, outputs)| InferenceResponse { version, outputs })
}

pub(crate) fn opening() -> impl Strategy<Value = Opening> {
    (hash(), bytes(400), bytes(400)).prop_map(|(salt, request, response)| Opening {
        salt,
        request,
        response,
    })
}

pub(crate) fn job() -> impl Strategy<Value = Job> {
    let ids = (any::<u16>(), any::<[u8; 32]>(), address());
    (ids, any::<u128>(), integer(), bytes(400)).prop_map(|(ids, price, seed, request)| Job {
        version: ids.0,
        request_id: RequestId(ids.1),
        payer: ids.2,
        price: Amount(price),
        tier: Tier::Signed,
        seed,
        request,
    })
}

pub(crate) fn job_result() -> impl Strategy<Value = JobResult> {
    (
        any::<u16>(),
        signed_record(),
        opening(),
        option::of(bytes(99)),
    )
        .prop_map(|(version, record, opening, evidence)| JobResult {
            version,
            record,
            opening,
            evidence,
        })
}

pub(crate) fn receipt() -> impl Strategy<Value = Receipt> {
    let inclusion = (any::<u32>(), any::<u32>(), vec(hash(), 0..=32)).prop_map(
        |(position, leaf_count, siblings)| Inclusion {
            position,
            leaf_count,
            siblings,
        },
    );
    let chain = (header(), vec(header(), 0..3), bytes(200));
    (job_result(), inclusion, chain).prop_map(|(result, inclusion, chain)| Receipt {
        version: result.version,
        record: result.record,
        opening: result.opening,
        evidence: result.evidence,
        inclusion,
        header: chain.0,
        descendants: chain.1,
        finalization: chain.2,
    })
}

pub(crate) fn genesis() -> impl Strategy<Value = Genesis> {
    let validator = (any::<[u8; 32]>(), bytes(97), bytes(49), address()).prop_map(
        |(id, consensus_key, proof_of_possession, fee_recipient)| GenesisValidator {
            id: ValidatorId(id),
            consensus_key,
            proof_of_possession,
            fee_recipient,
        },
    );
    let storage = proptest::collection::btree_map(hash(), hash(), 0..4);
    let account = (any::<[u8; 32]>(), bytes(60), storage).prop_map(|(balance, code, storage)| {
        GenesisAccount {
            balance: alloy_primitives::U256::from_be_bytes(balance),
            code,
            storage,
        }
    });
    let alloc = proptest::collection::btree_map(address(), account, 0..4);
    let integers = proptest::array::uniform5(integer());
    (
        any::<u16>(),
        "\\PC{0,30}",
        integers,
        vec(validator, 0..4),
        alloc,
    )
        .prop_map(|(version, network, integers, validators, alloc)| Genesis {
            version,
            network,
            chain_id: integers[0],
            timestamp_ms: integers[1],
            epoch_length: integers[2],
            gas_limit: integers[3],
            base_fee_per_gas: integers[4],
            validators,
            alloc,
        })
}
