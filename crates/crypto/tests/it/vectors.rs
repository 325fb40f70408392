//! The committed vectors' hashes, commitments, paths and signatures.

use alloy_primitives::{B256, hex};
use og_crypto::{
    ConsensusKey, NodeKey, RecordVerifier, ValidatorSet, block_hash, commit_input, commit_output,
    genesis_hash, keccak256, merkle, validators_hash,
};
use og_types::{Canonical as _, Genesis, Header, Inclusion, SignedRecord};
use serde_json::Value;

fn json(name: &str) -> Value {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../types/tests/vectors");
    serde_json::from_slice(&std::fs::read(format!("{directory}/{name}")).unwrap()).unwrap()
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().unwrap()).unwrap()
}

fn hash(vector: &Value, field: &str) -> B256 {
    vector[field].as_str().unwrap().parse().unwrap()
}

fn genesis() -> Genesis {
    serde_json::from_value(json("genesis.json")).unwrap()
}

#[test]
fn the_genesis_file_and_its_validators_have_their_hashes_and_keys() {
    let vector = json("genesis_hash.json");
    let genesis = genesis();
    assert_eq!(genesis_hash(&genesis), hash(&vector, "hash"));
    assert_eq!(
        validators_hash(&genesis.validators),
        hash(&vector, "validators_hash")
    );
    // By hand, from the page: domain and canonical bytes.
    assert_eq!(
        keccak256(&[b"_OG_GENESIS_V1", &bytes(&vector, "canonical")]),
        hash(&vector, "hash")
    );
    let set = ValidatorSet::new(genesis.validators.clone()).unwrap();
    assert_eq!(set.hash(), hash(&vector, "validators_hash"));
    for (secret, seat) in vector["consensus_secrets"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&genesis.validators)
    {
        let key = ConsensusKey::from_hex(secret.as_str().unwrap()).unwrap();
        assert_eq!(seat.consensus_key, key.public());
        assert_eq!(seat.proof_of_possession, key.proof_of_possession());
    }
}

#[test]
fn the_header_has_its_hash() {
    let vector = json("header.json");
    let header = Header::from_bytes(&bytes(&vector, "canonical")).unwrap();
    assert_eq!(B256::from(block_hash(&header).0), hash(&vector, "hash"));
    assert_eq!(
        alloy_primitives::keccak256(bytes(&vector, "canonical")),
        hash(&vector, "hash")
    );
}

#[test]
fn requests_and_responses_have_their_commitments() {
    for (name, commit, domain) in [
        (
            "request.json",
            commit_input as fn(&B256, &[u8]) -> B256,
            &b"_OG_INPUT_V1"[..],
        ),
        ("response.json", commit_output, b"_OG_OUTPUT_V1"),
    ] {
        let vector = json(name);
        let (salt, canonical) = (hash(&vector, "salt"), bytes(&vector, "canonical"));
        assert_eq!(commit(&salt, &canonical), hash(&vector, "commitment"));
        let by_hand = alloy_primitives::keccak256([domain, salt.as_slice(), &canonical].concat());
        assert_eq!(by_hand, hash(&vector, "commitment"));
    }
}

#[test]
fn the_records_signature_is_made_and_accepted() {
    let vector = json("record.json");
    let signed = SignedRecord::from_bytes(&bytes(&vector, "canonical")).unwrap();
    let chain = genesis_hash(&genesis());
    assert!(RecordVerifier::new(&chain).verify(&signed));
    let secret = bytes(&vector, "node_secret").try_into().unwrap();
    let again = NodeKey::from_seed(secret).sign(&chain, signed.record.clone());
    assert_eq!(again, signed);
}

#[test]
fn the_list_has_its_root_and_paths() {
    let vector = json("list.json");
    let items: Vec<Vec<u8>> = vector["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| hex::decode(item.as_str().unwrap()).unwrap())
        .collect();
    let root = merkle::list_root(&items);
    assert_eq!(root, hash(&vector, "root"));
    assert_eq!(
        merkle::list_root::<[u8; 0]>(&[]),
        hash(&vector, "empty_root")
    );
    for (path, item) in vector["paths"].as_array().unwrap().iter().zip(&items) {
        let inclusion = Inclusion::from_bytes(&bytes(path, "canonical")).unwrap();
        merkle::verify_inclusion(item, &inclusion, &root).unwrap();
    }
}

/// The tree by the format page's own words, to show that they are enough to rebuild it.
#[test]
fn the_lists_root_is_what_the_page_says() {
    let vector = json("list.json");
    let mut level: Vec<B256> = vector["items"]
        .as_array()
        .unwrap()
        .iter()
        .zip(0u32..)
        .map(|(item, position)| {
            let item = alloy_primitives::keccak256(hex::decode(item.as_str().unwrap()).unwrap());
            keccak256(&[&position.to_be_bytes(), item.as_slice()])
        })
        .collect();
    let count = u32::try_from(level.len()).unwrap();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| keccak256(&[pair[0].as_slice(), pair[pair.len() - 1].as_slice()]))
            .collect();
    }
    let root = keccak256(&[&count.to_be_bytes(), level[0].as_slice()]);
    assert_eq!(root, hash(&vector, "root"));
    let empty = keccak256(&[&0u32.to_be_bytes(), keccak256(&[]).as_slice()]);
    assert_eq!(empty, hash(&vector, "empty_root"));
}
