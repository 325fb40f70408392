//! Signing schemes by epoch: who may vote, and with which key this node does.

use commonware_consensus::{simplex::scheme::bls12381_multisig, types::Epoch};
use commonware_cryptography::{
    bls12381::primitives::variant::MinSig,
    certificate::{Provider, Scoped},
    ed25519::PublicKey,
};
use og_chain::rules::Rules;
use og_crypto::{ConsensusKey, validators::consensus_namespace};
use std::sync::Arc;

/// BLS12-381 multi-signatures: small, and every certificate says who signed it.
pub type ConsensusScheme = bls12381_multisig::Scheme<PublicKey, MinSig>;

/// The scheme of every epoch. The set of validators does not change yet, so all epochs share one.
#[derive(Clone, Debug)]
pub struct Schemes {
    scheme: Arc<ConsensusScheme>,
}

/// The consensus key belongs to none of the chain's validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consensus key is not that of a validator in the genesis file")]
pub struct UnknownKey;

impl Schemes {
    /// Schemes with which the holder of `key` votes.
    ///
    /// # Errors
    /// [`UnknownKey`] if the key is not in the set.
    pub fn signer(rules: &Rules, key: &ConsensusKey) -> Result<Self, UnknownKey> {
        let namespace = consensus_namespace(&rules.genesis_hash());
        let keys = rules.validators().keys().clone();
        let scheme = ConsensusScheme::signer(&namespace, keys, key.0.clone()).ok_or(UnknownKey)?;
        Ok(Self {
            scheme: Arc::new(scheme),
        })
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = ConsensusScheme;

    fn scoped(&self, _: Epoch) -> Option<Scoped<ConsensusScheme>> {
        Some(Scoped::scheme(Arc::clone(&self.scheme)))
    }
}
