//! The committed test vectors of every format, made from fixed keys.
//!
//! `OG_REGENERATE_VECTORS=1 cargo test -p og-verify vectors` writes them anew: do that only when
//! a format changes, which makes a new version of it.

use crate::fixture::{Draft, GENESIS_MS, Network, child, node, request, response};
use alloy_primitives::{B256, hex};
use commonware_codec::Encode as _;
use og_crypto::{
    block_hash, commit_input, commit_output, genesis_hash, merkle, validators::consensus_namespace,
    validators_hash,
};
use og_types::{
    Canonical, Checkpoint, Genesis, JobEvent, JobFailure, JobResult, Receipt,
    language::{Alternative, Logprob, Piece},
};
use og_verify::{TrustAnchor, verify};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Once};

fn directory() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../types/tests/vectors"
    ))
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    hex::encode_prefixed(bytes)
}

/// Every vector by file name.
fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    (draft.before, draft.after) = (1, 3);
    let receipt = draft.finish(&network);
    draft.descendants = 2;
    let through_descendants = draft.finish(&network);
    let checkpoint = verify(&receipt.to_bytes(), &network.anchor())
        .unwrap()
        .checkpoint(&network.anchor());
    let text = |value: Value| {
        let mut text = serde_json::to_vec_pretty(&value).unwrap();
        text.push(b'\n');
        text
    };
    BTreeMap::from([
        ("genesis.json", text(json!(network.genesis))),
        ("genesis_hash.json", text(genesis(&network))),
        ("header.json", text(header(&receipt))),
        ("record.json", text(record(&network, &receipt))),
        (
            "request.json",
            text(payload(&request(), &receipt, commit_input)),
        ),
        (
            "response.json",
            text(payload(&response(), &receipt, commit_output)),
        ),
        ("list.json", text(list())),
        ("job_events.bin", job_events(&receipt)),
        ("job_failed.bin", job_failed()),
        ("certificate.json", text(certificate(&network, &receipt))),
        ("checkpoint.json", text(json!(checkpoint))),
        ("receipt.bin", receipt.to_bytes()),
        ("state_proof.bin", crate::state::proof(&network).to_bytes()),
        ("receipt_descendants.bin", through_descendants.to_bytes()),
    ])
}

fn genesis(network: &Network) -> Value {
    json!({
        "about": "canonical bytes and hash of genesis.json, and the hash of its validators",
        "canonical": hexadecimal(network.genesis.to_bytes()),
        "hash": genesis_hash(&network.genesis),
        "validators_hash": validators_hash(&network.genesis.validators),
        "consensus_secrets": network.seats.iter().map(|key| key.to_hex()).collect::<Vec<_>>(),
    })
}

fn header(receipt: &Receipt) -> Value {
    json!({
        "about": "a header, its canonical bytes, and the block hash",
        "value": receipt.header,
        "canonical": hexadecimal(receipt.header.to_bytes()),
        "hash": block_hash(&receipt.header),
    })
}

fn record(network: &Network, receipt: &Receipt) -> Value {
    let namespace = [b"_OG_RECORD_V1", genesis_hash(&network.genesis).as_slice()].concat();
    let canonical = receipt.record.record.to_bytes();
    let length = [u8::try_from(namespace.len()).unwrap()];
    json!({
        "about": "a signed record; `message` is what Ed25519 signs: length, namespace, record",
        "node_secret": hexadecimal([0x40; 32]),
        "value": receipt.record,
        "record": hexadecimal(&canonical),
        "message": hexadecimal([&length[..], &namespace, &canonical].concat()),
        "canonical": hexadecimal(receipt.record.to_bytes()),
    })
}

/// An event of every kind but failures, the result's that of a receipt.
fn job_events(receipt: &Receipt) -> Vec<u8> {
    let token = |bytes: &[u8], logprob| Alternative {
        bytes: bytes.to_vec(),
        logprob,
    };
    let result = JobResult {
        version: 1,
        record: receipt.record.clone(),
        opening: receipt.opening.clone(),
        evidence: None,
    };
    [
        JobEvent::Piece(Piece::Text("Let me look.".to_owned())),
        JobEvent::Piece(Piece::Call {
            id: "call_0".to_owned(),
            name: "look".to_owned(),
        }),
        JobEvent::Piece(Piece::Arguments("{\"at\":1}".to_owned())),
        JobEvent::Piece(Piece::Logprobs(vec![Logprob {
            chosen: token("é".as_bytes(), -65_536),
            top: vec![token(b"e", -3), token(&[0xc3], -70_000)],
        }])),
        JobEvent::Result(Box::new(result)),
    ]
    .iter()
    .flat_map(Canonical::to_bytes)
    .collect()
}

