//! The committed vectors, read back as a stranger would read them.
//!
//! They are made in `crates/verify/tests/it/vectors.rs`, where there are keys to sign with.

use alloy_primitives::{B256, hex};
use og_types::{
    Canonical, Checkpoint, Genesis, Header, Inclusion, InferenceRequest, InferenceResponse,
    JobEvent, JobEvents, JobFailure, Receipt, SignedRecord,
    embedding::{RelayedVectors, Texts, Vectors},
    language::{Piece, Said},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

fn bytes(name: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    std::fs::read(format!("{directory}/{name}")).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

fn canonical(vector: &Value) -> Vec<u8> {
    hex::decode(vector["canonical"].as_str().unwrap()).unwrap()
}

/// The vector's value and its bytes must be each other's.
fn agrees<T: Canonical + DeserializeOwned + PartialEq + Debug>(name: &str) {
    let vector = json(name);
    let value: T = serde_json::from_value(vector["value"].clone()).unwrap();
    assert_eq!(value.to_bytes(), canonical(&vector), "{name}");
    assert_eq!(T::from_bytes(&canonical(&vector)), Ok(value), "{name}");
}

#[test]
fn values_and_bytes_agree() {
    agrees::<Header>("header.json");
    agrees::<SignedRecord>("record.json");
    agrees::<InferenceRequest>("request.json");
    agrees::<InferenceResponse>("response.json");
}

#[test]
fn the_genesis_file_has_its_canonical_bytes() {
    let genesis: Genesis = serde_json::from_slice(&bytes("genesis.json")).unwrap();
    let canonical = canonical(&json("genesis_hash.json"));
    assert_eq!(genesis.to_bytes(), canonical);
    assert_eq!(Genesis::from_bytes(&canonical), Ok(genesis));
}

#[test]
fn the_checkpoint_names_the_receipts_block() {
    let checkpoint: Checkpoint = serde_json::from_slice(&bytes("checkpoint.json")).unwrap();
    let genesis: Genesis = serde_json::from_slice(&bytes("genesis.json")).unwrap();
    assert_eq!(checkpoint.validators, genesis.validators);
    assert_eq!(
        checkpoint.block.to_string(),
        json("header.json")["hash"].as_str().unwrap()
    );
}

#[test]
fn the_receipts_are_made_of_the_other_vectors() {
    let receipt = Receipt::from_bytes(&bytes("receipt.bin")).unwrap();
    assert_eq!(receipt.header.to_bytes(), canonical(&json("header.json")));
    assert_eq!(receipt.record.to_bytes(), canonical(&json("record.json")));
    assert_eq!(receipt.opening.request, canonical(&json("request.json")));
    assert_eq!(receipt.opening.response, canonical(&json("response.json")));
    assert_eq!(receipt.finalization, canonical(&json("certificate.json")));
    let longer = Receipt::from_bytes(&bytes("receipt_descendants.bin")).unwrap();
    assert_eq!(longer.record, receipt.record);
    assert_eq!(longer.descendants.len(), 2);
}

#[test]
fn a_jobs_events_are_read_to_their_end() {
    let events = |name: &str| {
        let (mut reader, mut events) = (JobEvents::default(), vec![]);
        for byte in bytes(name) {
            reader.push(&[byte]).unwrap();
            events.extend(reader.next_event().unwrap());
        }
        assert!(reader.has_ended());
        events
    };
    let mut said = Said::empty();
    let mut result = None;
    for event in events("job_events.bin") {
        match event {
            JobEvent::Piece(piece) => said.add(&piece).unwrap(),
            JobEvent::Result(whole) => result = Some(whole),
            JobEvent::Failed(failure) => panic!("{failure:?}"),
        }
    }
    assert_eq!(said.text, "Let me look.");
    assert_eq!(said.tool_calls[0].arguments, "{\"at\":1}");
    assert_eq!(said.logprobs[0].top[1].logprob, -70_000);
    let receipt = Receipt::from_bytes(&bytes("receipt.bin")).unwrap();
    assert_eq!(result.unwrap().record, receipt.record);
    let failed = JobFailure::new("bad_input", "'prompt[0]' is wrong", Some("prompt[0]"));
    assert_eq!(events("job_failed.bin"), [JobEvent::Failed(failed)]);
    // Kind 0 is text.
    let first = JobEvent::Piece(Piece::Text("Let me look.".to_owned()));
    assert!(bytes("job_events.bin").starts_with(&[&[0x82, 0, 0x6c][..], b"Let me look."].concat()));
    assert!(bytes("job_events.bin").starts_with(&first.to_bytes()));
}

#[test]
fn texts_and_vectors_stand_in_tensors() {
    let vector: Value = serde_json::from_str(include_str!("embedding.json")).unwrap();
    let read = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
    let texts = Texts {
        texts: serde_json::from_value(vector["texts"].clone()).unwrap(),
        dimensions: serde_json::from_value(vector["dimensions"].clone()).unwrap(),
    };
    let request = InferenceRequest::from_bytes(&read("request")).unwrap();
    assert_eq!(Texts::from_tensors(&request.inputs), Ok(texts.clone()));
    assert_eq!(texts.to_tensors(), Ok(request.inputs));
    let vectors = RelayedVectors {
        vectors: serde_json::from_value(vector["vectors"].clone()).unwrap(),
        prompt_tokens: serde_json::from_value(vector["prompt_tokens"].clone()).unwrap(),
        upstream: vector["upstream"].as_str().unwrap().to_owned(),
        upstream_model: String::new(),
    };
    let response = InferenceResponse::from_bytes(&read("response")).unwrap();
    assert_eq!(
        RelayedVectors::from_tensors(&response.outputs),
        Ok(vectors.clone())
    );
    assert_eq!(vectors.to_tensors(), Ok(response.outputs));
}

#[test]
fn vectors_that_were_computed_here_stand_in_tensors() {
    let vector: Value = serde_json::from_str(include_str!("embedding.json")).unwrap();
    let vector = &vector["exact"];
    let roots: Vec<B256> = serde_json::from_value(vector["trace_roots"].clone()).unwrap();
    let vectors = Vectors {
        vectors: serde_json::from_value(vector["vectors"].clone()).unwrap(),
        prompt_tokens: serde_json::from_value(vector["prompt_tokens"].clone()).unwrap(),
        trace_roots: roots.into_iter().map(|root| root.0).collect(),
    };
    let response = hex::decode(vector["response"].as_str().unwrap()).unwrap();
    let outputs = vectors.to_tensors().unwrap();
    let written = InferenceResponse {
        version: 1,
        outputs,
    };
    assert_eq!(hex::encode(written.to_bytes()), hex::encode(&response));
    let read = InferenceResponse::from_bytes(&response).unwrap();
    assert_eq!(Vectors::from_tensors(&read.outputs), Ok(vectors));
}

#[test]
fn paths_agree() {
    for path in json("list.json")["paths"].as_array().unwrap() {
        let inclusion = Inclusion::from_bytes(&canonical(path)).unwrap();
        assert_eq!(Value::from(inclusion.position), path["position"]);
        assert_eq!(Value::from(inclusion.leaf_count), path["leaf_count"]);
        let siblings: Vec<Value> = inclusion
            .siblings
            .iter()
            .map(|sibling| sibling.to_string().into())
            .collect();
        assert_eq!(Value::from(siblings), path["siblings"]);
    }
}
