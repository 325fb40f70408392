//! Signatures of inference nodes on records: Ed25519 under the chain's genesis hash.
//!
//! The signed message is the record's canonical bytes, the namespace `_OG_RECORD_V1` followed by
//! the genesis hash, so that a record means nothing on another chain, even one with the same id.

use alloy_primitives::B256;
use commonware_codec::Encode as _;
use commonware_cryptography::{
    BatchEntry, BatchVerifier as _, Signer as _, Verifier as _,
    ed25519::{PrivateKey, PublicKey, Signature as Ed25519Signature},
};
use commonware_parallel::Sequential;
use og_types::{Canonical as _, NodeId, Record, Signature, SignedRecord};
use parking_lot::Mutex;
use rand_core::CryptoRng;
use std::{collections::BTreeMap, sync::Arc};

const RECORD_DOMAIN: &[u8] = b"_OG_RECORD_V1";
/// Decoded keys that a verifier keeps. When there are more, it begins anew: whoever makes up nodes gains nothing.
const MAX_KEYS: usize = 256;

fn namespace(genesis: &B256) -> Vec<u8> {
    [RECORD_DOMAIN, genesis.as_slice()].concat()
}

/// The secret key of an inference node.
#[derive(Clone)]
pub struct NodeKey(PrivateKey);

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey(of {})", self.id())
    }
}

impl NodeKey {
    /// Draws a new key.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// The key with these secret bytes (an RFC 8032 seed).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        // Every 32 bytes are an Ed25519 seed; the codec only checks the length.
        #[expect(clippy::unwrap_used, reason = "32 bytes always decode")]
        Self(crate::decode::<PrivateKey>(&seed).unwrap())
    }

    /// The node that this key speaks for.
    pub fn id(&self) -> NodeId {
        let mut id = NodeId::default();
        id.0.copy_from_slice(self.0.public_key().as_ref());
        id
    }

    /// Signs a record for the chain with this genesis hash.
    pub fn sign(&self, genesis: &B256, record: Record) -> SignedRecord {
        let signature = self.0.sign(&namespace(genesis), &record.to_bytes());
        let mut bytes = Signature::default();
        bytes.0.copy_from_slice(&signature.encode());
        SignedRecord {
            record,
            signature: bytes,
        }
    }
}

/// Checks signatures on records for one chain.
#[derive(Clone, Debug)]
pub struct RecordVerifier {
    namespace: Vec<u8>,
    /// The keys of nodes that were met lately: to decode one takes about a seventh of a check.
    keys: Arc<Mutex<BTreeMap<NodeId, PublicKey>>>,
}

/// A record's signature with everything decoded, ready for a batch.
struct Entry {
    message: Vec<u8>,
    public_key: PublicKey,
    signature: Ed25519Signature,
}

impl RecordVerifier {
    /// A verifier for the chain with this genesis hash.
    pub fn new(genesis: &B256) -> Self {
        Self {
            namespace: namespace(genesis),
            keys: Arc::default(),
        }
    }

    fn entry(&self, signed: &SignedRecord) -> Option<Entry> {
        Some(Entry {
            message: signed.record.to_bytes(),
            public_key: self.key(&signed.record.node)?,
            signature: crate::decode::<Ed25519Signature>(&signed.signature.0)?,
        })
    }

    fn key(&self, node: &NodeId) -> Option<PublicKey> {
        if let Some(key) = self.keys.lock().get(node) {
            return Some(key.clone());
        }
        let key: PublicKey = crate::decode(&node.0)?;
        let mut keys = self.keys.lock();
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert(*node, key.clone());
        Some(key)
    }

    /// Whether the record's node signed it.
    pub fn verify(&self, signed: &SignedRecord) -> bool {
        self.entry(signed).is_some_and(|entry| {
            entry
                .public_key
                .verify(&self.namespace, &entry.message, &entry.signature)
        })
    }

    /// Whether all records are signed by their nodes, at about half the cost of one at a time.
    ///
    /// `rng` weighs the signatures against each other; it decides nothing that is true or false
    /// except with negligible probability (both checks follow ZIP 215).
    pub fn verify_batch(&self, signed: &[SignedRecord], rng: &mut impl CryptoRng) -> bool {
        if signed.is_empty() {
            return true;
        }
        let entries = signed.iter().map(|signed| self.entry(signed));
        let Some(entries) = entries.collect::<Option<Vec<_>>>() else {
            return false;
        };
        PublicKey::verify_batch(
            rng,
            &entries,
            |_, entry| BatchEntry {
                namespace: &self.namespace,
                message: &entry.message,
                public_key: &entry.public_key,
                signature: &entry.signature,
            },
            &Sequential,
        )
    }
}
