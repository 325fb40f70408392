//! The rules of one chain: its genesis file, checked, and what follows from it.

use crate::{
    block::{Block, records_root, transactions_root},
    genesis,
    header::HEADER_VERSION,
    receipts::receipts_root,
    state::StateCommitment,
};
use alloy_primitives::B256;
use og_crypto::{RecordVerifier, ValidatorSet, ValidatorSetError, genesis_hash};
use og_types::{BlockHash, Genesis, Header};

/// The rules of one chain: its genesis, checked.
#[derive(Clone, Debug)]
pub struct Rules {
    genesis: Genesis,
    genesis_hash: B256,
    validators: ValidatorSet,
    record_verifier: RecordVerifier,
}

/// Why a genesis file is not one that a chain can start from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A field is outside its range.
    #[error("genesis {field} is {found}: {minimum} to {maximum} is allowed")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value, or the size of it.
        found: u64,
        /// Least allowed.
        minimum: u64,
        /// Most allowed.
        maximum: u64,
    },
    /// The balances add up to more than 2^128 - 1.
    #[error("the balances in the genesis file add up to more than 2^128 - 1")]
    Supply,
    /// The validators are no set.
    #[error("the genesis file's validators: {0}")]
    Validators(#[from] ValidatorSetError),
}

impl Rules {
    /// Checks a genesis file and makes rules of it.
    ///
    /// # Errors
    /// [`RulesError`] names what is wrong with the file.
    pub fn new(genesis: Genesis) -> Result<Self, RulesError> {
        genesis::check(&genesis)?;
        let validators = ValidatorSet::new(genesis.validators.clone())?;
        let genesis_hash = genesis_hash(&genesis);
        Ok(Self {
            record_verifier: RecordVerifier::new(&genesis_hash),
            genesis,
            genesis_hash,
            validators,
        })
    }

    /// The genesis file.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The genesis file's hash: the name of the chain.
    pub const fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// The validators, the same in every epoch of this version.
    pub const fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// EIP-155 chain id.
    pub const fn chain_id(&self) -> u64 {
        self.genesis.chain_id
    }

    /// Checks signatures on this chain's records.
    pub const fn record_verifier(&self) -> &RecordVerifier {
        &self.record_verifier
    }

    /// The epoch to which the block at `height` belongs.
    pub fn epoch_of(&self, height: u64) -> u64 {
        height
            .checked_div(self.genesis.epoch_length)
            .unwrap_or_default()
    }

    /// Block 0. The state after it is empty: the accounts of the genesis file enter with block 1,
    /// so that every state root is that of a block which executed.
    pub fn genesis_block(&self, empty_state: &StateCommitment) -> Block {
        let header = Header {
            version: HEADER_VERSION,
            chain_id: self.chain_id(),
            parent: BlockHash(self.genesis_hash.0),
            timestamp_ms: self.genesis.timestamp_ms,
            gas_limit: self.genesis.gas_limit,
            base_fee_per_gas: self.genesis.base_fee_per_gas,
            transactions_root: transactions_root(&[]),
            receipts_root: receipts_root(&[]),
            records_root: records_root(&[]),
            state_root: empty_state.root,
            state_operations_root: empty_state.operations_root,
            state_operations_floor: empty_state.operations_floor,
            state_operations_size: empty_state.operations_size,
            next_validators: self.validators.hash(),
            ..Header::default()
        };
        Block::new(header, Vec::new(), Vec::new())
    }
}
