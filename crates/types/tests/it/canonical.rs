//! One value, one encoding; hostile bytes are errors and cost no more than their length.

use crate::strategies::{
    genesis, header, job, job_result, opening, receipt, record, request, response, signed_record,
    tensor,
};
use og_types::{
    Canonical, DecodeError, ElementType, Genesis, GenesisValidator, Header, Inclusion,
    InferenceRequest, InferenceResponse, Job, JobResult, Opening, Receipt, Record, SignedRecord,
    Tensor, TensorsError, count_elements,
    limits::{MAX_DESCENDANTS, MAX_PAYLOAD_BYTES, MAX_PROOF_SIBLINGS, MAX_TENSORS},
};
use proptest::prelude::*;
use std::fmt::Debug;

fn round_trips<T: Canonical + PartialEq + Debug>(value: &T) {
    let bytes = value.to_bytes();
    assert!(bytes.len() <= T::MAX_BYTES);
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    assert!(T::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    assert!(T::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// Decodes hostile bytes as everything; whatever is accepted has exactly these bytes.
fn decodes_canonically_or_not_at_all(bytes: &[u8]) {
    fn check<T: Canonical>(bytes: &[u8]) {
        if let Ok(value) = T::from_bytes(bytes) {
            assert_eq!(value.to_bytes(), bytes);
        }
    }
    check::<Header>(bytes);
    check::<Record>(bytes);
    check::<SignedRecord>(bytes);
    check::<Tensor>(bytes);
    check::<InferenceRequest>(bytes);
    check::<InferenceResponse>(bytes);
    check::<Opening>(bytes);
    check::<Inclusion>(bytes);
    check::<Receipt>(bytes);
    check::<Job>(bytes);
    check::<JobResult>(bytes);
    check::<Genesis>(bytes);
    check::<GenesisValidator>(bytes);
}

proptest! {
    #[test]
    fn headers_round_trip(value in header()) { round_trips(&value); }
    #[test]
    fn records_round_trip(value in record()) { round_trips(&value); }
    #[test]
    fn signed_records_round_trip(value in signed_record()) { round_trips(&value); }
    #[test]
    fn tensors_round_trip(value in tensor()) { round_trips(&value); }
    #[test]
    fn requests_round_trip(value in request()) { round_trips(&value); }
    #[test]
    fn responses_round_trip(value in response()) { round_trips(&value); }
    #[test]
    fn openings_round_trip(value in opening()) { round_trips(&value); }
    #[test]
    fn jobs_round_trip(value in job()) { round_trips(&value); }
    #[test]
    fn job_results_round_trip(value in job_result()) { round_trips(&value); }
    #[test]
    fn receipts_round_trip(value in receipt()) { round_trips(&value); }

    #[test]
    fn genesis_files_round_trip_in_both_forms(value in genesis()) {
        let fits = value.validators.iter().all(|validator| {
            validator.consensus_key.len() <= 96 && validator.proof_of_possession.len() <= 48
        });
        prop_assume!(fits);
        round_trips(&value);
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<Genesis>(&json).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decodes_canonically_or_not_at_all(&bytes);
    }

    #[test]
    fn changed_encodings_decode_canonically_or_not_at_all(
        value in receipt(),
        position in any::<prop::sample::Index>(),
        replacement in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut bytes = value.to_bytes();
        let start = position.index(bytes.len());
        let end = (start + replacement.len()).min(bytes.len());
        bytes.splice(start..end, replacement);
        decodes_canonically_or_not_at_all(&bytes);
    }
}

/// The canonical bytes of a header whose heights are all small.
fn plain_header() -> Vec<u8> {
    Header::default().to_bytes()
}

fn field_of(error: DecodeError) -> String {
    match error {
        DecodeError::Field { field, .. } => field,
        other => panic!("{other}"),
    }
}

#[test]
fn integers_that_are_not_in_shortest_form_are_rejected_by_name() {
    // Byte 0 heads the array, 1 is the version, 2 the chain id.
    let bytes = plain_header();
    for long_zero in [
        vec![0x18, 0x00],
        vec![0x18, 0x17],
        vec![0x19, 0x00, 0xff],
        vec![0x1a, 0x00, 0x00, 0xff, 0xff],
        vec![0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut longer = bytes.clone();
        longer.splice(2..3, long_zero);
        let error = Header::from_bytes(&longer).unwrap_err();
        assert_eq!(field_of(error), "chain_id");
    }
}

#[test]
fn lengths_that_are_not_in_shortest_form_are_rejected_by_name() {
    let bytes = InferenceRequest {
        version: 1,
        model: [7; 32].into(),
        inputs: Vec::new(),
    }
    .to_bytes();
    // The model's head is 0x58 0x20: give its length two bytes.
    let mut longer = bytes.clone();
    longer.splice(2..4, [0x59, 0x00, 0x20]);
    assert_eq!(
        field_of(InferenceRequest::from_bytes(&longer).unwrap_err()),
        "model"
    );
    // The empty list's head is the last byte.
    let mut longer = bytes;
    longer.pop();
    longer.extend([0x98, 0x00]);
    assert_eq!(
        field_of(InferenceRequest::from_bytes(&longer).unwrap_err()),
        "inputs"
    );
}

#[test]
fn forms_that_canonical_cbor_does_not_have_are_rejected() {
    let bytes = plain_header();
    for (what, first) in [
        ("a map", vec![0xb4]),
        ("an indefinite array", vec![0x9f]),
        ("a tagged array", vec![0xc0, 0x94]),
        ("a short array", vec![0x93]),
        ("a long array", vec![0x95]),
    ] {
        let mut other = bytes.clone();
        other.splice(0..1, first);
        assert!(Header::from_bytes(&other).is_err(), "{what}");
    }
    for (what, version) in [
        ("a float", vec![0xf9, 0x00, 0x00]),
        ("a negative integer", vec![0x20]),
        ("a boolean", vec![0xf4]),
        ("null where a value must be", vec![0xf6]),
        ("undefined", vec![0xf7]),
        ("an integer too large", vec![0x1a, 0x00, 0x01, 0x00, 0x00]),
    ] {
        let mut other = bytes.clone();
        other.splice(1..2, version);
        let error = Header::from_bytes(&other).unwrap_err();
        assert_eq!(field_of(error), "version", "{what}");
    }
}

#[test]
fn claimed_lengths_are_not_believed() {
    // Each claims more than memory has; each is refused before anything of that size exists.
    let huge = [0xff; 8];
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let bytes = [&[head][..], &huge].concat();
        decodes_canonically_or_not_at_all(&bytes);
        // The same in place of a request's list of inputs, and of a receipt's opening.
        let request = [&[0x83, 0x01, 0x58, 0x20][..], &[7; 32], &bytes].concat();
        assert!(InferenceRequest::from_bytes(&request).is_err());
        let opening = [&[0x83, 0x58, 0x20][..], &[7; 32], &bytes].concat();
        assert!(Opening::from_bytes(&opening).is_err());
    }
    // Deep nesting meets a type that nests no deeper.
    decodes_canonically_or_not_at_all(&[0x81; 100_000]);
    decodes_canonically_or_not_at_all(&[0x9f; 100_000]);
}

#[test]
fn every_list_and_body_has_its_maximum() {
    let tensor = Tensor {
        name: "x".to_owned(),
        element_type: ElementType::U8,
        shape: Vec::new(),
        data: vec![0].into(),
    };
    let mut request = InferenceRequest {
        version: 1,
        model: [7; 32].into(),
        inputs: vec![tensor; MAX_TENSORS],
    };
    round_trips(&request);
    request.inputs.push(request.inputs[0].clone());
    let error = InferenceRequest::from_bytes(&request.to_bytes()).unwrap_err();
    assert_eq!(field_of(error), "inputs");

    let mut inclusion = Inclusion {
        position: u32::MAX,
        leaf_count: u32::MAX,
        siblings: vec![[9; 32].into(); MAX_PROOF_SIBLINGS],
    };
    round_trips(&inclusion);
    inclusion.siblings.push([9; 32].into());
    let error = Inclusion::from_bytes(&inclusion.to_bytes()).unwrap_err();
    assert!(matches!(error, DecodeError::Field { field, .. } if field == "siblings"));

    let error = InferenceRequest::from_bytes(&vec![0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
    assert!(matches!(error, DecodeError::TooLong { .. }));
}

#[test]
fn the_largest_values_fit_their_maxima() {
    let id = [0xff; 32];
    let header = Header {
        version: u16::MAX,
        chain_id: u64::MAX,
        height: u64::MAX,
        parent: id.into(),
        epoch: u64::MAX,
        view: u64::MAX,
        parent_view: u64::MAX,
        proposer: id.into(),
        timestamp_ms: u64::MAX,
        gas_limit: u64::MAX,
        gas_used: u64::MAX,
        base_fee_per_gas: u64::MAX,
        transactions_root: id.into(),
        receipts_root: id.into(),
        records_root: id.into(),
        state_root: id.into(),
        state_operations_root: id.into(),
        state_operations_floor: u64::MAX,
        state_operations_size: u64::MAX,
        next_validators: id.into(),
    };
    assert_eq!(header.to_bytes().len(), Header::MAX_ENCODED_BYTES);
    round_trips(&header);
    let validator = GenesisValidator {
        id: id.into(),
        consensus_key: vec![0xff; 96].into(),
        proof_of_possession: vec![0xff; 48].into(),
        fee_recipient: [0xff; 20].into(),
    };
    round_trips(&validator);
    // A receipt with every list and body full is still one that can be decoded.
    let descendants = MAX_DESCENDANTS * Header::MAX_ENCODED_BYTES;
    let bodies = 2 * MAX_PAYLOAD_BYTES + og_types::limits::MAX_EVIDENCE_BYTES;
    let rest = og_types::limits::MAX_RECORD_BYTES
        + Inclusion::MAX_BYTES
        + Header::MAX_ENCODED_BYTES
        + og_types::limits::MAX_FINALIZATION_BYTES;
    assert!(descendants + bodies + rest + 1024 < Receipt::MAX_BYTES);
}

#[test]
fn tensors_are_counted_only_if_sorted_and_of_their_shapes_size() {
    let tensor = |name: &str, shape: &[u32], bytes: usize| Tensor {
        name: name.to_owned(),
        element_type: ElementType::I32,
        shape: shape.to_vec(),
        data: vec![0; bytes].into(),
    };
    let good = [
        tensor("a", &[2, 3], 24),
        tensor("b", &[], 4),
        tensor("c", &[0, 9], 0),
    ];
    assert_eq!(count_elements(&good), Ok(7));
    assert_eq!(count_elements(&[]), Ok(0));
    let twice = [tensor("a", &[], 4), tensor("a", &[], 4)];
    assert_eq!(
        count_elements(&twice),
        Err(TensorsError::Order("a".to_owned()))
    );
    let error = count_elements(&[tensor("a", &[2], 7)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"a\" has 7 bytes of data where its shape needs 8"
    );
    let endless = count_elements(&[tensor("a", &[u32::MAX; 8], 7)]).unwrap_err();
    assert!(endless.to_string().contains("more than can be counted"));
}
