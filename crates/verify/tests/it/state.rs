//! Proofs of state: those on file, and none that was tampered with.

use crate::fixture::{GENESIS_MS, Network};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use commonware_codec::Encode as _;
use og_types::{Canonical as _, Header, StateEntry, StateProof};
use og_verify::{VerifyError, verify_state};

/// Root and entries that the state's own tests make: an account, a slot that is set, one that is not, nobody.
const ON_FILE: &str = include_str!("../../../state/tests/it/proofs.hex");

fn on_file() -> (B256, Vec<StateEntry>) {
    let mut lines = ON_FILE.lines();
    let root = lines.next().unwrap().parse().unwrap();
    let bytes = |field: &str| Bytes::from(hex::decode(field).unwrap());
    let entries = lines.map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        StateEntry {
            key: fields[0].parse().unwrap(),
            value: (fields[1] != "-").then(|| bytes(fields[1])),
            proof: bytes(fields[2]),
        }
    });
    (root, entries.collect())
}

/// A proof in block 7 of `network`, of which the certificate names the next block.
pub(crate) fn proof(network: &Network) -> StateProof {
    let (root, entries) = on_file();
    let header = Header {
        version: 1,
        chain_id: network.genesis.chain_id,
        height: 7,
        view: 9,
        parent_view: 8,
        timestamp_ms: GENESIS_MS + 60_000,
        state_root: root,
        next_validators: network.set().hash(),
        ..Header::default()
    };
    let next = Header {
        height: 8,
        view: 10,
        parent_view: 9,
        parent: og_crypto::block_hash(&header),
        timestamp_ms: header.timestamp_ms + 1,
        ..header.clone()
    };
    StateProof {
        version: 1,
        finalization: network
            .certificate(&next, &[0, 1, 2])
            .encode()
            .to_vec()
            .into(),
        header,
        descendants: vec![next],
        entries,
    }
}

#[test]
fn what_the_state_held_is_told() {
    let network = Network::new(4);
    let proven = verify_state(&proof(&network).to_bytes(), &network.anchor()).unwrap();
    assert_eq!((proven.header.height, proven.signers.len()), (7, 3));
    let account = proven.account(Address::repeat_byte(0xaa)).unwrap();
    assert_eq!((account.nonce, account.balance), (7, U256::from(1_000_000)));
    let nobody = proven.account(Address::repeat_byte(0xbb)).unwrap();
    assert!(nobody.is_empty());
    let contract = Address::repeat_byte(0xcc);
    let set = proven.storage(contract, U256::from(1));
    assert_eq!(set, Some(B256::with_last_byte(0x2a)));
    assert_eq!(proven.storage(contract, U256::from(2)), Some(B256::ZERO));
    // What the proof is not about is not told.
    assert_eq!(proven.storage(contract, U256::from(3)), None);
    assert!(proven.account(contract).is_none());
}

#[test]
fn every_flipped_byte_is_an_error_or_tells_of_another_absent_key() {
    let network = Network::new(4);
    let (anchor, mut bytes) = (network.anchor(), proof(&network).to_bytes());
    let absent = [2, 3].map(|entry: usize| {
        let key = proof(&network).entries[entry].key;
        let mut windows = bytes.windows(32);
        let start = windows.position(|window| window == key.as_slice()).unwrap();
        start..start + 32
    });
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            bytes[position] ^= flip;
            match verify_state(&bytes, &anchor) {
                // The key lies in the same gap: nothing stands there either.
                Ok(_) => assert!(
                    absent.iter().any(|key| key.contains(&position)),
                    "{position}"
                ),
                Err(error) => assert!(error.field().starts_with("proof"), "{position}: {error}"),
            }
            bytes[position] ^= flip;
        }
    }
    for length in 0..bytes.len() {
        verify_state(&bytes[..length], &anchor).unwrap_err();
    }
}

#[test]
fn other_values_and_other_keys_are_errors() {
    let network = Network::new(4);
    let reject = |change: fn(&mut Vec<StateEntry>)| {
        let mut proof = proof(&network);
        change(&mut proof.entries);
        let error = verify_state(&proof.to_bytes(), &network.anchor()).unwrap_err();
        assert!(matches!(error, VerifyError::State { .. }), "{error}");
        error.field().to_owned()
    };
    let absent = reject(|entries| entries[0].value = None);
    assert_eq!(absent, "proof.entries[0]");
    let present = reject(|entries| entries[3].value = entries[0].value.clone());
    assert_eq!(present, "proof.entries[3]");
    let swapped = reject(|entries| {
        let key = entries[2].key;
        entries[2].key = entries[1].key;
        entries[1].key = key;
    });
    assert_eq!(swapped, "proof.entries[1]");
    // The proof that one key is absent says nothing of a key that is present.
    let hidden = reject(|entries| {
        entries[2].key = entries[1].key;
    });
    assert_eq!(hidden, "proof.entries[2]");
}
