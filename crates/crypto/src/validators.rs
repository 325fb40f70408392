//! Validators' keys, and sets of validators whose keys were checked.

use crate::hash::validators_hash;
use alloy_primitives::{Address, B256};
use commonware_codec::Encode as _;
use commonware_cryptography::{
    Signer as _,
    bls12381::primitives::{
        group::Private,
        ops::{compute_public, keypair, sign_proof_of_possession, verify_proof_of_possession},
        variant::{MinSig, Variant},
    },
    ed25519::{PrivateKey, PublicKey},
};
use commonware_utils::ordered::BiMap;
use og_types::{GenesisValidator, ValidatorId, limits::MAX_VALIDATORS};
use rand_core::CryptoRng;

const POSSESSION_DOMAIN: &[u8] = b"_OG_POSSESSION_V1";
const CONSENSUS_DOMAIN: &[u8] = b"_OG_CONSENSUS_V1";

/// A validator's public consensus key: BLS12-381, 96 bytes on G2.
pub type ConsensusPublicKey = <MinSig as Variant>::Public;

/// The namespace under which the validators of one chain vote.
pub fn consensus_namespace(genesis: &B256) -> Vec<u8> {
    [CONSENSUS_DOMAIN, genesis.as_slice()].concat()
}

/// The secret key with which a seat votes.
#[derive(Clone, Debug)]
pub struct ConsensusKey(pub Private);

/// The secret key that names a seat and authenticates its connections.
#[derive(Clone, Debug)]
pub struct SeatKey(pub PrivateKey);

/// Text that is not a secret key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret key: 32 bytes in hexadecimal are expected")]
pub struct ParseKeyError;

impl ConsensusKey {
    /// Draws a new key.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self(keypair::<_, MinSig>(rng).0)
    }

    /// The secret in hexadecimal, for a key file.
    pub fn to_hex(&self) -> String {
        alloy_primitives::hex::encode(self.0.encode())
    }

    /// Reads [`to_hex`](Self::to_hex)'s text.
    ///
    /// # Errors
    /// [`ParseKeyError`], which never shows the text.
    pub fn from_hex(text: &str) -> Result<Self, ParseKeyError> {
        let bytes: [u8; 32] =
            alloy_primitives::hex::decode_to_array(text.trim()).map_err(|_| ParseKeyError)?;
        crate::decode::<Private>(&bytes)
            .map(Self)
            .ok_or(ParseKeyError)
    }

    /// The public key, encoded.
    pub fn public(&self) -> Vec<u8> {
        compute_public::<MinSig>(&self.0).encode().to_vec()
    }

    /// Proof that the holder of the public key knows its secret.
    pub fn proof_of_possession(&self) -> Vec<u8> {
        sign_proof_of_possession::<MinSig>(&self.0, POSSESSION_DOMAIN)
            .encode()
            .to_vec()
    }
}

impl SeatKey {
    /// Draws a new key.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// The key with these secret bytes (an RFC 8032 seed).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        #[expect(clippy::unwrap_used, reason = "32 bytes always decode")]
        Self(crate::decode::<PrivateKey>(&seed).unwrap())
    }

    /// The secret in hexadecimal, for a key file.
    pub fn to_hex(&self) -> String {
        alloy_primitives::hex::encode(self.0.encode())
    }

    /// Reads [`to_hex`](Self::to_hex)'s text.
    ///
    /// # Errors
    /// [`ParseKeyError`], which never shows the text.
    pub fn from_hex(text: &str) -> Result<Self, ParseKeyError> {
        alloy_primitives::hex::decode_to_array(text.trim())
            .map(Self::from_seed)
            .map_err(|_| ParseKeyError)
    }

    /// The seat that this key names.
    pub fn id(&self) -> ValidatorId {
        let mut id = ValidatorId::default();
        id.0.copy_from_slice(self.0.public_key().as_ref());
        id
    }
}

/// The entry of a seat in a genesis file.
pub fn genesis_validator(
    seat: &SeatKey,
    consensus: &ConsensusKey,
    fee_recipient: Address,
) -> GenesisValidator {
    GenesisValidator {
        id: seat.id(),
        consensus_key: consensus.public().into(),
        proof_of_possession: consensus.proof_of_possession().into(),
        fee_recipient,
    }
}

/// Why a list of validators is not a set that can be trusted to vote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// None, or more than the protocol allows.
    #[error("{0} validators: 1 to {MAX_VALIDATORS} are allowed")]
    Size(usize),
    /// The list is not sorted by id, or one id stands twice.
    #[error("validator {0} is out of order or stands twice: sort by id")]
    Order(ValidatorId),
    /// The id is no Ed25519 public key.
    #[error("validator {0}: the id is not an Ed25519 public key")]
    Id(ValidatorId),
    /// The consensus key is no BLS12-381 public key.
    #[error("validator {0}: the consensus key is not a BLS12-381 public key on G2")]
    ConsensusKey(ValidatorId),
    /// The proof of possession does not verify.
    #[error("validator {0}: the proof of possession does not verify")]
    Possession(ValidatorId),
    /// Two seats share a consensus key.
    #[error("two validators have the same consensus key")]
    SharedKey,
}

/// A set of validators: sorted, unique, every consensus key proven to be held.
#[derive(Clone, Debug)]
pub struct ValidatorSet {
    members: Vec<GenesisValidator>,
    keys: BiMap<PublicKey, ConsensusPublicKey>,
    hash: B256,
}

impl ValidatorSet {
    /// Checks `members` and makes a set of them.
    ///
    /// # Errors
    /// [`ValidatorSetError`] names the seat and what is wrong with it. Without the proof of
    /// possession a made-up key could cancel honest ones out of an aggregate signature.
    pub fn new(members: Vec<GenesisValidator>) -> Result<Self, ValidatorSetError> {
        if members.is_empty() || members.len() > MAX_VALIDATORS {
            return Err(ValidatorSetError::Size(members.len()));
        }
        let mut pairs = Vec::with_capacity(members.len());
        let mut previous: Option<ValidatorId> = None;
        for member in &members {
            if previous.is_some_and(|previous| previous >= member.id) {
                return Err(ValidatorSetError::Order(member.id));
            }
            previous = Some(member.id);
            let id =
                crate::decode::<PublicKey>(&member.id.0).ok_or(ValidatorSetError::Id(member.id))?;
            let key = crate::decode::<ConsensusPublicKey>(&member.consensus_key)
                .ok_or(ValidatorSetError::ConsensusKey(member.id))?;
            let proof =
                crate::decode::<<MinSig as Variant>::Signature>(&member.proof_of_possession)
                    .ok_or(ValidatorSetError::Possession(member.id))?;
            verify_proof_of_possession::<MinSig>(&key, POSSESSION_DOMAIN, &proof)
                .map_err(|_| ValidatorSetError::Possession(member.id))?;
            pairs.push((id, key));
        }
        let keys = BiMap::try_from(pairs).map_err(|_| ValidatorSetError::SharedKey)?;
        let hash = validators_hash(&members);
        Ok(Self {
            members,
            keys,
            hash,
        })
    }

    /// The seats, sorted by id: a certificate names them by their index here.
    pub fn members(&self) -> &[GenesisValidator] {
        &self.members
    }

    /// Seat keys with their consensus keys, as commonware's schemes take them.
    pub fn keys(&self) -> &BiMap<PublicKey, ConsensusPublicKey> {
        &self.keys
    }

    /// The hash by which headers commit to this set.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The seat with this id.
    pub fn get(&self, id: &ValidatorId) -> Option<&GenesisValidator> {
        self.members.iter().find(|member| member.id == *id)
    }
}
