//! Receipts that are well made and false: by a node, a gateway, or too few validators.

use crate::fixture::{Certificate, Draft, Network, SeatScheme, child, request, response};
use alloy_primitives::B256;
use commonware_codec::Encode as _;
use commonware_consensus::simplex::types::{Notarization, Notarize};
use commonware_parallel::Sequential;
use commonware_utils::non_empty;
use og_crypto::{NodeKey, SeatKey, block_hash, validators::genesis_validator};
use og_types::{Canonical as _, Checkpoint, Receipt, limits::MAX_VALIDITY_WINDOW_MS};
use og_verify::{AnchorError, Document, TrustAnchor, VerifyError, verify};

/// A change to a draft, and the field that it makes wrong.
type Case = (fn(&mut Draft), &'static str);

fn reject(receipt: &Receipt, anchor: &TrustAnchor) -> VerifyError {
    verify(&receipt.to_bytes(), anchor).unwrap_err()
}

/// The field at fault in the receipt of an altered draft that a quorum finalized all the same.
fn field_of(alter: impl FnOnce(&mut Draft)) -> String {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    alter(&mut draft);
    reject(&draft.finish(&network), &network.anchor())
        .field()
        .to_owned()
}

/// The error for an honest receipt that somebody changed afterwards.
fn error_of(tamper: impl FnOnce(&Network, &mut Receipt)) -> VerifyError {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    (draft.before, draft.after, draft.descendants) = (1, 1, 2);
    let mut receipt = draft.finish(&network);
    tamper(&network, &mut receipt);
    reject(&receipt, &network.anchor())
}

fn certificate_error(edit: impl FnOnce(&mut Vec<u8>)) -> VerifyError {
    error_of(|_, receipt| {
        let mut bytes = receipt.finalization.to_vec();
        edit(&mut bytes);
        receipt.finalization = bytes.into();
    })
}

/// Offset of the bitmap's length: an epoch byte, two views of two bytes, the block hash.
const BITMAP_AT: usize = 1 + 2 + 2 + 32;

#[test]
fn too_few_or_unknown_signers_are_rejected() {
    let network = Network::new(4);
    let strangers = Network::new(7);
    let receipt = Draft::new(&network).finish(&network);
    // Commonware itself refuses to assemble fewer than a quorum, so a bit is dropped by hand.
    let fewer = certificate_error(|bytes| bytes[BITMAP_AT + 8] = 0b0011);
    assert_eq!(
        fewer,
        VerifyError::Quorum {
            document: Document::Receipt,
            found: 2,
            needed: 3
        }
    );
    // Another seat is named in place of one that signed.
    let other = certificate_error(|bytes| bytes[BITMAP_AT + 8] = 0b1011);
    assert_eq!(other, VerifyError::CertificateSignature(Document::Receipt));
    // One more is named than signed.
    let more = certificate_error(|bytes| bytes[BITMAP_AT + 8] = 0b1111);
    assert_eq!(more, VerifyError::CertificateSignature(Document::Receipt));
    // Other seats signed.
    let mut forged = receipt.clone();
    let certificate = strangers.certificate(&receipt.header, &[0, 1, 2, 3, 4]);
    forged.finalization = certificate.encode().to_vec().into();
    assert_eq!(
        reject(&forged, &network.anchor()).field(),
        "receipt.finalization"
    );
}

#[test]
fn the_genesis_file_must_be_the_chains_own() {
    let network = Network::new(4);
    let receipt = Draft::new(&network).finish(&network);
    let mut genesis = network.genesis;
    genesis.gas_limit += 1;
    let anchor = TrustAnchor::from_genesis(&genesis).unwrap();
    assert_eq!(
        reject(&receipt, &anchor),
        VerifyError::CertificateSignature(Document::Receipt)
    );
    let other = Network::new(5);
    assert_eq!(
        reject(&receipt, &other.anchor()),
        VerifyError::Seats {
            document: Document::Receipt,
            found: 4,
            expected: 5
        }
    );
}

#[test]
fn a_vote_that_is_not_for_finality_makes_nothing_final() {
    let network = Network::new(4);
    let mut receipt = Draft::new(&network).finish(&network);
    let proposal = network.certificate(&receipt.header, &[0, 1, 2]).proposal;
    let schemes: Vec<SeatScheme> = (0..3).map(|index| network.scheme(index)).collect();
    let votes: Vec<_> = schemes
        .iter()
        .map(|scheme| Notarize::sign(scheme, proposal.clone()).unwrap())
        .collect();
    let notarization =
        Notarization::from_notarizes(&schemes[0], non_empty![@votes.iter()], &Sequential).unwrap();
    let certificate = Certificate {
        proposal,
        certificate: notarization.certificate,
    };
    receipt.finalization = certificate.encode().to_vec().into();
    assert_eq!(
        reject(&receipt, &network.anchor()),
        VerifyError::CertificateSignature(Document::Receipt)
    );
}

#[test]
fn a_certificate_has_one_encoding() {
    let decode_errors: [fn(&mut Vec<u8>); 8] = [
        |bytes| bytes.push(0),
        |bytes| bytes.truncate(bytes.len() - 1),
        Vec::clear,
        // A bit beyond the last seat.
        |bytes| bytes[BITMAP_AT + 8] |= 0x10,
        // Nobody signed.
        |bytes| bytes[BITMAP_AT + 8] = 0,
        // A longer varint for epoch 0.
        |bytes| drop(bytes.splice(0..1, [0x80, 0x00])),
        // The point at infinity, which is the sum of no signatures.
        |bytes| {
            let start = bytes.len() - 48;
            bytes[start..].fill(0);
            bytes[start] = 0xc0;
        },
        // Not the compressed form.
        |bytes| {
            let start = bytes.len() - 48;
            bytes[start] &= 0x7f;
        },
    ];
    for (number, edit) in decode_errors.into_iter().enumerate() {
        let error = certificate_error(edit);
        assert!(
            matches!(&error, VerifyError::Decode { field, .. } if field == "receipt.finalization"),
            "{number}: {error}"
        );
    }
    // A set of another size, the same seats.
    let error = certificate_error(|bytes| bytes[BITMAP_AT + 7] = 3);
    assert_eq!(
        error,
        VerifyError::Seats {
            document: Document::Receipt,
            found: 3,
            expected: 4
        }
    );
}

#[test]
fn the_certificate_must_be_from_the_blocks_round() {
    let network = Network::new(4);
    let honest = Draft::new(&network).finish(&network);
    let (view, parent) = (honest.header.view, honest.header.parent_view);
    for (view, parent) in [(view - 1, parent), (view, parent - 1), (view + 1, parent)] {
        let mut receipt = honest.clone();
        let certificate = network.certificate_in_round(&receipt.header, view, parent, &[1, 2, 3]);
        receipt.finalization = certificate.encode().to_vec().into();
        assert_eq!(
            reject(&receipt, &network.anchor()),
            VerifyError::Round(Document::Receipt)
        );
    }
}

#[test]
fn the_headers_must_lead_to_the_certified_block() {
    let missing = error_of(|_, receipt| receipt.descendants = receipt.descendants.split_off(1));
    assert_eq!(missing.field(), "receipt.header");
    let unfinished = error_of(|_, receipt| receipt.descendants.truncate(1));
    assert_eq!(unfinished.field(), "receipt.descendants[0]");
    let swapped = error_of(|_, receipt| receipt.descendants.swap(0, 1));
    assert_eq!(swapped.field(), "receipt.descendants[1]");
    // Validators who finalize a block that skips a height do not make it follow.
    let skipped = error_of(|network, receipt| {
        let mut header = child(&receipt.header);
        header.height += 1;
        let certificate = network.certificate(&header, &[0, 1, 2]);
        receipt.finalization = certificate.encode().to_vec().into();
        receipt.descendants = vec![header];
    });
    assert_eq!(skipped.field(), "receipt.descendants[0].height");
}

#[test]
fn blocks_that_this_chain_cannot_have_are_rejected_even_if_finalized() {
    let cases: [Case; 5] = [
        (|draft| draft.header.version = 2, "receipt.header.version"),
        (|draft| draft.header.chain_id = 1, "receipt.header.chain_id"),
        (|draft| draft.header.height = 0, "receipt.header.height"),
        (
            |draft| draft.header.timestamp_ms = 5,
            "receipt.header.timestamp_ms",
        ),
        (
            |draft| draft.header.next_validators = B256::ZERO,
            "receipt.header.next_validators",
        ),
    ];
    for (alter, field) in cases {
        assert_eq!(field_of(alter), field);
    }
}

#[test]
fn a_record_of_another_chain_node_or_block_is_rejected() {
    assert_eq!(
        field_of(|draft| draft.record.chain_id = 1),
        "receipt.record.chain_id"
    );
    assert_eq!(
        field_of(|draft| draft.record.version = 2),
        "receipt.record.version"
    );
    assert_eq!(
        field_of(|draft| draft.node = NodeKey::from_seed([0x41; 32])),
        "receipt.record.signature"
    );
    let resigned = error_of(|_, receipt| {
        let record = receipt.record.record.clone();
        receipt.record = NodeKey::from_seed([0x40; 32]).sign(&B256::ZERO, record);
    });
    assert_eq!(resigned, VerifyError::RecordSignature);
    let not_admitted = error_of(|network, receipt| {
        let mut record = receipt.record.record.clone();
        record.price.0 += 1;
        receipt.record = NodeKey::from_seed([0x40; 32]).sign(&network.anchor().genesis(), record);
    });
    assert_eq!(not_admitted.field(), "receipt.inclusion");
    let elsewhere = error_of(|_, receipt| receipt.inclusion.position = 0);
    assert_eq!(elsewhere.field(), "receipt.inclusion");
    let longer = error_of(|_, receipt| receipt.inclusion.siblings.push(B256::ZERO));
    assert_eq!(longer.field(), "receipt.inclusion");
}

#[test]
fn the_block_must_be_from_within_the_validity_window() {
    assert_eq!(
        field_of(|draft| draft.record.valid_from_ms = draft.header.timestamp_ms + 1),
        "receipt.record.valid_from_ms"
    );
    assert_eq!(
        field_of(|draft| draft.record.valid_until_ms = draft.header.timestamp_ms - 1),
        "receipt.record.valid_until_ms"
    );
    assert_eq!(
        field_of(|draft| {
            draft.record.valid_until_ms = draft.record.valid_from_ms + MAX_VALIDITY_WINDOW_MS + 1;
        }),
        "receipt.record.valid_until_ms"
    );
}

#[test]
fn a_node_cannot_commit_to_what_is_no_request_or_response() {
    let cases: [Case; 9] = [
        (|draft| draft.request.push(0), "receipt.opening.request"),
        (
            |draft| draft.response = vec![0x82, 0x18, 0x01, 0x80],
            "receipt.opening.response.version",
        ),
        (
            |draft| {
                let mut request = request();
                request.version = 2;
                draft.request = request.to_bytes();
            },
            "receipt.opening.request.version",
        ),
        (
            |draft| {
                let mut request = request();
                request.model.0[0] ^= 1;
                draft.request = request.to_bytes();
            },
            "receipt.opening.request.model",
        ),
        (
            |draft| {
                let mut request = request();
                request.inputs[0].shape = vec![1, 1, 8, 9];
                draft.request = request.to_bytes();
            },
            "receipt.opening.request.inputs",
        ),
        (
            |draft| {
                let mut response = response();
                response.outputs.push(response.outputs[0].clone());
                draft.response = response.to_bytes();
            },
            "receipt.opening.response.outputs",
        ),
        (
            |draft| {
                let mut response = response();
                response.outputs[0].shape = vec![u32::MAX; 8];
                draft.response = response.to_bytes();
            },
            "receipt.opening.response.outputs",
        ),
        (
            |draft| draft.record.input_units += 1,
            "receipt.record.input_units",
        ),
        (
            |draft| draft.record.output_units = 0,
            "receipt.record.output_units",
        ),
    ];
    for (alter, field) in cases {
        assert_eq!(field_of(alter), field);
    }
    let salted = error_of(|_, receipt| receipt.opening.salt.0[0] ^= 1);
    assert_eq!(salted.field(), "receipt.opening.request");
}

#[test]
fn evidence_that_the_tier_does_not_have_is_rejected() {
    assert_eq!(
        field_of(|draft| draft.record.evidence = Some(B256::ZERO)),
        "receipt.record.evidence"
    );
    let attached = error_of(|_, receipt| receipt.evidence = Some(vec![1].into()));
    assert_eq!(attached.field(), "receipt.evidence");
    let version = error_of(|_, receipt| receipt.version = 2);
    assert_eq!(version.field(), "receipt.version");
}

fn checkpoint(network: &Network, receipt: &Receipt) -> Checkpoint {
    let genesis = network.anchor();
    verify(&receipt.to_bytes(), &genesis)
        .unwrap()
        .checkpoint(&genesis)
}

#[test]
fn a_checkpoint_exposes_a_second_history() {
    let network = Network::new(4);
    let honest = Draft::new(&network).finish(&network);
    let trusted = checkpoint(&network, &honest);
    let anchor = TrustAnchor::from_checkpoint(&trusted).unwrap();

    let mut fork = Draft::new(&network);
    fork.header.gas_used += 1;
    let fork = fork.finish(&network);
    assert_eq!(
        reject(&fork, &anchor),
        VerifyError::Conflict {
            field: "receipt.header".to_owned(),
            height: 7,
            found: block_hash(&fork.header),
            trusted: block_hash(&honest.header),
        }
    );
    let mut earlier = Draft::new(&network);
    earlier.header.height = 6;
    earlier.header.timestamp_ms -= 1;
    earlier.descendants = 1;
    let error = reject(&earlier.finish(&network), &anchor);
    assert_eq!(error.field(), "receipt.descendants[0]");

    let mut backdated = Draft::new(&network);
    backdated.header.height = 8;
    assert_eq!(
        reject(&backdated.finish(&network), &anchor).field(),
        "receipt.header.timestamp_ms"
    );
}

#[test]
fn a_checkpoint_cannot_judge_epochs_before_its_own() {
    let network = Network::new(4);
    let mut draft = Draft::new(&network);
    draft.header.height = 2_048;
    draft.header.epoch = 2;
    draft.header.timestamp_ms += 1_000;
    let trusted = checkpoint(&network, &draft.finish(&network));
    let anchor = TrustAnchor::from_checkpoint(&trusted).unwrap();
    let old = Draft::new(&network).finish(&network);
    assert_eq!(
        reject(&old, &anchor),
        VerifyError::BeforeCheckpoint {
            document: Document::Receipt,
            height: 7,
            found: 0,
            trusted: 2
        }
    );
    draft.header.height += 1;
    draft.header.epoch = 1;
    draft.header.timestamp_ms += 1_000;
    assert_eq!(
        reject(&draft.finish(&network), &anchor).field(),
        "receipt.header.epoch"
    );
}

#[test]
fn an_anchor_needs_proven_keys_and_a_known_version() {
    let network = Network::new(4);
    let mut genesis = network.genesis.clone();
    genesis.version = 2;
    assert_eq!(
        TrustAnchor::from_genesis(&genesis).unwrap_err(),
        AnchorError::Version(2)
    );
    // A proof of possession made with another key.
    let mut genesis = network.genesis;
    let other = genesis_validator(
        &SeatKey::from_seed([1; 32]),
        &og_crypto::ConsensusKey::from_hex(&"70".repeat(32)).unwrap(),
        [0; 20].into(),
    );
    genesis.validators[0].proof_of_possession = other.proof_of_possession;
    assert!(matches!(
        TrustAnchor::from_genesis(&genesis).unwrap_err(),
        AnchorError::Validators(_)
    ));
}
