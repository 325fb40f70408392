use super::*;
use alloy_primitives::{Address, B256, Bytes};
use og_crypto::NodeKey;
use og_types::{
    Amount, Computed, ElementType, ModelId, Opening, Record, RequestId, SignedRecord, Tensor, Tier,
};
use proptest::prelude::*;

const GENESIS: B256 = B256::repeat_byte(1);
const NOW_MS: u64 = 1_000_000;

fn checker() -> ResultChecker {
    ResultChecker {
        chain_id: 7,
        verifier: RecordVerifier::new(&GENESIS),
    }
}

fn request() -> InferenceRequest {
    InferenceRequest {
        version: 1,
        model: ModelId([2; 32]),
        inputs: Vec::new(),
    }
}

fn job() -> Job {
    Job {
        version: 1,
        request_id: RequestId([3; 32]),
        payer: Address::ZERO,
        price: Amount(0),
        tier: Tier::Signed,
        seed: 4,
        request: request().to_bytes().into(),
    }
}

fn response() -> InferenceResponse {
    InferenceResponse {
        version: 1,
        outputs: vec![Tensor {
            name: "y".to_owned(),
            element_type: ElementType::U8,
            shape: vec![2],
            data: vec![1, 2].into(),
        }],
    }
}

fn sign(record: Record) -> SignedRecord {
    NodeKey::from_seed([5; 32]).sign(&GENESIS, record)
}

/// A sound result with `response`, its record changed by `change` before it is signed.
fn result(response: &[u8], change: impl FnOnce(&mut Record)) -> JobResult {
    let opening = Opening {
        salt: B256::repeat_byte(6),
        request: job().request,
        response: Bytes::copy_from_slice(response),
    };
    let mut record = Record {
        version: 1,
        chain_id: 7,
        request_id: job().request_id,
        payer: Address::ZERO,
        payee: Address::repeat_byte(9),
        price: Amount(0),
        model: request().model,
        tier: Tier::Signed,
        computed: Computed::Float,
        valid_from_ms: NOW_MS,
        valid_until_ms: NOW_MS + MAX_VALIDITY_WINDOW_MS,
        input_commitment: commit_input(&opening.salt, &opening.request),
        output_commitment: commit_output(&opening.salt, &opening.response),
        seed: 4,
        input_units: 0,
        output_units: 2,
        started_at_ms: NOW_MS,
        finished_at_ms: NOW_MS,
        node: NodeKey::from_seed([5; 32]).id(),
        evidence: None,
    };
    change(&mut record);
    JobResult {
        version: 1,
        record: sign(record),
        opening,
        evidence: None,
    }
}

fn sound() -> JobResult {
    result(&response().to_bytes(), |_| {})
}

fn check(result: &JobResult) -> Result<InferenceResponse, ResultError> {
    checker().check(&job(), &request(), result, NOW_MS)
}

#[test]
fn a_sound_result_passes() {
    assert_eq!(check(&sound()), Ok(response()));
}

#[test]
fn every_term_is_compared() {
    type Change = fn(&mut Record);
    let cases: [(Change, &str); 10] = [
        (|record| record.version = 2, "version"),
        (|record| record.chain_id = 8, "chain id"),
        (
            |record| record.request_id = RequestId([0; 32]),
            "request id",
        ),
        (|record| record.payer = Address::repeat_byte(1), "payer"),
        (|record| record.price = Amount(1), "price"),
        (|record| record.model = ModelId([0; 32]), "model"),
        (|record| record.seed = 5, "seed"),
        (|record| record.input_units = 1, "input_units"),
        (|record| record.output_units = 3, "output_units"),
        (|record| record.evidence = Some(B256::ZERO), "evidence"),
    ];
    for (change, name) in cases {
        let found = check(&result(&response().to_bytes(), change)).unwrap_err();
        match name {
            "evidence" => assert_eq!(found, ResultError::Evidence),
            name => assert_eq!(found, ResultError::Mismatch(name)),
        }
    }
}

#[test]
fn the_opening_is_checked() {
    let mut other_request = sound();
    other_request.opening.request = Bytes::from_static(b"other");
    assert_eq!(check(&other_request), Err(ResultError::Mismatch("request")));
    let mut other_salt = sound();
    other_salt.opening.salt = B256::ZERO;
    assert_eq!(check(&other_salt), Err(ResultError::Commitment("input")));
    let mut other_response = sound();
    other_response.opening.response = Bytes::from_static(b"other");
    assert_eq!(
        check(&other_response),
        Err(ResultError::Commitment("output"))
    );
    let mut evidence = sound();
    evidence.evidence = Some(Bytes::new());
    assert_eq!(check(&evidence), Err(ResultError::Evidence));
}

#[test]
fn only_records_that_can_settle_pass() {
    let window = |from_ms, until_ms| {
        check(&result(&response().to_bytes(), |record| {
            (record.valid_from_ms, record.valid_until_ms) = (from_ms, until_ms);
        }))
    };
    assert!(window(NOW_MS + MAX_CLOCK_SKEW_MS, NOW_MS + MAX_CLOCK_SKEW_MS + 1).is_ok());
    for (from_ms, until_ms) in [
        (
            NOW_MS + MAX_CLOCK_SKEW_MS + 1,
            NOW_MS + MAX_CLOCK_SKEW_MS + 2,
        ),
        (NOW_MS - 1, NOW_MS),
        (NOW_MS + 2, NOW_MS + 1),
        (NOW_MS, NOW_MS + MAX_VALIDITY_WINDOW_MS + 1),
        (0, u64::MAX),
        (u64::MAX, u64::MAX),
    ] {
        let found = window(from_ms, until_ms);
        assert!(
            matches!(found, Err(ResultError::Window { .. })),
            "{found:?}"
        );
    }
}

#[test]
fn a_response_must_be_one() {
    let mut short = response();
    short.outputs[0].shape = vec![3];
    for bytes in [short.to_bytes(), vec![0xff], Vec::new()] {
        let found = check(&result(&bytes, |_| {}));
        assert!(matches!(found, Err(ResultError::Response(_))), "{found:?}");
    }
}

proptest! {
    #[test]
    fn no_flipped_bit_passes(position in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = sound().to_bytes();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        if let Ok(changed) = JobResult::from_bytes(&bytes) {
            prop_assert!(check(&changed).is_err(), "byte {position} bit {bit}");
        }
    }
}