fn job_failed() -> Vec<u8> {
    JobEvent::Failed(JobFailure::new(
        "bad_input",
        "'prompt[0]' is wrong",
        Some("prompt[0]"),
    ))
    .to_bytes()
}

fn payload<T: Canonical + serde::Serialize>(
    value: &T,
    receipt: &Receipt,
    commit: fn(&B256, &[u8]) -> B256,
) -> Value {
    let salt = receipt.opening.salt;
    json!({
        "about": "a request or response, its canonical bytes, and the commitment to them",
        "value": value,
        "canonical": hexadecimal(value.to_bytes()),
        "salt": salt,
        "commitment": commit(&salt, &value.to_bytes()),
    })
}

fn list() -> Value {
    let items: Vec<_> = (0..5u8).map(|item| vec![item; usize::from(item)]).collect();
    let paths = (0..5).map(|position| {
        let path = merkle::ListTree::new(&items).prove(position).unwrap();
        json!({
            "position": path.position,
            "leaf_count": path.leaf_count,
            "siblings": path.siblings,
            "canonical": hexadecimal(path.to_bytes()),
        })
    });
    json!({
        "about": "roots of lists, and the path of every item of the last one",
        "empty_root": merkle::list_root::<[u8; 0]>(&[]),
        "items": items.iter().map(hexadecimal).collect::<Vec<_>>(),
        "root": merkle::list_root(&items),
        "paths": paths.collect::<Vec<_>>(),
    })
}

fn certificate(network: &Network, receipt: &Receipt) -> Value {
    let certificate = network.certificate(&receipt.header, &[0, 1, 2]);
    let namespace = consensus_namespace(&genesis_hash(&network.genesis));
    let namespace = [namespace.as_slice(), b"_FINALIZE"].concat();
    let length = [u8::try_from(namespace.len()).unwrap()];
    let proposal = certificate.proposal.encode();
    json!({
        "about": "the certificate of receipt.bin; `message` is what each signer's BLS key signs",
        "epoch": receipt.header.epoch,
        "view": receipt.header.view,
        "parent_view": receipt.header.parent_view,
        "payload": block_hash(&receipt.header),
        "signers": [0, 1, 2],
        "message": hexadecimal([&length[..], &namespace, &proposal].concat()),
        "signature": hexadecimal(certificate.certificate.signature.encode()),
        "canonical": hexadecimal(certificate.encode()),
    })
}

/// A committed vector; the first call writes them all, where that is asked for.
fn read(name: &str) -> Vec<u8> {
    static REGENERATED: Once = Once::new();
    REGENERATED.call_once(|| {
        if std::env::var_os("OG_REGENERATE_VECTORS").is_some_and(|value| value == "1") {
            for (name, bytes) in vectors() {
                std::fs::write(directory().join(name), bytes).unwrap();
            }
        }
    });
    std::fs::read(directory().join(name)).unwrap()
}

/// Whether two vectors say the same: the order of fields in JSON depends on which packages are built together.
fn same(name: &str, found: &[u8], expected: &[u8]) -> bool {
    let parsed = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    found == expected || name.ends_with(".json") && parsed(found) == parsed(expected)
}

#[test]
fn vectors_are_what_this_code_makes() {
    let made = vectors();
    for (name, expected) in &made {
        assert!(
            same(name, &read(name), expected),
            "{name} is not what this code makes"
        );
    }
    let mut present: Vec<_> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    present.sort();
    assert_eq!(present, made.into_keys().collect::<Vec<_>>());
}

#[test]
fn committed_receipts_verify_with_the_committed_genesis_file_and_checkpoint() {
    let genesis: Genesis = serde_json::from_slice(&read("genesis.json")).unwrap();
    let checkpoint: Checkpoint = serde_json::from_slice(&read("checkpoint.json")).unwrap();
    for name in ["receipt.bin", "receipt_descendants.bin"] {
        let report = verify(&read(name), &TrustAnchor::from_genesis(&genesis).unwrap()).unwrap();
        assert_eq!(report.record.node, node().id());
        assert!(report.header.timestamp_ms > GENESIS_MS);
        verify(
            &read(name),
            &TrustAnchor::from_checkpoint(&checkpoint).unwrap(),
        )
        .unwrap();
    }
    let receipt = Receipt::from_bytes(&read("receipt_descendants.bin")).unwrap();
    assert_eq!(receipt.descendants[0], child(&receipt.header));
}
