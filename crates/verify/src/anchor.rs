//! What a verifier trusts to begin with: a genesis file, or a checkpoint.

use alloy_primitives::B256;
use commonware_consensus::simplex::scheme::bls12381_multisig::Scheme;
use commonware_cryptography::{bls12381::primitives::variant::MinSig, ed25519::PublicKey};
use commonware_utils::{Faults as _, N3f1};
use og_crypto::{ValidatorSet, ValidatorSetError, genesis_hash, validators::consensus_namespace};
use og_types::{BlockHash, Checkpoint, Genesis, GenesisValidator};

/// The scheme by which seats sign finality: BLS12-381 multi-signatures that name their signers.
pub(crate) type FinalityScheme = Scheme<PublicKey, MinSig>;

/// A chain and a set of validators that the verifier's user trusts, and since which block.
///
/// The set is the same in every epoch of this protocol version: handovers do not exist yet, and a
/// header that announces one is refused.
#[derive(Clone, Debug)]
pub struct TrustAnchor {
    pub(crate) chain_id: u64,
    pub(crate) genesis: B256,
    pub(crate) height: u64,
    /// The trusted block; `None` for genesis, whose header is not in the genesis file.
    pub(crate) block: Option<BlockHash>,
    pub(crate) timestamp_ms: u64,
    pub(crate) epoch: u64,
    pub(crate) validators: ValidatorSet,
    pub(crate) scheme: FinalityScheme,
}

/// Why a genesis file or a checkpoint cannot be trusted by anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// A format version that this verifier does not know.
    #[error("version {0} is unknown, only 1 exists: use a newer verifier")]
    Version(u16),
    /// The seats are not a set that can vote.
    #[error("validators: {0}")]
    Validators(#[from] ValidatorSetError),
}

impl TrustAnchor {
    /// Trusts a chain from its beginning.
    ///
    /// # Errors
    /// [`AnchorError`] if the file's version is unknown or its validators' keys are not proven.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, AnchorError> {
        check_version(genesis.version)?;
        let hash = genesis_hash(genesis);
        let (validators, scheme) = voters(&hash, &genesis.validators)?;
        Ok(Self {
            chain_id: genesis.chain_id,
            genesis: hash,
            height: 0,
            block: None,
            timestamp_ms: genesis.timestamp_ms,
            epoch: 0,
            validators,
            scheme,
        })
    }

    /// Trusts a chain from a block that the user already trusts.
    ///
    /// # Errors
    /// [`AnchorError`] if the file's version is unknown or its validators' keys are not proven.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, AnchorError> {
        check_version(checkpoint.version)?;
        let (validators, scheme) = voters(&checkpoint.genesis, &checkpoint.validators)?;
        Ok(Self {
            chain_id: checkpoint.chain_id,
            genesis: checkpoint.genesis,
            height: checkpoint.height,
            block: Some(checkpoint.block),
            timestamp_ms: checkpoint.timestamp_ms,
            epoch: checkpoint.epoch,
            validators,
            scheme,
        })
    }

    /// EIP-155 id of the trusted chain.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Hash of the trusted chain's genesis file.
    pub fn genesis(&self) -> B256 {
        self.genesis
    }

    /// Height of the trusted block, 0 for a genesis file.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The seats whose signatures count.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Seats that must sign a certificate.
    pub fn quorum(&self) -> usize {
        // A validator set has 1 to 256 members, so this neither panics nor truncates.
        N3f1::quorum(self.validators.members().len()) as usize
    }
}

fn check_version(found: u16) -> Result<(), AnchorError> {
    if found == crate::VERSION {
        Ok(())
    } else {
        Err(AnchorError::Version(found))
    }
}

fn voters(
    genesis: &B256,
    members: &[GenesisValidator],
) -> Result<(ValidatorSet, FinalityScheme), ValidatorSetError> {
    let validators = ValidatorSet::new(members.to_vec())?;
    let scheme = Scheme::verifier(&consensus_namespace(genesis), validators.keys().clone());
    Ok((validators, scheme))
}
