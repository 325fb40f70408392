//! A record from the gateway's side: submitting, waiting, proof.

use crate::memory::{Client, Memory, record, sign_record};
use alloy_primitives::{Address, Bytes};
use og_crypto::merkle::verify_inclusion;
use og_types::{
    Canonical as _, Header, Inclusion, ModelId, NodeId, SignedRecord, limits::MAX_SUBMITTED_RECORDS,
};
use serde_json::{Value, json};

fn bytes(signed: &SignedRecord) -> Bytes {
    signed.to_bytes().into()
}

async fn submit(client: &Client, records: Vec<Bytes>) -> Vec<Value> {
    let told = client.ok("og_submitRecords", json!([records])).await;
    serde_json::from_value(told).unwrap()
}

fn decode<T: og_types::Canonical>(json: &Value) -> T {
    let bytes: Bytes = serde_json::from_value(json.clone()).unwrap();
    T::from_bytes(&bytes).unwrap()
}

#[tokio::test]
async fn a_record_is_proven_once_its_block_is_certified() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let records: Vec<_> = (1..=3)
        .map(|request| sign_record(&memory, record(&memory, request)))
        .collect();
    let all: Vec<_> = records.iter().map(bytes).collect();
    let submitted = client.ok("og_submitRecords", json!([all])).await;
    assert_eq!(submitted, json!([null, null, null]));
    let id = records[1].record.request_id;
    assert_eq!(
        client.ok("og_getRecordProof", json!([id])).await,
        Value::Null
    );
    assert_eq!(client.ok("og_status", json!([])).await["pendingRecords"], 3);

    memory.mine();
    let (code, message, _) = client.error("og_getRecordProof", json!([id])).await;
    assert_eq!(code, -32012, "{message}");
    memory.mine();
    let certified = memory.head().height;
    memory
        .index()
        .set_finalization(certified, b"certificate")
        .unwrap();

    let proof = client.ok("og_getRecordProof", json!([id])).await;
    assert_eq!(decode::<SignedRecord>(&proof["record"]), records[1]);
    let header: Header = decode(&proof["header"]);
    let inclusion: Inclusion = decode(&proof["inclusion"]);
    verify_inclusion(&records[1].to_bytes(), &inclusion, &header.records_root).unwrap();
    let descendants = proof["descendants"].as_array().unwrap();
    assert_eq!(descendants.len(), 1);
    assert_eq!(decode::<Header>(&descendants[0]).height, certified);
    assert_eq!(
        proof["finalization"],
        json!(Bytes::from_static(b"certificate"))
    );
}

#[tokio::test]
async fn many_records_are_proven_at_once_and_what_they_share_is_told_once() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let records: Vec<_> = (1..=4)
        .map(|request| sign_record(&memory, record(&memory, request)))
        .collect();
    let ids: Vec<_> = records
        .iter()
        .map(|signed| signed.record.request_id)
        .collect();
    let known = async || client.ok("og_getRecordProofs", json!([ids])).await;
    let nothing = json!({"blocks": [], "records": [null, null, null, null]});
    assert_eq!(known().await, nothing);

    submit(&client, records[..2].iter().map(bytes).collect()).await;
    memory.mine();
    let certified = memory.head().height;
    let index = memory.index();
    index.set_finalization(certified, b"certificate").unwrap();
    submit(&client, vec![bytes(&records[2])]).await;
    memory.mine();

    let known = known().await;
    let [block] = known["blocks"].as_array().unwrap().as_slice() else {
        panic!("{known}");
    };
    let header: Header = decode(&block["header"]);
    assert_eq!(header.height, certified);
    assert_eq!(block["descendants"], json!([]));
    let certificate = Bytes::from_static(b"certificate");
    assert_eq!(block["finalization"], json!(certificate));
    let told = known["records"].as_array().unwrap();
    for (signed, told) in records.iter().zip(&told[..2]) {
        let proof = &told["proof"];
        assert_eq!(proof["block"], 0);
        assert_eq!(decode::<SignedRecord>(&proof["record"]), *signed);
        let inclusion: Inclusion = decode(&proof["inclusion"]);
        verify_inclusion(&signed.to_bytes(), &inclusion, &header.records_root).unwrap();
    }
    // One is in a block whose certificate has not arrived, one in none.
    let height = format!("{:#x}", certified + 1);
    let rest = json!([{"height": height, "proof": null}, null]);
    assert_eq!(json!(told[2..]), rest);

    let too_many = vec![ids[0]; MAX_SUBMITTED_RECORDS + 1];
    let (code, message, _) = client.error("og_getRecordProofs", json!([too_many])).await;
    assert_eq!(code, -32602, "{message}");
}

#[tokio::test]
async fn a_record_that_is_not_taken_is_told_whether_to_come_back() {
    let memory = Memory::new();
    let client = Client::start(&memory).await;
    let settled = sign_record(&memory, record(&memory, 1));
    submit(&client, vec![bytes(&settled)]).await;
    memory.mine();

    let with = |change: fn(&mut og_types::Record)| {
        let mut record = record(&memory, 2);
        change(&mut record);
        bytes(&sign_record(&memory, record))
    };
    let mut forged = sign_record(&memory, record(&memory, 2));
    forged.record.input_units += 1;
    let cases = [
        (bytes(&settled), -32011, "settled"),
        (
            with(|record| record.valid_from_ms += 5_000),
            -32011,
            "valid from",
        ),
        (bytes(&forged), -32010, "signature"),
        (
            with(|record| record.node = NodeId([1; 32])),
            -32010,
            "not registered",
        ),
        (
            with(|record| record.model = ModelId([1; 32])),
            -32010,
            "not registered",
        ),
        (with(|record| record.payee = Address::ZERO), -32010, "payee"),
        (with(|record| record.chain_id = 1), -32010, "chain_id"),
        (
            with(|record| record.valid_until_ms += 3_600_000),
            -32010,
            "window",
        ),
        (
            with(|record| (record.valid_from_ms, record.valid_until_ms) = (1, 2)),
            -32010,
            "valid from",
        ),
        (Bytes::new(), -32602, "record"),
        (Bytes::from(vec![0xff; 100_000]), -32602, "record"),
    ];
    let good = bytes(&sign_record(&memory, record(&memory, 3)));
    let all = cases.iter().map(|(record, ..)| record.clone());
    let told = submit(&client, all.chain([good.clone()]).collect()).await;
    assert_eq!(told.len(), cases.len() + 1);
    for (told, (_, code, reason)) in told.iter().zip(cases) {
        assert_eq!(told["code"], code, "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(told.last(), Some(&Value::Null), "the last is good");
    assert_eq!(client.ok("og_status", json!([])).await["pendingRecords"], 1);

    let (code, message, _) = client
        .error("og_submitRecords", json!([vec![good; 513]]))
        .await;
    assert_eq!(code, -32602);
    assert!(message.contains("at most 512"), "{message}");
}
